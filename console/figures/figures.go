// Package figures writes the PromQL of monitors' figures. It promises that
// windows and keys are merged from what they are made of: averages and ratios
// from their sums, never from averages. Of percentiles and counts of different
// values, whose parts are not kept, it takes the largest (see Largest).
package figures

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Figure asks for one figure of a monitor.
type Figure struct {
	Monitor   string
	Statistic logrule.Statistic
	// Total asks for the row over all keys, also those beyond the key limit. Without it the
	// figure is told by key.
	Total bool
	// By are the labels that make the key; keys that differ in others are merged.
	// nil takes the keys as they are stored.
	By []string
	// Where restricts labels to any of some values.
	Where map[string][]string
	// RangeMs is how much time is merged into one value.
	RangeMs int64
}

// Expr returns PromQL that tells the figure of the windows that begin in
// (t-RangeMs, t].
func (f Figure) Expr() string { return f.expr("") }

// Over returns Expr of another length, evaluated at the end of the query's
// range whatever the step.
func (f Figure) Over(rangeMs int64) string {
	f.RangeMs = rangeMs
	return f.expr(" @ end()")
}

func (f Figure) expr(at string) string {
	over := func(outer, inner, name string) string {
		series := f.Monitor + ":" + name
		if f.Total {
			series += ":total"
		}
		s := fmt.Sprintf("%s_over_time(%s%s[%dms]%s)", inner, series, matchers(f.Where), f.RangeMs, at)
		if f.By == nil {
			return s
		}
		return fmt.Sprintf("%s by (%s) (%s)", outer, strings.Join(f.By, ", "), s)
	}
	st := f.Statistic
	if a, b, scale, ok := st.Parts(); ok {
		// Nothing by nothing is no value.
		ratio := fmt.Sprintf("%s / (%s != 0)", over("sum", "sum", st.Name+a), over("sum", "sum", st.Name+b))
		if scale != 1 {
			ratio = fmt.Sprintf("%g * %s", scale, ratio)
		}
		return ratio
	}
	switch {
	case st.Kind == logrule.Min:
		return over("min", "min", st.Name)
	case st.Kind == logrule.Max || !st.Kind.Mergeable():
		return over("max", "max", st.Name)
	}
	return over("sum", "sum", st.Name)
}

// LeastComplete returns PromQL for the least completeness of a monitor's
// windows that begin in (t-rangeMs, t].
func LeastComplete(monitor string, rangeMs int64) string {
	return fmt.Sprintf("min_over_time(%s:completeness[%dms])", monitor, rangeMs)
}

// Largest reports whether a value over several windows or keys is the largest
// of theirs because it can't be made from them.
func Largest(st logrule.Statistic) bool { return !st.Kind.Mergeable() }

// Label is the label that a group of a monitor has in series.
func Label(group string) string {
	if slices.Contains(logrule.GroupLabels, group) {
		return group
	}
	return logrule.SeriesLabel(group)
}

// AnyOf returns a regular expression that matches any of some texts.
func AnyOf(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = regexp.QuoteMeta(text)
	}
	return strings.Join(quoted, "|")
}

// matchers writes label matchers in the order of labels.
func matchers(where map[string][]string) string {
	if len(where) == 0 {
		return ""
	}
	names := make([]string, 0, len(where))
	for name := range where {
		names = append(names, name)
	}
	slices.Sort(names)
	parts := make([]string, len(names))
	for i, name := range names {
		if values := where[name]; len(values) == 1 {
			parts[i] = name + "=" + strconv.Quote(values[0])
		} else {
			parts[i] = name + "=~" + strconv.Quote(AnyOf(values))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Quoted returns a text as it stands between the quotes of a PromQL string.
func Quoted(text string) string {
	q := strconv.Quote(text)
	return q[1 : len(q)-1]
}
