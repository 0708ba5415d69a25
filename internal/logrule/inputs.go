package logrule

import "slices"

// InputKind says how a line becomes a number.
type InputKind uint8

// The kinds of inputs.
const (
	// InputNumber is the number in the column.
	InputNumber InputKind = iota + 1
	// InputSuccess is 1 for a line whose column is SuccessValue, else 0.
	InputSuccess
	// InputOccurrences is how often Text stands in the column's value, or in the
	// whole line without a column; occurrences do not overlap.
	InputOccurrences
	// InputQuantiles is the number in the column, kept in a sketch.
	InputQuantiles
	// InputDistinct is the column's value, kept in a sketch.
	InputDistinct
)

// What the result column of common service indicators says (spec 05 §6.5).
const (
	SuccessValue = "Y"
	FailureValue = "N"
)

// Input is a number that lines contribute to a window. Equal inputs of several
// figures are aggregated once.
type Input struct {
	Kind   InputKind
	Column string
	Text   string
	// Weight is the column with how much a success counts; empty: 1.
	Weight string
}

// Weighable reports whether the weight of lines counts in figures of the kind.
func (k StatKind) Weighable() bool {
	switch k {
	case Count, Avg, Success, Fail, SuccessRate:
		return true
	}
	return false
}

// Inputs of a figure, none for those that only count lines. A ratio has two,
// dividend and divisor; where lines have weights their sum is the last.
func (st Statistic) Inputs() []Input {
	if st.Weight != "" {
		weight := Input{Kind: InputNumber, Column: st.Weight}
		switch st.Kind {
		case Count:
			return []Input{weight}
		case Avg:
			return []Input{{Kind: InputNumber, Column: st.Column}, weight}
		case Success:
			return []Input{{Kind: InputSuccess, Column: st.Column, Weight: st.Weight}}
		case Fail, SuccessRate:
			return []Input{{Kind: InputSuccess, Column: st.Column, Weight: st.Weight}, weight}
		}
	}
	switch st.Kind {
	case Sum, Avg, Min, Max:
		return []Input{{Kind: InputNumber, Column: st.Column}}
	case Ratio:
		return []Input{{Kind: InputNumber, Column: st.Column}, {Kind: InputNumber, Column: st.Divisor}}
	case Success, Fail, SuccessRate:
		return []Input{{Kind: InputSuccess, Column: st.Column}}
	case Occurrences:
		return []Input{{Kind: InputOccurrences, Column: st.Column, Text: st.Text}}
	case Distinct:
		return []Input{{Kind: InputDistinct, Column: st.Column}}
	}
	if _, ok := st.Kind.Quantile(); ok {
		return []Input{{Kind: InputQuantiles, Column: st.Column}}
	}
	return nil
}

// Quantile returns the q of a quantile, 0 < q < 1; ok is false for other figures.
func (k StatKind) Quantile() (q float64, ok bool) {
	switch k {
	case P50:
		return 0.5, true
	case P75:
		return 0.75, true
	case P90:
		return 0.9, true
	case P95:
		return 0.95, true
	case P99:
		return 0.99, true
	case P999:
		return 0.999, true
	}
	return 0, false
}

// Mergeable reports whether the figure over several windows follows from its
// values and parts in each. Others need what their sketches held.
func (k StatKind) Mergeable() bool {
	_, quantile := k.Quantile()
	return !quantile && k != Distinct
}

// Inputs of all figures, each once, in the order of first use: the columns of
// partial tables. s has passed WithDefaults.
func (s Spec) Inputs() []Input {
	var out []Input
	for _, st := range s.Statistics {
		for _, in := range st.Inputs() {
			if !slices.Contains(out, in) {
				out = append(out, in)
			}
		}
	}
	return out
}

// Additive reports whether values of the figure add up over keys and time, and
// a window without lines has 0.
func (k StatKind) Additive() bool {
	switch k {
	case Count, Sum, Success, Fail, Occurrences:
		return true
	}
	return false
}

// OnlyGrows reports whether more lines can't make a figure less; value is what it is now.
func (k StatKind) OnlyGrows(value float64) bool {
	switch k {
	case Count, Max, Success, Fail, Occurrences, Distinct:
		return true
	case Sum:
		return value >= 0
	}
	return false
}

// Parts are the figures, by suffix of the name, that an average or ratio is
// made of, so that those over keys or time are made from sums: over / under,
// times scale. ok is false for other figures.
func (st Statistic) Parts() (over, under string, scale float64, ok bool) {
	switch st.Kind {
	case Avg:
		return "_sum", "_count", 1, true
	case Ratio:
		return "_dividend", "_divisor", 1, true
	case SuccessRate:
		return "_success", "_total", 100, true
	}
	return "", "", 0, false
}

// seriesNames are the names that the figure takes in series: its own and its parts'.
func (st Statistic) seriesNames() []string {
	names := []string{st.Name}
	if over, under, _, ok := st.Parts(); ok {
		names = append(names, st.Name+over, st.Name+under)
	}
	return names
}

// serviceFigures are the five figures of common service indicators.
func (s Spec) serviceFigures() []Statistic {
	out := []Statistic{
		{Name: "total", Kind: Count},
		{Name: "success", Kind: Success, Column: s.ResultColumn},
		{Name: "fail", Kind: Fail, Column: s.ResultColumn},
		{Name: "success_rate", Kind: SuccessRate, Column: s.ResultColumn, Unit: "%"},
	}
	if s.TimeColumn != "" {
		out = append(out, Statistic{Name: "avg_ms", Kind: Avg, Column: s.TimeColumn, Unit: "ms"})
	}
	return s.weighed(out)
}

// weighed gives the figures the weight of lines.
func (s Spec) weighed(figures []Statistic) []Statistic {
	for i := range figures {
		figures[i].Weight = ""
		if figures[i].Kind.Weighable() {
			figures[i].Weight = s.WeightColumn
		}
	}
	return figures
}
