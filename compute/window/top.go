package window

import (
	"cmp"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/internal/partial"
)

// Top is what a window says of all keys of which it lists the largest.
type Top struct {
	// Keys is how many there were; about so many unless Exact.
	Keys uint64
	// Exact says that no agent and no merge has given up a key: the list is right
	// to the last digit.
	Exact bool
	// Missed is, unless Exact, the most that a key which isn't listed may weigh
	// if it was given up: in lines for an average, else in the figure. +Inf if nothing
	// can be said.
	Missed float64
}

// candidate is a key of a list to be.
type candidate struct {
	key    []string
	joined string
	row    partial.Row
	found  map[*Plan]bool // the tasks that have a row of it
}

// top makes the list of the largest keys. Tables of other tasks than the
// monitor's own count as far as they have the same inputs.
func (m *Merge) top() (Top, partial.Lines) {
	weight := m.plan.layout.Weight
	candidates := map[string]*candidate{}
	missed := map[*Plan]float64{} // by task, where keys were given up
	out := Top{Exact: true, Missed: weight.None()}
	var about float64
	for _, s := range m.tables {
		cells := s.plan.cellsFor(m.plan)
		if p := s.merged.Pruned; p != nil {
			out.Exact = false
			most := p.Missed
			if s.plan.layout.Weight != weight || slices.Contains(cells, -1) {
				most = math.Inf(1) // it speaks of something else
			}
			if before, ok := missed[s.plan]; ok {
				most = max(most, before)
			}
			missed[s.plan] = most
		}
		about += s.merged.Keys()
		put := func(r *partial.Row) {
			_, joined := s.plan.place(r.Key, s.agent)
			c := candidates[joined]
			if c == nil {
				c = &candidate{key: s.plan.lineKey(r.Key, s.agent), joined: joined, found: map[*Plan]bool{},
					row: partial.Row{Cells: make([]partial.Cell, m.plan.layout.Columns), Missed: weight.None()}}
				candidates[joined] = c
			}
			c.found[s.plan] = true
			c.row.Lines += r.Lines
			c.row.Missed = weight.Join(c.row.Missed, r.Missed)
			for i, from := range cells {
				if from >= 0 {
					c.row.Cells[i].Merge(&r.Cells[from])
				}
			}
		}
		if s.plan.fromLabelsOnly {
			if s.merged.Total.Lines > 0 {
				put(&s.merged.Total)
			}
			continue
		}
		for _, r := range s.merged.Rows {
			put(r)
		}
	}
	out.Keys = uint64(len(candidates))
	if !out.Exact {
		out.Keys = max(out.Keys, uint64(about))
		for _, most := range missed {
			out.Missed = weight.Join(out.Missed, most)
		}
	}
	return out, m.plan.list(candidates, missed)
}

// list orders the candidates by the figure and keeps the largest.
func (p *Plan) list(candidates map[string]*candidate, missed map[*Plan]float64) partial.Lines {
	type item struct {
		line   partial.Line
		joined string
	}
	items := make([]item, 0, len(candidates))
	f := p.figures[0]
	for _, c := range candidates {
		value, ok := c.row.Figure(f.stat.Kind, f.cells)
		if !ok {
			continue
		}
		for task, most := range missed {
			if !c.found[task] {
				c.row.Missed = p.layout.Weight.Join(c.row.Missed, most)
			}
		}
		items = append(items, item{partial.Line{Value: value, Key: c.key, More: p.more(value, c.row.Missed)}, c.joined})
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(b.line.Value, a.line.Value), cmp.Compare(a.joined, b.joined))
	})
	lines := make(partial.Lines, 0, p.TopN)
	for _, it := range items[:min(p.TopN, len(items))] {
		lines = append(lines, it.line)
	}
	return lines
}

// more is what a value may lack if lines that may weigh so much are not in it.
func (p *Plan) more(value, missed float64) float64 {
	if p.layout.Weight == partial.ByMax {
		return max(0, missed-value)
	}
	return missed
}
