package silence

import (
	"strings"
	"testing"
	"time"
)

var begin = time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)

func TestCovers(t *testing.T) {
	s := Spec{From: begin, Until: begin.Add(time.Hour), Matchers: []Matcher{{"app", "=~", "pay|order"}, {"az", "!=", "b"}}}
	for _, c := range []struct {
		at     time.Duration
		labels map[string]string
		want   bool
	}{
		{0, map[string]string{"app": "pay"}, true},
		{time.Hour - time.Second, map[string]string{"app": "order", "az": "a"}, true},
		{-time.Second, map[string]string{"app": "pay"}, false},
		{time.Hour, map[string]string{"app": "pay"}, false},
		{0, map[string]string{"app": "payments"}, false}, // the whole value
		{0, map[string]string{"app": "pay", "az": "b"}, false},
		{0, nil, false},
	} {
		if got := s.Covers(begin.Add(c.at), c.labels); got != c.want {
			t.Errorf("%v after begin, %v: %v, want %v", c.at, c.labels, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Spec{From: begin, Until: begin.Add(time.Hour), Reason: "move", All: true}
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string // field and code
	}{
		"good":         {func(*Spec) {}, ""},
		"no reason":    {func(s *Spec) { s.Reason = "  " }, "spec.reason: bad_reason"},
		"no begin":     {func(s *Spec) { s.From = time.Time{} }, "spec.from: bad_silence_period"},
		"ends before":  {func(s *Spec) { s.Until = begin }, "spec.until: bad_silence_period"},
		"too long":     {func(s *Spec) { s.Until = begin.Add(Longest + time.Second) }, "spec.until: silence_too_long"},
		"no scope":     {func(s *Spec) { s.All = false }, "spec.all: bad_silence_scope"},
		"two scopes":   {func(s *Spec) { s.Rule = "many" }, "spec.all: bad_silence_scope"},
		"bad operator": {func(s *Spec) { s.All, s.Matchers = false, []Matcher{{"app", "~", "x"}} }, "spec.matchers[0].op: bad_op"},
		"bad pattern":  {func(s *Spec) { s.All, s.Matchers = false, []Matcher{{"app", "=~", "("}} }, "spec.matchers[0].value: bad_pattern"},
		"no label":     {func(s *Spec) { s.All, s.Matchers = false, []Matcher{{"", "=", "x"}} }, "spec.matchers[0].label: bad_label"},
	} {
		s := good
		c.change(&s)
		err := s.WithDefaults().Validate("spec")
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		field, _, _ := strings.Cut(c.want, ":")
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
