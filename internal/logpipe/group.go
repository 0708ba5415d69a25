package logpipe

import (
	"bytes"
	"slices"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Group runs several tasks over one file in one pass. It holds scratch memory
// only: a group may be used for one file after another, by one goroutine at a
// time.
type Group struct {
	runs     []run
	slots    []slot
	splits   []splitter
	betweens []between
	regexes  []regexCut
	jsons    []jsonScan
	kvs      []kvScan
	times    []lineTime
	plain    *plain // nil if no task is of its kind
	active   []run  // those of runs that feed runs

	tasks   []*Task
	records []*recordGroup // of the tasks whose records have several lines
	others  []*transcodedGroup
	// replaced is set where lines were transcoded: what could not be is U+FFFD already.
	replaced bool

	// The block at hand.
	fs    *FileState
	nowMs int64

	// The line at hand.
	stamp   uint64 // its number, never 0
	line    []byte
	room    []byte // the line and what follows it in the block
	ascii   bool
	gb      [3]bool // by encoding: read the line as GB18030
	scratch []byte  // values that differ from the line's bytes
	decoded []byte  // the line as UTF-8 where a rule needs it so
	hasText bool    // decoded holds the line
}

// run is a task as the group executes it.
type run struct {
	task    *Task
	version int
	enc     encoding
	time    int
	drops   []int // slots whose translation may drop the line
	filters []runFilter
	groups  []int // of the key; none for a task that keeps lines
	columns []int // of kept lines
	inputs  []runInput
}

// runInput is an input of a task and the slot its column is in.
type runInput struct {
	kind   logrule.InputKind
	slot   int // -1: the whole line
	weight int // slot of how much a success counts, -1: 1
	text   marker
}

type runFilter struct {
	slot int
	*filter
}

// slot is a value that some task needs of each line. It is cut at the first
// use and shared.
type slot struct {
	rule      cutRule
	parent    int // slot it is cut out of, -1: the line
	translate *translator
	ref       int  // of its splitter, between, regex or scan
	part      int  // what it is of its scan
	whole     bool // others are cut out of it, so text is needed
	src       source
	formula   *logrule.Formula
	operands  []int     // slots of the formula
	numbers   []float64 // their values

	stamp    uint64 // line for which the rest holds
	state    slotState
	cut      bool  // it was longer than maxValue
	drop     bool  // its translation drops the line
	bad      int32 // characters that could not be decoded
	from, to int   // the value, in the line or in scratch
	raw      span  // the trimmed value as it is written
	text     []byte
	textAt   origin // where text lies, from textFrom on
	textFrom int

	known map[string]translated // what translate made of values

	numStamp uint64
	micro    int64
	float    float64
	num      numberKind
}

type slotState uint8

const (
	slotMissing slotState = iota
	slotInLine
	slotInScratch
)

// regexCut is a pattern and what it found in a line.
type regexCut struct {
	matcher *matcher
	enc     encoding
	pattern string
	source  int // slot it is matched on, -1: the line
	stamp   uint64
	src     source
	found   []int
}

// lineTime is a time rule and what it found in a line.
type lineTime struct {
	id     uint64
	parser *timeParser
	slot   int // -1: the line's start
	enc    encoding
	last   int64 // latest time of the file by this rule
	ms     int64 // time of the line
	state  timeState
	dirty  bool
}

type timeState uint8

const (
	timeOwn  timeState = iota // the line has a time
	timeTook                  // it took that of an earlier line
	timeNone                  // neither
	timeLate                  // its time is too old or ahead
)

// NewGroup prepares tasks to be run over the same file.
func NewGroup(tasks []*Task) *Group {
	own, others := apart(tasks)
	plain, records := partition(own, "")
	g := newGroup(plain)
	g.tasks, g.records, g.others = tasks, records, others
	return g
}

// newGroup prepares tasks to be run over the same lines or records.
func newGroup(tasks []*Task) *Group {
	g := &Group{runs: make([]run, len(tasks))}
	for i, t := range tasks {
		g.runs[i].task = t
	}
	g.build()
	return g
}

// refresh prepares the group anew if a task has another program.
func (g *Group) refresh() {
	if g.stale() {
		*g = *NewGroup(g.tasks)
	}
}

func (g *Group) stale() bool {
	return slices.ContainsFunc(g.runs, func(r run) bool { return r.version != r.task.version }) ||
		slices.ContainsFunc(g.records, func(r *recordGroup) bool { return r.group.stale() }) ||
		slices.ContainsFunc(g.others, func(t *transcodedGroup) bool { return t.group.stale() })
}

// build lays out what the tasks' programs need, each thing once.
func (g *Group) build() {
	g.slots, g.splits, g.betweens, g.regexes, g.jsons, g.kvs, g.times = nil, nil, nil, nil, nil, nil, nil
	for i := range g.runs {
		t := g.runs[i].task
		p := t.p
		r := run{task: t, version: t.version, enc: p.enc}
		for _, c := range p.drops {
			r.drops = append(r.drops, g.slotFor(p.columns, c))
		}
		for f := range p.filters {
			r.filters = append(r.filters, runFilter{g.slotFor(p.columns, p.filters[f].column), &p.filters[f]})
		}
		for _, c := range p.groups {
			r.groups = append(r.groups, g.slotFor(p.columns, c))
		}
		if p.keeper != nil {
			r.groups, r.columns = nil, r.groups
		}
		for _, in := range p.inputs {
			ri := runInput{kind: in.Kind, slot: -1, weight: -1, text: newMarker(in.Text)}
			if in.weight >= 0 {
				ri.weight = g.slotFor(p.columns, in.weight)
			}
			if in.column >= 0 {
				ri.slot = g.slotFor(p.columns, in.column)
			}
			r.inputs = append(r.inputs, ri)
		}
		r.time = g.timeFor(t)
		g.runs[i] = r
	}
	g.plain = g.planPlain()
	g.active = g.runs
}

func (g *Group) timeFor(t *Task) int {
	p := t.p
	loc := p.location
	if loc == nil {
		loc = t.location
	}
	for i := range g.times {
		if g.times[i].id == p.timeID && g.times[i].parser.zone.loc.String() == loc.String() {
			return i
		}
	}
	lt := lineTime{id: p.timeID, parser: newTimeParser(p.spec.Time, loc), slot: -1, enc: p.enc}
	if p.timeCol >= 0 {
		lt.slot = g.slotFor(p.columns, p.timeCol)
	}
	g.times = append(g.times, lt)
	return len(g.times) - 1
}

// slotFor returns the slot of a column.
func (g *Group) slotFor(columns []column, c int) int {
	col := columns[c]
	s := slot{rule: col.rule, parent: -1, translate: col.translate}
	if col.from >= 0 {
		s.parent = g.slotFor(columns, col.from)
	}
	s.formula = col.formula
	for _, operand := range col.operands {
		s.operands = append(s.operands, g.slotFor(columns, operand))
	}
	for i := range g.slots {
		if o := &g.slots[i]; o.rule == s.rule && o.parent == s.parent && o.translate.same(s.translate) && slices.Equal(o.operands, s.operands) {
			return i
		}
	}
	if s.parent >= 0 {
		g.slots[s.parent].whole = true
	}
	switch r := s.rule; r.kind {
	case cutSplit:
		s.ref = g.splitFor(r, s.parent)
	case cutBetween:
		s.ref = len(g.betweens)
		g.betweens = append(g.betweens, between{left: newMarker(r.text), right: newMarker(r.right),
			leftIndex: r.index, rightIndex: r.rightIndex})
	case cutRegex:
		s.ref = g.regexFor(r, s.parent)
	case cutJSON:
		s.ref, s.part = g.jsonFor(r, s.parent)
	case cutKV:
		s.ref, s.part = g.kvFor(r, s.parent)
	}
	if s.translate != nil {
		s.known = map[string]translated{}
	}
	g.slots = append(g.slots, s)
	return len(g.slots) - 1
}

func (g *Group) splitFor(r cutRule, from int) int {
	at := slices.IndexFunc(g.splits, func(s splitter) bool { return s.delim.utf8 == r.text && s.enc == r.enc && s.source == from })
	if at < 0 {
		at = len(g.splits)
		g.splits = append(g.splits, splitter{delim: newMarker(r.text), enc: r.enc, source: from, single: len(r.text) == 1})
	}
	s := &g.splits[at]
	if r.index >= 0 {
		s.need = max(s.need, r.index+1)
	} else {
		s.tail = max(s.tail, -r.index)
	}
	s.byByte = s.single && s.tail == 0
	s.ends, s.last = make([]int32, s.need+1), make([]int32, s.tail)
	return at
}

func (g *Group) regexFor(r cutRule, from int) int {
	at := slices.IndexFunc(g.regexes, func(x regexCut) bool { return x.pattern == r.text && x.enc == r.enc && x.source == from })
	if at >= 0 {
		return at
	}
	m, err := compileMatcher(r.text)
	if err != nil {
		panic(err) // Compile has compiled it already
	}
	g.regexes = append(g.regexes, regexCut{matcher: m, enc: r.enc, pattern: r.text, source: from})
	return len(g.regexes) - 1
}

// Process feeds complete lines to the tasks. The last one may lack its line
// end, which is so at the end of a rotated file. Lines longer than
// logrule.MaxLine are cut there and counted, so a reader that cuts lines itself
// hands over MaxLine+1 bytes of them. nowMs is the clock, in Unix milliseconds.
// block is not kept.
func (g *Group) Process(fs *FileState, block []byte, nowMs int64) {
	g.refresh()
	for _, t := range g.others {
		t.process(fs, block, nowMs)
	}
	g.process(fs, block, nowMs)
}

func (g *Group) process(fs *FileState, block []byte, nowMs int64) {
	for _, r := range g.records {
		r.process(fs, block, nowMs)
	}
	if len(g.runs) == 0 {
		return
	}
	g.begin(fs, nowMs)
	ascii := isASCII(block)
	if g.plain != nil && g.plain.takes(g, ascii) {
		usual := len(g.plain.runs)
		g.active = g.runs[:usual]
		g.plain.block(g, block, ascii)
		g.active = g.runs[usual:]
		if len(g.active) == 0 {
			g.end()
			return
		}
		g.begin(fs, nowMs) // for the others the block is new
	} else {
		g.active = g.runs
	}
	for len(block) > 0 {
		line, next := block, len(block)
		if i := bytes.IndexByte(block, '\n'); i >= 0 {
			line, next = block[:i], i+1
		}
		g.feed(line, block, ascii, false)
		block = block[next:]
	}
	g.end()
}

func (g *Group) begin(fs *FileState, nowMs int64) {
	g.fs, g.nowMs, g.gb = fs, nowMs, [3]bool{}
	for i := range g.times {
		t := &g.times[i]
		t.last, t.dirty = fs.lastTime(t.id), false
	}
}

func (g *Group) end() {
	for i := range g.times {
		if t := &g.times[i]; t.dirty {
			g.fs.setLastTime(t.id, t.last)
		}
	}
	g.fs, g.line, g.room = nil, nil, nil
	g.prune()
}

// feed runs all tasks over one line. room is the line and the bytes after it
// that may be read; ascii says that the line is known to have no byte beyond
// ASCII, cut that a part of it is left out.
func (g *Group) feed(line, room []byte, ascii, cut bool) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	long := cut || len(line) > logrule.MaxLine
	if len(line) > logrule.MaxLine {
		line = line[:logrule.MaxLine]
	}
	g.stamp++
	g.line, g.room, g.ascii = line, room, ascii
	g.scratch, g.hasText = g.scratch[:0], false
	if !ascii {
		g.begun()
	}
	for i := range g.times {
		g.readTime(&g.times[i])
	}
	g.runAll()
	if long {
		for i := range g.active {
			r := &g.active[i]
			r.task.cur.Counters.Cut++
			r.task.samples.add(badLong, g.fs, line, g.gb[r.enc], g.nowMs)
		}
	}
}

