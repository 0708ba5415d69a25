package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
)

const (
	// drainFor is how long a file that was rotated away is still looked at after
	// it last grew, once the new one is written: its writer may go on for a while.
	drainFor = time.Minute
	// drainAtMost is the same while nothing shows that the writer has moved on.
	drainAtMost = time.Hour
	// endlessAfter is when the last line of such a file is taken without its end.
	endlessAfter = 5 * time.Second
	// knownFor is how long a finished file is remembered, so that it is not read
	// again under another name.
	knownFor = 48 * time.Hour
	// surely is how many bytes must be alike before a file is taken for a copy
	// of another by its content alone.
	surely = 64
)

// path is a log by its name, with the generations of it that are being read;
// the last one may be live: the file that stands under the name now.
type path struct {
	name        string
	tasks       map[string]*task
	generations []*generation
	changed     bool
	missing     bool // nothing stands under the name
	rescan      bool // something happened to the name since the last look
	err         string
}

// generation is one content of a file: it ends with a rotation or truncation.
type generation struct {
	id      files.Inode
	file    *os.File
	content files.Content // up to the largest offset
	seen    int64         // size when last looked at
	mtimeNs int64
	cursors []*cursor
	gone    time.Time // when it stopped being live; zero while it is
	grown   time.Time // when it was last seen to grow after that
	serial  int64     // tells generations of one inode apart
	real    string    // where the file stood when it was opened, links followed
	more    bool      // the last turn did not come to its end
	deleted bool
}

// cursor is where tasks stand in a generation.
type cursor struct {
	offset int64
	state  logpipe.FileState
	long   bool // within a line that was cut
	tasks  []*task
	group  *logpipe.Group
}

func (c *cursor) remove(t *task) {
	c.tasks = slices.DeleteFunc(c.tasks, func(x *task) bool { return x == t })
	c.group = nil
}

// knownFile is a file that was read to its end.
type knownFile struct {
	Name    string // of the log it belonged to
	Inode   files.Inode
	Content files.Content
	Offset  int64
	AtMs    int64
}

func (p *path) live() *generation {
	if n := len(p.generations); n > 0 && p.generations[n-1].gone.IsZero() {
		return p.generations[n-1]
	}
	return nil
}

// furthest is how far the generation was read by whoever has read most.
func (g *generation) furthest() int64 {
	far := int64(0)
	for _, c := range g.cursors {
		far = max(far, c.offset)
	}
	return far
}

// follow makes the task read a log.
func (c *Collector) follow(t *task, name string) {
	p := c.paths[name]
	if p != nil && p.tasks[t.id] != nil {
		return
	}
	if err := files.CheckLinks(name, t.spec.SymlinkPart, c.o.AllowedRoots); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.fileErrors[name], t.err = err.Error(), err.Error()
		}
		return
	}
	if p == nil {
		if c.isCopy(name) {
			return
		}
		p = &path{name: name, tasks: map[string]*task{}, changed: true}
		c.paths[name] = p
	}
	p.tasks[t.id] = t
	c.dirty = true
	delete(t.fileErrors, name)
	if c.attached(p, t) {
		return
	}
	g := p.live()
	if g == nil {
		if g = c.openLive(p); g == nil {
			return // look goes on trying
		}
	}
	offset := int64(0)
	if !t.discovered && t.spec.StartAt == logrule.StartEnd {
		offset = c.lastLineEnd(g)
	}
	c.attach(p, g, t, offset)
}

// attached reports whether the checkpoint had the task on this log.
func (c *Collector) attached(p *path, t *task) bool {
	for _, g := range p.generations {
		for _, cur := range g.cursors {
			if slices.Contains(cur.tasks, t) {
				return true
			}
		}
	}
	return false
}

// attach adds a task to a generation, sharing the cursor of others at the same place.
func (c *Collector) attach(p *path, g *generation, t *task, offset int64) {
	if t.flow.limit == 0 {
		for _, cur := range g.cursors {
			if cur.offset == offset && !cur.long && cur.tasks[0].flow.limit == 0 {
				cur.tasks, cur.group = append(cur.tasks, t), nil
				return
			}
		}
	}
	g.cursors = append(g.cursors, &cursor{offset: offset, tasks: []*task{t}, state: logpipe.FileState{Path: p.name}})
	c.moveContent(g)
}

