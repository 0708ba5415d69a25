package compute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// memStore is a store in memory that can refuse and can lose what wasn't synced.
type memStore struct {
	store.Store // what compute doesn't use

	mu      sync.Mutex
	windows map[string]store.WindowSample // rollups too
	samples map[string]store.Sample
	durable map[string]store.WindowSample
	raw     map[string]store.Sample
	refuse  error
	noSync  error
	syncs   int
}

func newMemStore() *memStore {
	return &memStore{windows: map[string]store.WindowSample{}, samples: map[string]store.Sample{}}
}

func (s *memStore) WriteWindows(_ context.Context, samples []store.WindowSample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	for _, w := range samples {
		if err := w.Validate(); err != nil {
			return err
		}
		id := fmt.Sprintf("%s@%d/%d", w.Labels, w.StartMs, w.WindowMs)
		if old, ok := s.windows[id]; !ok || old.Revision <= w.Revision {
			s.windows[id] = w
		}
	}
	return nil
}

func (s *memStore) WriteRollups(ctx context.Context, l store.Level, samples []store.WindowSample) error {
	for i := range samples {
		if err := samples[i].ValidateRollup(l); err != nil {
			return err
		}
		samples[i].Labels = append(slices.Clone(samples[i].Labels), store.Label{Name: "zz_level", Value: fmt.Sprint(l)})
	}
	return s.WriteWindows(ctx, samples)
}

func (s *memStore) Retention(store.Level) time.Duration { return store.DefaultRetention }

// Select returns a series for each window.
func (s *memStore) Select(_ context.Context, matchers []store.Matcher, startMs, endMs int64, _ store.Limits, fn func(*store.Series) error) error {
	filter, err := store.NewFilter(matchers)
	if err != nil {
		return err
	}
	s.mu.Lock()
	found := slices.Collect(maps.Values(s.windows))
	s.mu.Unlock()
	for _, w := range found {
		if w.StartMs < startMs || w.StartMs > endMs || w.Labels.Get("zz_level") != "" || !filter.Match(w.Labels) {
			continue
		}
		if err := fn(&store.Series{Labels: w.Labels, WindowMs: w.WindowMs, TimesMs: []int64{w.StartMs}, Values: []float64{w.Value}, Revisions: []uint32{w.Revision}}); err != nil {
			return err
		}
	}
	return nil
}

// rolled waits until the store has a bucket. The series is told without its labels app and workspace.
func (r *rig) rolled(l store.Level, name string, startMs int64, want float64) {
	r.t.Helper()
	var got float64
	var ok bool
	defer func() {
		if r.t.Failed() {
			r.t.Logf("bucket of %s at %d is %v (%v), want %v", name, startMs-t0, got, ok, want)
		}
	}()
	r.until("rolled up "+name, func() bool {
		got, ok = r.store.value(fmt.Sprintf(`%s{app="shop",workspace="w",zz_level="%d"}`, name, l), startMs, l.LengthMs())
		return ok && got == want
	})
}

func (s *memStore) WriteSamples(_ context.Context, samples []store.Sample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	for _, x := range samples {
		s.samples[fmt.Sprintf("%s@%d", x.Labels, x.TimeMs)] = x
	}
	return nil
}

func (s *memStore) Sync(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noSync != nil {
		return s.noSync
	}
	s.durable, s.raw = maps.Clone(s.windows), maps.Clone(s.samples)
	s.syncs++
	return nil
}

func (s *memStore) Stats() store.Stats { return store.Stats{} }

// crash loses what was not synced.
func (s *memStore) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows, s.samples = maps.Clone(s.durable), maps.Clone(s.raw)
	if s.windows == nil {
		s.windows, s.samples = map[string]store.WindowSample{}, map[string]store.Sample{}
	}
}

func (s *memStore) set(refuse, noSync error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.noSync = refuse, noSync
}

// value of a series at a window's start. The labels are as String tells them, app and workspace included.
func (s *memStore) value(series string, startMs, windowMs int64) (float64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.windows[fmt.Sprintf("%s@%d/%d", series, startMs, windowMs)]
	return w.Value, ok
}

