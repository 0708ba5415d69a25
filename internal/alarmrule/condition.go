package alarmrule

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// Condition compares one number per object with a threshold. The number comes
// from a monitor's figure or from a PromQL expression.
type Condition struct {
	// Monitor is the name of a LogMonitor of the same workspace. Exclusive with Expr.
	Monitor string `json:"monitor,omitempty" yaml:"monitor,omitempty"`
	// Figure of the monitor; empty: its first. Completeness is a figure of every monitor.
	Figure string `json:"figure,omitempty" yaml:"figure,omitempty" doc:"Empty: the monitor's first; completeness: the share of its agents that reported"`
	// Total judges the total over all keys of a grouped monitor instead of each key.
	Total bool `json:"total,omitempty" yaml:"total,omitempty"`
	// Keys narrows the keys: for a group column the values that are judged.
	Keys map[string][]string `json:"keys,omitempty" yaml:"keys,omitempty" doc:"By group column the values that are judged; * stands for any text, \\* for a star"`
	// ExcludeKeys are keys that are not judged: those with any of the values.
	ExcludeKeys map[string][]string `json:"exclude_keys,omitempty" yaml:"exclude_keys,omitempty" doc:"By group column the values that are not judged; * stands for any text"`
	// Expr is a PromQL expression; every series of its result is an object.
	Expr string `json:"expr,omitempty" yaml:"expr,omitempty" maxLength:"4000"`

	// Method says which number is compared. Default current.
	Method Method `json:"method,omitempty" yaml:"method,omitempty" enum:"current,ring,hour,day,week,sum_n,avg_n,max_n,min_n,absent_n,sum_n_ring,sum_n_day,sum_n_week,avg_n_ring,avg_n_day,avg_n_week,deviation,burn_rate,items,silence" doc:"Which number is compared; default current"`
	// N is the minutes of methods over several. Default 5, of burn_rate 60.
	N int `json:"n,omitempty" yaml:"n,omitempty" minimum:"0" maximum:"4320" doc:"Minutes of methods over several; default 5, of burn_rate 60"`
	// ShortN is the short window of burn_rate in minutes. Default a twelfth of N.
	ShortN int `json:"short_n,omitempty" yaml:"short_n,omitempty" minimum:"0" maximum:"4320" doc:"The short window of burn_rate in minutes; default a twelfth of n"`
	// Objective of burn_rate in per cent.
	Objective float64 `json:"objective,omitempty" yaml:"objective,omitempty" minimum:"0" maximum:"100" doc:"Objective of burn_rate in per cent, such as 99.9"`
	// Days of history that deviation learns from. Default 14.
	Days int `json:"days,omitempty" yaml:"days,omitempty" minimum:"0" maximum:"28" doc:"Days of history that deviation learns from; default 14"`
	// Weekly lets deviation learn from the same day of the week only.
	Weekly bool `json:"weekly,omitempty" yaml:"weekly,omitempty" doc:"Deviation learns from the same day of the week only"`
	// WallClock compares with the same time by the clock in the package's time
	// zone instead of so many hours before; it matters on days with a change.
	WallClock bool `json:"wall_clock,omitempty" yaml:"wall_clock,omitempty" doc:"Compare with the same time by the clock, where days have 23 or 25 hours"`

	// Op compares the number with the threshold.
	Op Op `json:"op" yaml:"op" enum:"gt,ge,lt,le,eq,ne,between,outside,rise_pct_gt,rise_pct_ge,fall_pct_gt,fall_pct_ge,change_pct_gt,change_pct_ge,rise_gt,rise_ge,fall_gt,fall_ge,change_gt,change_ge"`
	// Threshold for all classes of channels, or the lower bound of between and outside.
	Threshold *float64 `json:"threshold,omitempty" yaml:"threshold,omitempty" doc:"For all channels; the lower bound of between and outside"`
	// Upper bound of between and outside.
	Upper *float64 `json:"upper,omitempty" yaml:"upper,omitempty" doc:"Upper bound of between and outside"`
	// Thresholds by class of channel, in place of Threshold.
	Thresholds *Thresholds `json:"thresholds,omitempty" yaml:"thresholds,omitempty" doc:"By class of channel, in place of threshold"`
	// Above is the value an item of a top monitor must exceed to count.
	Above float64 `json:"above,omitempty" yaml:"above,omitempty" doc:"Value that an item must exceed to count (items)"`
	// MinCurrent and MinBase: below these volumes the condition is false.
	MinCurrent *float64 `json:"min_current,omitempty" yaml:"min_current,omitempty" doc:"Below this current value the condition is false"`
	MinBase    *float64 `json:"min_base,omitempty" yaml:"min_base,omitempty" doc:"Below this base the condition is false"`
	// ZeroBase says what a percentage of nothing is. Default unknown.
	ZeroBase ZeroBase `json:"zero_base,omitempty" yaml:"zero_base,omitempty" enum:"unknown,fire" doc:"What a rise from 0 is as a percentage; default unknown"`
}