// lastLineEnd is where reading starts at the end of a file: after the last whole line.
func (c *Collector) lastLineEnd(g *generation) int64 {
	info, err := files.StatFile(g.file)
	if err != nil {
		return 0
	}
	buf := make([]byte, 64<<10)
	for end := info.Size; end > 0; {
		from := max(0, end-int64(len(buf)))
		n, err := g.file.ReadAt(buf[:end-from], from)
		if err != nil || n == 0 {
			return end
		}
		for i := n - 1; i >= 0; i-- {
			if buf[i] == '\n' {
				return from + int64(i) + 1
			}
		}
		end = from
	}
	return 0
}

// isCopy reports whether a file that was never followed holds what was read
// elsewhere: the rotated generation or the copy of a log that also matches.
func (c *Collector) isCopy(name string) bool {
	f, info, err := files.Open(name)
	if err != nil {
		return false // following it tells the error
	}
	defer f.Close()
	if k, ok := c.known[info.Inode]; ok && matches(k.Content, f, k.Offset, info.Size) {
		return true
	}
	if c.wasRead(name, f, info) {
		return true
	}
	for _, p := range c.paths {
		if alike := files.MayBeGeneration(p.name, name); alike {
			c.look(p)
			for _, g := range p.generations {
				if g.copied(f, info) {
					return true
				}
			}
			if g := p.live(); g != nil && info.Size < g.furthest() {
				// Perhaps the beginning of a copy that is just being made.
				if same, err := files.Same(g.file, f, 0, info.Size); same && err == nil {
					c.postponed[name] = true
					return true
				}
			}
		}
		for _, g := range p.generations {
			if g.id == info.Inode {
				return true
			}
		}
	}
	return false
}

// copied reports whether f is a copy of what is being read. A copy is no longer
// than its original; a file that only begins alike soon is.
func (g *generation) copied(f *os.File, info files.Info) bool {
	return g.id != info.Inode && g.content.HeadLen >= surely && info.Size <= g.seen && matches(g.content, f, g.furthest(), info.Size)
}

// wasRead reports whether f is a copy of a generation that was read to its end.
func (c *Collector) wasRead(name string, f *os.File, info files.Info) bool {
	for _, k := range c.known {
		if k.Offset == info.Size && k.Content.HeadLen >= surely && files.MayBeGeneration(k.Name, name) && matches(k.Content, f, k.Offset, info.Size) {
			return true
		}
	}
	return false
}

func matches(content files.Content, f *os.File, offset, size int64) bool {
	if size < offset {
		return false
	}
	ok, err := content.Matches(f, offset)
	return ok && err == nil
}

// openLive opens what stands under the name as a new generation.
func (c *Collector) openLive(p *path) *generation {
	err := c.allowed(p)
	var g *generation
	if err == nil {
		g, err = c.openGeneration(p.name)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		c.fail(p, err)
		return nil
	}
	c.fail(p, nil)
	p.generations = append(p.generations, g)
	return g
}

func (c *Collector) openGeneration(name string) (*generation, error) {
	f, info, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	c.open++
	c.dirty = true
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		real = name
	}
	return &generation{id: info.Inode, file: f, seen: info.Size, mtimeNs: info.MtimeNs, serial: c.o.Now().UnixNano(), real: real}, nil
}

// shut closes the file of a generation that isn't followed.
func (c *Collector) shut(g *generation) {
	g.file.Close()
	c.open--
}

// allowed checks again, when another file stands under the name, that no
// link leads where no task may read.
func (c *Collector) allowed(p *path) (err error) {
	for _, t := range p.tasks {
		if err = files.CheckLinks(p.name, t.spec.SymlinkPart, c.o.AllowedRoots); err == nil {
			return nil
		}
	}
	return err
}

// fail notes an error of a log, or that there is none.
func (c *Collector) fail(p *path, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == p.err {
		return
	}
	p.err = text
	if err != nil {
		c.log.Warn("cannot read log", "path", p.name, "err", err)
	}
}

