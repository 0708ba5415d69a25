package logrule

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// TaskID names the task of a monitor: the monitor's id, "/", and eight
// hexadecimal digits that change when partial aggregates under the old and the
// new spec could not be merged: another window, other group columns or labels,
// other inputs of figures, another number or order of kept lines,
// or another bound or weight of keys. Changes of filters, paths, times and extraction
// keep it, so open windows go on under the new rule. s has passed WithDefaults.
func TaskID(monitorID string, s Spec) string {
	h := sha256.New()
	fmt.Fprintf(h, "window %d\n", s.Window.D().Milliseconds())
	for _, g := range s.GroupBy {
		kind := "column"
		if slices.Contains(GroupLabels, g) {
			kind = "label"
		}
		fmt.Fprintf(h, "%s %q\n", kind, g)
	}
	for _, in := range s.Inputs() {
		switch in.Kind {
		case InputNumber:
			fmt.Fprintf(h, "number %q\n", in.Column)
		case InputSuccess:
			fmt.Fprintf(h, "success %q\n", in.Column)
			if in.Weight != "" {
				fmt.Fprintf(h, "weighed %q\n", in.Weight)
			}
		case InputOccurrences:
			fmt.Fprintf(h, "occurrences %q of %q\n", in.Text, in.Column)
		case InputQuantiles:
			fmt.Fprintf(h, "quantiles %q\n", in.Column)
		case InputDistinct:
			fmt.Fprintf(h, "distinct %q\n", in.Column)
		}
	}
	if s.Type.KeepsLines() {
		fmt.Fprintf(h, "keep %d by %q\n", s.Keep(), s.SortColumn)
	}
	if s.Type == MinuteTop {
		fmt.Fprintf(h, "top %d by %s\n", s.KeyLimit, s.Statistics[0].Kind)
	}
	return fmt.Sprintf("%s/%x", monitorID, h.Sum(nil)[:4])
}