// rig is a compute with a clock of its own and a vessel's stream.
type rig struct {
	t      testing.TB
	c      *Compute
	store  *memStore
	opts   Options
	now    atomic.Int64
	cancel context.CancelFunc
	done   chan error
	server *grpc.Server
	conn   *grpc.ClientConn
	stream pharosv1.ComputeService_IngestClient

	mu     sync.Mutex
	acked  map[string]uint64 // highest revision by part
	credit int64
}

// t0 is a full hour.
const t0 = int64(1_800_000_000_000)

func newRig(t testing.TB, change func(*Options)) *rig {
	r := &rig{t: t, store: newMemStore()}
	r.now.Store(t0)
	r.opts = Options{ID: "cmp_1", Dir: t.TempDir(), Store: r.store, Now: func() time.Time { return time.UnixMilli(r.now.Load()) },
		Tick: 2 * time.Millisecond, CommitEvery: time.Millisecond, SyncEvery: time.Hour, SelfEvery: time.Hour, Debounce: time.Millisecond}
	r.opts.Journal.ReserveBytes, r.opts.Journal.BallastBytes = 1, 1<<20
	if change != nil {
		change(&r.opts)
	}
	r.start()
	t.Cleanup(func() {
		if r.cancel != nil {
			r.stop()
		}
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	c, err := New(r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.c, r.cancel, r.done = c, cancel, make(chan error, 1)
	go func() { r.done <- c.Run(ctx) }()
	r.until("runs", func() bool { return c.running.Load() != nil })
	l := bufconn.Listen(1 << 20)
	r.server = grpc.NewServer()
	c.RegisterServices(r.server)
	go func() { _ = r.server.Serve(l) }()
	r.conn, err = grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.stream, err = pharosv1.NewComputeServiceClient(r.conn).Ingest(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Hello{Hello: &pharosv1.IngestHello{VesselId: "ves_1"}}})
	r.mu.Lock()
	r.acked, r.credit = map[string]uint64{}, 0
	r.mu.Unlock()
	stream := r.stream
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.credit += resp.GetCreditBytes()
			for _, a := range resp.GetAcks() {
				k := partKey(a.GetAgentId(), a.GetAck().GetTaskId(), a.GetAck().GetWindowStartMs(), a.GetAck().GetPart())
				r.acked[k] = max(r.acked[k], a.GetAck().GetRevision())
			}
			r.mu.Unlock()
		}
	}()
}

func partKey(agent, task string, startMs int64, part uint64) string {
	return fmt.Sprintf("%s %s %d %d", agent, task, startMs, part)
}

func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	r.conn.Close()
	r.server.Stop()
	r.cancel = nil
}

// crash ends the process as the store sees it: nothing is synced any more.
func (r *rig) crash() {
	r.store.set(errors.New("crashing"), errors.New("crashing"))
	r.stop()
	r.store.crash()
	r.store.set(nil, nil)
}

func (r *rig) send(m *pharosv1.IngestRequest) {
	r.t.Helper()
	if err := r.stream.Send(m); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for a condition, while the clock goes on.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for range 5000 {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
		r.now.Add(1)
	}
	r.t.Fatalf("waited in vain until: %s", what)
}

// part sends a revision without waiting.
func (r *rig) part(agent string, rev *pharosv1.Revision) {
	r.t.Helper()
	r.send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: agent, Revision: rev}}})
}

// deliver sends a revision and waits until it is acknowledged.
func (r *rig) deliver(agent string, rev *pharosv1.Revision) {
	r.t.Helper()
	r.part(agent, rev)
	k := partKey(agent, rev.GetTaskId(), rev.GetWindowStartMs(), rev.GetPart())
	r.until("acknowledged "+k, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.acked[k] >= rev.GetRevision()
	})
}

func (r *rig) mark(agent string, m *pharosv1.MonitorInfo, ms int64) {
	r.t.Helper()
	r.send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Watermarks{Watermarks: &pharosv1.AgentWatermarks{AgentId: agent,
		Watermarks: &pharosv1.Watermarks{Items: []*pharosv1.Watermark{{TaskId: m.GetTaskId(), MonitorId: m.GetMonitorId(), TimeMs: ms}}}}}})
}

