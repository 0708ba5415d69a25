package alarm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// world is a compute and a resource store that a test scripts minute by minute.
type world struct {
	pharosv1.QueryServiceClient // the methods the alarm tier has no use for

	mu           sync.Mutex
	now          time.Time
	objects      []resource.Object
	values       map[int64]map[string]float64 // window start → goods → count
	completeness map[int64]float64            // settled windows
}

const minute = int64(60_000)

func (w *world) List(_ context.Context, kind, workspace string) ([]resource.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []resource.Object
	for _, o := range w.objects {
		if o.Kind == kind && (workspace == "" || o.Metadata.Workspace == workspace) {
			out = append(out, o)
		}
	}
	return out, nil
}

func (w *world) Reveal(ctx context.Context, kind, workspace, name string) (resource.Object, error) {
	list, _ := w.List(ctx, kind, workspace)
	for _, o := range list {
		if o.Metadata.Name == name {
			return o, nil
		}
	}
	return resource.Object{}, fmt.Errorf("no %s %q", kind, name)
}

func (w *world) Query(_ context.Context, in *pharosv1.QueryRequest, _ ...grpc.CallOption) (*pharosv1.QueryResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in.Expr == "trade_create:completeness" {
		return &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR}, nil // no older window than compute knows
	}
	if in.Expr != "trade_create:count" || in.Scope.Workspace != "default" || in.StartMs%minute != 0 {
		return nil, fmt.Errorf("unexpected query %v", in)
	}
	resp := &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR}
	for goods, v := range w.values[in.StartMs] {
		resp.Series = append(resp.Series, &pharosv1.QuerySeries{Labels: map[string]string{"__name__": "trade_create:count", "app": "default", "goods": goods},
			TimesMs: []int64{in.StartMs}, Values: []float64{v}})
	}
	return resp, nil
}

func (w *world) MonitorWindows(_ context.Context, in *pharosv1.MonitorWindowsRequest, _ ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	resp := &pharosv1.MonitorWindowsResponse{}
	for at := in.StartMs; at <= in.EndMs; at += minute {
		if share, ok := w.completeness[at]; ok {
			resp.Windows = append(resp.Windows, &pharosv1.WindowState{WindowStartMs: at, WindowMs: minute, Settled: true, Completeness: share, Lines: uint64(len(w.values[at]))})
		}
	}
	return resp, nil
}

func (w *world) set(kind, id, name string, spec any) {
	raw, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	w.objects = append(w.objects, resource.Object{Kind: kind, Metadata: resource.Metadata{ID: id, Name: name, Workspace: "default"}, Spec: raw})
}

// settle ends the minute that begins at start with values and completeness.
func (w *world) settle(start int64, completeness float64, values map[string]float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[start], w.completeness[start] = values, completeness
	w.now = time.UnixMilli(start + minute + 2000)
}

func newWorld() *world {
	w := &world{values: map[int64]map[string]float64{}, completeness: map[int64]float64{}, now: time.UnixMilli(10 * minute)}
	w.set("LogMonitor", "mon_1", "trade_create", logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"goods"}})
	return w
}

type fixture struct {
	t     *testing.T
	w     *world
	a     *Alarm
	db    *bun.DB
	start int64 // next window
	made  int   // notices made by hand
}

func newFixture(t *testing.T, w *world) *fixture {
	db, err := meta.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{t: t, w: w, db: db, start: 10 * minute}
	f.restart()
	return f
}

