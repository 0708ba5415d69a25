package alarm

import (
	"encoding/json"
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// Truth is the outcome of a condition: an incomplete or missing number can
// leave it unknown (spec 05, ALM-14).
type Truth int8

// The outcomes.
const (
	Unknown Truth = iota
	False
	True
)

func (t Truth) String() string { return [...]string{"unknown", "false", "true"}[t] }

// Input is the data one condition is judged on.
type Input struct {
	// Values by canonical object, and for methods that compare what with.
	// Scales are units of absolute changes; nil: 1.
	Values, Bases, Scales map[string]float64
	// Source names the series or expression; Unit is its unit.
	Source, Unit string
	// Completeness of the windows, 0 to 1.
	Completeness, BaseCompleteness float64
	// Kind of the figure; empty for an expression, which proves nothing while incomplete.
	Kind logrule.StatKind
	// Lines that are told with the value when the condition holds.
	Lines []alarmstate.Line

	labels map[string]map[string]string
	// keyed is set if there is an object for each key.
	keyed bool
	// absent and baseAbsent are the value of an object without one in complete windows; nil: unknown.
	absent, baseAbsent *float64
	// filter is what keys the condition looks at; nil: all.
	filter *keyFilter
	// noIsFalse: an expression without a result is its way to say no.
	noIsFalse bool
	// partial windows may still change: only what more data can't undo is proven.
	partial bool
}

// Verdict is the outcome of a rule for one object.
type Verdict struct {
	Truth Truth
	// Classes is the outcome for each class of channels that the rule tells apart, else for "".
	Classes    map[alarmrule.Class]Truth
	Conditions []alarmstate.Condition
	// HasValue is set when at least one condition had a number.
	HasValue bool
}

// objectKey is the canonical text of an object's labels; empty for none.
func objectKey(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	text, err := json.Marshal(labels) // sorts by name
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return string(text)
}

// labelsOf are the labels of an object by its key.
func labelsOf(key string) map[string]string {
	var labels map[string]string
	if err := json.Unmarshal([]byte(key), &labels); err != nil {
		panic(err) // objectKey made it
	}
	return labels
}

// judge evaluates spec for one object. inputs are in the order of the
// conditions; a condition whose only object is the empty one (a monitor
// without keys, an aggregate) counts for every object.
func judge(spec alarmrule.Spec, inputs []Input, object string) Verdict {
	classes := alarmrule.ClassesOf(spec.Conditions, spec.Join)
	if classes == nil {
		classes = []alarmrule.Class{""}
	}
	v := Verdict{Conditions: make([]alarmstate.Condition, len(spec.Conditions)), Classes: map[alarmrule.Class]Truth{}, Truth: False}
	numbers := make([]number, len(spec.Conditions))
	for i, c := range spec.Conditions {
		numbers[i] = numberOf(c, inputs[i], object, spec.MinCompleteness)
		v.HasValue = v.HasValue || numbers[i].known
	}
	for _, class := range classes {
		truth := join(spec, numbers, class)
		v.Classes[class] = truth
		switch {
		case truth == True:
			v.Truth = True
		case truth == Unknown && v.Truth == False:
			v.Truth = Unknown
		}
	}
	for i, c := range spec.Conditions {
		v.Conditions[i] = numbers[i].outcome(c, inputs[i], classes)
	}
	return v
}

// join combines the conditions for one class: those without a threshold for it are left out (ALM-8).
func join(spec alarmrule.Spec, numbers []number, class alarmrule.Class) Truth {
	anyTrue, anyFalse, anyUnknown := false, false, false
	for i, c := range spec.Conditions {
		limit, ok := c.Limit(class)
		if !ok {
			continue
		}
		switch numbers[i].against(c, limit) {
		case True:
			anyTrue = true
		case False:
			anyFalse = true
		default:
			anyUnknown = true
		}
	}
	switch {
	case spec.Join == alarmrule.Any && anyTrue, spec.Join == alarmrule.All && !anyFalse && !anyUnknown:
		return True
	case spec.Join == alarmrule.Any && !anyUnknown, spec.Join == alarmrule.All && anyFalse:
		return False
	}
	return Unknown
}

// number is what a condition has of an object to compare with thresholds.
type number struct {
	// truth of a condition whatever the threshold is; Unknown with known unset.
	truth   Truth
	decided bool
	// value is compared; now and base are what it is made of.
	value, now, base float64
	// known is set if there is a current value, hasBase if one to compare with.
	known, hasBase bool
	// whole says that the data is complete; grows and shrinks that more of it can only add or take away.
	whole, grows, shrinks bool
	scale                 float64
}

func decided(n number, t Truth) number {
	n.truth, n.decided = t, true
	return n
}

// numberOf makes the number that c compares for an object.
func numberOf(c alarmrule.Condition, in Input, object string, minCompleteness float64) number {
	n := number{scale: 1}
	whole := in.Completeness >= minCompleteness && !in.partial
	n.whole = whole
	var has bool
	if n.now, has = of(in.Values, object); !has {
		switch {
		case in.filter != nil && object != "" && !in.filter.passes(labelsOf(object)):
			return decided(n, False)
		case whole && in.absent != nil:
			// In a complete window a count or sum without lines is 0 (spec 05 §3.4).
			n.now = *in.absent
		case whole && in.noIsFalse:
			return decided(n, False)
		default:
			return decided(n, Unknown)
		}
	} else if math.IsNaN(n.now) || math.IsInf(n.now, 0) && c.Method.Compares() {
		return decided(n, Unknown)
	}
	n.known = has && !math.IsInf(n.now, 0)
	n.grows, n.shrinks = in.Kind.OnlyGrows(n.now), in.Kind == logrule.Min
	if c.Method.Averages() && !in.Kind.Additive() || c.Method == alarmrule.MinN || c.Method == alarmrule.AbsentN || c.Method == alarmrule.BurnRate {
		n.grows = false
	}
	if c.Method != alarmrule.Current && c.Method != alarmrule.MinN {
		n.shrinks = false
	}
	if c.MinCurrent != nil && n.now < *c.MinCurrent {
		if whole {
			return decided(n, False)
		}
		return decided(n, Unknown)
	}
	n.value = n.now
	if c.Method.Compares() {
		return n.compare(c, in, object, minCompleteness)
	}
	return n
}

// compare turns n into the change from its base.
func (n number) compare(c alarmrule.Condition, in Input, object string, minCompleteness float64) number {
	if in.BaseCompleteness < minCompleteness {
		return decided(n, Unknown)
	}
	if n.base, n.hasBase = of(in.Bases, object); !n.hasBase {
		if in.baseAbsent == nil {
			return decided(n, Unknown)
		}
		n.base, n.hasBase = *in.baseAbsent, true
	}
	if math.IsNaN(n.base) || math.IsInf(n.base, 0) {
		n.hasBase = false
		return decided(n, Unknown)
	}
	if c.MinBase != nil && n.base < *c.MinBase {
		return decided(n, False)
	}
	if s, ok := of(in.Scales, object); ok {
		n.scale = s
	}
	var ok bool
	if n.value, ok = c.Op.Change(n.now, n.base, n.scale); !ok {
		n.value = math.NaN()
		// A change from nothing has no percentage (ALM-6); from nothing there is no fall.
		if c.ZeroBase == alarmrule.ZeroFires && !c.Op.Falls() && (n.whole || n.grows) {
			return decided(n, True)
		}
		return decided(n, Unknown)
	}
	return n
}

// of is an object's value, or that of the empty one, which counts for all.
func of(values map[string]float64, object string) (float64, bool) {
	v, ok := values[object]
	if !ok {
		v, ok = values[""]
	}
	return v, ok
}

// against follows ALM-15: incomplete windows can prove an excess of what only
// grows, or a shortfall of a minimum, and nothing else.
func (n number) against(c alarmrule.Condition, limit float64) Truth {
	if n.decided {
		return n.truth
	}
	holds := c.Op.Holds(n.value, limit, c.UpperLimit())
	switch {
	case n.whole && holds, holds && n.grows && c.Op.Above(), holds && n.shrinks && c.Op.Below():
		return True
	case n.whole:
		return False
	}
	return Unknown
}

// outcome is what is told of a condition.
func (n number) outcome(c alarmrule.Condition, in Input, classes []alarmrule.Class) alarmstate.Condition {
	out := alarmstate.Condition{Source: in.Source, Method: string(c.Method), N: c.N, Op: string(c.Op), Upper: c.Upper, Unit: in.Unit,
		Completeness: in.Completeness}
	if c.Method == alarmrule.Current {
		out.Method = ""
	}
	truth := False
	for _, class := range classes {
		limit, ok := c.Limit(class)
		if !ok {
			continue
		}
		t := n.against(c, limit)
		if t == True || truth == False {
			truth = t
		}
		if class == "" {
			out.Threshold = limit
			continue
		}
		if out.Thresholds == nil {
			out.Thresholds, out.Threshold = map[string]float64{}, limit
		}
		out.Thresholds[string(class)] = limit
	}
	out.Result = truth.String()
	if n.known {
		out.Value = finite(n.value)
	}
	if c.Method.Compares() {
		out.Completeness = min(out.Completeness, in.BaseCompleteness)
		if n.known {
			out.Current = finite(n.now)
		}
		if n.hasBase {
			out.Base = finite(n.base)
		}
	}
	if c.Method == alarmrule.Deviation && n.hasBase && !c.Op.Percent() {
		out.Low, out.High = band(c.Op, n.base, n.scale*out.Threshold)
	}
	if truth == True {
		out.Lines = in.Lines
	}
	return out
}

// band is between what values are usual: a bound that can't be crossed is absent.
func band(op alarmrule.Op, base, reach float64) (low, high *float64) {
	if !op.Rises() {
		low = new(base - reach)
	}
	if !op.Falls() {
		high = new(base + reach)
	}
	return low, high
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// keyMemory is how long an object without a value keeps its alert (ALM-3).
const keyMemory = 24 * time.Hour

// step is what a verdict does to an object's run of checks.
type step int

const (
	stays step = iota
	fires
	keepsFiring // a true check of a firing object
	recovers
	expires // it has had no value for keyMemory
)

// advance counts the verdict of the check at ms into o and says what follows,
// and which classes are reached that were not before. Unknown neither fires
// nor recovers nor counts (ALM-16).
func advance(spec alarmrule.Spec, o *alarmstate.Object, v Verdict, ms int64) (step, []string) {
	if v.HasValue {
		o.LastSeenMs = ms
	}
	var joined []string
	for _, class := range slices.Sorted(maps.Keys(v.Classes)) {
		name, truth := string(class), v.Classes[class]
		if truth == Unknown {
			continue
		}
		run := o.Runs[name].Next(truth == True, spec.Of)
		if o.Runs == nil {
			o.Runs = map[string]alarmstate.Run{}
		}
		o.Runs[name] = run
		if truth == True && reached(spec, run) && !slices.Contains(o.Classes, name) {
			joined = append(joined, name)
		}
	}
	firing := o.AlertID != ""
	if len(joined) > 0 {
		o.Classes = append(o.Classes, joined...)
	}
	switch v.Truth {
	case True:
		o.FalseRun = 0
		if firing {
			return keepsFiring, joined
		}
		if len(joined) > 0 {
			return fires, joined
		}
	case False:
		o.FalseRun++
		if firing && o.FalseRun >= spec.RecoverAfter {
			return recovers, nil
		}
	}
	if firing && !v.HasValue && o.LastSeenMs > 0 && ms-o.LastSeenMs > keyMemory.Milliseconds() {
		return expires, nil
	}
	return stays, nil
}

// reached reports whether a run of checks is enough to fire: For in a row, or among the last Of.
func reached(spec alarmrule.Spec, run alarmstate.Run) bool {
	if spec.Of == 0 {
		return run.True >= spec.For
	}
	return bits.OnesCount64(run.Last) >= spec.For
}

// trueNow are the classes of a firing object that the check reached.
func trueNow(o *alarmstate.Object, v Verdict) []string {
	return slices.DeleteFunc(slices.Clone(o.Classes), func(name string) bool { return v.Classes[alarmrule.Class(name)] != True })
}

// distinct turns classes into those of an event: none stands for all of them.
func distinct(classes []string) []string {
	if slices.Equal(classes, []string{""}) {
		return nil
	}
	return classes
}

// repeats reports whether a firing object is to be told of again.
func repeats(spec alarmrule.Spec, o *alarmstate.Object, ms int64) bool {
	every := spec.RepeatEvery.D().Milliseconds()
	return every > 0 && ms-o.LastNoticeMs >= every
}

// forget resets an object whose alert has ended.
func forget(o *alarmstate.Object) {
	o.AlertID, o.Runs, o.Classes, o.FalseRun, o.HeldBy = "", nil, nil, 0, ""
}

// forgettable reports whether nothing of an object has to be remembered for the next check.
func forgettable(o *alarmstate.Object) bool {
	if o.AlertID != "" {
		return false
	}
	for _, run := range o.Runs {
		if run.True > 0 || run.Last != 0 {
			return false
		}
	}
	return true
}

// addObjects adds those that the data knows. A rule that tells none apart has
// its one object even when there is no value.
func addObjects(objects map[string]*alarmstate.Object, ruleID string, d data) {
	for key, labels := range d.labels {
		if objects[key] == nil {
			objects[key] = &alarmstate.Object{RuleID: ruleID, Object: key, Labels: labels}
		}
	}
	if len(objects) == 0 && d.single {
		objects[""] = &alarmstate.Object{RuleID: ruleID, Labels: map[string]string{}}
	}
}

// worse is the result of a check after one more object: firing, unknown or ok.
func worse(result string, o *alarmstate.Object, v Verdict) string {
	switch {
	case o.AlertID != "":
		return "firing"
	case v.Truth == Unknown && result == "ok":
		return "unknown"
	}
	return result
}