// is waits until the store has a value.
func (r *rig) is(series string, startMs int64, want float64) {
	r.t.Helper()
	var got float64
	var ok bool
	defer func() {
		if r.t.Failed() {
			r.t.Logf("%s at %d is %v (%v), want %v", series, startMs-t0, got, ok, want)
		}
	}()
	r.until(series, func() bool {
		got, ok = r.store.value(series, startMs, 60_000)
		return ok && got == want
	})
}

// synced waits until the store is durable and compute knows it of every window.
func (r *rig) synced() {
	r.t.Helper()
	r.until("synced", func() bool {
		if err := r.c.sync(context.Background()); err != nil {
			r.t.Fatal(err)
		}
		marked := 0
		if err := r.c.journal.Marked(func(journal.WindowID) { marked++ }); err != nil {
			r.t.Fatal(err)
		}
		return marked == 0
	})
}

// absent fails if the store has a value.
func (r *rig) absent(series string, startMs int64) {
	r.t.Helper()
	if v, ok := r.store.value(series, startMs, 60_000); ok {
		r.t.Errorf("%s is %v, should be absent", series, v)
	}
}

func monitorInfo(t testing.TB, key string, spec logrule.Spec, agents ...string) *pharosv1.MonitorInfo {
	spec.Title, spec.Paths = key, []string{"/x"}
	spec = spec.WithDefaults()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	id := "mon_" + key
	return &pharosv1.MonitorInfo{MonitorId: id, Key: key, Workspace: "w", App: "shop", TaskId: logrule.TaskID(id, spec), DefinitionRevision: 1, SpecJson: b, AgentIds: agents}
}

// goods is a monitor with keys, a count and an average.
func goods(t testing.TB, limit int, agents ...string) *pharosv1.MonitorInfo {
	return monitorInfo(t, "goods", logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"kind", "az"}, KeyLimit: limit,
		Columns:    []logrule.Column{{Name: "kind", Line: true}, {Name: "ms", Line: true}},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Avg, Column: "ms"}}}, agents...)
}

// plain is a monitor that counts lines.
func plain(t testing.TB, agents ...string) *pharosv1.MonitorInfo {
	return monitorInfo(t, "lines", logrule.Spec{Type: logrule.Minute}, agents...)
}

func cluster(monitors []*pharosv1.MonitorInfo, agents ...string) *pharosv1.ClusterState {
	s := &pharosv1.ClusterState{Revision: 1, Monitors: monitors}
	for i, a := range agents {
		s.Agents = append(s.Agents, &pharosv1.AgentInfo{AgentId: a, Labels: map[string]string{"agent": a, "host": "h" + a, "az": fmt.Sprintf("az-%d", i%2+1)}})
	}
	return s
}

// table encodes counts of lines by kind, each of so many milliseconds.
func table(groups int, kinds map[string]int, ms int64) []byte {
	l := partial.Layout{Groups: groups}
	if groups > 0 {
		l.Columns = 1
	}
	t := partial.NewTable(l)
	for kind, n := range kinds {
		row := partial.Row{Lines: uint64(n), Cells: make([]partial.Cell, l.Columns)}
		for range n * l.Columns {
			row.Cells[0].AddMicro(ms * partial.Micro)
		}
		if groups > 0 {
			row.Key = []string{kind}
			t.Add(&row)
		}
		t.Total.Lines += row.Lines
		for i := range row.Cells {
			t.Total.Cells[i].Merge(&row.Cells[i])
		}
	}
	return t.Append(nil)
}

func revision(m *pharosv1.MonitorInfo, startMs int64, part, rev uint64, sealed bool, body []byte) *pharosv1.Revision {
	return &pharosv1.Revision{TaskId: m.GetTaskId(), MonitorId: m.GetMonitorId(), WindowStartMs: startMs, WindowMs: 60_000, Part: part, Revision: rev,
		Sealed: sealed, Payload: &pharosv1.Revision_Table{Table: body}, Lines: &pharosv1.LineCounters{Read: rev, Bad: 1}}
}
