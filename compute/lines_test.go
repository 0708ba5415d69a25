package compute

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/compute/query"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// memRows are rows in memory, which can refuse and can lose what wasn't synced.
type memRows struct {
	store.Rows // what compute doesn't use

	mu      sync.Mutex
	rows    []store.Row
	durable int
	refuse  error
}

func (m *memRows) WriteRows(_ context.Context, rows []store.Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	for i := range rows {
		if err := rows[i].Validate(); err != nil {
			return err
		}
	}
	m.rows = append(m.rows, rows...)
	return nil
}

func (m *memRows) QueryRows(_ context.Context, q store.RowQuery, fn func(*store.Row) error) error {
	stream, err := store.NewFilter(q.Stream)
	if err != nil {
		return err
	}
	fields, err := store.NewFilter(q.Fields)
	if err != nil {
		return err
	}
	m.mu.Lock()
	var found []store.Row
	for _, r := range m.rows {
		if stream.Match(r.Stream) && fields.Match(r.Fields) && r.TimeNs >= q.StartNs && r.TimeNs <= q.EndNs {
			found = append(found, r)
		}
	}
	m.mu.Unlock()
	slices.SortStableFunc(found, func(a, b store.Row) int { return cmp.Compare(b.TimeNs, a.TimeNs) })
	for i := range found[:min(q.Limit, len(found))] {
		if err := fn(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memRows) Sync(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = len(m.rows)
	return nil
}

// crash loses what was not synced.
func (m *memRows) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = m.rows[:m.durable]
}

func (m *memRows) set(refuse error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = refuse
}

// fees keeps the two largest fees of a minute, with their station and zone.
func fees(t testing.TB, agents ...string) *pharosv1.MonitorInfo {
	return monitorInfo(t, "fees", logrule.Spec{Type: logrule.RowTop, TopN: 2, SortColumn: "fee", GroupBy: []string{"az", "station"},
		Columns: []logrule.Column{{Name: "station", Line: true}, {Name: "fee", Line: true}}}, agents...)
}

// feeTable has a line for each fee.
func feeTable(station string, fees ...int64) []byte {
	t := partial.NewTable(partial.Layout{Groups: 1, Columns: 1, Keep: 2})
	for _, fee := range fees {
		t.Total.Lines++
		t.Total.Cells[0].AddMicro(fee * partial.Micro)
		t.Lines.Keep(2, partial.Line{Value: float64(fee), TimeMs: t0 + fee, File: "/log", Key: []string{station}, Text: fmt.Sprint("fee ", fee)})
	}
	return t.Append(nil)
}

// asks is a query service over the rig's compute.
func (r *rig) asks(rows store.Rows, peers ...pharosv1.QueryServiceClient) *query.Service {
	return query.New(query.Options{Store: r.store, Rows: rows, Live: r.c, Peers: func() []pharosv1.QueryServiceClient { return peers }})
}

// lines asks for the lines of t0 and the minutes after it.
func (r *rig) lines(q *query.Service, m *pharosv1.MonitorInfo, order pharosv1.LineOrder, offset, limit int32) (text string, total uint64) {
	r.t.Helper()
	resp, err := q.MonitorLines(context.Background(), &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: "w"}, MonitorId: m.GetMonitorId(),
		StartMs: t0, EndMs: t0 + 10*minute, Order: order, Offset: offset, Limit: limit})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, l := range resp.GetLines() {
		out = append(out, fmt.Sprintf("%d#%d %s %s %v", (l.GetWindowStartMs()-t0)/minute, l.GetRank(), l.GetText(), l.GetInstance(), l.GetKey()))
	}
	for _, w := range resp.GetWindows() {
		out = append(out, fmt.Sprintf("%d:%d of %d live=%v", (w.GetWindowStartMs()-t0)/minute, w.GetKept(), w.GetCount(), w.GetLive()))
	}
	return strings.Join(out, "|"), resp.GetTotal()
}

const (
	byValue  = pharosv1.LineOrder_LINE_ORDER_VALUE
	byWindow = pharosv1.LineOrder_LINE_ORDER_WINDOW
)

func linesRig(t *testing.T) (*rig, *memRows, *query.Service, *pharosv1.MonitorInfo) {
	rows := &memRows{}
	r := newRig(t, func(o *Options) { o.Rows = rows })
	m := fees(t, "a", "b")
	state := cluster([]*pharosv1.MonitorInfo{m}, "a", "b")
	for _, a := range state.GetAgents() {
		a.Labels["instance"] = a.Labels["host"]
	}
	r.c.SetState(state)
	return r, rows, r.asks(rows), m
}

