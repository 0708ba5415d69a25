package alarm

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/compute/query"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/alarmtrial"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// past is a world over a real store and query service. Of windows that have
// left compute's memory only the store tells.
type past struct {
	*world
	store  *embedded.Store
	client pharosv1.QueryServiceClient
	// known is the first window that compute tells of.
	known  int64
	recent map[int64]float64 // completeness
	asked  int
}

func (p *past) SelectLive([]store.Matcher, int64, int64, func(*store.Series) error) error { return nil }
func (p *past) LiveLines(string, int64, int64) ([]store.LineWindow, error)                { return nil, nil }
func (p *past) PendingRollup(string) int64                                                { return math.MaxInt64 }
func (p *past) Status() *pharosv1.StatusResponse                                          { return &pharosv1.StatusResponse{} }
func (p *past) Monitors() []*pharosv1.MonitorInfo                                         { return nil }

func (p *past) MonitorWindows(_ context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: p.now.UnixMilli()}
	for at := max(p.known, req.GetStartMs()); at <= req.GetEndMs(); at += minute {
		if share, ok := p.recent[at]; ok {
			out.Windows = append(out.Windows, &pharosv1.WindowState{WindowStartMs: at, WindowMs: minute, Settled: true, Completeness: share})
		}
	}
	return out, nil
}

func newPast(t *testing.T) *past {
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := &past{world: newWorld(), store: s, recent: map[int64]float64{}}
	p.objects = nil
	p.set("LogMonitor", "mon_1", "trade_create", logrule.Spec{Title: "t", Type: logrule.MinuteMulti, Paths: []string{"/x"}, GroupBy: []string{"goods"}, Columns: []logrule.Column{{Name: "goods", Line: true}}}.WithDefaults())
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		p.asked++
		return handler(ctx, req)
	}))
	pharosv1.RegisterQueryServiceServer(server, query.New(query.Options{Store: s, Live: p}))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///query", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-done
	})
	p.client = pharosv1.NewQueryServiceClient(conn)
	return p
}

