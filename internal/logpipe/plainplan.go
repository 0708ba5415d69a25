package logpipe

import (
	"slices"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// planPlain returns the short way, or nil if no task is of its kind. Those that
// are become the first of the group's runs.
func (g *Group) planPlain() *plain {
	p := &plain{split: -1}
	var usual, rest []run
	for i := range g.runs {
		r := &g.runs[i]
		split, ok := g.splitOfAll(r)
		if !ok || len(usual) > 0 && (r.time != p.time || split >= 0 && p.split >= 0 && split != p.split) {
			rest = append(rest, *r)
			continue
		}
		p.time, p.split = r.time, max(p.split, split)
		usual = append(usual, *r)
	}
	if p.split < 0 {
		return nil
	}
	g.runs = append(usual, rest...)
	for i := range usual {
		r := &g.runs[i]
		pr := plainRun{r: r}
		for _, s := range r.groups {
			pr.groups = append(pr.groups, p.column(g, s))
		}
		for _, in := range r.inputs {
			pr.nums = append(pr.nums, p.number(g, in))
		}
		for _, rf := range r.filters {
			pf := plainFilter{col: p.column(g, rf.slot), white: rf.white}
			for _, v := range rf.few {
				w, _ := wordsOf([]byte(v))
				pf.values = append(pf.values, w)
			}
			pr.filters = append(pr.filters, pf)
		}
		p.runs = append(p.runs, pr)
	}
	p.stride = len(g.splits[p.split].ends)
	p.ends = make([]int32, batch*p.stride)
	return p
}

// splitOfAll returns the splitter that cuts all columns of a task, -1 if it has
// none. ok is false for a task that has to go the long way.
func (g *Group) splitOfAll(r *run) (split int, ok bool) {
	t := &g.times[r.time]
	if len(r.drops) > 0 || r.task.p.keeper != nil || t.slot >= 0 || t.parser.code != codeText {
		return -1, false
	}
	slots := slices.Clone(r.groups)
	for _, in := range r.inputs {
		if in.weight >= 0 || in.kind != logrule.InputSuccess && (in.kind != logrule.InputNumber || g.slots[in.slot].translate != nil) {
			return -1, false
		}
		slots = append(slots, in.slot)
	}
	for _, f := range r.filters {
		if f.many != nil || slices.ContainsFunc(f.few, func(v string) bool { _, ok := wordsOf([]byte(v)); return !ok }) {
			return -1, false
		}
		slots = append(slots, f.slot)
	}
	split = -1
	for _, i := range slots {
		s := &g.slots[i]
		if !s.ofField() || !g.splits[s.ref].byByte || split >= 0 && s.ref != split {
			return -1, false
		}
		split = s.ref
	}
	return split, true
}

// column returns the index of a slot's column in p.cols.
func (p *plain) column(g *Group, slot int) int {
	at := slices.IndexFunc(p.cols, func(c plainColumn) bool { return c.slot == slot })
	if at < 0 {
		at = len(p.cols)
		c := plainColumn{slot: slot, field: g.slots[slot].rule.index}
		if g.slots[slot].translate != nil {
			c.known = make([]plainKnown, maxPlainKnown)
		}
		p.cols = append(p.cols, c)
	}
	return at
}

// number returns the index of an input in p.nums.
func (p *plain) number(g *Group, in runInput) int {
	at := slices.IndexFunc(p.nums, func(n plainNumber) bool { return n.slot == in.slot && n.kind == in.kind })
	if at < 0 {
		at = len(p.nums)
		n := plainNumber{slot: in.slot, field: g.slots[in.slot].rule.index, kind: in.kind, col: -1}
		if g.slots[in.slot].translate != nil {
			n.col = p.column(g, in.slot)
		}
		p.nums = append(p.nums, n)
	}
	return at
}