// ZeroBase says what becomes of a percentage whose base is 0.
type ZeroBase string

// The choices.
const (
	ZeroUnknown ZeroBase = "unknown"
	ZeroFires   ZeroBase = "fire"
)

// Completeness is the figure that every monitor has: the share of its agents that reported.
const Completeness = "completeness"

// Method is how the compared number is made (spec 05, §10.3.1). x(t) is the
// value of the last window; n minutes end with it.
type Method string

// The methods.
const (
	Current  Method = "current"    // x(t)
	Ring     Method = "ring"       // x(t) against the minute before
	Hour     Method = "hour"       // x(t) against an hour before
	Day      Method = "day"        // x(t) against a day before
	Week     Method = "week"       // x(t) against a week before
	SumN     Method = "sum_n"      // sum of n minutes
	AvgN     Method = "avg_n"      // average of n minutes
	MaxN     Method = "max_n"      // largest minute of n
	MinN     Method = "min_n"      // least minute of n
	AbsentN  Method = "absent_n"   // minutes of n without a value
	SumNRing Method = "sum_n_ring" // sum of n minutes against the n before
	SumNDay  Method = "sum_n_day"  // … against a day before
	SumNWeek Method = "sum_n_week" // … against a week before
	AvgNRing Method = "avg_n_ring" // average of n minutes against the n before
	AvgNDay  Method = "avg_n_day"
	AvgNWeek Method = "avg_n_week"
	// Deviation compares x(t) with what is usual at this time of day, in robust standard deviations.
	Deviation Method = "deviation"
	// BurnRate is how many times faster than the objective allows errors come, over n minutes and over short_n: the lesser.
	BurnRate Method = "burn_rate"
	// Items is how many items of a top monitor exceed Above.
	Items Method = "items"
	// Silence is for how many minutes a monitor has had no line at all.
	Silence Method = "silence"
)

// Methods in the order people choose from.
func Methods() []Method {
	return []Method{Current, Ring, Hour, Day, Week, SumN, AvgN, MaxN, MinN, AbsentN, SumNRing, SumNDay, SumNWeek, AvgNRing, AvgNDay, AvgNWeek, Deviation, BurnRate, Items, Silence}
}

// Compares reports whether a method has a base: then operators are of changes.
func (m Method) Compares() bool {
	switch m {
	case Ring, Hour, Day, Week, SumNRing, SumNDay, SumNWeek, AvgNRing, AvgNDay, AvgNWeek, Deviation:
		return true
	}
	return false
}

// Spans reports whether a method looks at n minutes.
func (m Method) Spans() bool {
	return m.Sums() || m.Averages() || m == MaxN || m == MinN || m == AbsentN || m == BurnRate
}

// Sums reports whether a method adds values up.
func (m Method) Sums() bool { return strings.HasPrefix(string(m), "sum_n") }

// Averages reports whether a method averages minutes.
func (m Method) Averages() bool { return strings.HasPrefix(string(m), "avg_n") }

// Op is a comparison.
type Op string

