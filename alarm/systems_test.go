package alarm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

const routingKey = "0123456789abcdef0123456789abcdef"

type pagerDutyEvent struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Client     string `json:"client"`
	ClientURL  string `json:"client_url"`
	Links      []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
	Payload *struct {
		Summary   string         `json:"summary"`
		Source    string         `json:"source"`
		Severity  string         `json:"severity"`
		Timestamp string         `json:"timestamp"`
		Component string         `json:"component"`
		Group     string         `json:"group"`
		Class     string         `json:"class"`
		Details   map[string]any `json:"custom_details"`
	} `json:"payload"`
}

// pagerDuty keeps incidents by their key as the service does, in states.
func pagerDuty(t *testing.T, states map[string]string) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		invalid := func(what string) (int, string) {
			return 400, fmt.Sprintf(`{"status":"invalid event","message":"Event object is invalid","errors":[%q]}`, what)
		}
		var e pagerDutyEvent
		if err := strict(body, &e); err != nil || !isJSON(req) || req.URL.Path != "/v2/enqueue" {
			return invalid("unreadable")
		}
		if e.RoutingKey != routingKey {
			return invalid("'routing_key' is invalid")
		}
		if len(e.DedupKey) > 255 {
			return invalid("'dedup_key' is too long")
		}
		switch e.Action {
		case "trigger":
			p := e.Payload
			if p == nil || p.Summary == "" || len([]rune(p.Summary)) > 1024 || p.Source == "" || !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity) {
				return invalid("'payload' is missing or bad")
			}
			if _, err := time.Parse(time.RFC3339, p.Timestamp); err != nil {
				return invalid("'payload.timestamp' is no time")
			}
			if states[e.DedupKey] != "acknowledge" {
				states[e.DedupKey] = "trigger"
			}
		case "acknowledge", "resolve":
			if states[e.DedupKey] != "" {
				states[e.DedupKey] = e.Action
			}
		default:
			return invalid("'event_action' is unknown")
		}
		return 202, `{"status":"success","message":"Event processed","dedup_key":"` + e.DedupKey + `"}`
	})
}

func TestPagerDuty(t *testing.T) {
	states := map[string]string{}
	service := pagerDuty(t, states)
	w := newWorld()
	w.set("Channel", "chn_1", "pd", channel.Spec{Type: channel.TypePagerDuty, PagerDuty: &channel.PagerDuty{URL: service.URL + "/v2/enqueue", RoutingKey: routingKey}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels, s.Level = []string{"pd"}, "P0" }))
	f := newFixture(t, w)
	f.a.o.ConsoleURL = "https://pharos.example"
	f.minute(1, map[string]float64{"food": 11, "home": 12})
	f.deliverAll()
	if len(service.bodies) != 2 || len(states) != 2 {
		t.Fatalf("%d requests, %v: each object is an incident of its own", len(service.bodies), states)
	}
	var e pagerDutyEvent
	food := slices.IndexFunc(service.bodies, func(s string) bool { return strings.Contains(s, "goods=food") })
	if err := json.Unmarshal([]byte(service.bodies[food]), &e); err != nil {
		t.Fatal(err)
	}
	if e.Payload.Severity != "critical" || e.Payload.Source != "goods=food" || e.Payload.Class != "many" || e.Payload.Group != "default" || e.Payload.Timestamp != "1970-01-01T00:11:00Z" ||
		e.Client != "Pharos" || e.ClientURL != "https://pharos.example/w/default/alerts?alert="+e.DedupKey || len(e.Links) != 1 {
		t.Errorf("%+v %+v", e, e.Payload)
	}
	// Somebody takes care; then all is well again.
	if err := alarmstate.TellAcknowledged(t.Context(), f.db, e.DedupKey, "admin", "on it", []string{"pd", "another"}); err != nil {
		t.Fatal(err)
	}
	f.a.o.Now = time.Now // acknowledgements are of now
	f.deliverAll()
	if states[e.DedupKey] != "acknowledge" {
		t.Errorf("%v after an acknowledgement", states)
	}
	f.restart()
	for range 2 {
		f.minute(1, map[string]float64{"food": 1, "home": 12})
	}
	f.deliverAll()
	if states[e.DedupKey] != "resolve" || len(states) != 2 {
		t.Errorf("%v after the recovery of one", states)
	}
	for level, severity := range map[string]string{"P0": "critical", "P1": "error", "P2": "warning", "P3": "info", "P4": "info"} {
		if pagerDutySeverity[level] != severity {
			t.Errorf("%s is %s", level, pagerDutySeverity[level])
		}
	}
}

