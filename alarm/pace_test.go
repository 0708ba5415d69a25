package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// notify queues a notice of its own alert to a channel.
func (f *fixture) notify(channel, level, text string) alarmstate.Delivery {
	return f.notifyOf(channel, level, text, alarmstate.NewID("alt_"), alarmstate.EventFiring)
}

func (f *fixture) notifyOf(channel, level, text, alert, eventType string) alarmstate.Delivery {
	f.t.Helper()
	now := f.a.o.Now().UnixMilli()
	f.made++
	e := alarmstate.Event{ID: fmt.Sprintf("evt_%04d", f.made), AlertID: alert, Workspace: "default", Type: eventType, Level: level, Title: text, Message: text,
		TimeMs: now, StartedMs: now, CreatedMs: now, Sequence: 1, Completeness: 1, Labels: map[string]string{}, Conditions: []alarmstate.Condition{}}
	d := alarmstate.Delivery{ID: fmt.Sprintf("dlv_%04d", f.made), EventID: e.ID, AlertID: alert, Workspace: "default", Channel: channel, More: []string{},
		State: alarmstate.Queued, CreatedMs: now, NextMs: now}
	for _, row := range []any{&e, &d} {
		if _, err := f.db.NewInsert().Model(row).Exec(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
	return d
}

func (f *fixture) advance(d time.Duration) {
	f.w.mu.Lock()
	f.w.now = f.w.now.Add(d)
	f.w.mu.Unlock()
}

func (f *fixture) count(state string) int {
	n := 0
	for _, d := range f.deliveries() {
		if d.State == state {
			n++
		}
	}
	return n
}

func TestRobotsGetAtMost18AMinuteAndTheRestAsDigests(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":0}`))
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL}})
	f := newFixture(t, w)
	for i := range 40 {
		f.notify("ops", "P2", fmt.Sprintf("alarm number %02d", i))
	}
	f.notify("ops", "P0", "the worst")
	var at []time.Duration // of each request
	for second := range 60 {
		f.deliverAll()
		for len(at) < len(robot.bodies) {
			at = append(at, time.Duration(second)*time.Second)
		}
		f.restart() // must not forget how much was sent
		f.advance(time.Second)
	}
	if len(robot.bodies) > 18 || f.count(alarmstate.Sent) != 41 {
		t.Fatalf("%d requests, %d notices sent, at %v", len(robot.bodies), f.count(alarmstate.Sent), at)
	}
	if !strings.Contains(robot.bodies[0], "the worst") {
		t.Errorf("P0 was not the first: %s", robot.bodies[0])
	}
	all := strings.Join(robot.bodies, "")
	for i := range 40 {
		if n := strings.Count(all, fmt.Sprintf("- alarm number %02d", i)); n != 1 {
			t.Errorf("notice %d was told %d times", i, n)
		}
	}
	if last := robot.bodies[len(robot.bodies)-1]; !strings.Contains(last, "[P2] 26 notices") || at[len(at)-1] < digestEvery {
		t.Errorf("no digest of what waited, at %v: %s", at, last)
	}
	// The next minute begins anew.
	f.notify("ops", "P2", "alone again")
	f.deliverAll()
	if last := robot.bodies[len(robot.bodies)-1]; !strings.Contains(last, "firing: alone again") {
		t.Errorf("%s", last)
	}
}

func TestUrgentNoticesDoNotWaitForTheDigest(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":0}`))
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL}})
	f := newFixture(t, w)
	for i := range 20 {
		f.notify("ops", "P3", fmt.Sprint("alarm ", i))
	}
	f.deliverAll()
	if n := len(robot.bodies); n != singles {
		t.Fatalf("%d requests", n)
	}
	f.notify("ops", "P0", "the worst")
	f.deliverAll()
	if n := len(robot.bodies); n != singles+1 || !strings.Contains(robot.bodies[n-1], "the worst") {
		t.Fatalf("%d requests, the last %s", n, robot.bodies[n-1])
	}
}