func TestLinesOfWindows(t *testing.T) {
	r, rows, q, m := linesRig(t)
	expect := func(what string, order pharosv1.LineOrder, offset, limit int32, want string, total uint64) {
		t.Helper()
		if got, n := r.lines(q, m, order, offset, limit); got != want || n != total {
			t.Errorf("%s: %s (%d), want %s (%d)", what, got, n, want, total)
		}
	}
	r.deliver("a", revision(m, t0, 1, 1, true, feeTable("n", 3, 9, 5)))
	expect("live", byValue, 0, 10, "0#1 fee 9 ha [az-1 n]|0#2 fee 5 ha [az-1 n]|0:2 of 3 live=true", 2)
	r.deliver("b", revision(m, t0, 1, 1, true, feeTable("s", 7)))
	r.now.Store(t0 + minute + 10)
	r.mark("a", m, t0+minute)
	r.mark("b", m, t0+minute)
	r.is(`fees:count{app="shop",workspace="w"}`, t0, 4)
	r.is(`fees:max{app="shop",workspace="w"}`, t0, 9)
	first := "0#1 fee 9 ha [az-1 n]|0#2 fee 7 hb [az-2 s]|0:2 of 4 live=false"
	r.until("settled", func() bool { got, _ := r.lines(q, m, byValue, 0, 10); return got == first })

	r.synced()
	rows.mu.Lock()
	if rows.durable != len(rows.rows) || rows.durable == 0 {
		t.Errorf("%d of %d rows are durable", rows.durable, len(rows.rows))
	}
	rows.mu.Unlock()
	r.deliver("a", revision(m, t0+minute, 1, 1, true, feeTable("n", 8)))
	const both = "0#1 fee 9 ha [az-1 n]|1#1 fee 8 ha [az-1 n]|0#2 fee 7 hb [az-2 s]|1:1 of 1 live=true|0:2 of 4 live=false"
	expect("over two windows by value", byValue, 0, 10, both, 3)
	expect("over two windows by window", byWindow, 0, 10, "1#1 fee 8 ha [az-1 n]|0#1 fee 9 ha [az-1 n]|0#2 fee 7 hb [az-2 s]|1:1 of 1 live=true|0:2 of 4 live=false", 3)
	expect("a page", byValue, 1, 1, "1#1 fee 8 ha [az-1 n]|1:1 of 1 live=true|0:2 of 4 live=false", 3)
	expect("a page beyond", byValue, 9, 1, "1:1 of 1 live=true|0:2 of 4 live=false", 3)

	// A line that comes late replaces what the window had, and after a crash nothing is lost or doubled.
	r.deliver("b", revision(m, t0, 2, 5, true, feeTable("s", 11, 7)))
	late := "0#1 fee 11 hb [az-2 s]|0#2 fee 9 ha [az-1 n]|1#1 fee 8 ha [az-1 n]|1:1 of 1 live=true|0:2 of 6 live=false"
	r.until("settled again", func() bool { got, _ := r.lines(q, m, byValue, 0, 10); return got == late })
	r.crash()
	rows.crash()
	r.start()
	q = r.asks(rows)
	r.until("settled after a crash", func() bool { got, _ := r.lines(q, m, byValue, 0, 10); return got == late })

	// Equal ones keep their rank.
	r.deliver("a", revision(m, t0+2*minute, 1, 1, true, feeTable("n", 20, 20)))
	expect("equal records", byValue, 0, 2, "2#1 fee 20 ha [az-1 n]|2#2 fee 20 ha [az-1 n]|2:2 of 2 live=true|1:1 of 1 live=true|0:2 of 6 live=false", 5)

	for what, req := range map[string]*pharosv1.MonitorLinesRequest{
		"no monitor":       {},
		"another's":        {Scope: &pharosv1.Scope{Workspace: "x"}, MonitorId: m.GetMonitorId()},
		"too far":          {Scope: &pharosv1.Scope{Workspace: "w"}, MonitorId: m.GetMonitorId(), Offset: 900, Limit: 101},
		"a negative place": {Scope: &pharosv1.Scope{Workspace: "w"}, MonitorId: m.GetMonitorId(), Offset: -1, Limit: 2},
	} {
		if _, err := q.MonitorLines(context.Background(), req); err == nil {
			t.Errorf("%s: answered", what)
		}
	}
}

