package alarm

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const minuteMs = int64(time.Minute / time.Millisecond)

// figureSeries writes what a condition looks at of a monitor's figure as PromQL,
// evaluated at the start of the last window.
type figureSeries struct {
	monitor   *monitor
	stat      logrule.Statistic
	condition alarmrule.Condition
}

// name is the series that people know the figure by.
func (f figureSeries) name() string { return f.series("") }

// series is the figure's series, or that of one of its parts.
func (f figureSeries) series(part string) string {
	name := f.monitor.key + ":" + f.stat.Name + part
	if f.condition.Total && len(f.monitor.spec.GroupBy) > 0 {
		name += ":total"
	}
	return name + keySelector(f.condition)
}

// absent is the value of an object without one in complete windows; nil if that is no value.
func (f figureSeries) absent() *float64 {
	switch c := f.condition; {
	case c.Method == alarmrule.AbsentN:
		return new(float64(c.N))
	case c.Method == alarmrule.BurnRate: // no requests burn nothing
		return new(0.0)
	case f.stat.Kind.Additive():
		return new(0.0)
	}
	return nil
}

// expr is the compared number, or what it is made of.
func (f figureSeries) expr() string {
	c := f.condition
	over := "[" + strconv.Itoa(c.N) + "m]"
	switch {
	case c.Method.Sums():
		return "sum_over_time(" + f.series("") + over + ")"
	case c.Method.Averages():
		if a, b, scale, ok := f.stat.Parts(); ok {
			return fmt.Sprintf("%v * sum_over_time(%s%s) / sum_over_time(%s%s)", scale, f.series(a), over, f.series(b), over)
		}
		if f.stat.Kind.Additive() { // a minute without lines is one with 0
			return "sum_over_time(" + f.series("") + over + ") / " + strconv.Itoa(c.N)
		}
		return "avg_over_time(" + f.series("") + over + ")"
	case c.Method == alarmrule.MaxN:
		return "max_over_time(" + f.series("") + over + ")"
	case c.Method == alarmrule.MinN:
		return "min_over_time(" + f.series("") + over + ")"
	case c.Method == alarmrule.AbsentN: // objects are remembered for a day
		minutes := float64(f.monitor.windowMs()) / float64(minuteMs)
		return fmt.Sprintf("%d - %v * (count_over_time(%s%s) or 0 * last_over_time(%s[1d]))", c.N, minutes, f.series(""), over, f.series(""))
	case c.Method == alarmrule.BurnRate:
		a, b, _, _ := f.stat.Parts()
		bad := fmt.Sprintf("sum_over_time(%s%s) / sum_over_time(%s%s)", f.series(a), over, f.series(b), over)
		if f.stat.Kind == logrule.SuccessRate {
			bad = "1 - " + bad
		}
		return fmt.Sprintf("(%s) / %v", bad, (100-c.Objective)/100)
	}
	return f.series("")
}

// shift moves a moment to that which the condition compares with.
func (f figureSeries) shift(loc *time.Location, at int64) func(int64) int64 {
	c := f.condition
	back := int64(0)
	switch c.Method {
	case alarmrule.Ring:
		back = minuteMs
		if f.monitor != nil {
			back = max(back, f.monitor.windowMs())
		}
	case alarmrule.Hour:
		back = 60 * minuteMs
	case alarmrule.SumNRing, alarmrule.AvgNRing:
		back = int64(c.N) * minuteMs
	default:
		days := 1
		if c.Method == alarmrule.Week || c.Method == alarmrule.SumNWeek || c.Method == alarmrule.AvgNWeek {
			days = 7
		}
		back = int64(days) * 24 * 60 * minuteMs
		if c.WallClock {
			back = at - time.UnixMilli(at).In(loc).AddDate(0, 0, -days).UnixMilli()
		}
	}
	return func(ms int64) int64 { return ms - back }
}