func (g *Group) runAll() {
	for i := range g.active {
		g.run(&g.active[i], &g.times[g.active[i].time])
	}
}

// begun prepares a line of a block that is not all ASCII.
func (g *Group) begun() {
	g.gb = [3]bool{}
	if isASCII(g.line) {
		g.ascii = true
		return
	}
	if bytes.HasPrefix(g.line, byteOrderMark) {
		g.line, g.room = g.line[len(byteOrderMark):], g.room[len(byteOrderMark):]
	}
	g.gb[encGB] = true
	g.gb[encAuto] = g.fs.observe(g.line)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// readTime finds the time of the line by one rule.
func (g *Group) readTime(t *lineTime) {
	text := g.line
	if t.slot >= 0 {
		text = g.value(t.slot)
		if g.slots[t.slot].state == slotMissing {
			text = nil
		}
	}
	if len(text) > 0 && text[0] == '[' {
		text = text[1:]
	}
	ms, ok := t.parser.sec(text, g.nowMs)
	if ok {
		t.last, t.dirty, t.state = ms, true, timeOwn
	} else if t.last != 0 {
		ms, t.state = t.last, timeTook
	} else {
		ms, t.state = g.nowMs, timeNone
	}
	if ms < g.nowMs-logrule.LateAccept.Milliseconds() || ms > g.nowMs+logrule.FutureAccept.Milliseconds() {
		ms, t.state = g.nowMs, timeLate
	}
	t.ms = ms
}
