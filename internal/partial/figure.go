package partial

import (
	"math"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Figure computes a figure of a row's lines. inputs are the cells of its inputs,
// in the order of logrule.Statistic.Inputs. Where lines have weights, these
// count in place of lines. ok is false for a figure that has
// no value without input.
func (r *Row) Figure(kind logrule.StatKind, inputs []int) (value float64, ok bool) {
	lines := float64(r.Lines)
	if kind == logrule.Count && len(inputs) == 0 {
		return lines, true
	}
	c := &r.Cells[inputs[0]]
	weighed := len(inputs) > 1 && kind.Weighable()
	if weighed { // what lines stand for
		lines = r.Cells[inputs[1]].Sum()
	}
	switch kind {
	case logrule.Count, logrule.Sum, logrule.Success, logrule.Occurrences:
		return c.Sum(), true
	case logrule.Fail:
		return lines - c.Sum(), true
	case logrule.SuccessRate:
		if lines == 0 {
			return 0, false
		}
		return 100 * c.Sum() / lines, true
	case logrule.Ratio:
		by := r.Cells[inputs[1]].Sum()
		if by == 0 {
			return 0, false
		}
		return c.Sum() / by, true
	}
	if c.N == 0 {
		return 0, false
	}
	if q, ok := kind.Quantile(); ok && c.Sketch != nil {
		value, ok = c.Sketch.Quantile(q)
		return math.Min(math.Max(value, c.Min), c.Max), ok
	}
	switch kind {
	case logrule.Distinct:
		if c.Sketch == nil {
			return 0, false
		}
		return c.Sketch.Distinct(), true
	case logrule.Avg:
		if !weighed {
			lines = float64(c.N)
		}
		return c.Sum() / lines, lines != 0
	case logrule.Min:
		return c.Min, true
	default:
		return c.Max, true
	}
}
