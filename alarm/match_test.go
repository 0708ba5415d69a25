package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// matchWorld also has lines: of each minute how many, and how complete it is.
type matchWorld struct {
	*world
	counts map[int64]uint64
}

func (w *matchWorld) MonitorWindows(ctx context.Context, in *pharosv1.MonitorWindowsRequest, _ ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	resp, err := w.world.MonitorWindows(ctx, in)
	for _, x := range resp.GetWindows() {
		x.Lines = w.counts[x.GetWindowStartMs()]
	}
	return resp, err
}

func (w *matchWorld) MonitorLines(_ context.Context, in *pharosv1.MonitorLinesRequest, _ ...grpc.CallOption) (*pharosv1.MonitorLinesResponse, error) {
	if in.GetMonitorId() != "mon_2" || in.GetScope().GetWorkspace() != "default" || in.GetStartMs() != in.GetEndMs() || in.GetLimit() != 2 {
		return nil, fmt.Errorf("unexpected request %v", in)
	}
	resp := &pharosv1.MonitorLinesResponse{}
	for i := range min(w.counts[in.GetStartMs()], 2) {
		resp.Lines = append(resp.Lines, &pharosv1.KeptLine{Instance: fmt.Sprint("host-", i+1), File: "/var/log/a_b.log", Text: fmt.Sprintf("line %d of minute %d, tel 138****5678 *bold*", i+1, in.GetStartMs()/minute)})
	}
	return resp, nil
}

// robot is a strict stand-in for DingTalk: it refuses what the provider refuses.
func robot(t *testing.T, secret string) *receiver {
	r := newReceiver(t, func(http.ResponseWriter) {})
	r.answers[0] = func(w http.ResponseWriter) {
		n := len(r.requests) - 1
		req, q := r.requests[n], r.requests[n].URL.Query()
		var body struct {
			MsgType  string `json:"msgtype"`
			Markdown struct{ Title, Text string }
		}
		err := json.Unmarshal([]byte(r.bodies[n]), &body)
		switch {
		case req.Method != http.MethodPost || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/json"):
			answer(200, `{"errcode":43002,"errmsg":"post json"}`)(w)
		case q.Get("access_token") != "abc" || q.Get("sign") != independentSign(secret, q.Get("timestamp")):
			answer(200, `{"errcode":310000,"errmsg":"sign not match"}`)(w)
		case err != nil || body.MsgType != "markdown" || body.Markdown.Title == "" || body.Markdown.Text == "" || len(r.bodies[n]) > 20<<10:
			answer(200, `{"errcode":40035,"errmsg":"bad message"}`)(w)
		default:
			answer(200, `{"errcode":0,"errmsg":"ok"}`)(w)
		}
	}
	return r
}

func newMatchWorld(t *testing.T, change func(*logrule.MatchRule)) (*matchWorld, *fixture, *receiver, *receiver) {
	chat, sms := robot(t, "SEC1"), newReceiver(t, answer(200, "ok"))
	w := &matchWorld{world: newWorld(), counts: map[int64]uint64{}}
	two := 2
	m := &logrule.MatchRule{Title: "Plate seen", Level: "P1", MaxLines: &two, MinLinesChat: 2, MinLinesSMS: 5, Channels: []string{"ops"}, SMSChannels: []string{"sms"},
		EmergencyText: "call the gate", EmergencyLink: "https://example.com/plan"}
	if change != nil {
		change(m)
	}
	w.set("LogMonitor", "mon_2", "plates", logrule.Spec{Type: logrule.Match, Match: m})
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: chat.URL + "/robot/send?access_token=abc", Secret: "SEC1"}})
	w.set("Channel", "chn_2", "sms", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: sms.URL}})
	f := newFixture(t, w.world)
	f.a.gatherer.query = w
	return w, f, chat, sms
}

func (w *matchWorld) minute(f *fixture, completeness float64, lines uint64) {
	w.counts[f.start] = lines
	f.minute(completeness, nil)
	f.deliverAll()
}

