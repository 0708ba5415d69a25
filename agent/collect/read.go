package collect

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	blockSize = 1 << 20
	// turnBytes is how much of one file is read before others have their turn.
	turnBytes = 16 << 20
)

// readAll reads what is new in all logs that may have something, and reports
// whether there is more.
func (c *Collector) readAll(now time.Time) (backlog bool) {
	for _, p := range c.paths {
		if !p.changed {
			continue
		}
		c.look(p)
		if c.stalled { // the data waits in the files until the state can be kept
			for _, g := range p.generations {
				g.more = true
			}
			continue
		}
		p.changed = false
		for _, g := range slices.Clone(p.generations) {
			if c.readGeneration(p, g, now) {
				p.changed, backlog = true, true
			}
		}
	}
	return backlog
}

// readGeneration reads a turn's worth and reports whether there is more.
func (c *Collector) readGeneration(p *path, g *generation, now time.Time) (more bool) {
	info, err := files.StatFile(g.file)
	if err != nil {
		c.fail(p, err)
		return false
	}
	g.deleted = info.Deleted
	if !g.gone.IsZero() && !g.unchanged(info) {
		if c.overwritten(p, g) {
			return false
		}
		if info.Size != g.seen || info.MtimeNs != g.mtimeNs {
			g.grown = now
		}
		g.note(info)
	}
	ended := (p.over || !g.gone.IsZero()) && now.Sub(g.grown) >= endlessAfter
	moved := false
	for budget := int64(turnBytes); budget > 0; {
		cur := g.behind(info.Size)
		if cur == nil {
			break
		}
		n, err := c.readBlock(p, g, cur, info.Size, ended, now)
		if err != nil {
			c.fail(p, err)
			break
		}
		if n == 0 {
			break
		}
		moved = true
		budget -= n
		more = budget <= 0
	}
	if moved {
		g.merge()
		c.dirty = true
	}
	g.more = more
	if c.flush(p, g, info.Size, false, now) {
		p.changed = true
	}
	if !more && !g.gone.IsZero() {
		if p.drained(g, now) || ended && g.behind(info.Size) == nil && len(p.generations) > 3 {
			c.finish(p, g)
		} else {
			p.changed = true // its writer may go on, and its last line may want its end
		}
	}
	return more
}

// drained reports whether nothing more is to be expected of a generation that
// was rotated away.
func (p *path) drained(g *generation, now time.Time) bool {
	quiet := now.Sub(g.grown)
	live := p.live()
	return quiet >= drainAtMost || quiet >= drainFor && (g.deleted || live != nil && live.seen > 0)
}

// behind returns the cursor that is furthest behind and not known to wait for
// the end of a line.
func (g *generation) behind(size int64) *cursor {
	var least *cursor
	for _, cur := range g.cursors {
		if cur.offset < size && (least == nil || cur.offset < least.offset) {
			least = cur
		}
	}
	return least
}

// merge joins cursors that have come to the same place.
func (g *generation) merge() {
	for i := 0; i < len(g.cursors); i++ {
		a := g.cursors[i]
		if a.tasks[0].flow.limit != 0 {
			continue
		}
		for j := i + 1; j < len(g.cursors); j++ {
			b := g.cursors[j]
			if b.offset != a.offset || a.long != b.long || b.tasks[0].flow.limit != 0 {
				continue
			}
			a.tasks, a.group = append(a.tasks, b.tasks...), nil
			for _, open := range b.state.Open {
				if !slices.ContainsFunc(a.state.Open, func(o logpipe.OpenRecord) bool { return o.Rule == open.Rule }) {
					a.state.Open = append(a.state.Open, open)
				}
			}
			a.grownMs = max(a.grownMs, b.grownMs)
			for _, last := range b.state.LastTimes {
				if !slices.ContainsFunc(a.state.LastTimes, func(l logpipe.LastTime) bool { return l.Rule == last.Rule }) {
					a.state.LastTimes = append(a.state.LastTimes, last)
				}
			}
			if a.state.Encoding == "" {
				a.state.Encoding, a.state.Evidence = b.state.Encoding, b.state.Evidence
			}
			g.cursors = slices.Delete(g.cursors, j, j+1)
			j--
		}
	}
}

