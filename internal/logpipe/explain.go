package logpipe

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Explained says what a rule makes of one line.
type Explained struct {
	// Text is the line as UTF-8, without its end; all offsets are into it.
	Text string
	// Outcome is matched, filtered, unmatched, bad or late.
	Outcome string
	// Detail says which filter dropped the line, which column is missing or is
	// no number, why the time is bad. Empty when there is nothing to say.
	Detail string
	// TimeMs is the line's time with its fraction, or that of an earlier line;
	// 0 when there is none.
	TimeMs int64
	// TimeStart and TimeEnd bound the time's text; both 0 when the line has none.
	TimeStart, TimeEnd int
	// WindowMs is the start of the window the line belongs to.
	WindowMs int64
	// Columns has an entry for each column of the rule.
	Columns []ExplainedColumn
	// Key has the values of the group columns when the line matched.
	Key []string
}

// ExplainedColumn is the value of a column in a line.
type ExplainedColumn struct {
	Name       string
	Value      string // trimmed, decoded and cut
	Start, End int    // of the value in the text; both 0 when missing
	Missing    bool
}

// Explain runs the program over one line, or one of Records, and says what became of it. It moves
// fs on as Process does; whoever also processes the line uses a copy.
func (p *Program) Explain(fs *FileState, line []byte, nowMs int64, loc *time.Location) Explained {
	line = []byte(strings.TrimSuffix(string(line), "\n"))
	task := NewTask(p, TaskOptions{Location: loc})
	g := newGroup([]*Task{task})
	columns := make([]int, len(p.columns))
	for i := range p.columns {
		columns[i] = g.slotFor(p.columns, i)
	}
	g.begin(fs, nowMs)
	g.feed(line, line, isASCII(line), false)
	e := explainer{g: g, p: p}
	e.text()
	out := Explained{Text: e.utf8}
	for i, c := range p.spec.Columns {
		v := g.value(columns[i])
		col := ExplainedColumn{Name: c.Name, Value: string(v)}
		if s := &g.slots[columns[i]]; s.state == slotMissing {
			col.Missing = true
		} else {
			col.Start, col.End = e.bounds(s)
		}
		out.Columns = append(out.Columns, col)
	}
	e.time(&out)
	e.outcome(&out, task.Counters(), columns)
	g.end()
	return out
}

// explainer turns what a group has worked out about a line into words.
type explainer struct {
	g    *Group
	p    *Program
	gb   bool
	utf8 string
}

func (e *explainer) text() {
	e.gb = e.g.gb[e.p.enc] && !e.g.ascii
	e.utf8 = string(e.decoded(len(e.g.line)))
}

// decoded returns the first n bytes of the line as UTF-8.
func (e *explainer) decoded(n int) []byte {
	if e.gb {
		b, _ := appendGB(nil, e.g.line[:n])
		return b
	}
	b, _ := appendUTF8(nil, e.g.line[:n])
	return b
}

// bounds returns where a slot's value stands in the text.
func (e *explainer) bounds(s *slot) (start, end int) {
	switch s.raw.at {
	case elsewhere:
		return 0, 0
	case inDecoded:
		return s.raw.from, s.raw.to
	}
	start, end = len(e.decoded(s.raw.from)), len(e.decoded(s.raw.to))
	// Spaces beyond ASCII are trimmed after decoding.
	text := e.utf8[start:end]
	left := strings.TrimLeftFunc(text, isSpace)
	start += len(text) - len(left)
	end = start + len(strings.TrimRightFunc(left, isSpace))
	if s.cut {
		n := 0
		for i := range e.utf8[start:end] {
			if n == maxValue {
				return start, start + len(strings.TrimRightFunc(e.utf8[start:start+i], isSpace))
			}
			n++
		}
	}
	return start, end
}

