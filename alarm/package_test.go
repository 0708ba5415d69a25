package alarm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// open gives the window that begins at f.start values before it has settled, and checks all rules so long after its end.
func (f *fixture) open(after time.Duration, values map[string]float64) {
	f.w.mu.Lock()
	f.w.values[f.start] = values
	f.w.now = time.UnixMilli(f.start + minute).Add(after)
	f.w.mu.Unlock()
	f.check()
}

// TestExcessIsToldBeforeTheWindowSettles lets an agent lag: what is above the
// threshold already is told at once and once, what could still turn is not.
func TestExcessIsToldBeforeTheWindowSettles(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	w.set("AlarmRule", "rul_2", "few", foodRule(func(s *alarmrule.Spec) { s.Conditions[0].Op = alarmrule.LT }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 10, "home": 10})
	f.open(time.Second, map[string]float64{"food": 12, "home": 3})
	if got := f.types(); got != "" {
		t.Fatalf("told %s although the window had no time to settle", got)
	}
	f.open(4*time.Second, map[string]float64{"food": 12, "home": 3})
	if got := f.types(); got != "firing@12 food" {
		t.Fatalf("events are %s", got)
	}
	f.restart()
	f.open(10*time.Second, map[string]float64{"food": 15, "home": 3})
	f.minute(1, map[string]float64{"food": 20, "home": 30})
	if got := strings.Split(f.types(), ", "); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"firing@12 food", "firing@12 home"}) {
		t.Fatalf("events are %s", got)
	}
	if p := f.position("rul_1"); p.CheckedMs != 12*minute {
		t.Fatalf("position %+v", p)
	}
	alerts, _, err := alarmstate.Alerts(t.Context(), f.db, "default", alarmstate.AlertFilter{}, alarmstate.Page{Limit: 10})
	if err != nil || len(alerts) != 2 || alerts[0].Checks != 1 || alerts[1].Checks != 1 {
		t.Fatalf("a check was counted twice: %+v, %v", alerts, err)
	}
}

// TestClassJoinsLater reaches the threshold for text messages after that for chat.
func TestClassJoinsLater(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		s.Conditions[0].Threshold, s.Conditions[0].Thresholds = nil, &alarmrule.Thresholds{Chat: new(10.0), SMS: new(100.0)}
	}))
	f := newFixture(t, w)
	for _, v := range []float64{50, 150, 60, 150} {
		f.minute(1, map[string]float64{"food": v})
	}
	chat, all := []string{"chat", "email", "webhook"}, []string{"chat", "email", "webhook", "phone", "sms"}
	want := []struct{ classes, joined []string }{{chat, chat}, {all, []string{"phone", "sms"}}, {chat, nil}, {all, nil}}
	for i, e := range f.events() {
		got := slices.Sorted(slices.Values(e.Classes))
		if !slices.Equal(got, slices.Sorted(slices.Values(want[i].classes))) || !slices.Equal(slices.Sorted(slices.Values(e.Joined)), slices.Sorted(slices.Values(want[i].joined))) {
			t.Errorf("event %d is of %v, joined %v; want %v", i, e.Classes, e.Joined, want[i])
		}
	}
	f.minute(1, map[string]float64{"food": 1})
	f.minute(1, map[string]float64{"food": 1})
	events := f.events()
	if last := events[len(events)-1]; last.Type != alarmstate.EventRecovered || len(last.Classes) != 5 {
		t.Errorf("the recovery is for %v, not for all that were told", last.Classes)
	}
}

// TestStale says so when the data stops to tell whether an alert still holds.
func TestStale(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	f := newFixture(t, w)
	stale := func() int64 {
		alerts, _, err := alarmstate.Alerts(t.Context(), f.db, "default", alarmstate.AlertFilter{}, alarmstate.Page{Limit: 1})
		if err != nil || len(alerts) != 1 || alerts[0].State != alarmstate.Firing {
			t.Fatalf("alerts %+v, %v", alerts, err)
		}
		return alerts[0].StaleMs / minute
	}
	f.minute(1, map[string]float64{"food": 11})
	f.minute(0.4, map[string]float64{"food": 4})
	f.minute(0.4, map[string]float64{"food": 4})
	if got := stale(); got != 12 {
		t.Errorf("stale since %d, want 12", got)
	}
	f.minute(1, map[string]float64{"food": 11})
	if got := stale(); got != 0 {
		t.Errorf("stale since %d although it holds", got)
	}
}

// TestEffectiveTimeEndsQuietly closes an alert without a notice when its rule's time is over.
func TestEffectiveTimeEndsQuietly(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		s.Timezone, s.Active = "UTC", &alarmrule.Active{Weekly: []alarmrule.Weekly{{From: "00:10", To: "00:12"}}}
	}))
	f := newFixture(t, w)
	for range 5 {
		f.minute(1, map[string]float64{"food": 11})
	}
	if got := f.types(); got != "firing@11 food, repeat@12 food, closed@13 food" {
		t.Fatalf("events are %s", got)
	}
	if p := f.position("rul_1"); p.Result != "inactive" || p.CheckedMs != 15*minute {
		t.Errorf("position %+v", p)
	}
	for _, d := range f.deliveries() {
		t.Errorf("told %+v", d)
	}
}

// TestNoData raises an alert of its own when lines stop, whether agents report or not.
func TestNoData(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		s.NoData, s.RecoverAfter = logrule.Duration(3*time.Minute), 1
	}))
	f := newFixture(t, w)
	lines := map[string]float64{"food": 1}
	for _, m := range []struct {
		completeness float64
		values       map[string]float64
	}{{1, lines}, {1, nil}, {0, nil}, {0.5, nil}, {1, nil}, {1, lines}} {
		f.minute(m.completeness, m.values)
	}
	var got []string
	for _, e := range f.events() {
		got = append(got, e.Type+" "+e.Kind+" "+e.Title)
	}
	want := []string{"firing no_data Too many · no data", "repeat no_data Too many · no data", "recovered no_data Too many · no data"}
	if !slices.Equal(got, want) {
		t.Errorf("events are %q", got)
	}
}

// TestRulesOfAPackage have alerts of their own.
func TestRulesOfAPackage(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		loud := alarmrule.Condition{Monitor: "trade_create", Op: alarmrule.GT, Threshold: new(100.0)}
		s.Rules = []alarmrule.Rule{{Name: "loud", Conditions: []alarmrule.Condition{loud}}, {Name: "any", Conditions: s.Conditions}}
		s.Conditions = nil
	}))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 50})
	f.minute(1, map[string]float64{"food": 150})
	var got []string
	for _, e := range f.events() {
		got = append(got, e.Type+" "+e.Title)
	}
	if want := []string{"firing Too many · any", "firing Too many · loud", "repeat Too many · any"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("events are %q", got)
	}
}
