package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-stack/pharos/internal/partial"
)

// LineWindow is one revision of the lines, or largest keys, that a window keeps. The largest
// revision of a window is what it is; see docs/decisions/lines.md.
type LineWindow struct {
	Workspace string
	// Monitor is the monitor's id.
	Monitor           string
	StartMs, WindowMs int64
	Revision          uint64
	// Count is how many lines there were, of which Kept are kept.
	Count        uint64
	Kept         int
	Completeness float64
	// Keys is how many keys there were, of which Lines are the largest. Only of minute_top.
	Keys uint64
	// Missed is set if keys were given up: the most that one of them may weigh.
	Missed *float64
	// Lines in their order; ReadLines fills them in.
	Lines partial.Lines
}

// The streams of rows. A window's lines are written before its head, so who
// finds a head finds its lines.
const (
	headKind = "line_window"
	lineKind = "line"
)

// Names of fields. Values of a line's key are in fields key.0, key.1 and so on.
const (
	revisionField = "revision"
	keyField      = "key."
	// Only where they say something:
	keysField   = "all_keys"
	missedField = "missed"
	moreField   = "more"
)

func (w *LineWindow) stream(kind string) Labels {
	return Labels{{"kind", kind}, {"monitor", w.Monitor}, {"workspace", w.Workspace}}
}

// WriteLines writes revisions of windows.
func WriteLines(ctx context.Context, rows Rows, windows []LineWindow) error {
	var lines, heads []Row
	for i := range windows {
		w := &windows[i]
		at, revision := w.StartMs*1e6, Label{revisionField, strconv.FormatUint(w.Revision, 10)}
		head := []Label{revision, {"window_ms", strconv.FormatInt(w.WindowMs, 10)}, {"count", strconv.FormatUint(w.Count, 10)},
			{"kept", strconv.Itoa(len(w.Lines))}, {"completeness", number(w.Completeness)}}
		if w.Keys > 0 {
			head = append(head, Label{keysField, strconv.FormatUint(w.Keys, 10)})
		}
		if w.Missed != nil {
			head = append(head, Label{missedField, number(*w.Missed)})
		}
		heads = append(heads, Row{Stream: w.stream(headKind), TimeNs: at, Fields: head})
		stream := w.stream(lineKind)
		for rank := range w.Lines {
			l := &w.Lines[rank]
			fields := []Label{revision, {"rank", strconv.Itoa(rank)}, {"value", number(l.Value)}, {"time_ms", strconv.FormatInt(l.TimeMs, 10)},
				{"instance", l.Instance}, {"file", l.File}, {"cut", strconv.FormatBool(l.Cut)}, {"text", l.Text}, {"keys", strconv.Itoa(len(l.Key))}}
			for k, v := range l.Key {
				fields = append(fields, Label{keyField + strconv.Itoa(k), v})
			}
			if l.More > 0 {
				fields = append(fields, Label{moreField, number(l.More)})
			}
			lines = append(lines, Row{Stream: stream, TimeNs: at, Fields: fields})
		}
	}
	if len(lines) > 0 {
		if err := rows.WriteRows(ctx, lines); err != nil {
			return err
		}
	}
	if len(heads) > 0 {
		return rows.WriteRows(ctx, heads)
	}
	return nil
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// maxHeads bounds the revisions of windows that one call reads.
const maxHeads = 100_000

// ReadLineWindows returns the windows of a monitor that begin in a time range,
// both ends included, without their lines, newest first.
func ReadLineWindows(ctx context.Context, rows Rows, workspace, monitor string, startMs, endMs int64) ([]LineWindow, error) {
	byStart := map[int64]LineWindow{}
	of := LineWindow{Workspace: workspace, Monitor: monitor}
	n := 0
	err := rows.QueryRows(ctx, RowQuery{Stream: equalTo(of.stream(headKind)), StartNs: nsOf(startMs), EndNs: nsOf(endMs), Limit: maxHeads},
		func(r *Row) error {
			n++
			w, f := of, rowFields{labels: r.Fields}
			w.StartMs, w.WindowMs, w.Revision = r.TimeNs/1e6, f.int("window_ms"), uint64(f.int(revisionField))
			w.Count, w.Kept, w.Completeness = uint64(f.int("count")), int(f.int("kept")), f.float("completeness")
			if f.text(keysField) != "" {
				w.Keys = uint64(f.int(keysField))
			}
			if f.text(missedField) != "" {
				missed := f.float(missedField)
				w.Missed = &missed
			}
			if have, ok := byStart[w.StartMs]; !ok || have.Revision < w.Revision {
				byStart[w.StartMs] = w
			}
			return f.err
		})
	if err != nil {
		return nil, err
	}
	if n == maxHeads {
		return nil, fmt.Errorf("more than %d windows; narrow the time range: %w", maxHeads, ErrLimit)
	}
	out := make([]LineWindow, 0, len(byStart))
	for _, w := range byStart {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b LineWindow) int { return int(min(1, max(-1, b.StartMs-a.StartMs))) })
	return out, nil
}

