package alarm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/personal"
	"github.com/pharos-stack/pharos/internal/recipient"
	"github.com/pharos-stack/pharos/internal/resource"
)

// told lists what became of the notices of the check that ended at a minute, or
// of all when it is 0.
func (f *fixture) told(atMinute int64) string {
	f.t.Helper()
	var rows []alarmstate.Delivery
	q := f.db.NewSelect().Model(&rows).Order("created_ms", "channel", "contact", "state")
	if atMinute > 0 {
		q = q.Where("event_id IN (SELECT id FROM alarm_events WHERE time_ms = ?)", atMinute*minute)
	}
	if err := q.Scan(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, d := range rows {
		text := strings.Trim(d.Channel+"/"+d.Contact, "/")
		if d.State == alarmstate.Withheld {
			text += " " + d.Reason
		}
		if d.InsteadOf != "" {
			text += " (" + d.InsteadOf + ")"
		}
		if len(d.Targets) > 0 {
			text += " " + strings.Join(d.Targets, " ")
		}
		out = append(out, strings.TrimSpace(text))
	}
	return strings.Join(out, ", ")
}

// people is a workspace with persons, a robot and the channels that reach them.
func people(w *world) {
	w.set("Channel", "chn_1", "robot", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: "http://127.0.0.1:1"}})
	w.set("Channel", "chn_2", "mail", channel.Spec{Type: channel.TypeMail, ForContacts: true, Mail: &channel.Mail{Host: "127.0.0.1", Port: 1, From: "a@x.example", To: []string{"all@x.example"}}})
	w.set("Channel", "chn_3", "text", channel.Spec{Type: channel.TypeGateway, ForContacts: true, Gateway: &channel.Gateway{URL: "http://127.0.0.1:1", Phones: channel.Phones{To: []string{"+10000000"}}}})
	w.set("Contact", "con_1", "ann", recipient.Contact{Phone: "+8611111111", Email: "ann@x.example", User: "ann"})
	w.set("Contact", "con_2", "bob", recipient.Contact{Phone: "+8622222222", User: "bob"})
	w.set("NotificationGroup", "grp_1", "ops", recipient.Group{Title: "Ops", Contacts: []string{"Ann", "bob"}, Channels: []string{"robot"}})
}

func subscribe(w *world, name string, s recipient.Subscription) {
	w.set("Subscription", "sub_"+name, name, s.WithDefaults())
}

var hot, cold = map[string]float64{"food": 11}, map[string]float64{"food": 1}

func TestThrottlingSchedule(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	subscribe(w, "thinned", recipient.Subscription{Channel: "robot", Workspace: true})
	subscribe(w, "all", recipient.Subscription{Contact: "bob", Workspace: true, Throttle: new(false)})
	f := newFixture(t, w)
	for range 361 {
		f.minute(1, hot)
	}
	minutes := func(channel string) (out []int64, held int) {
		var rows []alarmstate.Delivery
		if err := f.db.NewSelect().Model(&rows).Where("channel = ? AND state <> ?", channel, alarmstate.Withheld).Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, d := range rows {
			var e alarmstate.Event
			if err := f.db.NewSelect().Model(&e).Where("id = ?", d.EventID).Scan(t.Context()); err != nil {
				t.Fatal(err)
			}
			out, held = append(out, e.TimeMs/minute-11), held+d.HeldBack
		}
		slices.Sort(out)
		return out, held
	}
	want := []int64{0, 1, 2, 3, 5, 7, 12, 17, 22, 27, 32, 42, 52, 62, 72, 82, 112, 142, 172, 202, 232, 292, 352}
	if got, held := minutes("robot"); !slices.Equal(got, want) || held != 352+1-len(want) {
		t.Errorf("told at %v, want %v; %d were held back", got, want, held)
	}
	if got, _ := minutes("text"); len(got) != 361 {
		t.Errorf("without throttling %d notices", len(got))
	}
	// A check without data resets nothing, nor does one that is not yet a recovery.
	f.minute(0.5, cold)
	f.minute(1, cold)
	f.minute(1, hot)
	if got := f.told(f.start / minute); got != "throttled, text/bob +8622222222" && got != "text/bob +8622222222, throttled" {
		t.Errorf("after a false check: %s", got)
	}
	f.minute(1, cold)
	f.minute(1, cold)
	if got := f.told(f.start / minute); got != "robot" { // a recovery is worth no text message
		t.Errorf("the recovery went to %s", got)
	}
	f.minute(1, hot)
	f.minute(1, hot)
	if got := f.told(f.start / minute); !strings.Contains(got, "robot") || strings.Contains(got, "throttled") {
		t.Errorf("after the recovery: %s", got)
	}
}

func TestThrottlingWithRareChecks(t *testing.T) {
	due, told := int64(0), []int64{}
	for m := int64(0); m < 120; m += 4 {
		if m >= due {
			told, due = append(told, m), dueAfter(m)
		}
	}
	if want := []int64{0, 4, 8, 12, 20, 24, 28, 32, 44, 52, 64, 72, 84, 112}; !slices.Equal(told, want) {
		t.Errorf("told at %v, want %v", told, want)
	}
}