// keySelector writes key filters as PromQL matchers.
func keySelector(c alarmrule.Condition) string {
	var parts []string
	for _, filter := range []struct {
		op   string
		keys map[string][]string
	}{{"=~", c.Keys}, {"!~", c.ExcludeKeys}} {
		for _, column := range slices.Sorted(maps.Keys(filter.keys)) {
			parts = append(parts, logrule.SeriesLabel(column)+filter.op+strconv.Quote(keyPattern(filter.keys[column])))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// keyPattern is a regular expression for the whole of a key that is one of
// values, in which * stands for any text and \* for itself.
func keyPattern(values []string) string {
	patterns := make([]string, len(values))
	for i, v := range values {
		var b strings.Builder
		for j, text := range strings.Split(v, `\*`) {
			if j > 0 {
				b.WriteString(`\*`)
			}
			for k, literal := range strings.Split(text, "*") {
				if k > 0 {
					b.WriteString("(?s:.*)")
				}
				b.WriteString(regexp.QuoteMeta(literal))
			}
		}
		patterns[i] = b.String()
	}
	return strings.Join(patterns, "|")
}

// keyFilter tells whether labels pass the key filters of a condition.
type keyFilter struct{ in, out map[string]*regexp.Regexp }

func newKeyFilter(c alarmrule.Condition) keyFilter {
	compile := func(keys map[string][]string) map[string]*regexp.Regexp {
		out := map[string]*regexp.Regexp{}
		for column, values := range keys {
			out[logrule.SeriesLabel(column)] = regexp.MustCompile("^(?:" + keyPattern(values) + ")$")
		}
		return out
	}
	return keyFilter{compile(c.Keys), compile(c.ExcludeKeys)}
}

func (f keyFilter) passes(labels map[string]string) bool {
	for name, re := range f.in {
		if v, ok := labels[name]; !ok || !re.MatchString(v) {
			return false
		}
	}
	for name, re := range f.out {
		if re.MatchString(labels[name]) {
			return false
		}
	}
	return true
}

// itemLines is how many items a message tells of (spec 05, §10.8).
const itemLines = 2

// gatherItems counts the items of a top monitor's window whose value exceeds above.
func (g *gatherer) gatherItems(ctx context.Context, workspace string, m *monitor, startMs int64, above float64, p patience) (Input, error) {
	in := Input{Source: m.key, Kind: logrule.Count, absent: new(0.0), labels: noLabels}
	share, err := g.covered(ctx, workspace, m, startMs, startMs, p)
	if err != nil {
		return in, err
	}
	in.Completeness, in.partial = share.least, share.open && p == proofs
	resp, err := g.query.MonitorLines(ctx, &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: workspace}, MonitorId: m.id,
		StartMs: startMs, EndMs: startMs, Order: pharosv1.LineOrder_LINE_ORDER_WINDOW, Limit: int32(m.spec.TopN)})
	if err != nil {
		return in, fmt.Errorf("cannot read the largest of monitor %q: %w", m.key, err)
	}
	count := 0
	for _, l := range resp.GetLines() {
		if l.GetValue() <= above {
			continue
		}
		if count++; count > itemLines {
			continue
		}
		text := l.GetText()
		if !m.spec.Type.KeepsLines() {
			text = strings.Join(l.GetKey(), ", ") + ": " + formatNumber(l.GetValue())
		}
		in.Lines = append(in.Lines, alarmstate.Line{Instance: l.GetInstance(), File: l.GetFile(), Text: strings.ReplaceAll(text, "\x00", "\uFFFD")})
	}
	in.Values = map[string]float64{"": float64(count)}
	return in, nil
}

// gatherSilence counts the minutes up to the window at startMs in which the
// monitor has had no line, at most as many as the condition asks for and one.
// Missing agents are silence too: completeness makes no difference.
func (g *gatherer) gatherSilence(ctx context.Context, workspace string, m *monitor, startMs int64, c alarmrule.Condition, p patience) (Input, error) {
	in := Input{Source: m.key, Unit: "min", Completeness: 1, labels: noLabels, Values: map[string]float64{}}
	window := m.windowMs()
	most := int64(silenceMinutes(c))*minuteMs + window
	first := startMs - most/window*window + window
	states, settledMs, err := g.windows(ctx, workspace, m, first, startMs)
	if err != nil {
		return in, err
	}
	open := settledMs < startMs+window
	if n := len(states); n > 0 && states[n-1].WindowStartMs == startMs && (states[n-1].Settled || states[n-1].Lines > 0) {
		open = false
	}
	if open && p == settled {
		return in, errNotSettled
	}
	in.partial = open && p == proofs
	if len(states) == 0 {
		return in, nil // no agent has ever been asked for it, or nothing is known of then
	}
	quiet := int64(0)
	for i := len(states) - 1; i >= 0 && states[i].GetLines() == 0; i-- {
		quiet += window
	}
	in.Values[""] = float64(quiet) / float64(minuteMs)
	return in, nil
}

// silenceMinutes is the largest number of minutes that a condition's thresholds tell apart.
func silenceMinutes(c alarmrule.Condition) int {
	most := c.UpperLimit()
	for _, class := range alarmrule.Classes() {
		if v, ok := c.Limit(class); ok {
			most = max(most, v)
		}
	}
	return int(min(max(most, 1), 1440)) + 1
}
