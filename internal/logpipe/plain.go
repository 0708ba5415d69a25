package logpipe

import (
	"bytes"
	"encoding/binary"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// plain is the short way through a block for tasks with the usual rules: all take
// the time from the start of the line by one rule, and all their columns are
// fields cut by one delimiter of one byte, or what those are translated to. The other tasks of the group then go
// through the block by themselves. It works on a batch of lines at a
// time and column by column, in small loops whose branches nearly always go
// the same way, for a processor spends most of its time here on branches that
// it did not foresee.
//
// Whatever is unusual about a line or a value is left to the long way (feed,
// run). The short way decides nothing: it only finds rows that exist for
// values that are written as they are kept, and adds short numbers.
type plain struct {
	time  int // index into Group.times
	split int // index into Group.splits
	runs  []plainRun
	cols  []plainColumn
	nums  []plainNumber
	ends  []int32

	// The batch.
	n      int
	lines  [batch]lineAt
	rows   [batch]int32
	minMs  int64
	maxMs  int64
	stride int

	gb    bool // the block is GB18030: what is beyond ASCII has to be decoded
	loose bool // and its characters may contain the delimiter
}

// batch is how many lines are worked on at a time: few enough that all about
// them stays in the first-level cache.
const batch = 64

// lineAt is a line of the batch.
type lineAt struct {
	from, to int
	ms       int64
	fields   int // delimiters found
}

// plainRun is a task on the short way.
type plainRun struct {
	r       *run
	groups  []int // indexes into plain.cols
	nums    []int // indexes into plain.nums
	filters []plainFilter
}

type plainFilter struct {
	col    int
	values []words
	white  bool
}

// plainColumn is a field that keys or filters need, and its values.
type plainColumn struct {
	slot, field int
	known       []plainKnown // what values are translated to, by their hash; nil if they are not
	hash        [batch]uint64
	// value is a short value; for one of n beyond short, lo and hi are its
	// bounds in the block; n is 0 for a value that needs the long way.
	value [batch]words
}

// maxPlainKnown is how many translations the short way remembers of a column.
// Further ones are in the slot, which also sees to values that are not short.
const maxPlainKnown = 256

// plainKnown is a short value and the short one that it is translated to.
type plainKnown struct {
	from, to words
	hash     uint64 // of to
}

// plainNumber is a field that figures need, and its values.
type plainNumber struct {
	slot, field int
	kind        logrule.InputKind
	col         int  // in plain.cols, of a field that is translated; else -1
	odd         bool // some lines have none
	micro       [batch]int64
}

// takes reports whether a block can go the short way: its encoding is known.
func (p *plain) takes(g *Group, ascii bool) bool {
	sp := &g.splits[p.split]
	p.gb, p.loose = false, false
	if ascii {
		return true
	}
	if g.fs.Encoding == "" && len(p.runs) < len(g.runs) {
		return false // two ways through the block would learn from its lines twice
	}
	if sp.enc == encUTF8 {
		return true
	}
	if sp.enc == encAuto {
		if g.fs.Encoding == "" {
			return false
		}
		p.gb = g.fs.Encoding == logrule.EncodingGB18030
	} else {
		p.gb = true
	}
	p.loose = p.gb && sp.delim.loose
	return true
}

// block processes a block. ascii says that it has no byte beyond ASCII.
func (p *plain) block(g *Group, block []byte, ascii bool) {
	delim := g.splits[p.split].delim.utf8[0]
	lt := &g.times[p.time]
	parser := lt.parser
	same := false // parser.last is the time of the line before
	at := 0
	for at < len(block) {
		i := bytes.IndexByte(block[at:], '\n')
		if i < 0 {
			i = len(block) - at
		}
		line := block[at : at+i]
		start := at
		at += i + 1
		if i < 24 || i > logrule.MaxLine || line[i-1] == '\r' || p.loose && !isASCII(line) {
			p.flush(g, block, ascii)
			g.feed(line, block[start:], ascii, false)
			same = false
			continue
		}
		if !same || !parser.repeats(line) {
			g.line = line
			g.readTime(lt)
			if lt.state != timeOwn || parser.size == 0 {
				p.flush(g, block, ascii)
				g.feed(line, block[start:], ascii, false)
				same = false
				continue
			}
			same = true
			if p.n == 0 {
				p.minMs, p.maxMs = lt.ms, lt.ms
			}
			p.minMs, p.maxMs = min(p.minMs, lt.ms), max(p.maxMs, lt.ms)
		} else if p.n == 0 {
			p.minMs, p.maxMs = lt.ms, lt.ms
		}
		n := splitByte(line, block[start:], delim, p.ends[p.n*p.stride:][:p.stride])
		p.lines[p.n] = lineAt{from: start, to: start + i, ms: lt.ms, fields: n}
		p.n++
		if p.n == batch {
			p.flush(g, block, ascii)
		}
	}
	p.flush(g, block, ascii)
}

// flush works off the batch.
func (p *plain) flush(g *Group, block []byte, ascii bool) {
	if p.n == 0 {
		return
	}
	lt := &g.times[p.time]
	ms, state := lt.ms, lt.state
	for i := range p.cols {
		p.readColumn(&p.cols[i], block)
		if c := &p.cols[i]; c.known != nil {
			p.translate(c, &g.slots[c.slot])
		}
	}
	for i := range p.nums {
		if n := &p.nums[i]; n.col >= 0 {
			n.readResults(&p.cols[n.col], p.n)
		} else if n.kind == logrule.InputSuccess {
			p.readResult(n, block)
		} else {
			p.readNumber(n, block)
		}
	}
	for i := range p.runs {
		p.run(g, &p.runs[i], block, ascii)
	}
	p.n = 0
	lt.ms, lt.state = ms, state
}

func (p *plain) readColumn(c *plainColumn, block []byte) {
	for i := range p.lines[:p.n] {
		l := &p.lines[i]
		if l.fields < c.field {
			c.value[i].n = 0
			continue
		}
		from := l.from + int(p.ends[i*p.stride+c.field]) + 1
		n := l.from + int(p.ends[i*p.stride+c.field+1]) - from
		q := &c.value[i]
		q.n = 0
		if n <= 0 || block[from] <= ' ' || block[from+n-1] <= ' ' {
			continue
		}
		if n <= short && from+short <= len(block) {
			v := loadShort(block[from:], n)
			if p.gb && (v.lo|v.hi)&highBits != 0 {
				continue
			}
			// A text beyond ASCII in UTF-8 that equals a kept key is valid and
			// trimmed, since kept ones are.
			*q = v
			c.hash[i] = hashWords(hashSeed, v)
		} else if n > short && n <= maxValue && !p.gb {
			*q = words{uint64(from), uint64(from + n), short + 1}
			c.hash[i] = hashValue(hashSeed, block[from:from+n])
		}
	}
}

// translate puts what the values of a column are translated to in their place.
// What is not known yet is learned the long way.
func (p *plain) translate(c *plainColumn, s *slot) {
	for i := range p.n {
		v := c.value[i]
		if v.n-1 >= short || (v.lo|v.hi)&highBits != 0 {
			c.value[i].n = 0
			continue
		}
		k := &c.known[c.hash[i]%maxPlainKnown]
		if k.from != v {
			var text [short]byte
			binary.LittleEndian.PutUint64(text[:8], v.lo)
			binary.LittleEndian.PutUint64(text[8:], v.hi)
			known, ok := s.known[string(text[:v.n])]
			to, fits := wordsOf([]byte(known.text))
			if known.kept {
				to = v
			}
			if !ok || !fits || to.n == 0 {
				c.value[i].n = 0
				continue
			}
			*k = plainKnown{v, to, hashWords(hashSeed, to)}
		}
		c.value[i], c.hash[i] = k.to, k.hash
	}
}

// readResults reads the results of a column that is translated.
func (c *plainNumber) readResults(from *plainColumn, n int) {
	c.odd = false
	for i, v := range from.value[:n] {
		micro := int64(noMicro)
		switch {
		case v.n == 1 && v.lo == uint64(logrule.SuccessValue[0]):
			micro = partial.Micro
		case v.n == 1 && v.lo == uint64(logrule.FailureValue[0]):
			micro = 0
		}
		c.odd = c.odd || micro == noMicro
		c.micro[i] = micro
	}
}

func (p *plain) readNumber(c *plainNumber, block []byte) {
	c.odd = false
	for i := range p.lines[:p.n] {
		l := &p.lines[i]
		if l.fields < c.field {
			c.micro[i], c.odd = noMicro, true
			continue
		}
		from := l.from + int(p.ends[i*p.stride+c.field]) + 1
		to := l.from + int(p.ends[i*p.stride+c.field+1])
		micro := shortNumber(block[from:], to-from)
		if micro == noMicro {
			if m, _, kind := parseNumber(block[from:to]); kind == microNumber {
				micro = m
			} else {
				c.odd = true
			}
		}
		c.micro[i] = micro
	}
}

// readResult reads results: one letter, Y or N; others take the long way.
func (p *plain) readResult(c *plainNumber, block []byte) {
	c.odd = false
	for i := range p.lines[:p.n] {
		l := &p.lines[i]
		micro := int64(noMicro)
		if l.fields >= c.field {
			from := l.from + int(p.ends[i*p.stride+c.field]) + 1
			if l.from+int(p.ends[i*p.stride+c.field+1]) == from+1 {
				switch block[from] {
				case logrule.SuccessValue[0]:
					micro = partial.Micro
				case logrule.FailureValue[0]:
					micro = 0
				}
			}
		}
		c.odd = c.odd || micro == noMicro
		c.micro[i] = micro
	}
}

// run adds the batch to a task.
func (p *plain) run(g *Group, pr *plainRun, block []byte, ascii bool) {
	t := pr.r.task
	w := t.cur
	if w == nil || p.minMs < w.StartMs || p.maxMs >= w.StartMs+t.p.windowMs {
		w = t.At(p.minMs)
		if p.maxMs >= w.StartMs+t.p.windowMs { // the batch crosses into another window
			for i := range p.n {
				p.longWay(g, pr, block, ascii, i)
			}
			return
		}
	}
	w.Touched = true
	rows := p.rows[:p.n]
	clear(rows)
	for i := range pr.filters {
		p.filter(&pr.filters[i])
	}
	for _, k := range pr.nums {
		if c := &p.nums[k]; c.odd {
			for i := range rows {
				if c.micro[i] == noMicro && rows[i] == 0 {
					rows[i] = rowLong
				}
			}
		}
	}
	if len(pr.groups) > 0 {
		p.findRows(pr, w, block)
	}
	var matched, filtered uint64
	for i, row := range rows {
		switch {
		case row >= 0:
			matched++
		case row == rowFiltered:
			filtered++
		default:
			p.longWay(g, pr, block, ascii, i)
		}
	}
	w.Counters.Read += matched + filtered
	w.Counters.Matched += matched
	w.Counters.Filtered += filtered
	if len(pr.groups) == 0 {
		w.other += matched
		for k, c := range pr.nums {
			a := &w.otherAccs[k]
			for i, row := range rows {
				if row >= 0 {
					a.add(p.nums[c].micro[i])
				}
			}
		}
		return
	}
	for _, row := range rows {
		if row >= 0 {
			w.rows[row].lines++
		}
	}
	for k, c := range pr.nums {
		micro := &p.nums[c].micro
		for i, row := range rows {
			if row >= 0 {
				w.accs[int(row)*len(pr.nums)+k].add(micro[i])
			}
		}
	}
}

// What p.rows holds beside rows.
const (
	rowLong     = -1 // take the long way
	rowFiltered = -2
)

// findRows sets p.rows for the keys of lines that are not marked. Nearly all keys of one or
// two values are where their hash says; find sees to the others.
func (p *plain) findRows(pr *plainRun, w *Window, block []byte) {
	rows := p.rows[:p.n]
	if len(w.slots) == 0 {
		for i := range rows {
			rows[i] = min(rows[i], rowLong)
		}
		return
	}
	slots := w.slots
	a := &p.cols[pr.groups[0]]
	switch len(pr.groups) {
	case 1:
		for i := range rows {
			if rows[i] != 0 {
				continue
			}
			e := slots[int(uint32(a.hash[i]))&(len(slots)-1)]
			if e.row != 0 && w.quick[e.row-1] == a.value[i] {
				rows[i] = int32(e.row - 1)
				continue
			}
			rows[i] = int32(p.find(pr, w, block, i))
		}
	case 2:
		b := &p.cols[pr.groups[1]]
		for i := range rows {
			if rows[i] != 0 {
				continue
			}
			e := slots[int(uint32(hashNext(a.hash[i], b.hash[i])))&(len(slots)-1)]
			if e.row != 0 {
				at := 2 * int(e.row-1)
				if kept := w.quick[at : at+2]; kept[0] == a.value[i] && kept[1] == b.value[i] {
					rows[i] = int32(e.row - 1)
					continue
				}
			}
			rows[i] = int32(p.find(pr, w, block, i))
		}
	default:
		for i := range rows {
			if rows[i] == 0 {
				rows[i] = int32(p.find(pr, w, block, i))
			}
		}
	}
}

// filter marks the lines of the batch that a row of a list drops, and those
// that it can't judge.
func (p *plain) filter(f *plainFilter) {
	c := &p.cols[f.col]
	for i, row := range p.rows[:p.n] {
		if row != 0 {
			continue // an earlier row of the lists has spoken
		}
		v := &c.value[i]
		if v.n == 0 || v.n > short || (v.lo|v.hi)&highBits != 0 {
			p.rows[i] = rowLong
			continue
		}
		found := false
		for k := range f.values {
			found = found || f.values[k] == *v
		}
		if found != f.white {
			p.rows[i] = rowFiltered
		}
	}
}

// longWay gives a line of the batch to a task the long way.
func (p *plain) longWay(g *Group, pr *plainRun, block []byte, ascii bool, i int) {
	l := &p.lines[i]
	g.stamp++
	g.line, g.room, g.ascii = block[l.from:l.to], block[l.from:], ascii
	g.gb = [3]bool{encGB: p.gb, encAuto: p.gb}
	g.scratch, g.hasText = g.scratch[:0], false
	lt := &g.times[p.time]
	lt.ms, lt.state = l.ms, timeOwn
	g.run(pr.r, lt)
}

// find finds the row of the key of a line, -1 if it needs the long way.
func (p *plain) find(pr *plainRun, w *Window, block []byte, i int) int {
	groups := pr.groups
	c := &p.cols[groups[0]]
	h := c.hash[i]
	long := c.value[i].n-1 >= short
	missing := c.value[i].n == 0
	for _, k := range groups[1:] {
		c := &p.cols[k]
		h = hashNext(h, c.hash[i])
		long = long || c.value[i].n-1 >= short
		missing = missing || c.value[i].n == 0
	}
	if missing || len(w.slots) == 0 {
		return -1
	}
	mask := uint32(len(w.slots) - 1)
	tag := uint32(h >> 32)
probe:
	for at := uint32(h) & mask; ; at = (at + 1) & mask {
		e := w.slots[at]
		if e.row == 0 {
			return -1
		}
		if e.tag != tag {
			continue
		}
		row := int(e.row - 1)
		kept := w.quick[row*len(groups):][:len(groups)]
		for k, c := range groups {
			v := &p.cols[c].value[i]
			if v.n != kept[k].n {
				continue probe
			}
			if v.n <= short {
				if v.lo != kept[k].lo || v.hi != kept[k].hi {
					continue probe
				}
			} else if string(block[v.lo:v.hi]) != string(w.value(row, k)) {
				continue probe
			}
		}
		return row
	}
}

// noMicro says that a number has to be read the long way.
const noMicro = -1 << 63

const highBits = 0x8080808080808080

// shortNumber reads n digits, at most 8, as millionths; noMicro if it is
// anything else. The text is moved to the end of a word of zeros, and the
// digits are joined in pairs.
func shortNumber(b []byte, n int) int64 {
	if uint(n-1) >= 8 || len(b) < 8 {
		return noMicro
	}
	const zeros = 0x3030303030303030
	x := binary.LittleEndian.Uint64(b)
	shift := uint(64-8*n) & 63
	x = x<<shift | zeros&(1<<shift-1)
	x ^= zeros
	// A digit is now 0 to 9: adding 0x76 leaves its high bit clear.
	if (x|(x+0x7676767676767676))&highBits != 0 {
		return noMicro
	}
	x = x*10 + x>>8
	x = ((x & 0x000000ff000000ff) * (100 + 1000000<<32) >> 32) + ((x >> 16 & 0x000000ff000000ff) * (1 + 10000<<32) >> 32)
	return int64(uint32(x)) * 1_000_000
}
