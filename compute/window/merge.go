package window

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/partial"
)

// Row is the aggregate of one key over all agents.
type Row struct {
	// Key is an unambiguous form of the labels' names and values.
	Key    string
	Labels store.Labels
	Lines  uint64
	// Cells of the inputs, in the order of the plan.
	Cells []partial.Cell
}

// Merged is the aggregate of a window.
type Merged struct {
	// Rows by key, none for a monitor without keys.
	Rows []*Row
	// Total is over all lines, also those whose key an agent dropped.
	Total Row
	// DroppedLines had a key that an agent dropped.
	DroppedLines uint64
	// Lines that the window keeps, in their order; their keys are in the order of
	// group_by. Of minute_top they are the largest keys.
	Lines partial.Lines
	// Top is set for minute_top.
	Top *Top
}

// Merge collects the partial tables of one window.
type Merge struct {
	plan   *Plan
	tables map[string]*source
}

// source is the merge of all tables whose rows get the same labels of agents.
type source struct {
	plan   *Plan
	agent  map[string]string
	merged *partial.Table
}

// NewMerge begins a merge. Its result has the columns of plan.
func NewMerge(plan *Plan) *Merge { return &Merge{plan: plan, tables: map[string]*source{}} }

// Add takes an encoded table of a task, from an agent with the given labels.
// After an error the merge is not to be used any more.
func (m *Merge) Add(task *Plan, agent map[string]string, table []byte) error {
	var buf [256]byte
	id := partial.JoinKey(buf[:0], []string{task.Task})
	for _, g := range task.groups {
		if g.agent != "" {
			id = partial.JoinKey(id, []string{agent[g.agent]})
		}
	}
	s := m.tables[string(id)]
	if s == nil {
		s = &source{plan: task, agent: agent, merged: partial.NewTable(task.layout)}
		m.tables[string(id)] = s
	}
	s.merged.Instance = agent[instanceLabel]
	if err := s.merged.MergeEncoded(table); err != nil {
		return err
	}
	if s.merged.Layout != task.layout {
		return fmt.Errorf("cannot merge partial of layout %+v, task %q has %+v", s.merged.Layout, task.Task, task.layout)
	}
	return nil
}

// Result returns the merged window.
func (m *Merge) Result() *Merged {
	out := &Merged{Total: Row{Cells: make([]partial.Cell, m.plan.layout.Columns)}}
	rows := map[string]*Row{}
	for _, s := range m.tables {
		cells := s.plan.cellsFor(m.plan)
		out.Total.add(&s.merged.Total, cells)
		out.DroppedLines += s.merged.Dropped
		if s.plan.sort == m.plan.sort { // else their values mean something else
			for _, l := range s.merged.Lines {
				l.Key = s.plan.lineKey(l.Key, s.agent)
				out.Lines.Keep(m.plan.layout.Keep, l)
			}
		}
		if m.plan.TopN > 0 {
			continue
		}
		put := func(r *partial.Row) {
			labels, key := s.plan.place(r.Key, s.agent)
			row := rows[key]
			if row == nil {
				row = &Row{Key: key, Labels: labels, Cells: make([]partial.Cell, m.plan.layout.Columns)}
				rows[key] = row
			}
			row.add(r, cells)
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
	if m.plan.TopN > 0 {
		top, list := m.top()
		out.Top, out.Lines = &top, list
	}
	out.Rows = make([]*Row, 0, len(rows))
	for _, r := range rows {
		out.Rows = append(out.Rows, r)
	}
	slices.SortFunc(out.Rows, func(a, b *Row) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// instanceLabel is the label of an agent that kept lines are told with.
const instanceLabel = "instance"

// lineKey puts the values of a line's columns and of the agent's labels in the order of group_by.
func (p *Plan) lineKey(columns []string, agent map[string]string) []string {
	key := make([]string, len(p.groups))
	for i, g := range p.groups {
		if g.agent != "" {
			key[i] = agent[g.agent]
		} else {
			key[i] = columns[g.at]
		}
	}
	return key
}

// cellsFor says for each cell of to which cell of p has the same input, -1 if none.
func (p *Plan) cellsFor(to *Plan) []int {
	at := make([]int, len(to.inputs))
	for i, in := range to.inputs {
		at[i] = slices.Index(p.inputs, in)
	}
	return at
}

func (r *Row) add(o *partial.Row, cells []int) {
	r.Lines += o.Lines
	for i, from := range cells {
		if from >= 0 {
			r.Cells[i].Merge(&o.Cells[from])
		}
	}
}
