package alarmrule

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// TestValidate spoils a good rule in one way after another.
func TestValidate(t *testing.T) {
	good := func() Spec {
		return Spec{Title: "x", Conditions: []Condition{{Monitor: "m", Op: GT, Threshold: new(1.0)}, {Monitor: "m", Method: Day, Op: FallPctGT, Threshold: new(30.0)}}}
	}
	if err := good().WithDefaults().Validate("spec"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want  string // field code
		spoil func(*Spec)
	}{
		{"title bad_title", func(s *Spec) { s.Title = "" }},
		{"level bad_level", func(s *Spec) { s.Level = "P9" }},
		{"every bad_frequency", func(s *Spec) { s.Every = logrule.Duration(90 * time.Second) }},
		{"timezone bad_timezone", func(s *Spec) { s.Timezone = "Mars/Olympus" }},
		{"active.weekly[0].from bad_time", func(s *Spec) { s.Active = &Active{Weekly: []Weekly{{From: "9:00", To: "18:00"}}} }},
		{"active.weekly[0].days[0] bad_day", func(s *Spec) {
			s.Active = &Active{Weekly: []Weekly{{Days: []string{"monday"}, From: "09:00", To: "18:00"}}}
		}},
		{"active.off[0] bad_date", func(s *Spec) { s.Active = &Active{Off: []string{"2027-02-31"}} }},
		{"active.work[0] bad_date", func(s *Spec) { s.Active = &Active{Work: []string{"2027-02-12..2027-02-01"}} }},
		{"no_data bad_no_data", func(s *Spec) { s.NoData = logrule.Duration(time.Second) }},
		{"for bad_for", func(s *Spec) { s.For = 61 }},
		{"of bad_for", func(s *Spec) { s.For, s.Of = 3, 2 }},
		{"conditions bad_conditions", func(s *Spec) { s.Conditions = nil }},
		{"rules bad_rules", func(s *Spec) { s.Rules = []Rule{{Name: "a", Conditions: s.Conditions}} }},
		{"rules[1].name duplicate_name", func(s *Spec) {
			s.Rules, s.Conditions = []Rule{{Name: "a", Conditions: s.Conditions}, {Name: "a", Conditions: s.Conditions}}, nil
		}},
		{"rules[0].conditions[1].op bad_comparison", func(s *Spec) {
			s.Conditions[1].Op = GT
			s.Rules, s.Conditions = []Rule{{Name: "a", Conditions: s.Conditions}}, nil
		}},
		{"conditions[0] bad_condition", func(s *Spec) { s.Conditions[0].Expr = "x" }},
		{"conditions[0].method bad_method", func(s *Spec) { s.Conditions[0].Method = "median" }},
		{"conditions[0].method bad_method", func(s *Spec) { s.Conditions[0] = Condition{Expr: "x", Method: SumN, Op: GT, Threshold: new(1.0)} }},
		{"conditions[0].op bad_comparison", func(s *Spec) { s.Conditions[0].Method = Ring }},
		{"conditions[1].op bad_comparison", func(s *Spec) { s.Conditions[1].Op = GT }},
		{"conditions[0].op bad_comparison", func(s *Spec) { s.Conditions[0].Op = "like" }},
		{"conditions[0].n bad_n", func(s *Spec) { s.Conditions[0].N = 5 }},
		{"conditions[0].n bad_n", func(s *Spec) { s.Conditions[0].Method, s.Conditions[0].N = SumN, 1441 }},
		{"conditions[0].objective bad_objective", func(s *Spec) { s.Conditions[0].Method = BurnRate }},
		{"conditions[0].objective bad_objective", func(s *Spec) { s.Conditions[0].Objective = 99 }},
		{"conditions[0].days bad_days", func(s *Spec) { s.Conditions[0].Days = 7 }},
		{"conditions[1].days bad_days", func(s *Spec) { s.Conditions[1].Method, s.Conditions[1].Days = Deviation, 2 }},
		{"conditions[0].above bad_above", func(s *Spec) { s.Conditions[0].Above = 3 }},
		{"conditions[0].min_base bad_guard", func(s *Spec) { s.Conditions[0].MinBase = new(1.0) }},
		{"conditions[0].zero_base bad_zero_base", func(s *Spec) { s.Conditions[0].ZeroBase = ZeroFires }},
		{"conditions[0].threshold threshold_required", func(s *Spec) { s.Conditions[0].Threshold = nil }},
		{"conditions[0].threshold bad_threshold", func(s *Spec) { s.Conditions[0].Threshold = new(math.NaN()) }},
		{"conditions[1].threshold bad_threshold", func(s *Spec) { s.Conditions[1].Threshold = new(-5.0) }},
		{"conditions[0].upper bad_threshold", func(s *Spec) { s.Conditions[0].Upper = new(5.0) }},
		{"conditions[0].upper bad_threshold", func(s *Spec) { s.Conditions[0].Op, s.Conditions[0].Upper = Between, new(0.5) }},
		{"conditions[0].thresholds bad_threshold", func(s *Spec) { s.Conditions[0].Thresholds = &Thresholds{Chat: new(1.0)} }},
		{"conditions[0].thresholds threshold_required", func(s *Spec) { s.Conditions[0].Threshold, s.Conditions[0].Thresholds = nil, &Thresholds{} }},
		{"conditions[1].thresholds.sms channel_threshold_missing", func(s *Spec) {
			s.Conditions[0].Threshold, s.Conditions[0].Thresholds = nil, &Thresholds{Chat: new(1.0), SMS: new(2.0)}
			s.Conditions[1].Threshold, s.Conditions[1].Thresholds = nil, &Thresholds{Chat: new(1.0)}
		}},
		{"conditions[0].keys.goods bad_filter", func(s *Spec) { s.Conditions[0].Keys = map[string][]string{"goods": {}} }},
	} {
		s := good()
		c.spoil(&s)
		err := s.WithDefaults().Validate("spec")
		field, code, _ := strings.Cut(c.want, " ")
		if err == nil || !strings.Contains(err.Error(), "spec."+field) || !hasCode(err, "spec."+field, code) {
			t.Errorf("want %s, got %v", c.want, err)
		}
	}
}

func TestClassesFollowOthers(t *testing.T) {
	one := Condition{Thresholds: &Thresholds{Chat: new(10.0), SMS: new(100.0)}}
	for class, want := range map[Class]float64{Chat: 10, SMS: 100, Phone: 100, Email: 10, Webhook: 10} {
		if got, ok := one.Limit(class); !ok || got != want {
			t.Errorf("%s has %v, want %v", class, got, want)
		}
	}
	if _, ok := one.Limit(Plan); ok {
		t.Error("a plan was reached without a threshold of its own")
	}
	if got, ok := (Condition{Thresholds: &Thresholds{SMS: new(7.0)}}).Limit(Email); !ok || got != 7 {
		t.Errorf("mail has %v without chat, want that of text messages", got)
	}
}

func hasCode(err error, field, code string) bool {
	var es fielderr.Errors
	if !errors.As(err, &es) {
		return false
	}
	for _, e := range es {
		if e.Field == field && e.Code == code {
			return true
		}
	}
	return false
}
