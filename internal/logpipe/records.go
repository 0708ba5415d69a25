package logpipe

import (
	"bytes"
	"hash/fnv"
	"slices"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// The longest record of several lines; what follows is left out and the record
// counts as cut.
const (
	maxRecord      = 64 << 10
	maxRecordLines = 500
)

// OpenRecord is a record that may get more lines. It is part of a file's
// state, so that reading on after a crash goes on with it.
type OpenRecord struct {
	Rule  uint64 // identifies the rule that tells where records begin
	Lines uint16
	Cut   bool
	Text  []byte
}

// recordGroup makes records of several lines and runs the tasks that have the
// same start pattern over them.
type recordGroup struct {
	rule  uint64
	start *matcher
	group *Group
	open  OpenRecord // of the file at hand
}

// recordRule identifies a start pattern.
func recordRule(pattern string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(pattern))
	return h.Sum64()
}

// partition gives the tasks with start patterns groups of their own and returns
// the others. encoding tells open records of transcoded files apart.
func partition(tasks []*Task, encoding string) (plain []*Task, records []*recordGroup) {
	byPattern := map[string][]*Task{}
	var patterns []string
	for _, t := range tasks {
		pattern := t.p.spec.MultilineStart
		if pattern == "" {
			plain = append(plain, t)
			continue
		}
		if byPattern[pattern] == nil {
			patterns = append(patterns, pattern)
		}
		byPattern[pattern] = append(byPattern[pattern], t)
	}
	for _, pattern := range patterns {
		m, err := compileMatcher(pattern)
		if err != nil {
			panic(err) // Compile has compiled it already
		}
		records = append(records, &recordGroup{rule: recordRule(encoding + pattern), start: m, group: newGroup(byPattern[pattern])})
	}
	return plain, records
}

// process adds the lines of a block to the open record and feeds those that are whole.
func (r *recordGroup) process(fs *FileState, block []byte, nowMs int64) {
	r.group.begin(fs, nowMs)
	r.open = fs.takeOpen(r.rule)
	for len(block) > 0 {
		line, next := block, len(block)
		if i := bytes.IndexByte(block, '\n'); i >= 0 {
			line, next = block[:i], i+1
		}
		r.line(line)
		block = block[next:]
	}
	fs.keepOpen(r.open)
	r.group.end()
}

// line adds a line to the open record, or begins the next one with it.
func (r *recordGroup) line(line []byte) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	line = bytes.TrimPrefix(line, byteOrderMark)
	o := &r.open
	switch {
	case o.Lines == 0 || r.start.match(line) != nil:
		r.feed()
		o.Rule, o.Text = r.rule, append(o.Text[:0], line[:min(len(line), maxRecord)]...)
		o.Lines, o.Cut = 1, len(line) > maxRecord
	case o.Lines == maxRecordLines || len(o.Text)+1+len(line) > maxRecord:
		o.Cut = true
	default:
		o.Lines++
		o.Text = append(append(o.Text, '\n'), line...)
	}
}

// feed runs the tasks over the open record, which is whole.
func (r *recordGroup) feed() {
	if o := &r.open; o.Lines > 0 {
		r.group.feed(o.Text, o.Text, isASCII(o.Text), o.Cut)
		o.Lines, o.Cut, o.Text = 0, false, o.Text[:0]
	}
}

// Flush feeds the records that have waited for more lines. The caller does so
// when a file has not grown for a while or has come to its end.
func (g *Group) Flush(fs *FileState, nowMs int64) {
	g.refresh()
	for _, t := range g.others {
		t.group.flush(fs, nowMs)
	}
	g.flush(fs, nowMs)
	fs.Open = nil // what is left belongs to rules that are gone
}

func (g *Group) flush(fs *FileState, nowMs int64) {
	for _, r := range g.records {
		if r.open = fs.takeOpen(r.rule); r.open.Lines > 0 {
			r.group.begin(fs, nowMs)
			r.feed()
			r.group.end()
		}
	}
}

// Records joins lines to the records that the rule makes of them. Without a
// start pattern each line is one.
func (p *Program) Records(lines [][]byte) [][]byte {
	if p.spec.MultilineStart == "" {
		return lines
	}
	start, err := compileMatcher(p.spec.MultilineStart)
	if err != nil {
		panic(err) // Compile has compiled it already
	}
	var out [][]byte
	for _, line := range lines {
		line = bytes.TrimRight(line, "\r\n")
		if n := len(out); n > 0 && start.match(line) == nil {
			out[n-1] = append(append(slices.Clip(out[n-1]), '\n'), line...)
			continue
		}
		out = append(out, line)
	}
	for i := range out {
		out[i] = out[i][:min(len(out[i]), maxRecord, logrule.MaxLine)]
	}
	return out
}

// Waiting reports whether a record may get more lines.
func (fs *FileState) Waiting() bool { return len(fs.Open) > 0 }

// takeOpen returns the open record of a rule and leaves none.
func (fs *FileState) takeOpen(rule uint64) OpenRecord {
	for i, o := range fs.Open {
		if o.Rule == rule {
			fs.Open = slices.Delete(fs.Open, i, i+1)
			return o
		}
	}
	return OpenRecord{Rule: rule}
}

// keepOpen puts an open record into the state.
func (fs *FileState) keepOpen(o OpenRecord) {
	if o.Lines > 0 {
		fs.Open = append(fs.Open, o)
	}
}
