package collect

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/agent/files"
)

// truncated handles copy-truncate and its kin: what was not read yet may stand
// in the copy; then the file begins anew.
func (c *Collector) truncated(p *path, g *generation, info files.Info) {
	far := g.furthest()
	fresh, err := c.openGeneration(p.name)
	if err != nil {
		c.fail(p, err)
		return
	}
	before := g.seen
	found := c.retireInPlace(p, g)
	lost := max(0, before-far)
	if found {
		lost = max(0, before-g.seen)
	}
	added := c.addNewer(p, g.mtimeNs, 0, info.Inode)
	if found || far > 0 || !added {
		c.countLost(p, g, lost)
	}
	c.addFresh(p, fresh)
}

// retireInPlace replaces a generation whose bytes are gone from its inode by
// the copy of them, and reports whether there is one.
func (c *Collector) retireInPlace(p *path, g *generation) bool {
	far := g.furthest()
	cp := c.findCopy(p, g.content, far, g.id)
	g.file.Close()
	if cp == nil {
		c.open--
		p.generations = slices.DeleteFunc(p.generations, func(x *generation) bool { return x == g })
		return false
	}
	g.file, g.id, g.real = cp.file, cp.id, cp.real
	c.open--
	g.seen, g.mtimeNs = cp.seen, max(cp.mtimeNs, g.mtimeNs)
	g.gone = c.o.Now()
	g.grown = g.gone
	return true
}

// findCopy looks beside the log for a file that holds what was read of it.
func (c *Collector) findCopy(p *path, content files.Content, offset int64, not files.Inode) *generation {
	if content.HeadLen == 0 {
		return nil // nothing was read: anything would match
	}
	for range renameTries {
		if g, moved := c.findCopyOnce(p, content, offset, not); !moved {
			return g
		}
	}
	return nil
}

// renameTries is how often a directory is looked at anew when names were given
// to other files while they were opened, as in the middle of a rotation.
const renameTries = 10

// openSibling opens a file of a list. It returns nil without moved set for a
// file that can't be read.
func (c *Collector) openSibling(p *path, s files.Sibling) (g *generation, moved bool) {
	g, err := c.openGeneration(s.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, true
		}
		c.fail(p, err)
		return nil, false
	}
	if g.id != s.Inode {
		c.shut(g)
		return nil, true
	}
	return g, false
}

func (c *Collector) findCopyOnce(p *path, content files.Content, offset int64, not files.Inode) (g *generation, moved bool) {
	siblings, err := files.Siblings(p.name)
	if err != nil {
		c.fail(p, err)
		return nil, false
	}
	for _, s := range slices.Backward(siblings) {
		if s.Inode == not || s.Size < offset || c.following(s.Inode) {
			continue
		}
		if k, ok := c.known[s.Inode]; ok && k.Offset >= s.Size {
			continue
		}
		g, again := c.openSibling(p, s)
		if g == nil {
			moved = moved || again
			continue
		}
		if ok, err := content.Matches(g.file, offset); ok && err == nil {
			return g, false
		}
		c.shut(g)
	}
	return nil, moved
}

// following reports whether a file is being read.
func (c *Collector) following(id files.Inode) bool {
	for _, p := range c.paths {
		for _, g := range p.generations {
			if g.id == id {
				return true
			}
		}
	}
	return false
}

// advance goes on from generations that are not live to the file that stands
// under the name now, and reads what was rotated away in between.
func (c *Collector) advance(p *path) {
	err := c.allowed(p)
	var fresh *generation
	if err == nil {
		fresh, err = c.openGeneration(p.name)
	}
	c.fail(p, err)
	if err != nil {
		return
	}
	if n := len(p.generations); n > 0 {
		last := p.generations[n-1]
		if last.continues(fresh) {
			last.file.Close()
			c.open--
			last.file, last.id, last.real, last.seen, last.mtimeNs, last.gone = fresh.file, fresh.id, fresh.real, fresh.seen, fresh.mtimeNs, time.Time{}
			return
		}
		c.addNewer(p, last.mtimeNs, last.id.BirthNs, fresh.id)
	}
	c.addFresh(p, fresh)
}

// continues reports whether fresh is a copy of g that took its place, as
// editors make them: it holds all of g's bytes.
func (g *generation) continues(fresh *generation) bool {
	info, err := files.StatFile(g.file)
	if err != nil || g.content.HeadLen < surely || fresh.seen < info.Size || !matches(g.content, fresh.file, g.furthest(), fresh.seen) {
		return false
	}
	same, err := files.Same(g.file, fresh.file, g.furthest(), info.Size)
	return same && err == nil
}

// beginsWith reports whether g is the file live and all of f stands at its
// beginning: then f is a copy of what is still to be read.
func (g *generation) beginsWith(live files.Inode, f *os.File, size int64) bool {
	if g.id != live || g.furthest() > 0 {
		return false
	}
	same, err := files.Same(g.file, f, 0, size)
	return same && err == nil
}

// addNewer adds rotated generations that nobody has read: those beside the log
// that were written after mtimeNs and made after birthNs. It reports whether there are any.
func (c *Collector) addNewer(p *path, mtimeNs, birthNs int64, live files.Inode) (added bool) {
	for range renameTries {
		some, moved := c.addNewerOnce(p, mtimeNs, birthNs, live)
		added = added || some
		if !moved {
			break
		}
	}
	return added
}

func (c *Collector) addNewerOnce(p *path, mtimeNs, birthNs int64, live files.Inode) (added, moved bool) {
	siblings, err := files.Siblings(p.name)
	if err != nil {
		c.fail(p, err)
		return false, false
	}
	for _, s := range siblings {
		if s.Inode == live || s.MtimeNs < mtimeNs || birthNs != 0 && s.BirthNs <= birthNs || c.paths[s.Path] != nil || c.following(s.Inode) {
			continue
		}
		g, again := c.openSibling(p, s)
		if g == nil {
			moved = moved || again
			continue
		}
		k, ok := c.known[s.Inode]
		copied := ok && matches(k.Content, g.file, k.Offset, s.Size) || c.wasRead(s.Path, g.file, s.Info) ||
			slices.ContainsFunc(p.generations, func(old *generation) bool { return old.copied(g.file, s.Info) || old.beginsWith(live, g.file, s.Size) })
		if copied {
			c.shut(g)
			continue
		}
		g.gone = c.o.Now()
		g.grown = g.gone
		c.addFresh(p, g)
		added = true
	}
	return added, moved
}