func (f *fixture) restart() {
	a, err := New(f.t.Context(), Options{DB: f.db, Resources: f.w, Query: f.w, Logger: slog.New(slog.NewTextHandler(f.t.Output(), nil)),
		Now: func() time.Time { f.w.mu.Lock(); defer f.w.mu.Unlock(); return f.w.now }})
	if err != nil {
		f.t.Fatal(err)
	}
	f.a = a
	if err := a.load(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// minute lets one window settle and checks all rules.
func (f *fixture) minute(completeness float64, values map[string]float64) {
	f.w.settle(f.start, completeness, values)
	f.start += minute
	f.check()
}

func (f *fixture) check() {
	for _, r := range f.a.rules {
		f.a.checkRule(f.t.Context(), r)
	}
}

func (f *fixture) events() []alarmstate.Event {
	events, _, err := alarmstate.Events(f.t.Context(), f.db, "default", alarmstate.EventFilter{}, alarmstate.Page{Limit: 100, Sort: "created_ms"})
	if err != nil {
		f.t.Fatal(err)
	}
	return events
}

func (f *fixture) types() string {
	var types []string
	for _, e := range f.events() {
		types = append(types, e.Type+"@"+strconv.FormatInt(e.TimeMs/minute, 10)+" "+e.Labels["goods"])
	}
	return strings.Join(types, ", ")
}

func (f *fixture) deliveries() []alarmstate.Delivery {
	list, _, err := alarmstate.Deliveries(f.t.Context(), f.db, "default", alarmstate.DeliveryFilter{}, alarmstate.Page{Limit: 100, Sort: "created_ms"})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func foodRule(change func(*alarmrule.Spec)) alarmrule.Spec {
	spec := alarmrule.Spec{Title: "Too many", Level: alarmrule.P1, Conditions: []alarmrule.Condition{{Monitor: "trade_create", Op: alarmrule.GT, Threshold: new(10.0)}}}
	if change != nil {
		change(&spec)
	}
	return spec
}

func TestLifeOfAnAlert(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.For = 2 }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11, "home": 3})
	f.minute(1, map[string]float64{"food": 12, "home": 3}) // fires
	f.restart()
	f.check()                                      // nothing twice
	f.minute(0.5, map[string]float64{"food": 4})   // unknown: no recovery
	f.minute(1, map[string]float64{"food": 13})    // fires on
	f.minute(1, map[string]float64{"food": 1})     //
	f.minute(0.5, map[string]float64{"food": 1})   // unknown counts for nothing
	f.minute(1, map[string]float64{"food": 1})     // recovers
	f.minute(1, map[string]float64{"clothes": 11}) //
	want := "firing@12 food, repeat@14 food, recovered@17 food"
	if got := f.types(); got != want {
		t.Fatalf("events are\n%s, want\n%s", got, want)
	}
	alerts, _, err := alarmstate.Alerts(t.Context(), f.db, "default", alarmstate.AlertFilter{}, alarmstate.Page{Limit: 10})
	if err != nil || len(alerts) != 1 || alerts[0].State != alarmstate.Recovered || alerts[0].EndedMs != 17*minute {
		t.Fatalf("alerts %+v, %v", alerts, err)
	}
}

func TestChecksWaitForWindowsToSettle(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "few", foodRule(func(s *alarmrule.Spec) { s.Conditions[0].Op = alarmrule.LT }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 100})
	w.mu.Lock()
	w.values[f.start] = map[string]float64{"food": 1} // partial
	w.now = time.UnixMilli(f.start + minute + 1000)
	w.mu.Unlock()
	f.check()
	if position := f.position("rul_1"); position.CheckedMs != 11*minute {
		t.Fatalf("checked a window that has not settled: %+v", position)
	}
	f.minute(1, map[string]float64{"food": 100})
	if got := f.types(); got != "" {
		t.Fatalf("events are %s", got)
	}
	// The wait has an end: then the incomplete window is judged, as unknown.
	w.mu.Lock()
	w.values[f.start] = map[string]float64{"food": 1}
	w.now = time.UnixMilli(f.start + minute + 76_000)
	w.mu.Unlock()
	f.check()
	if position := f.position("rul_1"); position.CheckedMs != 13*minute || position.Result != "unknown" {
		t.Fatalf("position %+v", position)
	}
}

func (f *fixture) position(id string) alarmstate.Position {
	all, err := alarmstate.Positions(f.t.Context(), f.db)
	if err != nil {
		f.t.Fatal(err)
	}
	return all[id]
}

func TestDisabledRuleClosesItsAlerts(t *testing.T) {
	w := newWorld()
	w.set("AlarmRule", "rul_1", "many", foodRule(nil))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	w.objects = w.objects[:1]
	w.now = w.now.Add(time.Second)
	f.restart()
	if got := f.types(); got != "firing@11 food, closed@11 food" {
		t.Fatalf("events are %s", got)
	}
	if all, _ := alarmstate.FiringByLevel(t.Context(), f.db, "default"); len(all) != 0 {
		t.Fatal(all)
	}
}