// readBlock reads whole lines at a cursor, at most up to another cursor, so
// that the two can go on as one. It returns how far the cursor moved; 0 when
// only the beginning of a line is there. With ended set that is taken as a line.
func (c *Collector) readBlock(p *path, g *generation, cur *cursor, size int64, ended bool, now time.Time) (int64, error) {
	if c.buf == nil {
		c.buf = make([]byte, blockSize)
	}
	limit := size
	for _, other := range g.cursors {
		if other.offset > cur.offset && other.offset < limit {
			limit = other.offset
		}
	}
	want := min(int64(len(c.buf)), limit-cur.offset)
	n, err := g.file.ReadAt(c.buf[:want], cur.offset)
	if n == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, err
	}
	block := c.buf[:n]
	if cur.long { // skip what is left of a line that was cut
		i := bytes.IndexByte(block, '\n')
		if i >= 0 {
			n = i + 1
		}
		if !c.accept(p, g, cur.offset, block[:n]) {
			return 0, nil
		}
		cur.long = i < 0
		cur.offset += int64(n)
		return int64(n), nil
	}
	end := bytes.LastIndexByte(block, '\n') + 1
	switch {
	case end > 0:
	case n == len(c.buf) || n > logrule.MaxLine:
		// A line without end: its beginning counts as a line that was cut.
		if !c.accept(p, g, cur.offset, block) {
			return 0, nil
		}
		cur.long = true
		c.process(p, g, cur, block[:logrule.MaxLine+1], size, now)
		cur.offset += int64(n)
		return int64(n), nil
	case ended && cur.offset+int64(n) >= size:
		end = n
	default:
		return 0, nil
	}
	if !c.accept(p, g, cur.offset, block[:end]) {
		return 0, nil
	}
	c.process(p, g, cur, block[:end], size, now)
	cur.offset += int64(end)
	return int64(end), nil
}

// accept brings the content of a generation up to the end of a block that was
// read at offset, before the block is counted. The file may be truncated and
// written again between any two steps, so everything that was learned of it is
// confirmed last, by what stands for the generation: what was read of it
// before or, of a new one, the block itself. If that is gone, nothing has
// happened and the next look finds out what it was.
func (c *Collector) accept(p *path, g *generation, offset int64, block []byte) bool {
	end := offset + int64(len(block))
	content, stat := g.content, files.Info{Size: g.seen, MtimeNs: g.mtimeNs}
	var same bool
	var err error
	if g.far == 0 {
		if stat, err = files.StatFile(g.file); err != nil {
			return false
		}
		if g.gone.IsZero() && !g.unchanged(stat) {
			c.catchUp(p, g) // the last time that tells copies of it from what it has missed
		}
	}
	if end > g.far {
		if content, err = g.content.Move(g.file, end); err != nil {
			p.changed = true
			return false
		}
	}
	if g.far > 0 {
		same, err = g.stands()
	} else {
		same, err = files.HasAt(g.file, block, offset)
	}
	if !same || err != nil {
		p.changed = true
		return false
	}
	if g.far == 0 {
		g.note(stat)
	}
	g.content, g.far = content, max(g.far, end)
	return true
}

// process hands whole lines to the tasks of a cursor and writes the receipts.
func (c *Collector) process(p *path, g *generation, cur *cursor, block []byte, size int64, now time.Time) {
	nowMs := now.UnixMilli()
	tasks := cur.tasks
	if t := tasks[0]; t.flow.limit != 0 {
		kept := t.flow.take(block, nowMs)
		if skipped := len(block) - len(kept); skipped > 0 {
			w := t.lines.At(nowMs)
			w.Counters.ThrottledBytes += uint64(skipped)
			w.Touched = true
			t.touch(c, w, nowMs)
		}
		block = kept
	}
	if len(block) > 0 {
		cur.lines().Process(&cur.state, block, nowMs)
		cur.grownMs = nowMs
	}
	c.receive(p, g, cur, cur.offset+int64(len(block)), size, nowMs)
	c.statusMu.Lock()
	c.load.BytesTotal += uint64(len(block))
	c.statusMu.Unlock()
}

