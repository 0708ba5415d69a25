package collect

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/agent/files"
)

// truncated handles copy-truncate and its kin: what was not read yet may stand
// in the copy; then the file begins anew.
func (c *Collector) truncated(p *path, g *generation) {
	fresh := &generation{id: g.id, file: g.file, real: g.real, serial: c.o.Now().UnixNano(), since: since{MtimeNs: g.mtimeNs}}
	info, err := files.StatFile(g.file)
	if err != nil {
		c.fail(p, err)
		return
	}
	fresh.note(info)
	if cp := c.findCopy(p, g.content, g.far, g.id); cp != nil {
		c.countLost(p, g, cp.seen, g.seen)
		g.file, g.id, g.real = cp.file, cp.id, cp.real
		g.seen, g.mtimeNs, g.settled = cp.seen, max(cp.mtimeNs, g.mtimeNs), false
		g.gone = c.o.Now()
		g.grown = g.gone
		c.log.Debug("log was truncated; its copy goes on", "path", p.name, "generation", g.name(), "file", g.real, "read", g.far, "size", g.seen)
	} else {
		c.log.Debug("log was truncated", "path", p.name, "generation", g.name(), "read", g.far, "size", g.seen)
		c.countLost(p, g, 0, g.seen)
		c.flush(p, g, g.seen, true, c.o.Now())
		p.generations = slices.DeleteFunc(p.generations, func(x *generation) bool { return x == g })
	}
	c.addGeneration(p, fresh, 0)
	c.catchUp(p, fresh)
}

// overwritten ends a rotated generation when other bytes took the place of its
// own, as when each copy of a log is made over the one before.
func (c *Collector) overwritten(p *path, g *generation) bool {
	if g.far == 0 {
		return false
	}
	if same, err := g.stands(); same || err != nil {
		return false
	}
	c.countLost(p, g, 0, g.seen)
	c.finish(p, g)
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
		g, again := c.openSibling(p, s)
		if g == nil {
			moved = moved || again
			continue
		}
		k, ok := c.known[s.Inode]
		finished := ok && k.Offset >= s.Size && matches(k.Content, g.file, k.Offset, s.Size)
		if ok, err := content.Matches(g.file, offset); ok && err == nil && !finished {
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
				return g.gone.IsZero() || !c.overwritten(p, g)
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
	if c.recall(fresh) {
		c.addGeneration(p, fresh, fresh.far)
		return
	}
	n := len(p.generations)
	if n == 0 {
		fresh.since = c.sinceNow(fresh)
		c.addGeneration(p, fresh, 0)
		return
	}
	last := p.generations[n-1]
	if last.continues(fresh) {
		last.file.Close()
		c.open--
		last.file, last.id, last.real, last.seen, last.mtimeNs, last.settled, last.gone = fresh.file, fresh.id, fresh.real, fresh.seen, fresh.mtimeNs, false, time.Time{}
		return
	}
	fresh.since = since{last.mtimeNs, last.id.BirthNs}
	c.addGeneration(p, fresh, 0)
	c.catchUp(p, fresh)
}

// recall lets a file that was finished, and stands under the name of a log
// again, go on where it was left.
func (c *Collector) recall(g *generation) bool {
	k, ok := c.known[g.id]
	if !ok || k.Offset == 0 || !matches(k.Content, g.file, k.Offset, g.seen) {
		return false
	}
	delete(c.known, g.id)
	g.content, g.far = k.Content, k.Offset
	return true
}

// continues reports whether fresh is a copy of g that took its place, as
// editors make them: it holds all of g's bytes.
func (g *generation) continues(fresh *generation) bool {
	info, err := files.StatFile(g.file)
	if err != nil || g.content.HeadLen < surely || fresh.seen < info.Size || !matches(g.content, fresh.file, g.far, fresh.seen) {
		return false
	}
	same, err := files.Same(g.file, fresh.file, g.far, info.Size)
	return same && err == nil
}

// catchUp adds the rotated generations that a live one of which nothing was
// read has missed: until it is known by what was read of it, it may have been
// copied and truncated any number of times. It reports whether there are any.
func (c *Collector) catchUp(p *path, g *generation) (added bool) {
	if added = c.addNewer(p, g.since, g); added {
		if info, err := files.StatFile(g.file); err == nil {
			g.seen = min(g.seen, info.Size) // what else was seen is in them
		}
		c.reorder(p, g)
	}
	return added
}

// addNewer adds rotated generations that nobody has read: those beside the log
// within the bound that are no copies of what is or will be read. live, if not
// nil, is the file under the name. A copy of what stands in it is left alone,
// whole or in the making: a file that holds other bytes than live when the two
// are compared is a copy of what stood there before, and it is whole, for live
// was truncated since. It reports whether there are any.
func (c *Collector) addNewer(p *path, bound since, live *generation) (added bool) {
	for range renameTries {
		some, moved := c.addNewerOnce(p, bound, live)
		added = added || some
		if !moved {
			break
		}
	}
	return added
}

func (c *Collector) addNewerOnce(p *path, bound since, live *generation) (added, moved bool) {
	siblings, err := files.Siblings(p.name)
	if err != nil {
		c.fail(p, err)
		return false, false
	}
	for _, s := range siblings {
		if s.MtimeNs < bound.MtimeNs || s.BirthNs < bound.BirthNs || c.paths[s.Path] != nil || live != nil && live.id == s.Inode || c.following(s.Inode) {
			continue
		}
		g, again := c.openSibling(p, s)
		if g == nil {
			moved = moved || again
			continue
		}
		k, ok := c.known[s.Inode]
		copied := ok && matches(k.Content, g.file, k.Offset, s.Size) || c.wasRead(s.Path, g.file, s.Info) ||
			live != nil && live.far == 0 && live.holds(g.file, s.Size) ||
			slices.ContainsFunc(p.generations, func(old *generation) bool { return old.copied(g.file, s.Info) })
		if copied {
			c.shut(g)
			continue
		}
		g.gone = c.o.Now()
		g.grown = g.gone
		c.addGeneration(p, g, 0)
		added = true
	}
	return added, moved
}
