package logpipe

import (
	"bytes"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// run feeds the line to one task.
func (g *Group) run(r *run, lt *lineTime) {
	t := r.task
	w := t.cur
	if w == nil || uint64(lt.ms-w.StartMs) >= uint64(t.p.windowMs) {
		w = t.At(lt.ms)
	}
	w.Touched = true
	w.Counters.Read++
	if lt.state >= timeNone {
		if lt.state == timeLate {
			w.Counters.Late++
			t.samples.add(badLate, g.fs, g.line, g.gb[r.enc], g.nowMs)
		} else {
			w.Counters.Bad++
			t.samples.add(badTime, g.fs, g.line, g.gb[r.enc], g.nowMs)
		}
		return
	}
	for _, i := range r.drops {
		if g.value(i); g.slots[i].drop {
			w.Counters.Filtered++
			g.noteText(r, w, i)
			return
		}
	}
	for i := range r.filters {
		f := &r.filters[i]
		v := g.value(f.slot)
		if g.slots[f.slot].state == slotMissing {
			if f.white {
				g.unmatched(r, w)
				return
			}
			continue
		}
		if f.has(v) != f.white {
			w.Counters.Filtered++
			g.noteText(r, w, f.slot)
			return
		}
	}
	var accs []acc
	wide := -1
	if len(r.groups) == 0 {
		w.other++
		accs = w.otherAccs
	} else {
		row := g.row(r, w)
		switch {
		case row >= 0:
			w.rows[row].lines++
			wide = row * len(r.inputs)
			accs = w.accs[wide : wide+len(r.inputs)]
		case row == rowUnmatched:
			g.unmatched(r, w)
			return
		default:
			w.Counters.KeysDropped++
			w.other++
			accs = w.otherAccs
		}
	}
	w.Counters.Matched++
	if r.task.p.keeper != nil && !r.task.p.keeper.byNumber {
		g.keepLine(r, w, lt.ms, 0)
	}
	for i := range r.inputs {
		in := &r.inputs[i]
		switch in.kind {
		case logrule.InputSuccess:
			accs[i].add(g.success(r, w, in.slot))
			continue
		case logrule.InputOccurrences:
			accs[i].add(g.occurrences(r, in))
			continue
		}
		at := -1 - i
		if wide >= 0 {
			at = wide + i
		}
		if in.kind == logrule.InputDistinct {
			g.distinct(r, w, in.slot, at, &accs[i])
			continue
		}
		micro, kind := g.number(in.slot)
		value := float64(micro) / partial.Micro
		switch kind {
		case microNumber:
			accs[i].add(micro)
		case floatNumber:
			value = g.slots[in.slot].float
			w.addFloat(at, value)
		default:
			g.useless(r, w, in.slot, badNumber)
			continue
		}
		if in.kind == logrule.InputQuantiles {
			w.sketch(at, partial.Quantiles).AddNumber(value)
		}
		if r.task.p.keeper != nil { // row_top has this one input
			g.keepLine(r, w, lt.ms, value)
		}
	}
}

// useless counts a value that a figure needs and can't use.
func (g *Group) useless(r *run, w *Window, slot int, why reason) {
	w.Counters.BadNumbers++
	if g.slots[slot].state == slotMissing {
		why = badColumn
	}
	r.task.samples.add(why, g.fs, g.line, g.gb[r.enc], g.nowMs)
}

func (g *Group) unmatched(r *run, w *Window) {
	w.Counters.Unmatched++
	r.task.samples.add(badColumn, g.fs, g.line, g.gb[r.enc], g.nowMs)
}

var replacementChar = []byte(string(utf8.RuneError))

// noteText counts what decoding and cutting did to a value that was used.
func (g *Group) noteText(r *run, w *Window, slot int) {
	s := &g.slots[slot]
	bad := int(s.bad)
	if g.replaced {
		bad = bytes.Count(g.held(s), replacementChar)
	}
	if bad == 0 && !s.cut {
		return
	}
	if s.cut {
		w.Counters.ValuesCut++
	}
	if bad > 0 {
		w.Counters.Undecodable += uint64(bad)
		r.task.samples.add(badEncoding, g.fs, g.line, g.gb[r.enc], g.nowMs)
	}
}

const (
	rowUnmatched = -1
	rowDropped   = -2
)

// row finds the row of the line's key, making it if need be.
func (g *Group) row(r *run, w *Window) int {
	var h uint64
	for i, s := range r.groups {
		v := g.value(s)
		if sl := &g.slots[s]; sl.state == slotMissing {
			return rowUnmatched
		}
		if len(v) == 0 {
			v = emptyValue
		}
		h = hashKey(h, i, hashValue(hashSeed, v))
	}
	if len(w.slots) > 0 {
		mask := uint32(len(w.slots) - 1)
		tag := uint32(h >> 32)
		for at := uint32(h) & mask; ; at = (at + 1) & mask {
			e := w.slots[at]
			if e.row == 0 {
				break
			}
			if e.tag == tag && g.sameKey(r, w, int(e.row-1)) {
				g.noteKey(r, w)
				return int(e.row - 1)
			}
		}
	}
	g.noteKey(r, w)
	if len(w.rows) >= r.task.keyCap {
		return rowDropped
	}
	start := len(w.arena)
	for _, s := range r.groups {
		v := g.value(s)
		if len(v) == 0 {
			v = emptyValue
		}
		w.addValue(start, v)
	}
	return w.newRow(h, start)
}