// lines returns the cursor's tasks as a group.
func (cur *cursor) lines() *logpipe.Group {
	if cur.group == nil {
		lines := make([]*logpipe.Task, len(cur.tasks))
		for i, t := range cur.tasks {
			lines[i] = t.lines
		}
		cur.group = logpipe.NewGroup(lines)
	}
	return cur.group
}

// recordAfter is how long a record waits for more lines, recordAtMost while the
// beginning of one is there.
const (
	recordAfter  = 2 * time.Second
	recordAtMost = 10 * time.Second
)

// flush ends the records of a generation of size bytes that have waited for
// more lines long enough, or all of them. It reports whether others wait.
func (c *Collector) flush(p *path, g *generation, size int64, all bool, now time.Time) (waiting bool) {
	nowMs := now.UnixMilli()
	for _, cur := range g.cursors {
		if !cur.state.Waiting() {
			continue
		}
		wait := recordAfter
		if cur.offset < size {
			wait = recordAtMost
		}
		if !all && nowMs-cur.grownMs < wait.Milliseconds() {
			waiting = true
			continue
		}
		cur.lines().Flush(&cur.state, nowMs)
		c.receive(p, g, cur, cur.offset, size, nowMs)
		c.dirty = true
	}
	return waiting
}

// receive writes into the receipts of the windows that have changed that the
// cursor has come to an offset.
func (c *Collector) receive(p *path, g *generation, cur *cursor, to, size, nowMs int64) {
	for _, t := range cur.tasks {
		for _, w := range t.lines.Windows() {
			if !w.Touched {
				continue
			}
			part := t.touch(c, w, nowMs)
			r := part.receipts[g]
			if r == nil {
				r = &pharosv1.Receipt{Path: shown(p.name), Generation: g.name(), From: cur.offset}
				part.receipts[g] = r
			}
			r.To, r.UnreadBytes = max(r.To, to), max(0, size-to)
		}
	}
}

// touch marks a window as changed.
func (t *task) touch(c *Collector, w *logpipe.Window, nowMs int64) *window {
	w.Touched = false
	part := t.windows[w.StartMs]
	if part == nil {
		part = &window{part: c.slots.Sequence() + 1, receipts: map[*generation]*pharosv1.Receipt{}}
		t.windows[w.StartMs] = part
	}
	if !part.changed {
		part.changed, part.readMs = true, nowMs
	}
	c.dirty = true
	return part
}

// take returns the lines of block that the flow limit lets through in the
// minute of nowMs; the rest of the minute is given up.
func (f *flow) take(block []byte, nowMs int64) []byte {
	if minute := nowMs / 60_000; minute != f.minute {
		f.minute, f.taken = minute, 0
	}
	if f.taken >= f.limit {
		return nil
	}
	if room := f.limit - f.taken; uint64(len(block)) > room {
		block = block[:bytes.LastIndexByte(block[:room], '\n')+1]
		f.taken = f.limit
		return block
	}
	f.taken += uint64(len(block))
	return block
}

// countLost counts the bytes from one offset to another that vanished, for
// whom had not read them.
func (c *Collector) countLost(p *path, g *generation, from, to int64) {
	nowMs := c.o.Now().UnixMilli()
	for _, cur := range g.cursors {
		lost := to - max(from, cur.offset)
		if lost <= 0 {
			continue
		}
		c.log.Debug("bytes of a log are lost", "path", p.name, "generation", g.name(), "offset", cur.offset, "bytes", lost)
		for _, t := range cur.tasks {
			w := t.lines.At(nowMs)
			part := t.touch(c, w, nowMs)
			part.lost = append(part.lost, &pharosv1.Receipt{Path: shown(p.name), Generation: g.name(), From: cur.offset, To: cur.offset, LostBytes: lost})
		}
	}
}
