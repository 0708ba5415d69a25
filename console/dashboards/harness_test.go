package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/compute/query"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/secret"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const minute = int64(60_000)

// world is dashboards over a real store and a real query service. Only the
// state of windows is played.
type world struct {
	*Dashboards
	t     testing.TB
	store *embedded.Store
	rows  *embedded.Rows
	live  *live
	now   int64 // a whole hour
}

// live tells of windows what a test says.
type live struct {
	monitors []*pharosv1.MonitorInfo
	windows  map[string]*pharosv1.MonitorWindowsResponse // by monitor id
}

func (l *live) SelectLive([]store.Matcher, int64, int64, func(*store.Series) error) error { return nil }
func (l *live) LiveLines(string, int64, int64) ([]store.LineWindow, error)                { return nil, nil }
func (l *live) PendingRollup(string) int64                                                { return math.MaxInt64 }
func (l *live) Status() *pharosv1.StatusResponse                                          { return &pharosv1.StatusResponse{} }
func (l *live) Monitors() []*pharosv1.MonitorInfo                                         { return l.monitors }

func (l *live) MonitorWindows(_ context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	all := l.windows[req.GetMonitorId()]
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: all.GetSettledUntilMs()}
	for _, w := range all.GetWindows() {
		if w.GetWindowStartMs() >= req.GetStartMs() && w.GetWindowStartMs() < req.GetEndMs() {
			out.Windows = append(out.Windows, w)
		}
	}
	return out, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	rows, err := embedded.OpenRows(embedded.Options{Dir: t.TempDir(), ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	db, err := meta.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := resource.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	box, err := secret.New(bytes.Repeat([]byte{1}, secret.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: s, rows: rows, live: &live{windows: map[string]*pharosv1.MonitorWindowsResponse{}}, now: time.Now().Truncate(time.Hour).UnixMilli()}
	w.Dashboards = New(Options{Resources: resource.NewStore(db, box, resource.Builtin(nil)...), Query: serve(t, query.New(query.Options{Store: s, Rows: rows, Live: w.live}))})
	return w
}

// serve runs a service in this process and returns a client of it.
func serve(t testing.TB, s *query.Service) pharosv1.QueryServiceClient {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pharosv1.RegisterQueryServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///query", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-done
	})
	return pharosv1.NewQueryServiceClient(conn)
}

// monitor defines a monitor; its windows are complete, and settled up to now, unless told otherwise.
func (w *world) monitor(name, spec string) {
	w.t.Helper()
	o, err := w.Resources.Create(w.t.Context(), audit.Actor{Name: "test"}, resource.Object{
		APIVersion: resource.APIVersion, Kind: resource.KindLogMonitor, Metadata: resource.Metadata{Name: name, Workspace: "shop"}, Spec: json.RawMessage(spec)})
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := json.Marshal(parsed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.live.monitors = append(w.live.monitors, &pharosv1.MonitorInfo{MonitorId: o.Metadata.ID, Workspace: "shop", Key: name, SpecJson: text})
	w.live.windows[o.Metadata.ID] = &pharosv1.MonitorWindowsResponse{SettledUntilMs: w.now}
	w.live.windows[name] = w.live.windows[o.Metadata.ID]
}

// sample writes one window of a series; pairs are labels.
func sample(name string, start int64, v float64, pairs ...string) store.WindowSample {
	return store.WindowSample{Labels: store.FromStrings(append(pairs, "__name__", name, "workspace", "shop")...), StartMs: start, WindowMs: minute, Revision: 1, Value: v}
}

func (w *world) write(batch []store.WindowSample) {
	w.t.Helper()
	if err := w.store.WriteWindows(context.Background(), batch); err != nil {
		w.t.Fatal(err)
	}
}

// ask shows one report over the last hour before now.
func (w *world) ask(report string, change ...func(*Question)) *Data {
	w.t.Helper()
	a := w.try(report, change...)
	if a.Error != nil {
		w.t.Fatalf("%s: %v %v", report, a.Error.Message, a.Error.Details)
	}
	return a.Data
}

func (w *world) try(report string, change ...func(*Question)) Answer {
	w.t.Helper()
	var r dashboard.Report
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		w.t.Fatalf("%s: %v", report, err)
	}
	in := &askIn{Body: Question{Reports: []dashboard.Report{r}, Start: w.now - 60*minute, End: w.now}}
	in.Workspace = "shop"
	for _, c := range change {
		c(&in.Body)
	}
	out, err := w.Dashboards.ask(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Body.Reports[0]
}

// table renders rows as "key | time: cells", times in minutes from now.
func (w *world) table(d *Data) string {
	var b strings.Builder
	for _, r := range d.Rows {
		b.WriteString(strings.Join(r.Key, ","))
		if r.StartMs != 0 {
			fmt.Fprintf(&b, " @%d", (r.StartMs-w.now)/minute)
		}
		b.WriteByte(':')
		for _, c := range r.Cells {
			b.WriteByte(' ')
			b.WriteString(number(c.Value) + c.Level)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.10g", *v)
}

// lines renders lines as "column key shift: first values … ".
func lines(d *Data) string {
	var b strings.Builder
	for _, l := range d.Lines {
		fmt.Fprintf(&b, "%d %s%s:", l.Column, strings.Join(l.Key, ","), l.Shift)
		for _, v := range l.Values {
			b.WriteByte(' ')
			b.WriteString(number(v))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