func TestMatchAlarm(t *testing.T) {
	w, f, chat, sms := newMatchWorld(t, nil)
	w.minute(f, 1, 1) // below
	if len(chat.bodies)+len(sms.bodies) != 0 {
		t.Fatalf("one line was told: %v %v", chat.bodies, sms.bodies)
	}
	w.minute(f, 1, 2) // chat only
	w.minute(f, 0.5, 5)
	if len(chat.bodies) != 2 || len(sms.bodies) != 1 {
		t.Fatalf("%d messages and %d text messages", len(chat.bodies), len(sms.bodies))
	}
	var body struct{ Markdown struct{ Title, Text string } }
	if err := json.Unmarshal([]byte(chat.bodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[P1] firing: Plate seen", "plates is 2 lines (limit: at or above 2)", "host-1 /var/log/a\\_b.log: line 1 of minute 11, tel 138\\*\\*\\*\\*5678 \\*bold\\*",
		"host-2", "line 2 of minute 11", "call the gate", "https://example.com/plan"} {
		if !strings.Contains(body.Markdown.Title+body.Markdown.Text, want) {
			t.Errorf("%q is missing in %s", want, body.Markdown.Text)
		}
	}
	if err := json.Unmarshal([]byte(chat.bodies[1]), &body); err != nil || !strings.Contains(body.Markdown.Title+body.Markdown.Text, "still firing") ||
		!strings.Contains(body.Markdown.Text, "line 1 of minute 12") || strings.Contains(body.Markdown.Text, "line 3") {
		t.Errorf("%v: %s", err, body.Markdown.Text)
	}
	var p payload
	if err := json.Unmarshal([]byte(sms.bodies[0]), &p); err != nil || p.Type != "firing" || *p.Conditions[0].Value != 5 || len(p.Conditions[0].Lines) != 2 || p.Conditions[0].Lines[1].Instance != "host-2" {
		t.Errorf("%+v %v", p, err)
	}
	for _, d := range f.deliveries() {
		if d.State != alarmstate.Sent {
			t.Errorf("%+v", d)
		}
	}

	// A gap is no recovery; two quiet minutes are. A restart repeats nothing.
	f.restart()
	f.a.gatherer.query = w
	f.check()
	w.minute(f, 0.5, 0)
	w.minute(f, 1, 0)
	w.minute(f, 1, 0)
	want := map[string]string{"mon_2": "firing@12, repeat@13, recovered@16", "mon_2/sms": "firing@13, recovered@16"}
	got := map[string]string{}
	for _, e := range f.events() {
		if got[e.RuleID] != "" {
			got[e.RuleID] += ", "
		}
		got[e.RuleID] += e.Type + "@" + strconv.FormatInt(e.TimeMs/minute, 10)
		if e.Rule != "match:plates" {
			t.Errorf("event of rule %q", e.Rule)
		}
	}
	for id, w := range want {
		if got[id] != w {
			t.Errorf("%s: %s, want %s", id, got[id], w)
		}
	}
}

func TestMatchAlarmWithoutLines(t *testing.T) {
	w, f, chat, _ := newMatchWorld(t, func(m *logrule.MatchRule) { none := 0; m.MaxLines, m.MinLinesSMS, m.SMSChannels = &none, 0, nil })
	w.minute(f, 1, 7)
	if len(chat.bodies) != 1 || strings.Contains(chat.bodies[0], "host-1") || len(f.a.rules) != 1 {
		t.Errorf("%d rules told %v", len(f.a.rules), chat.bodies)
	}
	// A monitor that is switched off closes its alert.
	w.objects[1].Spec = json.RawMessage(strings.Replace(string(w.objects[1].Spec), `{`, `{"disabled":true,`, 1))
	f.restart()
	if all, _ := alarmstate.FiringByLevel(t.Context(), f.db, "default"); len(all) != 0 {
		t.Error(all)
	}
}

func TestLongLinesFitIntoAMessage(t *testing.T) {
	var e alarmstate.Event
	lines := []alarmstate.Line{}
	for range 20 {
		lines = append(lines, alarmstate.Line{Instance: "h", File: "/f", Text: strings.Repeat("食", 1365)})
	}
	e.Conditions = []alarmstate.Condition{{Lines: lines}}
	n := 0
	for _, l := range linesOf(e) {
		n += len(l)
	}
	if n > maxLineBytes+20*20 || len(linesOf(e)) != 20 {
		t.Errorf("%d bytes", n)
	}
}