// The comparisons (spec 05, §10.3.2).
const (
	GT          Op = "gt"
	GE          Op = "ge"
	LT          Op = "lt"
	LE          Op = "le"
	EQ          Op = "eq"
	NE          Op = "ne"
	Between     Op = "between" // bounds included
	Outside     Op = "outside"
	RisePctGT   Op = "rise_pct_gt"
	RisePctGE   Op = "rise_pct_ge"
	FallPctGT   Op = "fall_pct_gt"
	FallPctGE   Op = "fall_pct_ge"
	ChangePctGT Op = "change_pct_gt"
	ChangePctGE Op = "change_pct_ge"
	RiseGT      Op = "rise_gt"
	RiseGE      Op = "rise_ge"
	FallGT      Op = "fall_gt"
	FallGE      Op = "fall_ge"
	ChangeGT    Op = "change_gt"
	ChangeGE    Op = "change_ge"
)

// Ops in the order people choose from.
func Ops() []Op {
	return []Op{GT, GE, LT, LE, EQ, NE, Between, Outside, RisePctGT, RisePctGE, FallPctGT, FallPctGE, ChangePctGT, ChangePctGE, RiseGT, RiseGE, FallGT, FallGE, ChangeGT, ChangeGE}
}

// OfChange reports whether op compares a change.
func (op Op) OfChange() bool {
	return op.Rises() || op.Falls() || strings.HasPrefix(string(op), "change_")
}

// Rises reports whether op is of a rise only.
func (op Op) Rises() bool { return strings.HasPrefix(string(op), "rise_") }

// Falls reports whether op is of a fall only.
func (op Op) Falls() bool { return strings.HasPrefix(string(op), "fall_") }

// Percent reports whether op compares percentages.
func (op Op) Percent() bool { return strings.Contains(string(op), "_pct_") }

// Ranges reports whether op has two bounds.
func (op Op) Ranges() bool { return op == Between || op == Outside }

// Strict reports whether the threshold itself is not enough.
func (op Op) strict() bool { return strings.HasSuffix(string(op), "gt") }

// Above reports whether more can only make op more true.
func (op Op) Above() bool { return op == GT || op == GE || op.Rises() }

// Below reports whether less can only make op more true.
func (op Op) Below() bool { return op == LT || op == LE }

// Change is how far now is from base in the sense of op: as a rise, a fall or
// either way, as a percentage of the base's size or in units of scale. ok is
// false when it is a percentage of 0.
func (op Op) Change(now, base, scale float64) (change float64, ok bool) {
	d := now - base
	if op.Falls() {
		d = -d
	}
	if !op.Rises() && !op.Falls() {
		d = math.Abs(d)
	}
	if !op.Percent() {
		return d / scale, true
	}
	if base == 0 {
		return 0, now == 0
	}
	return d / math.Abs(base) * 100, true
}

// Holds reports whether the compared number v holds against the threshold.
// upper is the second bound of between and outside.
func (op Op) Holds(v, threshold, upper float64) bool {
	switch op {
	case GT:
		return v > threshold
	case GE:
		return v >= threshold
	case LT:
		return v < threshold
	case LE:
		return v <= threshold
	case EQ:
		return v == threshold
	case NE:
		return v != threshold
	case Between:
		return v >= threshold && v <= upper
	case Outside:
		return v < threshold || v > upper
	}
	if op.strict() {
		return v > threshold
	}
	return v >= threshold
}

func (c Condition) withDefaults() Condition {
	if c.Method == "" {
		c.Method = Current
	}
	if c.N == 0 && c.Method.Spans() {
		c.N = 5
		if c.Method == BurnRate {
			c.N = 60
		}
	}
	if c.Method == BurnRate && c.ShortN == 0 {
		c.ShortN = max(1, c.N/12)
	}
	if c.Method == Deviation && c.Days == 0 {
		c.Days = 14
	}
	return c
}

