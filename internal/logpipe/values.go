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
		if s.rule.kind == cutSplit {
			sp := &g.splits[s.ref]
			if sp.stamp != g.stamp {
				sp.stamp = g.stamp
				sp.run(g.line, g.room, g.gb[sp.enc] && !g.ascii)
			}
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

// value returns the slot's value of the line, trimmed, decoded and cut; its
// state says whether it is missing.
func (g *Group) value(i int) []byte {
	s := &g.slots[i]
	if s.stamp != g.stamp {
		g.cut(s)
	}
	if s.state == slotInLine {
		return g.line[s.from:s.to]
	}
	return g.inScratch(s)
}

func (g *Group) inScratch(s *slot) []byte {
	if s.state == slotMissing {
		return nil
	}
	return g.scratch[s.from:s.to]
}

// cut finds the slot's value.
func (g *Group) cut(s *slot) {
	s.stamp, s.state, s.cut, s.bad = g.stamp, slotMissing, false, 0
	src := g.line
	var from, to int
	ok := true
	switch s.rule.kind {
	case cutSplit:
		sp := &g.splits[s.ref]
		if sp.stamp != g.stamp {
			sp.stamp = g.stamp
			sp.run(src, g.room, g.gb[sp.enc] && !g.ascii)
		}
		from, to, ok = sp.field(s.rule.index, len(src))
	case cutBetween:
		from, to, ok = g.betweens[s.ref].cut(src, g.gb[s.rule.enc] && !g.ascii)
	case cutRegex:
		src, from, to, ok = g.regex(s)
	default:
		to = len(src)
	}
	if !ok {
		return
	}
	from, to = trim(src, from, to)
	s.state, s.from, s.to, s.rawFrom, s.rawTo = slotInLine, from, to, from, to
	if to-from > maxValue || !g.ascii {
		g.decode(s, src)
	}
}

// regex runs the slot's pattern over the line, as UTF-8.
func (g *Group) regex(s *slot) (src []byte, from, to int, ok bool) {
	src = g.line
	if !g.ascii && g.gb[s.rule.enc] {
		if !g.hasText {
			g.decoded, _ = appendGB(g.decoded[:0], g.line)
			g.hasText = true
		}
		src = g.decoded
	}
	re := &g.regexes[s.ref]
	if re.stamp != g.stamp {
		re.stamp = g.stamp
		re.found = re.matcher.match(src)
	}
	if re.found == nil || re.found[2*s.rule.index] < 0 {
		return src, 0, 0, false
	}
	return src, re.found[2*s.rule.index], re.found[2*s.rule.index+1], true
}

// decode brings a value that is long or may not be ASCII to its final form.
func (g *Group) decode(s *slot, src []byte) {
	raw := src[s.from:s.to]
	inLine := len(src) == 0 || len(g.line) > 0 && &src[0] == &g.line[0]
	if isASCII(raw) && inLine {
		if len(raw) > maxValue {
			s.cut = true
			_, s.to = trim(src, s.from, s.from+maxValue)
		}
		return
	}
	start := len(g.scratch)
	var bad int
	if inLine && g.gb[s.rule.enc] {
		g.scratch, bad = appendGB(g.scratch, raw)
	} else {
		g.scratch, bad = appendUTF8(g.scratch, raw)
	}
	text, cut := cutText(g.scratch[start:])
	s.bad, s.cut = int32(bad), cut
	s.state = slotInScratch
	s.from = start
	if len(text) > 0 {
		s.from += cap(g.scratch[start:]) - cap(text) // what was trimmed on the left
	}
	s.to = s.from + len(text)
}