// settle writes a minute.
func (p *past) settle(t *testing.T, start int64, completeness float64, values map[string]float64) {
	t.Helper()
	sample := func(name string, v float64, goods string) store.WindowSample {
		pairs := []string{"__name__", "trade_create:" + name, "app", "default", "workspace", "default"}
		if goods != "" {
			pairs = append(pairs, "goods", goods)
		}
		return store.WindowSample{Labels: store.FromStrings(pairs...), StartMs: start, WindowMs: minute, Revision: 1, Value: v}
	}
	batch := []store.WindowSample{sample("completeness", completeness, "")}
	for goods, v := range values {
		batch = append(batch, sample("count", v, goods))
	}
	if err := p.store.WriteWindows(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[start] = completeness
	p.now = time.UnixMilli(start + minute + 2000)
}

// TestBacktestEqualsLive checks rules minute by minute, with restarts, and tries
// them afterwards on what has become the past: every alert is the same, with
// its beginning, end, checks and message.
func TestBacktestEqualsLive(t *testing.T) {
	const minutes = 300
	p := newPast(t)
	monitor := func(c alarmrule.Condition) alarmrule.Condition { c.Monitor = "trade_create"; return c }
	rules := map[string]alarmrule.Spec{
		"many":     {Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.GT, Threshold: new(12.0)})}},
		"few":      {For: 2, RecoverAfter: 3, Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.LT, Threshold: new(4.0)})}},
		"some":     {Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.GE, Threshold: new(8.0), Keys: map[string][]string{"goods": {"food", "home"}}})}},
		"fives":    {Every: logrule.Duration(5 * time.Minute), RepeatEvery: logrule.Duration(15 * time.Minute), Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.GT, Threshold: new(9.0)})}},
		"strict":   {MinCompleteness: 1, Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.EQ, Threshold: new(0.0)})}},
		"either":   {Join: alarmrule.Any, Conditions: []alarmrule.Condition{monitor(alarmrule.Condition{Op: alarmrule.GT, Threshold: new(14.0)}), {Expr: "sum by (goods) (trade_create:count) < 1", Op: alarmrule.GE, Threshold: new(0.0)}}},
		"growing":  {Conditions: []alarmrule.Condition{{Expr: "trade_create:count / trade_create:count offset 1m > 3", Op: alarmrule.GT, Threshold: new(3.0)}}},
		"over_ten": {Conditions: []alarmrule.Condition{{Expr: "sum_over_time(trade_create:count[10m])", Op: alarmrule.GT, Threshold: new(110.0)}}},
	}
	for name, spec := range rules {
		spec.Title = name
		rules[name] = spec.WithDefaults()
		p.set("AlarmRule", "rul_"+name, name, rules[name])
	}
	db, err := meta.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var a *Alarm
	start := func() {
		if a, err = New(t.Context(), Options{DB: db, Resources: p.world, Query: p.client, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { p.mu.Lock(); defer p.mu.Unlock(); return p.now }}); err != nil {
			t.Fatal(err)
		}
		if err := a.load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	from := time.Now().Add(-30 * time.Hour).Truncate(time.Hour).UnixMilli()
	level := map[string]float64{"food": 6, "home": 6, "books": 6, "中文": 6}
	p.now = time.UnixMilli(from)
	start()
	for m := range int64(minutes) {
		values := map[string]float64{}
		for goods, v := range level {
			v = math.Max(0, math.Min(18, v+float64(rng.IntN(9)-4)))
			if level[goods] = v; rng.IntN(12) > 0 {
				values[goods] = v
			}
		}
		completeness := []float64{1, 1, 1, 1, 1, 0.97, 0.5, 0}[rng.IntN(8)]
		p.settle(t, from+m*minute, completeness, values)
		if rng.IntN(20) == 0 {
			start()
		}
		for _, r := range a.rules {
			a.checkRule(t.Context(), r)
		}
	}
	p.known = math.MaxInt64 // all has left compute's memory
	to := from + minutes*minute
	for name, spec := range rules {
		var live []alarmstate.Alert
		if err := db.NewSelect().Model(&live).Where("rule = ?", name).OrderExpr("started_ms, labels").Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, x := range live {
			want = append(want, fmt.Sprintf("%d-%d %s %d", (x.StartedMs-from)/minute, max(0, (x.EndedMs-from)/minute), x.Labels["goods"], x.Checks))
		}
		p.asked = 0
		objects, _ := p.List(t.Context(), "LogMonitor", "")
		got, err := Backtest(t.Context(), alarmtrial.Trial{Query: p.client, Workspace: "default", Monitors: objects, Spec: spec, FromMs: from + 1, ToMs: to})
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, e := range got.Episodes {
			have = append(have, fmt.Sprintf("%d-%d %s %d", (e.FiredMs-from)/minute, max(0, (e.EndedMs-from)/minute), e.Labels["goods"], e.TrueChecks))
			if !strings.Contains(e.Message, name) || e.Notices < 1 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if h, w := strings.Join(slices.Sorted(slices.Values(have)), ", "), strings.Join(slices.Sorted(slices.Values(want)), ", "); h != w || len(want) < 3 {
			t.Errorf("%s:\nthe past gives %s\nlive gave      %s", name, h, w)
		}
		if every := int(spec.Every.D() / time.Minute); got.Checks != minutes/every || got.Failed > 0 || len(got.Trace) != min(alarmtrial.TracedChecks, minutes/every) {
			t.Errorf("%s: %d checks, %d failed, %d traced", name, got.Checks, got.Failed, len(got.Trace))
		}
		if p.asked > 12 {
			t.Errorf("%s asked %d questions for %d checks", name, p.asked, got.Checks)
		}
	}
}

// TestBacktestTrace tells check by check what was found, and why a check could not be made.
func TestBacktestTrace(t *testing.T) {
	p := newPast(t)
	from := time.Now().Add(-2 * time.Hour).Truncate(time.Hour).UnixMilli()
	for m, v := range []float64{1, 20, 20, 1} {
		completeness := 1.0
		if m == 2 {
			completeness = 0.4
		}
		p.settle(t, from+int64(m)*minute, completeness, map[string]float64{"food": v, "home": 2})
	}
	objects, _ := p.List(t.Context(), "LogMonitor", "")
	trial := alarmtrial.Trial{Query: p.client, Workspace: "default", Monitors: objects, FromMs: from + 1, ToMs: from + 4*minute,
		Spec: alarmrule.Spec{Title: "x", Conditions: []alarmrule.Condition{{Monitor: "trade_create", Op: alarmrule.LT, Threshold: new(5.0), Keys: map[string][]string{"goods": {"food"}}}}}.WithDefaults()}
	got, err := Backtest(t.Context(), trial)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, c := range got.Trace {
		for _, o := range c.Objects {
			text = append(text, fmt.Sprintf("%s %s %s %v %v", c.Result, o.Labels["goods"], o.Truth, *o.Conditions[0].Value, o.Firing))
		}
	}
	if s := strings.Join(text, ", "); s != "firing food true 1 true, firing food false 20 true, firing food unknown 20 true, firing food true 1 true" {
		t.Errorf("trace is %s", s)
	}
	trial.Spec.Conditions[0] = alarmrule.Condition{Expr: "nonsense(", Op: alarmrule.GT}
	if got, err = Backtest(t.Context(), trial); err != nil || got.Failed != 4 || got.Trace[0].Result != "error" || !strings.Contains(got.Failure, "nonsense") {
		t.Errorf("a bad expression gives %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backtest(ctx, trial); err == nil {
		t.Error("went on after it was cancelled")
	}
}
