package alarm

import (
	"encoding/json"
	"math"
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
	// Values by canonical object; Labels holds the labels of each.
	Values map[string]float64
	// Source names the series or expression; Unit is its unit.
	Source, Unit string
	// Completeness of the window, 0 to 1.
	Completeness float64
	// Kind of the figure; empty for an expression, which proves nothing while incomplete.
	Kind logrule.StatKind
	// Lines that are told with the value when the condition holds.
	Lines []alarmstate.Line
	// Failed is set when the data could not be read: everything is unknown.
	Failed bool
}

// Verdict is the outcome of a rule for one object.
type Verdict struct {
	Truth      Truth
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

// judge evaluates spec for one object. inputs are in the order of the
// conditions; a condition whose only object is the empty one (a monitor
// without keys, an aggregate) counts for every object.
func judge(spec alarmrule.Spec, inputs []Input, object string) Verdict {
	v := Verdict{Conditions: make([]alarmstate.Condition, len(spec.Conditions))}
	anyTrue, anyFalse, anyUnknown := false, false, false
	for i, c := range spec.Conditions {
		in := inputs[i]
		value, has := in.Values[object]
		if !has {
			if value, has = in.Values[""]; !has {
				value = math.NaN()
			}
		}
		truth := judgeCondition(c, in, value, has, spec.MinCompleteness)
		out := alarmstate.Condition{Source: in.Source, Op: string(c.Op), Threshold: c.Threshold, Result: truth.String(),
			Unit: in.Unit, Completeness: in.Completeness}
		if has && !math.IsNaN(value) && !math.IsInf(value, 0) {
			out.Value = &value
			v.HasValue = true
		}
		if truth == True {
			out.Lines = in.Lines
		}
		v.Conditions[i] = out
		switch truth {
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
		v.Truth = True
	case spec.Join == alarmrule.Any && !anyUnknown, spec.Join == alarmrule.All && anyFalse:
		v.Truth = False
	}
	return v
}

// judgeCondition follows ALM-15: an incomplete window can prove an excess of
// what only grows, or a shortfall of a minimum, and nothing else.
func judgeCondition(c alarmrule.Condition, in Input, value float64, has bool, minCompleteness float64) Truth {
	if in.Failed || has && math.IsNaN(value) {
		return Unknown
	}
	complete := in.Completeness >= minCompleteness
	if !has {
		// In a complete window a count or sum without lines is 0 (spec 05 §3.4); an
		// expression without a result is its way to say no.
		switch {
		case complete && in.Kind.Additive():
			value = 0
		case complete && in.Kind == "":
			return False
		default:
			return Unknown
		}
	}
	holds := c.Op.Holds(value, c.Threshold)
	if complete {
		if holds {
			return True
		}
		return False
	}
	above := c.Op == alarmrule.GT || c.Op == alarmrule.GE
	below := c.Op == alarmrule.LT || c.Op == alarmrule.LE
	if holds && (above && in.Kind.OnlyGrows(value) || below && in.Kind == logrule.Min) {
		return True
	}
	return Unknown
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

// advance counts the verdict of the check at ms into o and says what follows.
// Unknown neither fires nor recovers nor counts (ALM-16).
func advance(spec alarmrule.Spec, o *alarmstate.Object, v Verdict, ms int64) step {
	if v.HasValue {
		o.LastSeenMs = ms
	}
	switch v.Truth {
	case True:
		o.TrueRun, o.FalseRun = o.TrueRun+1, 0
		if o.AlertID != "" {
			return keepsFiring
		}
		if o.TrueRun >= spec.For {
			return fires
		}
	case False:
		o.TrueRun, o.FalseRun = 0, o.FalseRun+1
		if o.AlertID != "" && o.FalseRun >= spec.RecoverAfter {
			return recovers
		}
	}
	if o.AlertID != "" && !v.HasValue && o.LastSeenMs > 0 && ms-o.LastSeenMs > keyMemory.Milliseconds() {
		return expires
	}
	return stays
}

// repeats reports whether a firing object is to be told of again.
func repeats(spec alarmrule.Spec, o *alarmstate.Object, ms int64) bool {
	every := spec.RepeatEvery.D().Milliseconds()
	return every > 0 && ms-o.LastNoticeMs >= every
}

// forgettable reports whether nothing of an object has to be remembered for the next check.
func forgettable(o *alarmstate.Object) bool { return o.AlertID == "" && o.TrueRun == 0 }

// addObjects adds those that the data knows. A rule over monitors without keys
// has its one object even when there is no value.
func addObjects(objects map[string]*alarmstate.Object, ruleID string, d data) {
	for key, labels := range d.labels {
		if objects[key] == nil {
			objects[key] = &alarmstate.Object{RuleID: ruleID, Object: key, Labels: labels}
		}
	}
	if len(objects) == 0 {
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
