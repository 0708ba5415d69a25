// Package silence defines the resource Silence: alarms that are checked and
// recorded as ever while nobody is told of them for a time, such as during
// maintenance.
//
// It promises that whether an alert is silenced depends on the silence, the
// alert's rule and labels, and the moment alone.
package silence

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Longest is how long a silence may last (spec 05, §10.11).
const Longest = 30 * 24 * time.Hour

// Spec is what is silenced, when, and why. What it names must all hold.
type Spec struct {
	// Folder, Monitor and Rule narrow it to alarms of them; with none and no matcher, All must be set.
	All     bool   `json:"all,omitempty" yaml:"all,omitempty" doc:"All alarms of the workspace; or give folder, monitor, rule or matchers"`
	Folder  string `json:"folder,omitempty" yaml:"folder,omitempty" doc:"Alarms on monitors in a Folder and below it"`
	Monitor string `json:"monitor,omitempty" yaml:"monitor,omitempty" doc:"Alarms on a LogMonitor"`
	Rule    string `json:"rule,omitempty" yaml:"rule,omitempty" doc:"Alarms of an AlarmRule"`
	// Matchers narrow it to objects by their labels, in the syntax of PromQL.
	Matchers []Matcher `json:"matchers,omitempty" yaml:"matchers,omitempty" maxItems:"10" doc:"What labels the object must have"`
	From     time.Time `json:"from" yaml:"from" doc:"RFC 3339"`
	Until    time.Time `json:"until" yaml:"until" doc:"RFC 3339; at most 30 days after from"`
	Reason   string    `json:"reason" yaml:"reason" minLength:"1" maxLength:"200" doc:"Why, for those who see it"`
}

// Matcher compares a label; one that an object lacks is empty text.
type Matcher struct {
	Label string `json:"label" yaml:"label"`
	Op    string `json:"op" yaml:"op" enum:"=,!=,=~,!~" doc:"~ is a regular expression of the whole value"`
	Value string `json:"value" yaml:"value"`
}

// Matches reports whether labels have what m asks for.
func (m Matcher) Matches(labels map[string]string) bool {
	v := labels[m.Label]
	switch m.Op {
	case "=":
		return v == m.Value
	case "!=":
		return v != m.Value
	}
	re, err := m.compile()
	return err == nil && re.MatchString(v) == (m.Op == "=~")
}

func (m Matcher) compile() (*regexp.Regexp, error) { return regexp.Compile("^(?:" + m.Value + ")$") }

// Covers reports whether s is in force at a moment for an object with labels.
// Whether the rule is one of Folder, Monitor or Rule is for the caller to know.
func (s Spec) Covers(at time.Time, labels map[string]string) bool {
	if at.Before(s.From) || !at.Before(s.Until) {
		return false
	}
	for _, m := range s.Matchers {
		if !m.Matches(labels) {
			return false
		}
	}
	return true
}

// WithDefaults returns s with times to the second, in UTC.
func (s Spec) WithDefaults() Spec {
	s.From, s.Until = s.From.UTC().Truncate(time.Second), s.Until.UTC().Truncate(time.Second)
	s.Reason = strings.TrimSpace(s.Reason)
	return s
}

// Validate checks s after WithDefaults.
func (s Spec) Validate(prefix string) error {
	var es fielderr.Errors
	if n := utf8.RuneCountInString(s.Reason); n < 1 || n > 200 {
		es.Add(prefix+".reason", "bad_reason", "has %d characters; say in 1 to 200 why nobody is told", n)
	}
	switch length := s.Until.Sub(s.From); {
	case s.From.IsZero():
		es.Add(prefix+".from", "bad_silence_period", "is missing; give when it begins, such as 2026-01-31T22:00:00+08:00")
	case length <= 0:
		es.Add(prefix+".until", "bad_silence_period", "%s is not after from; give a later time", s.Until.Format(time.RFC3339))
	case length > Longest:
		es.Add(prefix+".until", "silence_too_long", "is %d days after from; give at most 30, and prolong it when it is still needed", int(length.Hours()/24))
	}
	narrowed := s.Folder != "" || s.Monitor != "" || s.Rule != "" || len(s.Matchers) > 0
	if narrowed == s.All {
		es.Add(prefix+".all", "bad_silence_scope", "give folder, monitor, rule or matchers, or else all: true")
	}
	for i, m := range s.Matchers {
		at := fmt.Sprintf("%s.matchers[%d]", prefix, i)
		if m.Label == "" {
			es.Add(at+".label", "bad_label", "is empty; give the name of a label, such as app")
		}
		switch m.Op {
		case "=", "!=":
		case "=~", "!~":
			if _, err := m.compile(); err != nil {
				es.Add(at+".value", "bad_pattern", "%v", err)
			}
		default:
			es.Add(at+".op", "bad_op", "%q; use =, !=, =~ or !~", m.Op)
		}
	}
	return es.Err()
}
