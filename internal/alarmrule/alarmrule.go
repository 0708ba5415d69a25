// Package alarmrule defines what an AlarmRule resource says: which numbers are
// compared with what, how often, and who hears of it. YAML, HTTP API, console
// and the alarm tier share it.
package alarmrule

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// Spec is the spec of an AlarmRule resource.
type Spec struct {
	Title       string `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	Description string `json:"description,omitempty" yaml:"description,omitempty" maxLength:"500"`
	Disabled    bool   `json:"disabled,omitempty" yaml:"disabled,omitempty"`
	// Level is P0 (worst) to P4. Default P2.
	Level Level `json:"level,omitempty" yaml:"level,omitempty" enum:"P0,P1,P2,P3,P4"`
	// Every is the check frequency, whole minutes up to a day, aligned to the clock. Default 1m.
	Every logrule.Duration `json:"every,omitempty" yaml:"every,omitempty" doc:"Check frequency in whole minutes; default 1m"`
	// Join says whether all conditions or any must hold. Default all.
	Join Join `json:"join,omitempty" yaml:"join,omitempty" enum:"all,any"`
	// Conditions are 1 to 10. Those on the same grouped monitor are judged key by key.
	Conditions []Condition `json:"conditions" yaml:"conditions" minItems:"1" maxItems:"10"`
	// For is how many checks in a row must be true to fire. Default 1.
	For int `json:"for,omitempty" yaml:"for,omitempty" minimum:"0" maximum:"60" doc:"Consecutive true checks before firing; default 1"`
	// RecoverAfter is how many checks in a row must be false to recover. Default 2.
	RecoverAfter int `json:"recover_after,omitempty" yaml:"recover_after,omitempty" minimum:"0" maximum:"60" doc:"Consecutive false checks before recovery; default 2"`
	// MinCompleteness is the share of agents a window needs to be judged as whole. Default 0.95.
	MinCompleteness float64 `json:"min_completeness,omitempty" yaml:"min_completeness,omitempty" minimum:"0" maximum:"1" doc:"Share of agents a window needs to be judged as whole; default 0.95"`
	// Wait is the longest time after a window's end to wait for it to settle. Default 75s.
	Wait logrule.Duration `json:"wait,omitempty" yaml:"wait,omitempty" doc:"Longest wait for a window to settle; default 75s"`
	// Channels are names of Channel resources of the same workspace.
	Channels []string `json:"channels,omitempty" yaml:"channels,omitempty" maxItems:"20"`
	// RepeatEvery sends a firing alert again after so long; 0: once.
	RepeatEvery   logrule.Duration `json:"repeat_every,omitempty" yaml:"repeat_every,omitempty" doc:"Send again while firing; default never"`
	EmergencyText string           `json:"emergency_text,omitempty" yaml:"emergency_text,omitempty" maxLength:"500"`
	EmergencyLink string           `json:"emergency_link,omitempty" yaml:"emergency_link,omitempty" maxLength:"500"`
}

// Level of an alarm, P0 the worst.
type Level string

// Levels in falling severity.
const (
	P0 Level = "P0"
	P1 Level = "P1"
	P2 Level = "P2"
	P3 Level = "P3"
	P4 Level = "P4"
)

// Join of conditions.
type Join string

// The joins.
const (
	All Join = "all"
	Any Join = "any"
)

// Condition compares one number per object with a threshold. The number comes
// from a monitor's figure or from a PromQL expression.
type Condition struct {
	// Monitor is the name of a LogMonitor of the same workspace. Exclusive with Expr.
	Monitor string `json:"monitor,omitempty" yaml:"monitor,omitempty"`
	// Figure of the monitor; empty: its first.
	Figure string `json:"figure,omitempty" yaml:"figure,omitempty"`
	// Total judges the total over all keys of a grouped monitor instead of each key.
	Total bool `json:"total,omitempty" yaml:"total,omitempty"`
	// Keys narrows the keys: for a group column the values that are judged, exactly.
	Keys map[string][]string `json:"keys,omitempty" yaml:"keys,omitempty"`
	// Expr is a PromQL expression; every series of its result is an object.
	Expr string `json:"expr,omitempty" yaml:"expr,omitempty" maxLength:"4000"`
	// Op compares the number with Threshold.
	Op        Op      `json:"op" yaml:"op" enum:"gt,ge,lt,le,eq,ne"`
	Threshold float64 `json:"threshold" yaml:"threshold"`
}

// Op is a comparison.
type Op string

// The comparisons.
const (
	GT Op = "gt"
	GE Op = "ge"
	LT Op = "lt"
	LE Op = "le"
	EQ Op = "eq"
	NE Op = "ne"
)

// Holds reports whether v op threshold.
func (op Op) Holds(v, threshold float64) bool {
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
	}
	return false
}

// WithDefaults returns a copy of s with every unset field at its default.
func (s Spec) WithDefaults() Spec {
	if s.Level == "" {
		s.Level = P2
	}
	if s.Every == 0 {
		s.Every = logrule.Duration(time.Minute)
	}
	if s.Join == "" {
		s.Join = All
	}
	if s.For == 0 {
		s.For = 1
	}
	if s.RecoverAfter == 0 {
		s.RecoverAfter = 2
	}
	if s.MinCompleteness == 0 {
		s.MinCompleteness = 0.95
	}
	if s.Wait == 0 {
		s.Wait = logrule.Duration(75 * time.Second)
	}
	return s
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Validate checks s after WithDefaults; every bad field is in the returned
// fielderr.Errors, with paths below prefix. Whether monitors and channels
// exist and expressions parse is checked by whoever can know.
func (s Spec) Validate(prefix string) error {
	var es fielderr.Errors
	at := func(format string, args ...any) string { return prefix + "." + fmt.Sprintf(format, args...) }
	if n := utf8.RuneCountInString(s.Title); n < 1 || n > 64 {
		es.Add(at("title"), "bad_title", "has %d characters; give 1 to 64", n)
	}
	if !slices.Contains([]Level{P0, P1, P2, P3, P4}, s.Level) {
		es.Add(at("level"), "bad_level", "%q; use P0 (worst) to P4", s.Level)
	}
	if e := s.Every.D(); e < time.Minute || e > 24*time.Hour || e%time.Minute != 0 {
		es.Add(at("every"), "bad_frequency", "%s; use whole minutes from 1m to 24h", s.Every)
	}
	if s.Join != All && s.Join != Any {
		es.Add(at("join"), "bad_join", "%q; use all or any", s.Join)
	}
	if s.For < 1 || s.For > 60 {
		es.Add(at("for"), "bad_for", "%d; use 1 to 60 checks", s.For)
	}
	if s.RecoverAfter < 1 || s.RecoverAfter > 60 {
		es.Add(at("recover_after"), "bad_recover_after", "%d; use 1 to 60 checks", s.RecoverAfter)
	}
	if !(s.MinCompleteness > 0 && s.MinCompleteness <= 1) {
		es.Add(at("min_completeness"), "bad_completeness", "%v; use a share above 0, at most 1", s.MinCompleteness)
	}
	if w := s.Wait.D(); w < 0 || w > 10*time.Minute {
		es.Add(at("wait"), "bad_wait", "%s; use at most 10m", s.Wait)
	}
	if s.RepeatEvery != 0 && s.RepeatEvery.D() < time.Minute {
		es.Add(at("repeat_every"), "bad_repeat", "%s; use 1m or more, or leave it out", s.RepeatEvery)
	}
	if len(s.Conditions) < 1 || len(s.Conditions) > 10 {
		es.Add(at("conditions"), "bad_conditions", "has %d; give 1 to 10", len(s.Conditions))
	}
	for i, c := range s.Conditions {
		if (c.Monitor == "") == (c.Expr == "") {
			es.Add(at("conditions[%d]", i), "bad_condition", "give either monitor or expr")
		}
		if c.Expr != "" && (c.Figure != "" || c.Total || len(c.Keys) > 0) {
			es.Add(at("conditions[%d]", i), "bad_condition", "figure, total and keys belong to monitor; put them into expr")
		}
		if c.Total && len(c.Keys) > 0 {
			es.Add(at("conditions[%d].keys", i), "bad_condition", "total is over all keys; remove keys or total")
		}
		for k, values := range c.Keys {
			if !labelName.MatchString(logrule.SeriesLabel(k)) || len(values) == 0 {
				es.Add(at("conditions[%d].keys.%s", i, k), "bad_filter", "give at least one value")
			}
		}
		if !slices.Contains([]Op{GT, GE, LT, LE, EQ, NE}, c.Op) {
			es.Add(at("conditions[%d].op", i), "bad_comparison", "%q; use gt, ge, lt, le, eq or ne", c.Op)
		}
		if math.IsNaN(c.Threshold) || math.IsInf(c.Threshold, 0) {
			es.Add(at("conditions[%d].threshold", i), "bad_threshold", "%v is not a finite number", c.Threshold)
		}
	}
	if len(s.Channels) > 20 {
		es.Add(at("channels"), "too_many", "has %d; at most 20", len(s.Channels))
	}
	return es.Err()
}