func TestADigestHoldsWhatFits(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":0}`))
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL}})
	f := newFixture(t, w)
	for i := range 30 {
		f.notify("ops", "P2", fmt.Sprintf("%02d:%s", i, strings.Repeat("x", 2000)))
	}
	for range 180 {
		f.deliverAll()
		f.advance(time.Second)
	}
	all := strings.Join(robot.bodies, "")
	for i := range 30 {
		if !strings.Contains(all, fmt.Sprintf("%02d:%s", i, strings.Repeat("x", 2000))) {
			t.Errorf("notice %d was not told in full", i)
		}
	}
	for _, body := range robot.bodies {
		if len(body) > 20<<10 {
			t.Errorf("a message of %d bytes", len(body))
		}
	}
}

func TestARecoveryDoesNotOvertakeItsFiring(t *testing.T) {
	hook := newReceiver(t, answer(500, "no"), answer(200, ""), answer(500, "no"), answer(200, ""))
	w := newWorld()
	w.set("Channel", "chn_1", "hook", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: hook.URL}})
	f := newFixture(t, w)
	f.notifyOf("hook", "P1", "first", "alt_1", alarmstate.EventFiring)
	f.deliverAll() // refused
	f.advance(time.Second)
	f.notifyOf("hook", "P1", "first", "alt_1", alarmstate.EventRecovered)
	f.notifyOf("hook", "P1", "other", "alt_2", alarmstate.EventFiring)
	f.deliverAll() // only the other alert's
	f.advance(4 * time.Second)
	f.deliverAll() // refused again
	f.advance(30 * time.Second)
	f.deliverAll()
	var got []string
	for _, body := range hook.bodies {
		var p payload
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		got = append(got, p.AlertID+" "+p.Type)
	}
	if want := "[alt_1 firing alt_2 firing alt_1 firing alt_1 firing alt_1 recovered]"; fmt.Sprint(got) != want {
		t.Fatalf("%v, want %s", got, want)
	}
}

func TestABusyReceiverIsLeftAlone(t *testing.T) {
	slowDown := func(w http.ResponseWriter) { w.Header().Set("Retry-After", "90"); w.WriteHeader(429) }
	hook := newReceiver(t, slowDown, answer(200, ""))
	w := newWorld()
	w.set("Channel", "chn_1", "hook", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: hook.URL}})
	f := newFixture(t, w)
	f.notify("hook", "P1", "first")
	f.notify("hook", "P1", "second")
	for range 89 {
		f.deliverAll()
		f.advance(time.Second)
	}
	if len(hook.bodies) != 1 {
		t.Fatalf("%d requests while it asked to be left alone", len(hook.bodies))
	}
	f.advance(time.Second)
	f.deliverAll()
	if len(hook.bodies) != 3 || f.count(alarmstate.Sent) != 2 {
		t.Fatalf("%d requests, %+v", len(hook.bodies), f.deliveries())
	}
	if d := f.deliveries()[1]; d.Attempts != 1 {
		t.Fatalf("waiting was counted as an attempt: %+v", d)
	}
}

