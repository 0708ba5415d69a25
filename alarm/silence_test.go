package alarm

import (
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/silence"
)

// silenceFor sets a silence from now on for some minutes of the fixture's time.
func silenceFor(f *fixture, w *world, minutes int64, s silence.Spec) {
	s.From, s.Until, s.Reason = f.a.o.Now().Add(-time.Second), f.a.o.Now().Add(time.Duration(minutes)*time.Minute), "maintenance"
	w.set("Silence", "sil_1", "work", s)
	if err := f.a.load(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func TestSilence(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"mail"} }))
	subscribe(w, "all", recipient.Subscription{Channel: "robot", Workspace: true})
	f := newFixture(t, w)
	at := func() string { return f.told(f.start / minute) }
	expect := func(what, want string) {
		t.Helper()
		if got := at(); got != want {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
	}
	var events []alarmstate.Event
	silences := func() string {
		events = nil
		if err := f.db.NewSelect().Model(&events).Order("time_ms").Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range events {
			out = append(out, e.Type+":"+e.Silence)
		}
		return strings.Join(out, " ")
	}

	silenceFor(f, w, 3, silence.Spec{Matchers: []silence.Matcher{{Label: "goods", Op: "=~", Value: "fo+d"}}})
	f.minute(1, hot)
	expect("a firing in the silence", "silenced")
	f.minute(1, cold)
	f.minute(1, cold)
	expect("the recovery of what nobody was told of", "silenced")
	if got, want := silences(), "firing:work recovered:work"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}

	silenceFor(f, w, 3, silence.Spec{Monitor: "trade_create"})
	f.minute(1, hot)
	f.minute(1, hot)
	expect("in the silence of the monitor", "silenced")
	for range 3 {
		f.minute(1, hot)
	}
	if got := f.told(0); !strings.Contains(got, "robot") || !strings.Contains(got, "mail") {
		t.Errorf("nobody was told when the silence was over: %s", got)
	}

	silenceFor(f, w, 3, silence.Spec{Rule: "MANY"})
	f.minute(1, hot)
	expect("a repetition in a silence", "silenced")
	f.minute(1, cold)
	f.minute(1, cold)
	expect("the recovery of what was told", "mail, robot")

	silenceFor(f, w, 60, silence.Spec{Rule: "another"})
	f.minute(1, hot)
	expect("a silence of another rule", "mail, robot")
}
