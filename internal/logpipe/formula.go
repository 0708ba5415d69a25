package logpipe

import (
	"math"
	"strconv"

	"github.com/pharos-stack/pharos/internal/partial"
)

// compute makes the value of a slot that is a formula: a text, as if it had
// been cut, so that everything else treats it so.
func (g *Group) compute(s *slot) {
	values := s.numbers[:0]
	for _, i := range s.operands {
		micro, kind := g.number(i)
		switch kind {
		case microNumber:
			values = append(values, float64(micro)/partial.Micro)
		case floatNumber:
			values = append(values, g.slots[i].float)
		default:
			return // the slot stays missing
		}
	}
	s.numbers = values
	v, ok := s.formula.Value(values)
	if !ok {
		return
	}
	s.state, s.from = slotInScratch, len(g.scratch)
	g.scratch = appendDecimal(g.scratch, v)
	s.to = len(g.scratch)
	s.raw = span{at: elsewhere}
	if s.translate != nil {
		g.translateValue(s)
	}
}

// appendDecimal writes a number with at most six decimals, without trailing
// zeros; one that is too large for these as it is.
func appendDecimal(dst []byte, v float64) []byte {
	if math.Abs(v) > 1<<53/partial.Micro {
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	}
	micro := int64(math.Round(v * partial.Micro))
	if micro < 0 {
		dst = append(dst, '-')
		micro = -micro
	}
	dst = strconv.AppendInt(dst, micro/partial.Micro, 10)
	rest := micro % partial.Micro
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for digit := int64(partial.Micro / 10); rest > 0; digit /= 10 {
		dst = append(dst, '0'+byte(rest/digit))
		rest %= digit
	}
	return dst
}
