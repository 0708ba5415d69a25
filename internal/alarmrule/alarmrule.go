// Package alarmrule defines what an AlarmRule resource says: which numbers are
// compared with what, how often, and who hears of it. YAML, HTTP API, console
// and the alarm tier share it.
//
// An AlarmRule is a package of rules with one level, frequency and effective
// time (spec 05, §10.1). Most packages have one rule, whose conditions stand in
// the spec itself; others have several in Rules.
package alarmrule

import (
	"fmt"
	"iter"
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
	// Every is the check frequency, whole minutes up to a day, counted from midnight in Timezone. Default 1m.
	Every logrule.Duration `json:"every,omitempty" yaml:"every,omitempty" doc:"Check frequency in whole minutes, counted from midnight; default 1m"`
	// Timezone is an IANA name: of midnight, of Active and of comparisons by the clock. Default that of the server.
	Timezone string `json:"timezone,omitempty" yaml:"timezone,omitempty" doc:"IANA time zone, such as Asia/Shanghai; default that of the server"`
	// Active is when rules are checked. Default always.
	Active *Active `json:"active,omitempty" yaml:"active,omitempty" doc:"When rules are checked; default always"`

	// Join, Conditions, For and Of are the one rule of a package that has one.
	// Join says whether all conditions or any must hold. Default all.
	Join Join `json:"join,omitempty" yaml:"join,omitempty" enum:"all,any"`
	// Conditions are 1 to 10. Those on the same grouped monitor are judged key by key.
	Conditions []Condition `json:"conditions,omitempty" yaml:"conditions,omitempty" maxItems:"10" doc:"1 to 10; or give rules"`
	// For is how many checks must be true to fire: in a row, or among the last Of. Default 1.
	For int `json:"for,omitempty" yaml:"for,omitempty" minimum:"0" maximum:"60" doc:"True checks before firing; default 1"`
	// Of lets For true checks among so many fire. Default: in a row.
	Of int `json:"of,omitempty" yaml:"of,omitempty" minimum:"0" maximum:"60" doc:"Fire on so many true checks among the last ones; default: in a row"`
	// Rules are several rules in place of conditions, each with its own state.
	Rules []Rule `json:"rules,omitempty" yaml:"rules,omitempty" maxItems:"20" doc:"Several rules in place of conditions, each with its own alerts"`

	// NoData raises an alert of its own when the monitors of the rules have had no line for so long. Default never.
	NoData logrule.Duration `json:"no_data,omitempty" yaml:"no_data,omitempty" doc:"Alert of its own when a monitor has had no lines for so long; default never"`
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

// Rule is one rule of a package of several.
type Rule struct {
	// Name tells it from others of the package, for good: alerts belong to it.
	Name       string      `json:"name" yaml:"name" minLength:"1" maxLength:"40" doc:"Unique in the package; alerts belong to it"`
	Join       Join        `json:"join,omitempty" yaml:"join,omitempty" enum:"all,any"`
	Conditions []Condition `json:"conditions" yaml:"conditions" minItems:"1" maxItems:"10"`
	For        int         `json:"for,omitempty" yaml:"for,omitempty" minimum:"0" maximum:"60" doc:"True checks before firing; default 1"`
	Of         int         `json:"of,omitempty" yaml:"of,omitempty" minimum:"0" maximum:"60" doc:"Fire on so many true checks among the last ones; default: in a row"`
	// Active narrows that of the package.
	Active *Active `json:"active,omitempty" yaml:"active,omitempty" doc:"When it is checked, within the effective time of the package"`
	// Exclusive takes the keys that its filters name away from later rules.
	Exclusive bool `json:"exclusive,omitempty" yaml:"exclusive,omitempty" doc:"Later rules don't judge the keys that this one's filters name"`
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

// WithDefaults returns a copy of s with every unset field at its default.
func (s Spec) WithDefaults() Spec {
	if s.Level == "" {
		s.Level = P2
	}
	if s.Every == 0 {
		s.Every = logrule.Duration(time.Minute)
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
	if len(s.Rules) == 0 {
		only := Rule{Join: s.Join, Conditions: s.Conditions, For: s.For}.withDefaults()
		s.Join, s.Conditions, s.For = only.Join, only.Conditions, only.For
	}
	s.Rules = slices.Clone(s.Rules)
	for i := range s.Rules {
		s.Rules[i] = s.Rules[i].withDefaults()
	}
	return s
}

func (r Rule) withDefaults() Rule {
	if r.Join == "" {
		r.Join = All
	}
	if r.For == 0 {
		r.For = 1
	}
	r.Conditions = slices.Clone(r.Conditions)
	for i := range r.Conditions {
		r.Conditions[i] = r.Conditions[i].withDefaults()
	}
	return r
}

// Parts are the rules of the package, each as a spec of one rule, by its name;
// the one rule of a short spec has none. s has passed WithDefaults.
func (s Spec) Parts() []Part {
	if len(s.Rules) == 0 {
		return []Part{{Spec: s}}
	}
	parts := make([]Part, len(s.Rules))
	for i, r := range s.Rules {
		one := s
		one.Rules = nil
		one.Join, one.Conditions, one.For, one.Of = r.Join, r.Conditions, r.For, r.Of
		parts[i] = Part{Name: r.Name, Spec: one, Narrow: r.Active}
		for _, before := range s.Rules[:i] {
			if before.Exclusive {
				parts[i].Except = append(parts[i].Except, before.Conditions...)
			}
		}
	}
	return parts
}

// Each yields all conditions with their paths below prefix.
func (s Spec) Each(prefix string) iter.Seq2[string, Condition] {
	return func(yield func(string, Condition) bool) {
		for i, c := range s.Conditions {
			if !yield(fmt.Sprintf("%s.conditions[%d]", prefix, i), c) {
				return
			}
		}
		for j, r := range s.Rules {
			for i, c := range r.Conditions {
				if !yield(fmt.Sprintf("%s.rules[%d].conditions[%d]", prefix, j, i), c) {
					return
				}
			}
		}
	}
}

// Part is one rule of a package with what it has from the package.
type Part struct {
	Name string
	Spec Spec
	// Narrow is the rule's own effective time, within that of the package.
	Narrow *Active
	// Except are conditions of exclusive rules before it: it does not judge their keys.
	Except []Condition
}

// Location is the time zone of s, which has passed Validate.
func (s Spec) Location() *time.Location {
	if s.Timezone == "" {
		return time.Local
	}
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.Local
	}
	return loc
}

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
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		es.Add(at("timezone"), "bad_timezone", "%q is not an IANA time zone; use a name such as Asia/Shanghai", s.Timezone)
	}
	s.Active.validate(at("active"), &es)
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
	if d := s.NoData.D(); d != 0 && (d < time.Minute || d > 24*time.Hour || d%time.Minute != 0) {
		es.Add(at("no_data"), "bad_no_data", "%s; use whole minutes from 1m to 24h, or leave it out", s.NoData)
	}
	if len(s.Channels) > 20 {
		es.Add(at("channels"), "too_many", "has %d; at most 20", len(s.Channels))
	}
	switch {
	case len(s.Rules) == 0:
		Rule{Join: s.Join, Conditions: s.Conditions, For: s.For, Of: s.Of}.validate(prefix, s, &es)
	case len(s.Conditions) > 0 || s.Join != "" || s.For != 0 || s.Of != 0:
		es.Add(at("rules"), "bad_rules", "conditions, join, for and of stand in each of the rules; leave them out beside rules")
	case len(s.Rules) > 20:
		es.Add(at("rules"), "too_many", "has %d; at most 20", len(s.Rules))
	}
	names := map[string]bool{}
	for i, r := range s.Rules {
		if n := utf8.RuneCountInString(r.Name); n < 1 || n > 40 {
			es.Add(at("rules[%d].name", i), "bad_name", "has %d characters; give 1 to 40", n)
		} else if names[r.Name] {
			es.Add(at("rules[%d].name", i), "duplicate_name", "%q is given twice", r.Name)
		}
		names[r.Name] = true
		r.Active.validate(at("rules[%d].active", i), &es)
		r.validate(at("rules[%d]", i), s, &es)
	}
	return es.Err()
}

func (r Rule) validate(prefix string, s Spec, es *fielderr.Errors) {
	at := func(format string, args ...any) string { return prefix + "." + fmt.Sprintf(format, args...) }
	if r.Join != All && r.Join != Any {
		es.Add(at("join"), "bad_join", "%q; use all or any", r.Join)
	}
	if r.For < 1 || r.For > 60 {
		es.Add(at("for"), "bad_for", "%d; use 1 to 60 checks", r.For)
	}
	if r.Of != 0 && (r.Of < r.For || r.Of > 60) {
		es.Add(at("of"), "bad_for", "%d; use at least for (%d) and at most 60 checks, or leave it out", r.Of, r.For)
	}
	if len(r.Conditions) < 1 || len(r.Conditions) > 10 {
		es.Add(at("conditions"), "bad_conditions", "has %d; give 1 to 10", len(r.Conditions))
	}
	for i, c := range r.Conditions {
		c.validate(at("conditions[%d]", i), es)
	}
	r.validateClasses(at("conditions"), es)
}