// ReadLines fills in the lines of windows that ReadLineWindows returned, all of one monitor.
func ReadLines(ctx context.Context, rows Rows, windows []LineWindow) error {
	byStart := map[int64]*LineWindow{}
	revisions := map[string]bool{}
	first, last, kept := int64(math.MaxInt64), int64(math.MinInt64), 0
	for i := range windows {
		w := &windows[i]
		if w.Kept == 0 {
			continue
		}
		byStart[w.StartMs] = w
		revisions[strconv.FormatUint(w.Revision, 10)] = true
		first, last, kept = min(first, w.StartMs), max(last, w.StartMs), kept+w.Kept
		w.Lines = make(partial.Lines, w.Kept)
	}
	if kept == 0 {
		return nil
	}
	var any []string
	for r := range revisions {
		any = append(any, r)
	}
	// Other windows may lie between these, and have the same revisions.
	limit := 100_000 + 10*kept
	n := 0
	found := map[*LineWindow]map[int64]bool{}
	err := rows.QueryRows(ctx, RowQuery{Stream: equalTo(windows[0].stream(lineKind)), StartNs: nsOf(first), EndNs: nsOf(last), Limit: limit,
		Fields: []Matcher{{Type: MatchRegex, Name: revisionField, Value: strings.Join(any, "|")}}},
		func(r *Row) error {
			n++
			f := rowFields{labels: r.Fields}
			w, rank := byStart[r.TimeNs/1e6], f.int("rank")
			if w == nil || w.Revision != uint64(f.int(revisionField)) || rank < 0 || rank >= int64(w.Kept) {
				return f.err
			}
			l := partial.Line{Value: f.float("value"), TimeMs: f.int("time_ms"), Instance: f.text("instance"), File: f.text("file"),
				Text: f.text("text"), Cut: f.text("cut") == "true"}
			if f.text(moreField) != "" {
				l.More = f.float(moreField)
			}
			for k := range f.int("keys") {
				l.Key = append(l.Key, f.text(keyField+strconv.FormatInt(k, 10)))
			}
			if found[w] == nil {
				found[w] = map[int64]bool{}
			}
			w.Lines[rank], found[w][rank] = l, true
			return f.err
		})
	if err != nil {
		return err
	}
	if n == limit {
		return fmt.Errorf("more than %d lines; narrow the time range: %w", limit, ErrLimit)
	}
	for _, w := range byStart {
		if len(found[w]) == w.Kept {
			continue
		}
		var there partial.Lines // of a window that is about to expire
		for rank := range w.Lines {
			if found[w][int64(rank)] {
				there = append(there, w.Lines[rank])
			}
		}
		w.Lines = there
	}
	return nil
}

func nsOf(ms int64) int64 {
	const most = math.MaxInt64 / 1_000_000
	return min(most, max(-most, ms)) * 1_000_000
}

func equalTo(ls Labels) []Matcher {
	out := make([]Matcher, len(ls))
	for i, l := range ls {
		out[i] = Matcher{Type: MatchEqual, Name: l.Name, Value: l.Value}
	}
	return out
}

// rowFields reads the fields of a row; the first error stays.
type rowFields struct {
	labels []Label
	err    error
}

func (f *rowFields) text(name string) string { return Labels(f.labels).Get(name) }

func (f *rowFields) int(name string) int64 {
	v, err := strconv.ParseInt(f.text(name), 10, 64)
	f.note(name, err)
	return v
}

func (f *rowFields) float(name string) float64 {
	v, err := strconv.ParseFloat(f.text(name), 64)
	f.note(name, err)
	return v
}

func (f *rowFields) note(name string, err error) {
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("cannot read field %q of a stored line: %w", name, err)
	}
}