func TestSubscriptionsOfAllScopesGiveOneNotice(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("Folder", "fld_1", "shop", resource.FolderSpec{Title: "Shop"})
	w.set("Folder", "fld_2", "trade", resource.FolderSpec{Title: "Trade", Parent: "Shop"})
	w.set("Folder", "fld_3", "other", resource.FolderSpec{Title: "Other"})
	w.objects[0].Metadata.Folder = "trade"
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"robot"} }))
	w.set("Channel", "chn_9", "hook", channel.Spec{Type: channel.TypeWebhook, Global: true, Webhook: &channel.Webhook{URL: "http://127.0.0.1:1"}})
	subscribe(w, "folder", recipient.Subscription{Group: "OPS", Folder: "SHOP"})
	subscribe(w, "monitor", recipient.Subscription{Contact: "bob", Monitor: "trade_create"})
	subscribe(w, "elsewhere", recipient.Subscription{Channel: "mail", Folder: "other"})
	subscribe(w, "rule", recipient.Subscription{Channel: "mail", Rule: "many", Levels: []alarmrule.Level{alarmrule.P0}})
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11, "home": 12})
	want := "level, level, hook, hook, mail/ann ann@x.example, robot, text/ann +8611111111, text/bob +8622222222"
	if got := f.told(0); got != want {
		t.Fatalf("told\n%s, want\n%s", got, want)
	}
	for _, d := range f.deliveries() {
		if n := len(d.More); n != 1 && (d.Channel == "robot" || d.Contact != "") {
			t.Errorf("%s/%s tells %d keys more", d.Channel, d.Contact, n)
		}
	}
}

func TestPersonalSettings(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("AlarmRule", "rul_1", "many", foodRule(nil)) // P1
	w.set("OnCall", "onc_1", "duty", recipient.OnCall{Title: "Duty", Timezone: "UTC", Start: "1970-01-01T00:00", Hours: 1, Contacts: []string{"ann"},
		Overrides: []recipient.Override{{Contact: "bob", From: time.UnixMilli(14 * minute), To: time.UnixMilli(15 * minute)}}})
	subscribe(w, "s", recipient.Subscription{OnCall: "duty", Workspace: true, Throttle: new(false)})
	f := newFixture(t, w)
	save := func(user, colour string) {
		if err := personal.Save(t.Context(), f.db, user, personal.Settings{Off: map[string][]string{colour: {"sms"}}}); err != nil {
			t.Fatal(err)
		}
	}
	save("ann", "normal") // is not of P1
	expect := func(want string) {
		t.Helper()
		f.minute(1, hot)
		if got := f.told(f.start / minute); got != want {
			t.Errorf("minute %d: %s, want %s", f.start/minute, got, want)
		}
	}
	expect("mail/ann ann@x.example, text/ann +8611111111")
	save("ann", "orange")
	expect("mail/ann ann@x.example, text/ann switched_off")
	delegate := func(from, to string, begin, end int64) {
		if err := personal.Delegate(t.Context(), f.db, personal.Delegation{ID: from, User: from, Substitute: to, FromMs: begin * minute, ToMs: end * minute}); err != nil {
			t.Fatal(err)
		}
	}
	delegate("ann", "bob", 13, 14)
	delegate("bob", "ann", 12, 14) // no chains: it is not followed on
	expect("ann delegated_to (bob), text/bob (ann) +8622222222")
	expect("text/bob +8622222222") // by the override
	expect("mail/ann ann@x.example, text/ann switched_off")
}

func TestClassThatJoinsIsToldAtOnce(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		s.Conditions[0].Threshold, s.Conditions[0].Thresholds = nil, &alarmrule.Thresholds{Chat: new(10.0), SMS: new(100.0)}
	}))
	subscribe(w, "s", recipient.Subscription{Group: "ops", Workspace: true})
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 50})
	if got, want := f.told(11), "mail/ann ann@x.example, robot, text/ann class, text/bob class"; got != want {
		t.Fatalf("told %s, want %s", got, want)
	}
	for range 4 { // up to minute 4 of the alert, which the schedule leaves out
		f.minute(1, map[string]float64{"food": 50})
	}
	if got := f.told(15); got != "throttled" {
		t.Fatalf("minute 4: %s", got)
	}
	f.minute(1, map[string]float64{"food": 50}) // 5
	f.minute(1, map[string]float64{"food": 150})
	if got := f.told(17); !strings.Contains(got, "text/ann +8611111111, text/bob +8622222222") || !strings.Contains(got, "throttled") || strings.Contains(got, "robot,") {
		t.Fatalf("minute 6: %s", got)
	}
}

func TestAcknowledgedAlertIsNotRepeatedToSubscribers(t *testing.T) {
	w := newWorld()
	people(w)
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	subscribe(w, "s", recipient.Subscription{Channel: "robot", Workspace: true})
	f := newFixture(t, w)
	f.minute(1, hot)
	if err := alarmstate.Acknowledge(t.Context(), f.db, "default", f.events()[0].AlertID, "ann", ""); err != nil {
		t.Fatal(err)
	}
	f.minute(1, hot)
	if got := f.told(12); got != "acknowledged" {
		t.Fatal(got)
	}
}

func TestContactsAreToldByTheirOwnNumber(t *testing.T) {
	gateway := newReceiver(t, answer(200, "ok"))
	w := newWorld()
	people(w)
	w.set("Channel", "chn_4", "own", channel.Spec{Type: channel.TypeGateway, ForContacts: true, Gateway: &channel.Gateway{URL: gateway.URL + "/${to}", Body: "${text}",
		Headers: map[string]string{"Content-Type": "text/plain"}, Phones: channel.Phones{To: []string{"+10000000"}}}})
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	subscribe(w, "s", recipient.Subscription{Contact: "bob", Monitor: "trade_create"})
	f := newFixture(t, w)
	for range 6 {
		f.minute(1, hot)
	}
	for range 6 {
		f.deliverAll()
	}
	if len(gateway.requests) != 5 || !strings.Contains(gateway.requests[4].URL.Path, "+8622222222") || !strings.Contains(gateway.bodies[4], fmt.Sprintf(f.a.words.heldBack, 1)) {
		t.Fatalf("%d requests, bodies %q", len(gateway.requests), gateway.bodies)
	}
}