// receiver is a local stand-in for a provider; it records what it gets and
// answers by script.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answers  []func(http.ResponseWriter)
}

func newReceiver(t *testing.T, answers ...func(http.ResponseWriter)) *receiver {
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests, r.bodies = append(r.requests, req), append(r.bodies, string(body))
		r.answers[min(len(r.requests), len(r.answers))-1](w)
	}))
	t.Cleanup(r.Close)
	return r
}

func answer(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status); io.WriteString(w, body) }
}

// deliverAll makes the deliveries that are due.
func (f *fixture) deliverAll() {
	names := map[string]bool{}
	for _, d := range f.deliveries() {
		if d.State == alarmstate.Queued && d.NextMs <= f.a.o.Now().UnixMilli() {
			names[d.Channel] = true
		}
	}
	for name := range names {
		if err := f.a.deliverChannel(f.t.Context(), "default", name); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestDingTalkIsSignedAndGroupsKeys(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":0,"errmsg":"ok"}`))
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL + "/robot/send?access_token=abc", Secret: "SEC1", Keywords: []string{"值班"}}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"ops"}; s.EmergencyText = "run *plan*" }))
	f := newFixture(t, w)
	values := map[string]float64{}
	for i := range 12 {
		values[fmt.Sprintf("<goods_%02d>", i)] = 11
	}
	f.minute(1, values)
	f.deliverAll()
	if len(robot.bodies) != 1 {
		t.Fatalf("%d requests", len(robot.bodies))
	}
	q := robot.requests[0].URL.Query()
	if q.Get("access_token") != "abc" || q.Get("timestamp") != strconv.FormatInt(w.now.UnixMilli(), 10) {
		t.Fatalf("query %v", q)
	}
	// The signature of an independent computation: printf '%s\n%s' ts SEC1 | openssl dgst -sha256 -hmac SEC1 -binary | base64
	if want := independentSign("SEC1", q.Get("timestamp")); q.Get("sign") != want {
		t.Fatalf("sign %q, want %q", q.Get("sign"), want)
	}
	var body struct {
		MsgType  string `json:"msgtype"`
		Markdown struct{ Title, Text string }
	}
	if err := json.Unmarshal([]byte(robot.bodies[0]), &body); err != nil || body.MsgType != "markdown" {
		t.Fatal(robot.bodies[0], err)
	}
	for _, want := range []string{"[P1] firing: Too many", "&lt;goods\\_00&gt;", "&lt;goods\\_09&gt;", "and 2 more", "值班", `run \*plan\*`} {
		if !strings.Contains(body.Markdown.Title+body.Markdown.Text, want) {
			t.Errorf("%q is missing in %s", want, body.Markdown.Text)
		}
	}
	if d := f.deliveries()[0]; d.State != alarmstate.Sent || len(d.More) != 11 {
		t.Fatalf("%+v", d)
	}
}

func TestDingTalkRefusalIsShown(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":310000,"errmsg":"keywords not in content"}`))
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL + "/?access_token=topsecret"}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"ops"} }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	f.deliverAll()
	if d := f.deliveries()[0]; d.State != alarmstate.Failed || !strings.Contains(d.Error, "310000") || strings.Contains(d.Error, "topsecret") {
		t.Fatalf("%+v", d)
	}
}

