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
	// alike is how many bytes of two files are compared to tell whether one may
	// be a copy of the other.
	alike = 1 << 20
	// racy is how young a file's last change may be for the next one to have the
	// same time stamp, of which kernels have a few hundred a second.
	racy = 20 * time.Millisecond
)

// path is a log by its name, with the generations of it that are being read;
// the last one may be live: the file that stands under the name now.
type path struct {
	name        string
	tasks       map[string]*task
	generations []*generation
	changed     bool
	missing     bool // nothing stands under the name
	over        bool // the date in its name has passed: nothing more is to come
	rescan      bool // something happened to the name since the last look
	err         string
	problem     string // the class of err, see files.Problem
}

// generation is one content of a file: it ends with a rotation or truncation.
type generation struct {
	id      files.Inode
	file    *os.File
	far     int64         // how far it was read by whoever has read most
	content files.Content // up to far
	seen    int64         // size when last looked at
	mtimeNs int64         // and modification time
	settled bool          // and whether every later change has a later time
	since   since         // while far is 0: what it may have missed
	cursors []*cursor
	gone    time.Time // when it stopped being live; zero while it is
	grown   time.Time // when it was last seen to grow after that
	serial  int64     // tells generations of one inode apart
	real    string    // where the file stood when it was opened, links followed
	more    bool      // the last turn did not come to its end
	deleted bool
}

// since bounds the files beside a log that may be generations of it that nobody
// has read: changed at mtimeNs or later and made at birthNs or later, where
// that is known.
type since struct{ MtimeNs, BirthNs int64 }

// note keeps what stat says.
func (g *generation) note(info files.Info) {
	g.seen, g.mtimeNs = info.Size, info.MtimeNs
	g.settled = time.Since(time.Unix(0, info.MtimeNs)) > racy
}

// unchanged reports whether nothing can have happened since note.
func (g *generation) unchanged(info files.Info) bool {
	return g.settled && info.Size == g.seen && info.MtimeNs == g.mtimeNs
}

// stands reports whether what was read of a generation still stands in its
// file. What was read before the call, and after g.far was known, then is of
// this generation, and of no later one.
func (g *generation) stands() (bool, error) { return g.content.MatchesTail(g.file, g.far) }

// cursor is where tasks stand in a generation.
type cursor struct {
	offset int64
	state  logpipe.FileState
	long   bool // within a line that was cut
	tasks  []*task
	group  *logpipe.Group
	// grownMs is when lines were last read, for records that wait for more.
	grownMs int64
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

// follow makes the task read a log.
func (c *Collector) follow(t *task, name string) {
	p := c.paths[name]
	if p != nil && p.tasks[t.id] != nil {
		return
	}
	if err := files.CheckLinks(name, t.spec.SymlinkPart, c.o.AllowedRoots); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.fileErrors[name], t.err = fileError{err.Error(), files.Problem(err)}, err.Error()
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
	offset := g.far
	if !t.discovered {
		offset = 0
		if t.spec.StartAt == logrule.StartEnd {
			offset = c.lastLineEnd(g)
		}
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
	if offset > g.far {
		if content, err := files.Of(g.file, offset); err == nil {
			g.content, g.far = content, offset
		} else {
			offset = 0 // truncated meanwhile
		}
	}
	g.cursors = append(g.cursors, &cursor{offset: offset, tasks: []*task{t}, state: logpipe.FileState{Path: p.name}})
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
	if k, ok := c.known[info.Inode]; ok && k.Name != name && matches(k.Content, f, k.Offset, info.Size) {
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
			if g := p.live(); g != nil && (info.Size < g.far || g.far == 0) && g.holds(f, info.Size) {
				c.postponed[name] = true // perhaps the beginning of a copy that is just being made
				return true
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
	return g.id != info.Inode && g.content.HeadLen >= surely && info.Size <= g.seen && matches(g.content, f, g.far, info.Size)
}

// holds reports whether g begins with the bytes of f: then f is a copy of it,
// whole or in the making.
func (g *generation) holds(f *os.File, size int64) bool {
	same, err := files.Same(g.file, f, 0, min(size, alike))
	return same && err == nil
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
	g.since = c.sinceNow(g)
	c.recall(g)
	p.generations = append(p.generations, g)
	return g
}

// sinceNow bounds what a log may miss that is seen for the first time: what was
// rotated away before is not its business.
func (c *Collector) sinceNow(g *generation) since {
	s := since{MtimeNs: g.mtimeNs + 1}
	if g.id.BirthNs != 0 {
		s.BirthNs = time.Now().Add(-racy).UnixNano()
	}
	return s
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
	g := &generation{id: info.Inode, file: f, serial: c.o.Now().UnixNano(), real: real}
	g.note(info)
	return g, nil
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
	p.err, p.problem = text, files.Problem(err)
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
			c.retire(p, g)
		}
		if n := len(p.generations); n > 0 && (g != nil || p.rescan) {
			last := p.generations[n-1]
			c.addNewer(p, since{last.mtimeNs, last.id.BirthNs}, nil)
		}
		p.rescan = false
		return
	case err != nil:
		c.fail(p, err)
		return
	}
	p.missing, p.rescan = false, false
	if g == nil {
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
		c.retire(p, g)
		c.advance(p)
		return
	}
	if g.unchanged(info) {
		return
	}
	before := g.seen
	if g.far == 0 {
		g.note(info)
		if added := c.catchUp(p, g); !added && info.Size < before {
			c.countLost(p, g, 0, before)
		}
		return
	}
	same, err := g.stands()
	switch {
	case err != nil:
		c.fail(p, err)
	case !same:
		c.truncated(p, g)
	default:
		g.note(info)
		c.countLost(p, g, info.Size, before) // if it was cut off behind our place
	}
}

// reorder puts a generation that is live again at the end.
func (c *Collector) reorder(p *path, g *generation) {
	p.generations = append(slices.DeleteFunc(p.generations, func(x *generation) bool { return x == g }), g)
}

// retire ends a generation's being live; it is read to its end.
func (c *Collector) retire(p *path, g *generation) {
	if g.far == 0 {
		c.catchUp(p, g)
	}
	if info, err := files.StatFile(g.file); err == nil {
		g.note(info)
	}
	c.log.Debug("log generation was rotated away", "path", p.name, "generation", g.name(), "read", g.far, "size", g.seen)
	g.gone = c.o.Now()
	g.grown = g.gone
	c.dirty = true
}

// addGeneration adds a generation that all tasks of the log read from offset.
func (c *Collector) addGeneration(p *path, g *generation, offset int64) {
	p.generations = append(p.generations, g)
	for _, t := range p.tasks {
		c.attach(p, g, t, offset)
	}
	g.more, p.changed, c.dirty = true, true, true
	c.log.Debug("log generation begins", "path", p.name, "generation", g.name(), "file", g.real, "live", g.gone.IsZero(), "size", g.seen)
}

// finish closes a generation and remembers it.
func (c *Collector) finish(p *path, g *generation) {
	c.flush(p, g, g.seen, true, c.o.Now())
	c.known[g.id] = knownFile{Name: p.name, Inode: g.id, Content: g.content, Offset: g.far, AtMs: c.o.Now().UnixMilli()}
	c.log.Debug("log generation is finished", "path", p.name, "generation", g.name(), "read", g.far)
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