func TestPagerDutyTestLeavesNothingOpen(t *testing.T) {
	states := map[string]string{}
	service := pagerDuty(t, states)
	w := newWorld()
	w.set("Channel", "chn_1", "pd", channel.Spec{Type: channel.TypePagerDuty, PagerDuty: &channel.PagerDuty{URL: service.URL + "/v2/enqueue", RoutingKey: routingKey}})
	f := newFixture(t, w)
	f.notifyOf("pd", "P4", "test", "", alarmstate.EventTest)
	f.deliverAll()
	f.only(alarmstate.Sent)
	for key, state := range states {
		if state != "resolve" {
			t.Errorf("incident %s is %s", key, state)
		}
	}
	if len(states) != 1 {
		t.Errorf("%v", states)
	}
}

func TestPagerDutyRefusals(t *testing.T) {
	service := pagerDuty(t, map[string]string{})
	spec := channel.Spec{Type: channel.TypePagerDuty, PagerDuty: &channel.PagerDuty{URL: service.URL + "/v2/enqueue", RoutingKey: "wrong"}}
	if d := nastyAlarm(t, spec).only(alarmstate.Failed, "400", "'routing_key' is invalid"); strings.Contains(d.Error, "wrong") {
		t.Errorf("the key is told: %s", d.Error)
	}
	for _, bad := range []*receiver{newReceiver(t, answer(429, "slow down")), newReceiver(t, answer(500, "")), newReceiver(t, answer(202, "garbage")), newReceiver(t, answer(202, "{}"))} {
		spec.PagerDuty.URL = bad.URL
		nastyAlarm(t, spec).only(alarmstate.Queued)
	}
}

type postedAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// alertmanager checks as Alertmanager's API v2 does.
func alertmanager(t *testing.T, got *[]postedAlert) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		if user, password, _ := req.BasicAuth(); user != "pharos" || password != "pw" {
			return 401, "Unauthorized"
		}
		var list []postedAlert
		if err := strict(body, &list); err != nil || req.URL.Path != "/am/api/v2/alerts" || req.Method != "POST" {
			return 400, `{"code":400,"message":"parsing alerts body failed"}`
		}
		if req.Header.Get("Content-Type") != "application/json" {
			return 415, `{"code":415,"message":"unsupported media type"}`
		}
		for _, a := range list {
			if a.Labels["alertname"] == "" || a.StartsAt.IsZero() || !a.EndsAt.After(a.StartsAt) {
				return 400, `"start time must be before end time"`
			}
			for name, value := range a.Labels {
				if name == "" || value == "" {
					return 400, `"invalid label set"`
				}
			}
		}
		*got = append(*got, list...)
		return 200, ""
	})
}

func TestAlertmanager(t *testing.T) {
	var got []postedAlert
	am := alertmanager(t, &got)
	spec := channel.Spec{Type: channel.TypeAlertmanager, Alertmanager: &channel.Alertmanager{URL: am.URL + "/am/", Username: "pharos", Password: "pw"}}
	w := newWorld()
	w.set("Channel", "chn_1", "am", spec)
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"am"} }))
	f := newFixture(t, w)
	f.a.o.ConsoleURL = "https://pharos.example"
	f.minute(1, map[string]float64{"food": 11})
	f.deliverAll()
	firing := w.now
	f.minute(1, map[string]float64{"food": 1})
	f.minute(1, map[string]float64{"food": 1})
	f.deliverAll()
	if len(got) != 2 {
		t.Fatalf("%+v, %+v", got, f.deliveries())
	}
	want := map[string]string{"alertname": "many", "severity": "P1", "workspace": "default", "goods": "food", "app": "default"}
	for _, a := range got {
		if fmt.Sprint(a.Labels) != fmt.Sprint(want) {
			t.Errorf("labels %v, want %v: by them it knows the alert", a.Labels, want)
		}
		if !a.StartsAt.Equal(time.UnixMilli(11*minute)) || !strings.HasPrefix(a.GeneratorURL, "https://pharos.example/w/default/alerts?alert=alt_") {
			t.Errorf("%+v", a)
		}
	}
	if !got[0].EndsAt.Equal(firing.Add(alertmanagerHold)) || !got[1].EndsAt.Equal(time.UnixMilli(f.events()[len(f.events())-1].TimeMs)) {
		t.Errorf("ends %s and %s", got[0].EndsAt, got[1].EndsAt)
	}
	spec.Alertmanager.Password = "wrong"
	nastyAlarm(t, spec).only(alarmstate.Failed, "401")
}