func TestRetryAfterHeader(t *testing.T) {
	f := newFixture(t, newWorld())
	f.w.now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"": 0, "120": 2 * time.Minute, "-1": 0, "soon": 0, "999999": time.Hour,
		"Mon, 23 Nov 2026 10:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 09:00:00 GMT": 0} {
		if got := f.a.retryAfterHeader(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// A receiver that hangs, answers 500, 429 or garbage delays nobody else, even
// when far more waits for it than is read at once.
func TestBadReceiversDelayNobody(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	hangs := newReceiver(t, func(http.ResponseWriter) { <-stuck })
	bad := map[string]*receiver{"hangs": hangs, "fails": newReceiver(t, answer(500, "no")), "busy": newReceiver(t, answer(429, "slow down"))}
	garbage := newReceiver(t, answer(200, "<html>\x00garbage"))
	good := newReceiver(t, answer(200, `{"errcode":0}`))
	w := newWorld()
	for name, r := range bad {
		w.set("Channel", "chn_"+name, name, channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: r.URL}})
	}
	w.set("Channel", "chn_garbage", "garbage", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: garbage.URL}})
	w.set("Channel", "chn_good", "good", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: good.URL}})
	f := newFixture(t, w)
	for range 600 {
		f.notify("hangs", "P0", "never arrives")
	}
	for range 20 {
		f.notify("fails", "P0", "never arrives")
		f.notify("busy", "P0", "never arrives")
		f.notify("garbage", "P0", "never arrives")
	}
	for range 5 {
		f.notify("good", "P3", "arrives")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.a.deliverLoop(ctx) }()
	defer func() { cancel(); <-done }()
	of := func(name, state string) int {
		_, n, err := alarmstate.Deliveries(t.Context(), f.db, "default", alarmstate.DeliveryFilter{Channel: name, State: state}, alarmstate.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	limit := time.After(time.Minute)
	for of("good", alarmstate.Sent) < 5 {
		select {
		case <-limit:
			t.Fatalf("the good receiver got %d of 5 notices", of("good", alarmstate.Sent))
		case <-time.After(10 * time.Millisecond):
		}
	}
	for name := range bad {
		if n := of(name, alarmstate.Sent); n != 0 {
			t.Errorf("%d notices to %s are recorded as sent", n, name)
		}
	}
	if n := of("garbage", alarmstate.Sent); n != 0 {
		t.Errorf("%d notices are recorded as sent though the answer was garbage", n)
	}
}

// Even the worst of alarms must not get the robot blocked for ten minutes.
func TestUrgentNoticesKeepToTheLimitToo(t *testing.T) {
	w := newWorld()
	var at []time.Time
	robot := newReceiver(t, func(rw http.ResponseWriter) { at = append(at, w.now); fmt.Fprint(rw, `{"errcode":0}`) })
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL}})
	f := newFixture(t, w)
	for i := range 150 {
		if i < 90 {
			f.notify("ops", "P0", fmt.Sprintf("the worst %02d", i))
		}
		f.deliverAll()
		f.advance(time.Second)
	}
	for i := range at {
		if i >= 18 && at[i].Sub(at[i-18]) < time.Minute {
			t.Fatalf("19 requests within %s", at[i].Sub(at[i-18]))
		}
	}
	all := strings.Join(robot.bodies, "")
	for i := range 90 {
		contains(t, all, fmt.Sprintf("the worst %02d", i))
	}
	if n := f.count(alarmstate.Sent); n != 90 {
		t.Errorf("%d of 90 were sent", n)
	}
}

// A slow receiver's notices of different alerts are under way together, those of
// one alert one after the other.
func TestNoticesOfDifferentAlertsGoTogether(t *testing.T) {
	var mu sync.Mutex
	waiting, most, sent := map[string]bool{}, 0, 0
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var p payload
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		if waiting[p.AlertID] {
			t.Errorf("two notices of %s at a time", p.AlertID)
		}
		waiting[p.AlertID] = true
		if sent++; len(waiting) > most {
			most = len(waiting)
		}
		if len(waiting) == sendAtOnce {
			close(all)
		}
		first := sent == 1
		mu.Unlock()
		if !first { // the first goes alone, to see how the receiver does
			select {
			case <-all:
			case <-r.Context().Done():
			}
		}
		mu.Lock()
		delete(waiting, p.AlertID)
		mu.Unlock()
	}))
	t.Cleanup(server.Close)
	w := newWorld()
	w.set("Channel", "chn_1", "hook", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: server.URL}})
	f := newFixture(t, w)
	for i := range sendAtOnce + 1 {
		f.notifyOf("hook", "P1", "began", fmt.Sprintf("alt_%d", i), alarmstate.EventFiring)
	}
	f.notifyOf("hook", "P1", "over", fmt.Sprintf("alt_%d", sendAtOnce), alarmstate.EventRecovered)
	f.deliverAll()
	if most != sendAtOnce || f.count(alarmstate.Sent) != sendAtOnce+2 {
		t.Fatalf("%d at a time, %d sent", most, f.count(alarmstate.Sent))
	}
}
