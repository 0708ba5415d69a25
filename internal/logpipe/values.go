package logpipe

import (
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// number returns the slot's value as a number.
func (g *Group) number(i int) (micro int64, kind numberKind) {
	s := &g.slots[i]
	if s.numStamp != g.stamp {
		s.numStamp = g.stamp
		if s.isField() {
			sp := g.split(s)
			if f := s.rule.index; f >= 0 && f <= sp.n {
				v := g.line[int(sp.ends[f])+sp.width : sp.ends[f+1]]
				if s.micro, s.float, s.num = parseNumber(v); s.num != noNumber {
					return s.micro, s.num
				}
			}
		}
		v := g.value(i)
		s.num = noNumber
		if s.state != slotMissing {
			s.micro, s.float, s.num = parseNumber(v)
		}
	}
	return s.micro, s.num
}

// addSuccess adds a success, or what the line weighs if it is one.
func (g *Group) addSuccess(r *run, w *Window, in *runInput, at int, a *acc) {
	micro := g.success(r, w, in.slot)
	if in.weight < 0 || micro == 0 {
		a.add(micro)
		return
	}
	switch weight, kind := g.number(in.weight); kind {
	case microNumber:
		a.add(weight)
	case floatNumber:
		w.addFloat(at, g.slots[in.weight].float)
	default:
		g.useless(r, w, in.weight, badNumber)
	}
}

// success returns a million for a line whose result is a success, else 0.
func (g *Group) success(r *run, w *Window, slot int) int64 {
	switch v := g.value(slot); string(v) {
	case logrule.SuccessValue:
		return partial.Micro
	case logrule.FailureValue:
	default:
		g.useless(r, w, slot, badResult)
	}
	return 0
}

// distinct adds the slot's value to the different ones.
func (g *Group) distinct(r *run, w *Window, slot, at int, a *acc) {
	v := g.value(slot)
	if g.slots[slot].state == slotMissing {
		g.useless(r, w, slot, badColumn)
		return
	}
	a.add(0)
	w.sketch(at, partial.Distinct).AddValue(v)
}

// occurrences returns how often the text stands in the line or the value, in millionths.
func (g *Group) occurrences(r *run, in *runInput) int64 {
	text, gb := g.line, g.gb[r.enc] && !g.ascii
	if in.slot >= 0 {
		text, gb = g.value(in.slot), gb && g.slots[in.slot].state == slotInLine
	}
	n := int64(0)
	for from := 0; ; n++ {
		at, size := in.text.find(text, from, gb)
		if at < 0 {
			return n * partial.Micro
		}
		from = at + size
	}
}
