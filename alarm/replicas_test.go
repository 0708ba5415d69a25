package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/apptest"
	"github.com/pharos-stack/pharos/internal/channel"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// script is what a run of replicas is about. The processes and the test that
// expects something of them have it from the same few numbers.
type script struct {
	DSN, Receiver string
	Began         int64 // wall clock in ms; the replicas' clock is Speed times as fast from then on
	Speed         int64
	Rules         int
	Monitors      int
	Channels      int
	Quiet, Minute int64 // minutes without any alarm at both ends, minutes between them
}

// firstMinute of the replicas' clock; they start in the middle of it.
const firstMinute = 1000

func (s script) now() time.Time {
	return time.UnixMilli(firstMinute*minute + minute/2 + (time.Now().UnixMilli()-s.Began)*s.Speed)
}

// value of a monitor in the minute that begins at ms, 0 to 99: it stays for
// three minutes, so that rules fire, go on firing and recover.
func (s script) value(monitor int, ms int64) float64 {
	m := ms/minute - firstMinute
	if m < s.Quiet || m >= s.Quiet+s.Minute {
		return 0
	}
	return float64((uint64(m/3+1)*0x9E3779B97F4A7C15 ^ uint64(monitor+1)*0xC2B2AE3D27D4EB4F) >> 33 % 100)
}

func (s script) threshold(rule int) float64 { return float64(40 + rule*7%55) }

// wanted computes what must be told, by the plainest reading of the rule: it
// fires in a minute above the threshold and recovers after two that are not.
func (s script) wanted() map[string]bool {
	out := map[string]bool{}
	for i := range s.Rules {
		firing, below := false, 0
		for m := int64(firstMinute); m < firstMinute+2*s.Quiet+s.Minute; m++ {
			if s.value(i%s.Monitors, m*minute) > s.threshold(i) {
				if !firing {
					out[noticeOf(i, "firing", m+1)] = true
				}
				firing, below = true, 0
				continue
			}
			if below++; firing && below == 2 {
				out[noticeOf(i, "recovered", m+1)] = true
				firing = false
			}
		}
	}
	return out
}

func noticeOf(rule int, event string, endMinute int64) string {
	return fmt.Sprintf("rule_%04d %s@%d", rule, event, endMinute)
}

// scripted is a compute and a resource store that follow a script.
type scripted struct {
	pharosv1.QueryServiceClient
	script
}

func (s scripted) List(_ context.Context, kind, _ string) ([]resource.Object, error) {
	var out []resource.Object
	add := func(name string, spec any) error {
		raw, err := json.Marshal(spec)
		out = append(out, resource.Object{Kind: kind, Metadata: resource.Metadata{ID: "id_" + name, Name: name, Workspace: "default"}, Spec: raw})
		return err
	}
	var err error
	switch kind {
	case "LogMonitor":
		for i := range s.Monitors {
			err = add(fmt.Sprintf("m%d", i), logrule.Spec{Type: logrule.Minute})
		}
	case "AlarmRule":
		for i := range s.Rules {
			name, threshold := fmt.Sprintf("rule_%04d", i), s.threshold(i)
			err = add(name, alarmrule.Spec{Title: name, Channels: []string{fmt.Sprintf("c%d", i%s.Channels)},
				Conditions: []alarmrule.Condition{{Monitor: fmt.Sprintf("m%d", i%s.Monitors), Op: alarmrule.GT, Threshold: &threshold}}})
		}
	}
	return out, err
}

func (s scripted) Reveal(_ context.Context, kind, _, name string) (resource.Object, error) {
	raw, err := json.Marshal(channel.Spec{Type: channel.TypeWebhook, Webhook: &channel.Webhook{URL: s.Receiver + "/" + name}})
	return resource.Object{Kind: kind, Metadata: resource.Metadata{Name: name, Workspace: "default"}, Spec: raw}, err
}

func (s scripted) Query(_ context.Context, in *pharosv1.QueryRequest, _ ...grpc.CallOption) (*pharosv1.QueryResponse, error) {
	name, _, _ := strings.Cut(in.GetExpr(), ":")
	i, err := strconv.Atoi(strings.TrimPrefix(name, "m"))
	if err != nil {
		return nil, fmt.Errorf("unexpected query %v", in)
	}
	return &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR, Series: []*pharosv1.QuerySeries{{
		Labels: map[string]string{"__name__": in.GetExpr(), "app": "default"}, TimesMs: []int64{in.GetStartMs()}, Values: []float64{s.value(i, in.GetStartMs())}}}}, nil
}

func (s scripted) MonitorWindows(_ context.Context, in *pharosv1.MonitorWindowsRequest, _ ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	settled := s.now().UnixMilli() >= in.GetEndMs()+2000
	return &pharosv1.MonitorWindowsResponse{Windows: []*pharosv1.WindowState{{WindowStartMs: in.GetStartMs(), WindowMs: minute, Settled: settled, Completeness: 1}}}, nil
}

// replicaLease is short so that a run sees many of them change hands.
const replicaLease = time.Second