func (e *explainer) time(out *Explained) {
	lt := &e.g.times[e.g.runs[0].time]
	out.TimeMs = lt.ms
	if lt.state == timeNone {
		out.TimeMs = 0
	}
	out.WindowMs = e.g.runs[0].task.cur.StartMs
	text, at := e.g.line, 0
	if lt.slot >= 0 {
		text = e.g.value(lt.slot)
		if e.g.slots[lt.slot].state == slotMissing {
			return
		}
		at, _ = e.bounds(&e.g.slots[lt.slot])
	}
	if len(text) > 0 && text[0] == '[' {
		text = text[1:]
		at++
	}
	if s, ok := lt.parser.full(text, e.g.nowMs); ok {
		out.TimeMs = s.ms
		if s.size > 0 {
			out.TimeStart, out.TimeEnd = at, at+s.size
		}
	}
}

func (e *explainer) outcome(out *Explained, c Counters, columns []int) {
	g, p := e.g, e.p
	lt := &g.times[g.runs[0].time]
	name := func(column int) string { return p.spec.Columns[column].Name }
	missing := func(column int) bool {
		g.value(columns[column])
		return g.slots[columns[column]].state == slotMissing
	}
	var notes []string
	switch {
	case c.Late > 0:
		out.Outcome = "late"
		notes = append(notes, fmt.Sprintf("time %s is more than a day ago or an hour ahead",
			time.UnixMilli(out.TimeMs).In(lt.parser.zone.loc).Format("2006-01-02 15:04:05 -0700")))
	case c.Bad > 0:
		out.Outcome = "bad"
		notes = append(notes, fmt.Sprintf("no time of format %q %s, and no earlier line to take it from", p.spec.Time.Format, e.where()))
	case c.Filtered > 0:
		out.Outcome = "filtered"
		for _, i := range p.drops {
			if v := g.value(columns[i]); g.slots[columns[i]].drop {
				notes = append(notes, fmt.Sprintf("column %q: the translation drops lines with %q", name(i), v))
				break
			}
		}
		for _, f := range p.filters {
			v := g.value(columns[f.column])
			if len(notes) > 0 || missing(f.column) || f.has(v) == f.white {
				continue
			}
			list := "black list"
			if f.white {
				list = "white list"
			}
			notes = append(notes, fmt.Sprintf("%s: column %q is %q", list, name(f.column), v))
			break
		}
	case c.Unmatched > 0:
		out.Outcome = "unmatched"
		for _, f := range p.filters {
			if f.white && missing(f.column) {
				notes = append(notes, fmt.Sprintf("column %q, which the white list needs, is missing", name(f.column)))
			}
		}
		for _, i := range p.groups {
			if missing(i) {
				notes = append(notes, fmt.Sprintf("column %q, which the key needs, is missing", name(i)))
			}
		}
	default:
		out.Outcome = "matched"
		for _, i := range p.groups {
			v := string(g.value(columns[i]))
			if v == "" {
				v = emptyKey
			}
			out.Key = append(out.Key, v)
		}
		for _, in := range p.inputs {
			if in.Kind == logrule.InputOccurrences {
				continue
			}
			i := in.column
			_, kind := g.number(columns[i])
			value := string(g.value(columns[i]))
			switch {
			case missing(i):
				notes = append(notes, fmt.Sprintf("column %q, which a figure needs, is missing", name(i)))
			case in.Kind == logrule.InputNumber && kind == noNumber:
				notes = append(notes, fmt.Sprintf("column %q is %q, which is no number", name(i), value))
			case in.Kind == logrule.InputSuccess && value != logrule.SuccessValue && value != logrule.FailureValue:
				notes = append(notes, fmt.Sprintf("column %q is %q, neither Y nor N: it counts as a failure", name(i), value))
			}
		}
		if lt.state == timeTook {
			notes = append(notes, "no time of its own: it takes that of an earlier line")
		}
	}
	if c.Cut > 0 {
		notes = append(notes, "longer than 256 KiB: cut")
	}
	out.Detail = strings.Join(notes, "; ")
	if !utf8.ValidString(out.Detail) {
		out.Detail = strings.ToValidUTF8(out.Detail, "\uFFFD")
	}
}

func (e *explainer) where() string {
	if c := e.p.timeCol; c >= 0 {
		return fmt.Sprintf("in column %q", e.p.spec.Columns[c].Name)
	}
	return "at the start of the line"
}