func TestLinesWaitForTheStore(t *testing.T) {
	r, rows, q, m := linesRig(t)
	rows.set(store.ErrDiskFull)
	r.deliver("a", revision(m, t0, 1, 1, true, feeTable("n", 3)))
	r.now.Store(t0 + minute + 10)
	r.mark("a", m, t0+minute)
	r.mark("b", m, t0+minute)
	r.until("refused", func() bool { return r.c.stats.storeErr.err.Load() != nil })
	if got, _ := r.lines(q, m, byValue, 0, 10); !strings.HasPrefix(got, "0#1 fee 3 ha [az-1 n]|0:1 of 1 live=true") {
		t.Errorf("while the store refuses: %s", got)
	}
	rows.set(nil)
	r.until("settled", func() bool { got, _ := r.lines(q, m, byValue, 0, 10); return strings.HasSuffix(got, "live=false") })
	// What the store has of a window that has changed since does not count.
	rows.set(store.ErrDiskFull)
	r.deliver("b", revision(m, t0, 1, 1, true, feeTable("s", 2, 5)))
	if got, n := r.lines(q, m, byValue, 0, 10); got != "0#1 fee 5 hb [az-2 s]|0#2 fee 3 ha [az-1 n]|0:2 of 3 live=true" || n != 2 {
		t.Errorf("after a late part: %s (%d)", got, n)
	}
}

// TestLinesInAnyOrder delivers parts in random order, folds some, and asks after each.
func TestLinesInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	r, _, q, m := linesRig(t)
	type part struct {
		agent string
		at    int64
		fees  []int64
	}
	var parts []part
	want := map[int64][]int64{}
	for i := range 40 {
		p := part{agent: []string{"a", "b"}[i%2], at: t0 + rng.Int64N(3)*minute}
		for range 1 + rng.IntN(4) {
			p.fees = append(p.fees, rng.Int64N(1_000_000))
		}
		want[p.at] = append(want[p.at], p.fees...)
		parts = append(parts, p)
	}
	r.now.Store(t0 + 4*minute)
	r.mark("a", m, t0+4*minute)
	r.mark("b", m, t0+4*minute)
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for i, p := range parts {
		r.deliver(p.agent, revision(m, p.at, uint64(i+1), 1, true, feeTable("x", p.fees...)))
		if i%10 == 9 {
			r.now.Add(r.c.opts.Idle.Milliseconds() + 1)
			if err := r.c.foldIdle(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var texts []string
	for at := t0 + 2*minute; at >= t0; at -= minute {
		slices.SortFunc(want[at], func(a, b int64) int { return cmp.Compare(b, a) })
		for rank, fee := range want[at][:2] {
			texts = append(texts, fmt.Sprintf("%d#%d fee %d", (at-t0)/minute, rank+1, fee))
		}
	}
	r.until("the two largest of each", func() bool {
		got, _ := r.lines(q, m, byWindow, 0, 6)
		lines := strings.Split(got, "|")
		return len(lines) == 9 && slices.EqualFunc(lines[:6], texts, strings.HasPrefix)
	})
}

// peer is another compute.
type peer struct {
	pharosv1.QueryServiceClient
	resp *pharosv1.MonitorLinesResponse
	err  error
}

func (p peer) MonitorLines(context.Context, *pharosv1.MonitorLinesRequest, ...grpc.CallOption) (*pharosv1.MonitorLinesResponse, error) {
	return p.resp, p.err
}

func TestLinesOfPeers(t *testing.T) {
	r, rows, _, m := linesRig(t)
	r.deliver("a", revision(m, t0, 1, 1, true, feeTable("n", 3, 9)))
	line := func(window int64, text string) *pharosv1.KeptLine {
		return &pharosv1.KeptLine{WindowStartMs: window, Rank: 1, Value: 5, Text: text, Instance: "hc"}
	}
	q := r.asks(rows, peer{resp: &pharosv1.MonitorLinesResponse{
		Windows: []*pharosv1.LineWindow{{WindowStartMs: t0 + minute, Count: 4, Kept: 1, Live: true}, {WindowStartMs: t0, Count: 1, Kept: 1, Revision: 2, Live: true}},
		Lines:   []*pharosv1.KeptLine{line(t0+minute, "of a peer"), line(t0, "of a later revision")}}})
	if got, _ := r.lines(q, m, byWindow, 0, 10); got != "1#1 of a peer hc []|0#1 of a later revision hc []|1:1 of 4 live=true|0:1 of 1 live=true" {
		t.Errorf("got %s", got)
	}
	q = r.asks(rows, peer{err: context.DeadlineExceeded})
	if _, err := q.MonitorLines(context.Background(), &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: "w"}, MonitorId: m.GetMonitorId()}); err == nil {
		t.Error("answered without a peer")
	}
}