func TestWebhookIsSignedAndRetriedWithTheSameEvent(t *testing.T) {
	hook := newReceiver(t, answer(500, "no"), answer(503, "no"), answer(204, ""))
	w := newWorld()
	w.set("Channel", "chn_1", "hook", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: hook.URL, AccessKey: "ak", SecretKey: "sk"}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"hook"} }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	f.deliverAll()
	f.deliverAll() // not due yet
	if len(hook.bodies) != 1 {
		t.Fatalf("%d requests before the wait is over", len(hook.bodies))
	}
	w.now = w.now.Add(5 * time.Second)
	f.deliverAll()
	w.now = w.now.Add(30 * time.Second)
	f.restart()
	f.deliverAll()
	f.deliverAll()
	if len(hook.bodies) != 3 || f.deliveries()[0].State != alarmstate.Sent {
		t.Fatalf("%d requests, %+v", len(hook.bodies), f.deliveries())
	}
	for i, req := range hook.requests {
		if req.Header.Get("X-Event-Id") != f.events()[0].ID || req.Header.Get("Content-Type") != "text/plain; charset=UTF-8" {
			t.Fatalf("headers %v", req.Header)
		}
		want := independentHex("sk", req.Header.Get("X-Timestamp")+"."+hook.bodies[i])
		if req.Header.Get("X-Signature-256") != want {
			t.Fatalf("signature %s, want %s", req.Header.Get("X-Signature-256"), want)
		}
	}
	var p payload
	if err := json.Unmarshal([]byte(hook.bodies[2]), &p); err != nil || p.Type != "firing" || p.Object["goods"] != "food" || *p.Conditions[0].Value != 11 {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestSlowReceiverDelaysNoOther(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	slow := newReceiver(t, func(http.ResponseWriter) { <-stuck })
	quick := newReceiver(t, answer(200, "ok"))
	w := newWorld()
	w.set("Channel", "chn_1", "slow", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: slow.URL}})
	w.set("Channel", "chn_2", "quick", channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: quick.URL}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"slow", "quick"} }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); f.a.deliverLoop(ctx) }()
	for ctx.Err() == nil {
		sent, _, err := alarmstate.Deliveries(ctx, f.db, "default", alarmstate.DeliveryFilter{Channel: "quick", State: alarmstate.Sent}, alarmstate.Page{Limit: 1})
		if err == nil && len(sent) == 1 {
			cancel()
		}
	}
	<-done
	if len(quick.bodies) != 1 {
		t.Fatal("the quick receiver got nothing while the slow one hung")
	}
}

func TestMail(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got := make(chan string, 1)
	go serveSMTP(server, got)
	host, port, _ := net.SplitHostPort(server.Addr().String())
	n, _ := strconv.Atoi(port)
	w := newWorld()
	w.set("Channel", "chn_1", "mail", channel.Spec{Type: channel.TypeMail, Mail: &channel.Mail{Host: host, Port: n, TLS: "none", From: "pharos@example.com", To: []string{"ops@example.com"}}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"mail"}; s.Title = "交易太多" }))
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	f.deliverAll()
	text := <-got
	for _, want := range []string{"MAIL FROM:<pharos@example.com>", "RCPT TO:<ops@example.com>", "Subject: =?utf-8?q?[P1]_firing", "goods=3Dfood"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if d := f.deliveries()[0]; d.State != alarmstate.Sent {
		t.Fatalf("%+v", d)
	}
}

// serveSMTP takes one mail and returns the whole dialogue.
func serveSMTP(l net.Listener, got chan<- string) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	var all strings.Builder
	fmt.Fprint(conn, "220 test\r\n")
	data := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		all.WriteString(line)
		switch {
		case data && line == ".\r\n":
			data = false
			fmt.Fprint(conn, "250 ok\r\n")
		case data:
		case strings.HasPrefix(line, "DATA"):
			data = true
			fmt.Fprint(conn, "354 go\r\n")
		case strings.HasPrefix(line, "QUIT"):
			fmt.Fprint(conn, "221 bye\r\n")
			got <- all.String()
			return
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

func TestTestNotice(t *testing.T) {
	robot := newReceiver(t, answer(200, `{"errcode":0}`))
	w := newWorld()
	w.now = time.Now()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeDingTalk, DingTalk: &channel.DingTalk{URL: robot.URL}})
	f := newFixture(t, w)
	f.a.o.Now = time.Now
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.a.deliverLoop(ctx) }()
	d, err := alarmstate.SendTest(ctx, f.db, "default", "ops", "admin")
	cancel()
	<-done
	if err != nil || d.State != alarmstate.Sent {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestFormatNumber(t *testing.T) {
	for v, want := range map[float64]string{12: "12", 0.1: "0.1", math.Pi: "3.141592654", 1234567: "1234567"} {
		if got := formatNumber(v); got != want {
			t.Errorf("%v is written %s", v, got)
		}
	}
}
