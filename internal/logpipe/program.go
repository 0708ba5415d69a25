package logpipe

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// Program is a compiled rule. It is immutable and may be shared by goroutines.
type Program struct {
	spec     logrule.Spec
	layout   partial.Layout
	windowMs int64
	enc      encoding
	columns  []column // all columns of the spec, in its order
	timeCol  int      // column that holds the time, -1: line start
	location *time.Location
	timeID   uint64
	filters  []filter
	drops    []int // columns whose translation may drop the line
	groups   []int // columns of the key
	inputs   []input
	figures  []figure
	keeper   *keeper // nil: no lines are kept
	masker   *masker // of samples; nil: they stay as they are
}

// input is a number that each line contributes.
type input struct {
	logrule.Input
	column int // -1: the whole line
	weight int // column with how much a success counts, -1: 1
}

type figure struct {
	kind   logrule.StatKind
	inputs []int
}

// Compile prepares spec, which has passed WithDefaults and Validate.
func Compile(spec logrule.Spec) (*Program, error) {
	p := &Program{spec: spec, windowMs: spec.Window.D().Milliseconds(), timeCol: -1, enc: encodingOf(spec.Encoding)}
	if p.windowMs <= 0 {
		return nil, fmt.Errorf("cannot compile monitor %q: window %s is not positive", spec.Title, spec.Window)
	}
	columns, index, err := compileColumns(spec.Columns, p.enc)
	if err != nil {
		return nil, err
	}
	p.columns = columns
	for i, c := range columns {
		if c.translate != nil && c.translate.otherwise == logrule.DefaultDropLine {
			p.drops = append(p.drops, i)
		}
	}
	find := func(use, name string) (int, error) {
		i, ok := index[name]
		if !ok {
			return 0, fmt.Errorf("cannot compile %s: %q is not one of the columns", use, name)
		}
		return i, nil
	}
	if spec.Time.Column != "" {
		if p.timeCol, err = find("time", spec.Time.Column); err != nil {
			return nil, err
		}
	}
	if spec.Time.Timezone != "" {
		if p.location, err = time.LoadLocation(spec.Time.Timezone); err != nil {
			return nil, fmt.Errorf("cannot compile time zone %q: %w", spec.Time.Timezone, err)
		}
	}
	if spec.Time.Format != logrule.TimeCustom && !slices.Contains(timeFormats, spec.Time.Format) {
		return nil, fmt.Errorf("cannot compile time format %q: it is not known", spec.Time.Format)
	}
	for _, row := range spec.Filters.White {
		i, err := find("filter", row.Column)
		if err != nil {
			return nil, err
		}
		p.filters = append(p.filters, newFilter(i, row, true))
	}
	for _, row := range spec.Filters.Black {
		i, err := find("filter", row.Column)
		if err != nil {
			return nil, err
		}
		p.filters = append(p.filters, newFilter(i, row, false))
	}
	for _, name := range spec.GroupBy {
		if slices.Contains(logrule.GroupLabels, name) {
			continue // compute adds labels of the agent
		}
		i, err := find("group_by", name)
		if err != nil {
			return nil, err
		}
		p.groups = append(p.groups, i)
	}
	all := spec.Inputs()
	for _, in := range all {
		column := -1
		if in.Column != "" {
			if column, err = find("statistic", in.Column); err != nil {
				return nil, err
			}
		}
		weight := -1
		if in.Weight != "" {
			if weight, err = find("weight", in.Weight); err != nil {
				return nil, err
			}
		}
		p.inputs = append(p.inputs, input{in, column, weight})
	}
	for _, st := range spec.Statistics {
		f := figure{kind: st.Kind}
		for _, in := range st.Inputs() {
			f.inputs = append(f.inputs, slices.Index(all, in))
		}
		p.figures = append(p.figures, f)
	}
	p.layout = partial.LayoutOf(spec)
	if p.keeper, err = newKeeper(spec); err != nil {
		return nil, err
	}
	if m := spec.Masking; p.keeper != nil {
		p.masker = p.keeper.masker
	} else if m.Enforced {
		if p.masker, err = newMasker(m); err != nil {
			return nil, fmt.Errorf("cannot compile masking: %w", err)
		}
	}
	if _, err := compileMatcher(spec.MultilineStart); err != nil {
		return nil, fmt.Errorf("cannot compile multiline_start: %w", err)
	}
	if spec.Time.Format == logrule.TimeCustom {
		if _, err := newCustomTime(spec.Time.Layout); err != nil {
			return nil, fmt.Errorf("cannot compile time layout: %w", err)
		}
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00", spec.Time.Format, spec.Time.Timezone, spec.MultilineStart, spec.Time.Layout)
	for c := p.timeCol; c >= 0; c = columns[c].from {
		fmt.Fprintf(h, "%+v", columns[c].rule)
		if t := columns[c].translate; t != nil {
			fmt.Fprint(h, t.id)
		}
	}
	p.timeID = h.Sum64()
	return p, nil
}

// Layout of the tables of windows: Groups counts the group_by entries that are
// columns, Columns the distinct inputs of figures in order of first use.
func (p *Program) Layout() partial.Layout { return p.layout }

// WindowMs is the length of a window in milliseconds.
func (p *Program) WindowMs() int64 { return p.windowMs }

// Figures returns the values of the rule's statistics, in their order, of an
// aggregate with the program's layout. Figures without input are NaN; additive
// ones without input are 0.
func (p *Program) Figures(row *partial.Row) []float64 {
	out := make([]float64, len(p.figures))
	for i, f := range p.figures {
		v, ok := row.Figure(f.kind, f.inputs)
		if !ok {
			v = math.NaN()
		}
		out[i] = v
	}
	return out
}

// filter is one row of a white or black list.
type filter struct {
	column int
	row    logrule.FilterRow
	white  bool
	few    []string            // the values when they are few
	many   map[string]struct{} // otherwise
}

func newFilter(column int, row logrule.FilterRow, white bool) filter {
	f := filter{column: column, row: row, white: white}
	values := slices.Clone(row.Values)
	// An empty value is shown as "-", so either text finds it.
	if slices.Contains(values, emptyKey) {
		values = append(values, "")
	} else if slices.Contains(values, "") {
		values = append(values, emptyKey)
	}
	if len(values) <= 4 {
		f.few = values
		return f
	}
	f.many = make(map[string]struct{}, len(values))
	for _, v := range values {
		f.many[v] = struct{}{}
	}
	return f
}

// has reports whether the value is one of the row's.
func (f *filter) has(v []byte) bool {
	if f.many != nil {
		_, ok := f.many[string(v)]
		return ok
	}
	for _, want := range f.few {
		if string(v) == want {
			return true
		}
	}
	return false
}