// MaxN is the longest span of methods over several minutes, and of burn_rate.
const (
	maxN    = 1440
	maxBurn = 3 * 1440
)

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (c Condition) validate(prefix string, es *fielderr.Errors) {
	at := func(field string) string { return prefix + "." + field }
	if (c.Monitor == "") == (c.Expr == "") {
		es.Add(prefix, "bad_condition", "give either monitor or expr")
	}
	if c.Expr != "" && (c.Figure != "" || c.Total || len(c.Keys) > 0 || len(c.ExcludeKeys) > 0) {
		es.Add(prefix, "bad_condition", "figure, total and keys belong to monitor; put them into expr")
	}
	if c.Total && (len(c.Keys) > 0 || len(c.ExcludeKeys) > 0) {
		es.Add(at("keys"), "bad_condition", "total is over all keys; remove keys or total")
	}
	for field, filter := range map[string]map[string][]string{"keys": c.Keys, "exclude_keys": c.ExcludeKeys} {
		for k, values := range filter {
			if !labelName.MatchString(logrule.SeriesLabel(k)) || len(values) == 0 {
				es.Add(at(field+"."+k), "bad_filter", "give at least one value")
			}
		}
	}
	c.validateMethod(at, es)
	c.validateThreshold(at, es)
}

func (c Condition) validateMethod(at func(string) string, es *fielderr.Errors) {
	if !slices.Contains(Methods(), c.Method) {
		es.Add(at("method"), "bad_method", "%q; use one of %v", c.Method, Methods())
		return
	}
	if !slices.Contains(Ops(), c.Op) {
		es.Add(at("op"), "bad_comparison", "%q; use one of %v", c.Op, Ops())
		return
	}
	if c.Method.Compares() != c.Op.OfChange() {
		if c.Method.Compares() {
			es.Add(at("op"), "bad_comparison", "method %s compares with another time; use rise_, fall_ or change_, not %s", c.Method, c.Op)
		} else {
			es.Add(at("op"), "bad_comparison", "%s compares with another time; method %s has one number: use gt, ge, lt, le, eq, ne, between or outside", c.Op, c.Method)
		}
	}
	if c.Expr != "" && (c.Method.Spans() || c.Method == Items || c.Method == Silence) {
		es.Add(at("method"), "bad_method", "%s belongs to monitor; write it as PromQL, such as sum_over_time(x[5m])", c.Method)
	}
	longest := maxN
	if c.Method == BurnRate {
		longest = maxBurn
	}
	switch {
	case c.Method.Spans() && (c.N < 1 || c.N > longest):
		es.Add(at("n"), "bad_n", "%d; use 1 to %d minutes", c.N, longest)
	case !c.Method.Spans() && c.N != 0:
		es.Add(at("n"), "bad_n", "%d; method %s looks at no span, leave n out", c.N, c.Method)
	}
	if c.Method == BurnRate {
		if !(c.Objective > 0 && c.Objective < 100) {
			es.Add(at("objective"), "bad_objective", "%v; give the objective in per cent, above 0 and below 100, such as 99.9", c.Objective)
		}
		if c.ShortN < 1 || c.ShortN > c.N {
			es.Add(at("short_n"), "bad_n", "%d; use 1 minute to n (%d)", c.ShortN, c.N)
		}
	} else if c.Objective != 0 || c.ShortN != 0 {
		es.Add(at("objective"), "bad_objective", "objective and short_n belong to method burn_rate; leave them out")
	}
	if c.Method == Deviation && (c.Days < 3 || c.Days > 28 || c.Weekly && c.Days < 14) {
		es.Add(at("days"), "bad_days", "%d; use 3 to 28 days, with weekly 14 to 28", c.Days)
	}
	if c.Method != Deviation && (c.Days != 0 || c.Weekly) {
		es.Add(at("days"), "bad_days", "days and weekly belong to method deviation; leave them out")
	}
	if c.Above != 0 && c.Method != Items {
		es.Add(at("above"), "bad_above", "belongs to method items; leave it out")
	}
	if c.ZeroBase != "" && (!c.Op.Percent() || c.ZeroBase != ZeroUnknown && c.ZeroBase != ZeroFires) {
		es.Add(at("zero_base"), "bad_zero_base", "%q; use unknown or fire, and only with percentages", c.ZeroBase)
	}
	if c.MinBase != nil && !c.Method.Compares() {
		es.Add(at("min_base"), "bad_guard", "method %s has no base; leave it out", c.Method)
	}
}
