package window

import (
	"fmt"

	"github.com/pharos-stack/pharos/internal/partial"
)

// Fold merges encoded tables of a window as far as they will never have to be
// told apart again: those of one task whose agents have the same values of the
// labels that the task groups by.
type Fold struct{ sources map[string]*Folded }

// Folded is one merged table.
type Folded struct {
	Plan   *Plan
	Labels map[string]string // of the agents, as far as the task groups by them
	merged *partial.Table
}

// NewFold begins a fold.
func NewFold() *Fold { return &Fold{sources: map[string]*Folded{}} }

// Add takes an encoded table of a task, from an agent with the given labels.
// After an error the fold is not to be used any more.
func (f *Fold) Add(task *Plan, agent map[string]string, table []byte) error {
	id, labels := partial.JoinKey(nil, []string{task.Task}), map[string]string{}
	for _, g := range task.groups {
		if g.agent != "" {
			id = partial.JoinKey(id, []string{agent[g.agent]})
			labels[g.agent] = agent[g.agent]
		}
	}
	s := f.sources[string(id)]
	if s == nil {
		s = &Folded{Plan: task, Labels: labels, merged: partial.NewTable(task.layout)}
		f.sources[string(id)] = s
	}
	s.merged.Instance = agent[instanceLabel]
	if err := s.merged.MergeEncoded(table); err != nil {
		return err
	}
	if s.merged.Layout != task.layout {
		return fmt.Errorf("cannot fold partial of layout %+v, task %q has %+v", s.merged.Layout, task.Task, task.layout)
	}
	return nil
}

// Each calls fn with every merged table, encoded as it was taken.
func (f *Fold) Each(fn func(s *Folded, table []byte)) {
	for _, s := range f.sources {
		fn(s, s.merged.Append(nil))
	}
}