// look compares a log with what stands under its name now and turns rotations
// and truncations into generations.
func (c *Collector) look(p *path) {
	g := p.live()
	info, err := files.Stat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.missing = true
		c.fail(p, nil)
		if g != nil {
			c.retire(g)
		}
		if n := len(p.generations); n > 0 && (g != nil || p.rescan) {
			last := p.generations[n-1]
			c.addNewer(p, last.mtimeNs, last.id.BirthNs, files.Inode{})
		}
		p.rescan = false
		return
	case err != nil:
		c.fail(p, err)
		return
	}
	p.missing, p.rescan = false, false
	if g == nil {
		if k, ok := c.known[info.Inode]; ok {
			if f, _, err := files.Open(p.name); err == nil {
				same := matches(k.Content, f, k.Offset, info.Size)
				f.Close()
				if same && len(p.generations) == 0 {
					return // finished before; nothing new stands here
				}
			}
		}
		for _, old := range p.generations {
			if old.id == info.Inode {
				old.gone = time.Time{} // it came back
				c.reorder(p, old)
				return
			}
		}
		c.advance(p)
		return
	}
	if g.id != info.Inode {
		c.retire(g)
		c.advance(p)
		return
	}
	truncated := info.Size < g.furthest() || info.Size < g.seen && g.furthest() == 0
	if !truncated && (info.Size != g.seen || info.MtimeNs != g.mtimeNs) {
		// Truncated and written again past our place: then other bytes stand before it.
		same, err := g.content.MatchesTail(g.file, g.furthest())
		if err != nil {
			c.fail(p, err)
			return
		}
		truncated = !same
	}
	if truncated {
		c.truncated(p, g, info)
		return
	}
	if g.furthest() == 0 && (info.Size != g.seen || info.MtimeNs != g.mtimeNs) {
		// Nothing was read that would show whether these are still the same
		// bytes: it may have been copied and truncated any number of times.
		added := c.addNewer(p, g.mtimeNs, 0, info.Inode)
		c.reorder(p, g)
		if added { // what was seen is in there
			if info, err = files.StatFile(g.file); err != nil {
				c.fail(p, err)
				return
			}
			g.seen = min(g.seen, info.Size)
		}
	}
	if info.Size < g.seen {
		c.countLost(p, g, g.seen-info.Size) // cut off behind our place
	}
	g.seen, g.mtimeNs = info.Size, info.MtimeNs
}

// reorder puts a generation that is live again at the end.
func (c *Collector) reorder(p *path, g *generation) {
	p.generations = append(slices.DeleteFunc(p.generations, func(x *generation) bool { return x == g }), g)
}

// retire ends a generation's being live; it is read to its end.
func (c *Collector) retire(g *generation) {
	if info, err := files.StatFile(g.file); err == nil {
		g.seen, g.mtimeNs = info.Size, info.MtimeNs
	}
	g.gone = c.o.Now()
	g.grown = g.gone
	c.dirty = true
}

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

// addFresh adds a generation that all tasks of the log read from its beginning.
func (c *Collector) addFresh(p *path, g *generation) {
	p.generations = append(p.generations, g)
	for _, t := range p.tasks {
		c.attach(p, g, t, 0)
	}
	c.dirty = true
}

// finish closes a generation and remembers it.
func (c *Collector) finish(p *path, g *generation) {
	far := g.furthest()
	if len(g.cursors) > 0 {
		c.moveContent(g)
	}
	c.known[g.id] = knownFile{Name: p.name, Inode: g.id, Content: g.content, Offset: far, AtMs: c.o.Now().UnixMilli()}
	for _, t := range p.tasks {
		for _, w := range t.windows {
			if r := w.receipts[g]; r != nil {
				delete(w.receipts, g)
				w.lost = append(w.lost, r)
			}
		}
	}
	g.file.Close()
	c.open--
	p.generations = slices.DeleteFunc(p.generations, func(x *generation) bool { return x == g })
	c.dirty = true
}

// moveContent brings the hashes up to the furthest offset.
func (c *Collector) moveContent(g *generation) {
	if content, err := g.content.Move(g.file, g.furthest()); err == nil {
		g.content = content
	}
}

// forgetPaths drops logs that are gone and read. Should the name come again,
// it is a new file.
func (c *Collector) forgetPaths() {
	for name, p := range c.paths {
		if p.missing && len(p.generations) == 0 {
			delete(c.paths, name)
			c.dirty = true
		}
	}
}

func (c *Collector) forgetKnown() {
	before := c.o.Now().Add(-knownFor).UnixMilli()
	for id, k := range c.known {
		if k.AtMs < before {
			delete(c.known, id)
		}
	}
}