// TestReplicaProcess is no test but a replica, for TestReplicas to start and kill.
func TestReplicaProcess(t *testing.T) {
	text := os.Getenv("PHAROS_TEST_REPLICA")
	if text == "" {
		t.Skip("a process of TestReplicas")
	}
	s := scripted{}
	if err := json.Unmarshal([]byte(text), &s.script); err != nil {
		t.Fatal(err)
	}
	db, err := meta.Open(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), Options{DB: db, Resources: s, Query: s, Now: s.now, Lease: replicaLease, CatchUp: 24 * time.Hour,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(a.Run(t.Context())) // until it is killed
}

// hears counts what a receiver is told.
type hears struct {
	*httptest.Server
	mu     sync.Mutex
	ids    map[string]string // what was told → its event id
	times  map[string]int    // event id → how often
	wrong  []string
	firing map[string]bool // alerts
	n      int
}

func listen(t *testing.T) *hears {
	h := &hears{ids: map[string]string{}, times: map[string]int{}, firing: map[string]bool{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p payload
		err := json.NewDecoder(r.Body).Decode(&p)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.n++
		key := fmt.Sprintf("%s %s@%d", p.Rule.Name, p.Type, p.OccurredAt.UnixMilli()/minute)
		switch {
		case err != nil:
			h.wrong = append(h.wrong, err.Error())
		case h.ids[key] != "" && h.ids[key] != p.EventID:
			h.wrong = append(h.wrong, fmt.Sprintf("%s has the ids %s and %s", key, h.ids[key], p.EventID))
		case p.Type == alarmstate.EventRecovered && !h.firing[p.AlertID]:
			h.wrong = append(h.wrong, key+" came before its firing")
		}
		h.ids[key] = p.EventID
		h.times[p.EventID]++
		h.firing[p.AlertID] = h.firing[p.AlertID] || p.Type == alarmstate.EventFiring
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hears) heard() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids)
}

// TestReplicas kills and freezes replicas while rules fire and recover. Each
// event must be told, under one id however often, and in its order.
func TestReplicas(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); testReplicas(t, filepath.Join(t.TempDir(), "meta.db")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); testReplicas(t, metatest.PostgresServer(t)) })
}

func testReplicas(t *testing.T, dsn string) {
	h := listen(t)
	s := script{DSN: dsn, Receiver: h.URL, Speed: 40, Rules: 1000, Monitors: 50, Channels: 8, Quiet: 4, Minute: 6}
	kills, freezes := 6, 1
	if os.Getenv("PHAROS_SOAK") != "" {
		s.Minute, kills, freezes = 60, 50, 10
	}
	db, err := meta.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := s.wanted()
	s.Began = time.Now().UnixMilli()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var replicas []*apptest.Process
	for i := range 3 {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		replicas = append(replicas, apptest.Start(t, dir, fmt.Sprintf("replica-%d", i), self, []string{"PHAROS_TEST_REPLICA=" + string(text)},
			"-test.run=^TestReplicaProcess$", "-test.timeout=0"))
	}
	// Each disturbance waits for its part of the notices, so that it comes while there are some.
	for i := range kills + freezes {
		apptest.Eventually(t, 5*time.Minute, func() error {
			if n := h.heard(); n < i*len(want)/(kills+freezes+1) {
				return fmt.Errorf("%d of %d notices", n, len(want))
			}
			return nil
		})
		p := replicas[i%len(replicas)]
		if i%((kills+freezes)/freezes) > 0 || i == 0 {
			p.Kill()
			p.Restart()
			continue
		}
		before := epochs(t, db)
		freeze(t, db, p)
		apptest.Eventually(t, time.Minute, func() error { // as long as another takes what it had
			now, err := databaseMs(t.Context(), db)
			if err != nil {
				return err
			}
			live, err := db.NewSelect().Model((*replicaRow)(nil)).Where("until_ms >= ?", now).Count(t.Context())
			if err != nil || int(live) != len(replicas)-1 {
				return fmt.Errorf("%d replicas live: %v", live, err)
			}
			if epochs(t, db) == before {
				return fmt.Errorf("nothing was taken over")
			}
			return nil
		})
		p.Continue()
	}
	apptest.Eventually(t, 5*time.Minute, func() error {
		if n := h.heard(); n < len(want) {
			return fmt.Errorf("%d of %d notices", n, len(want))
		}
		end := (firstMinute + 2*s.Quiet + s.Minute) * minute
		behind, err := db.NewSelect().Model((*alarmstate.Position)(nil)).Where("checked_ms < ?", end).Count(t.Context())
		if err != nil || behind > 0 {
			return fmt.Errorf("%d rules have not been checked to the end: %v", behind, err)
		}
		queued, err := db.NewSelect().Model((*alarmstate.Delivery)(nil)).Where("state <> ?", alarmstate.Sent).Count(t.Context())
		if err != nil || queued > 0 {
			return fmt.Errorf("%d notices wait: %v", queued, err)
		}
		return nil
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wrong {
		t.Error(w)
	}
	for key := range want {
		if h.ids[key] == "" {
			t.Errorf("%s is missing", key)
		}
	}
	for key := range h.ids {
		if !want[key] {
			t.Errorf("%s was told", key)
		}
	}
	again := h.n - len(h.times)
	t.Logf("%d events told by 3 replicas, %d kills, %d freezes: %d told again, under their id", len(h.times), kills, freezes, again)
	if limit := (kills + freezes) * s.Channels * sendAtOnce; again > limit { // those that were on their way
		t.Errorf("%d events were told again, at most %d were on their way", again, limit)
	}
}

// freeze stops a process at any moment; on SQLite one in which it holds no lock,
// for otherwise the others could do nothing but wait for it.
func freeze(t *testing.T, db *bun.DB, p *apptest.Process) {
	if db.Dialect().Name() == dialect.PG {
		p.Pause()
		return
	}
	// A transaction keeps out all others.
	if err := db.RunInTx(t.Context(), nil, func(context.Context, bun.Tx) error { p.Pause(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// epochs changes with every take-over.
func epochs(t *testing.T, db *bun.DB) (sum int64) {
	if err := db.NewSelect().Model((*leaseRow)(nil)).ColumnExpr("sum(epoch)").Scan(t.Context(), &sum); err != nil {
		t.Error(err)
	}
	return sum
}
