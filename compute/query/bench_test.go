package query

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// liveWindows is a Live of fixed series.
type liveWindows struct {
	mu       sync.Mutex
	series   []*store.Series
	monitors []*pharosv1.MonitorInfo
	windows  *pharosv1.MonitorWindowsResponse
	asked    int
	pending  int64 // start of a bucket, 0: none
}

func (l *liveWindows) SelectLive(matchers []store.Matcher, startMs, endMs int64, fn func(*store.Series) error) error {
	filter, err := store.NewFilter(matchers)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.series {
		if !filter.Match(x.Labels) {
			continue
		}
		out := &store.Series{Labels: x.Labels, WindowMs: x.WindowMs}
		for i, t := range x.TimesMs {
			if t >= startMs && t <= endMs {
				out.TimesMs, out.Values = append(out.TimesMs, t), append(out.Values, x.Values[i])
			}
		}
		if len(out.TimesMs) > 0 {
			if err := fn(out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *liveWindows) MonitorWindows(context.Context, *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.windows, nil
}

func (l *liveWindows) Status() *pharosv1.StatusResponse {
	return &pharosv1.StatusResponse{ComputeId: "c1"}
}

func (l *liveWindows) LiveLines(string, int64, int64) ([]store.LineWindow, error) { return nil, nil }

func (l *liveWindows) PendingRollup(string) int64 {
	if l.pending > 0 {
		return l.pending
	}
	return math.MaxInt64
}

func (l *liveWindows) Monitors() []*pharosv1.MonitorInfo { return l.monitors }

// bench is a service over an embedded store. now is the start of this hour.
type bench struct {
	*Service
	t    *testing.T
	live *liveWindows
	now  int64
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	live := &liveWindows{}
	o.Store, o.Live = s, live
	return &bench{Service: New(o), t: t, live: live, now: time.Now().Truncate(time.Hour).UnixMilli()}
}

const minute = int64(60_000)

// window writes values of consecutive windows, starting at now; a negative value leaves a gap.
func (b *bench) window(ls store.Labels, windowMs int64, values ...float64) {
	b.t.Helper()
	var batch []store.WindowSample
	for i, v := range values {
		if v >= 0 {
			batch = append(batch, store.WindowSample{Labels: ls, StartMs: b.now + int64(i)*windowMs, WindowMs: windowMs, Revision: 1, Value: v})
		}
	}
	if err := b.store.WriteWindows(context.Background(), batch); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) raw(ls store.Labels, stepMs int64, values ...float64) {
	b.t.Helper()
	var batch []store.Sample
	for i, v := range values {
		batch = append(batch, store.Sample{Labels: ls, TimeMs: b.now + int64(i)*stepMs, Value: v})
	}
	if err := b.store.WriteSamples(context.Background(), batch); err != nil {
		b.t.Fatal(err)
	}
}

var shop = &pharosv1.Scope{Workspace: "shop"}

// at evaluates an instant query at now+offset and renders the result.
func (b *bench) at(expr string, offsetMs int64) string {
	b.t.Helper()
	resp, err := b.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: expr, StartMs: b.now + offsetMs, EndMs: b.now + offsetMs})
	if err != nil {
		b.t.Fatalf("%s: %v", expr, err)
	}
	return render(resp, b.now)
}

// over evaluates a range query from now+from to now+to.
func (b *bench) over(expr string, from, to, step int64) string {
	b.t.Helper()
	resp, err := b.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: expr, StartMs: b.now + from, EndMs: b.now + to, StepMs: step})
	if err != nil {
		b.t.Fatalf("%s: %v", expr, err)
	}
	return render(resp, b.now)
}

func render(resp *pharosv1.QueryResponse, now int64) string {
	var out []string
	for _, s := range resp.GetSeries() {
		line := store.FromMap(s.GetLabels()).String()
		for i, t := range s.GetTimesMs() {
			if resp.GetType() == pharosv1.ResultType_RESULT_TYPE_MATRIX {
				line += fmt.Sprintf(" %ds=", (t-now)/1000)
			} else {
				line += " "
			}
			line += strconv.FormatFloat(s.GetValues()[i], 'g', -1, 64)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func (b *bench) want(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func count(pairs ...string) store.Labels {
	return store.FromStrings(append(pairs, "__name__", "trade:count", "workspace", "shop", "app", "default")...)
}
