package query

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func TestScope(t *testing.T) {
	b := newBench(t, Options{})
	write := func(name, workspace string, v float64) {
		b.window(store.FromStrings("__name__", name, "workspace", workspace, "tenant", "t1"), minute, v)
	}
	write("a:count", "shop", 1)
	write("a:count", "bank", 2)
	write("a:count", "shop|bank", 3)
	write("b:count", "shopping", 4)
	b.raw(store.FromStrings("__name__", "sys_load1", "host", "h"), 10_000, 9)
	b.want(b.at("a:count", 0), `a:count{} 1`)
	b.want(b.at(`sum(a:count{workspace=~".*"})`, 0), `{} 1`)
	b.want(b.at(`a:count{workspace="bank"}`, 0), ``)
	b.want(b.at(`a:count{workspace=~"shop|bank"} or a:count{workspace!="shop"}`, 0), `a:count{} 1`)
	b.want(b.at(`a:count{workspace="shop"}`, 0), `a:count{} 1`)
	b.want(b.at(`absent(a:count{workspace="bank",x="y"})`, 0), `{x="y"} 1`)
	b.want(b.at(`b:count`, 0), ``)
	b.want(b.at(`sys_load1`, 0), `sys_load1{host="h"} 9`)
	b.want(b.at(`{__name__=~".+"}`, 0), "a:count{} 1\nsys_load1{host=\"h\"} 9")
	b.want(b.at(`sum by (workspace, tenant) (a:count)`, 0), `{} 1`)
	b.want(b.at(`a:count{__window__="60000"}`, 0), ``)
	b.want(b.at(`a:count{__window__=""}`, 0), `a:count{} 1`)

	ctx := context.Background()
	series, err := b.Series(ctx, &pharosv1.SeriesRequest{Scope: shop, Selectors: []string{`{__name__=~"[ab]:count|sys_.*"}`}})
	if err != nil || len(series.GetSeries()) != 2 || len(series.GetSeries()[0].GetLabels()) != 1 {
		t.Errorf("series %v, %v", series, err)
	}
	names, err := b.LabelNames(ctx, &pharosv1.LabelNamesRequest{Scope: shop})
	if err != nil || !slices.Equal(names.GetNames(), []string{"__name__", "host"}) {
		t.Errorf("names %v, %v", names, err)
	}
	for name, want := range map[string][]string{"workspace": nil, "tenant": nil, "__window__": nil, "__name__": {"a:count", "sys_load1"}, "host": {"h"}} {
		values, err := b.LabelValues(ctx, &pharosv1.LabelValuesRequest{Scope: shop, Name: name})
		if err != nil || !slices.Equal(values.GetValues(), want) {
			t.Errorf("values of %s: %v, %v", name, values, err)
		}
	}
	// Without a workspace only series of none are seen; a workspace is text, not a pattern.
	for _, scope := range []*pharosv1.Scope{nil, {}, {Workspace: ".*"}, {Workspace: "sho."}} {
		resp, err := b.Query(ctx, &pharosv1.QueryRequest{Scope: scope, Expr: `{__name__=~".+"}`, StartMs: b.now, EndMs: b.now})
		if err != nil {
			t.Fatal(err)
		}
		b.want(render(resp, b.now), `sys_load1{host="h"} 9`)
	}
}

// serve runs a service on loopback and returns a client of it.
func serve(t *testing.T, s *Service) pharosv1.QueryServiceClient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pharosv1.RegisterQueryServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return dial(t, listener.Addr().String())
}

func dial(t *testing.T, addr string) pharosv1.QueryServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pharosv1.NewQueryServiceClient(conn)
}

func TestPeers(t *testing.T) {
	var clients []pharosv1.QueryServiceClient
	peers := func() []pharosv1.QueryServiceClient { return clients }
	// Each has the other as a peer: a call passed on would go round for ever.
	a, c := newBench(t, Options{Peers: peers}), newBench(t, Options{Peers: peers})
	clients = []pharosv1.QueryServiceClient{serve(t, c.Service)}
	a.window(count("k", "1"), minute, 1)
	a.live.series = []*store.Series{{Labels: count("k", "1"), WindowMs: minute, TimesMs: []int64{a.now + minute}, Values: []float64{2}}}
	c.live.series = []*store.Series{
		{Labels: count("k", "1"), WindowMs: minute, TimesMs: []int64{a.now, a.now + 3*minute}, Values: []float64{11, 3}},
		{Labels: count("k", "2"), WindowMs: 2 * minute, TimesMs: []int64{a.now}, Values: []float64{4}},
		{Labels: store.FromStrings("__name__", "trade:count", "workspace", "bank"), WindowMs: minute, TimesMs: []int64{a.now}, Values: []float64{666}},
	}
	c.window(count("k", "stored"), minute, 99) // peers are asked for live windows only
	a.want(a.over("trade:count", 0, 5*minute, minute),
		`trade:count{app="default",k="1"} 0s=11 60s=2 180s=3`+"\n"+`trade:count{app="default",k="2"} 0s=4 60s=4`)

	a.live.windows = &pharosv1.MonitorWindowsResponse{SettledUntilMs: 300, ExpectedAgents: 2, MissingAgents: []string{"x"}, Windows: []*pharosv1.WindowState{{WindowStartMs: 60, Revision: 2, Lines: 7}, {WindowStartMs: 180}}}
	c.live.windows = &pharosv1.MonitorWindowsResponse{SettledUntilMs: 240, ExpectedAgents: 2, MissingAgents: []string{"x", "y"}, Windows: []*pharosv1.WindowState{{WindowStartMs: 120}, {WindowStartMs: 60, Revision: 1}}}
	got, err := a.MonitorWindows(context.Background(), &pharosv1.MonitorWindowsRequest{Scope: shop, MonitorId: "m1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetSettledUntilMs() != 240 || !slices.Equal(got.GetMissingAgents(), []string{"x", "y"}) || len(got.GetWindows()) != 3 || got.GetWindows()[0].GetLines() != 7 || c.live.asked != 1 {
		t.Errorf("windows %v, the peer was asked %d times", got, c.live.asked)
	}

	// All that a compute has, by its own Select.
	stream, err := clients[0].Select(context.Background(), &pharosv1.SelectRequest{Scope: shop, EndMs: a.now + 60*minute, Matchers: []*pharosv1.Matcher{{Type: pharosv1.MatchType_MATCH_TYPE_REGEX, Name: "k", Value: "s.*|2"}}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil || len(resp.GetSeries()) != 2 || resp.GetSeries()[1].GetLabels()["__window__"] != "60000" || resp.GetSeries()[1].GetLabels()["workspace"] != "" {
		t.Errorf("select: %v, %v", resp, err)
	}

	// A peer that is gone is a warning for a query, and an error for a statement about completeness.
	clients = []pharosv1.QueryServiceClient{dial(t, "127.0.0.1:1")}
	answer, err := a.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: "trade:count", StartMs: a.now, EndMs: a.now})
	if err != nil || len(answer.GetSeries()) != 1 || len(answer.GetWarnings()) != 1 {
		t.Errorf("without the peer: %v, %v", answer, err)
	}
	if _, err = a.MonitorWindows(context.Background(), &pharosv1.MonitorWindowsRequest{Scope: shop, MonitorId: "m1"}); status.Code(err) != codes.Unavailable {
		t.Errorf("windows without the peer: %v", err)
	}
}

func TestErrors(t *testing.T) {
	b := newBench(t, Options{Limits: Limits{PointsPerSeries: 100, ResultSeries: 5, Samples: 1000}})
	for i := range 6 {
		b.raw(store.FromStrings("__name__", "many", "i", strconv.Itoa(i)), 10_000, make([]float64, 50)...)
		b.raw(store.FromStrings("__name__", "big", "i", strconv.Itoa(i)), 10_000, make([]float64, 200)...)
	}
	end := b.now + 600_000
	for _, c := range []struct {
		expr             string
		start, end, step int64
		code             codes.Code
		text             string
	}{
		{"sum(", end, end, 0, codes.InvalidArgument, "cannot parse"},
		{"", end, end, 0, codes.InvalidArgument, "cannot parse"},
		{"x", end, end - 1, 1, codes.InvalidArgument, "ends before"},
		{"x", end - 1, end, 0, codes.InvalidArgument, "needs a step"},
		{"x", end, end, -1, codes.InvalidArgument, "positive"},
		{"x", end - 100_000, end, 1000, codes.InvalidArgument, "step of at least 1.011s"},
		{"x[5m]", end - 1000, end, 1000, codes.InvalidArgument, "cannot use"},
		{"many", b.now, b.now, 0, codes.ResourceExhausted, "6 series, at most 5"},
		{"big[1h]", b.now + 2_400_000, b.now + 2_400_000, 0, codes.ResourceExhausted, "samples"},
		{"many + on() many", b.now, b.now, 0, codes.FailedPrecondition, "cannot evaluate"},
	} {
		_, err := b.Query(context.Background(), &pharosv1.QueryRequest{Expr: c.expr, StartMs: c.start, EndMs: c.end, StepMs: c.step})
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b.want(b.at("count(many)", 0), `{} 6`) // the limit is on results
	late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	req := &pharosv1.QueryRequest{Expr: "many", StartMs: end, EndMs: end}
	if _, err := b.Query(late, req); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("late: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Query(gone, req); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	for _, selectors := range [][]string{nil, {"{"}, {`{a=~".*"}`}} {
		if _, err := b.Series(context.Background(), &pharosv1.SeriesRequest{Selectors: selectors}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("series of %q: %v", selectors, err)
		}
	}
	if _, err := b.MonitorWindows(context.Background(), &pharosv1.MonitorWindowsRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("windows of no monitor: %v", err)
	}
}

func TestKinds(t *testing.T) {
	b := newBench(t, Options{})
	b.raw(store.FromStrings("__name__", "m", "i", "1"), 10_000, 1, 2)
	for _, c := range []struct {
		expr string
		kind pharosv1.ResultType
		want string
	}{
		{`"hello"`, pharosv1.ResultType_RESULT_TYPE_STRING, ``},
		{`1 + 2`, pharosv1.ResultType_RESULT_TYPE_SCALAR, `{} 3`},
		{`m`, pharosv1.ResultType_RESULT_TYPE_VECTOR, `m{i="1"} 2`},
		{`m[1m]`, pharosv1.ResultType_RESULT_TYPE_MATRIX, `m{i="1"} 10s=2`}, // left-open: not the sample a minute ago
	} {
		resp, err := b.Query(context.Background(), &pharosv1.QueryRequest{Expr: c.expr, StartMs: b.now + minute, EndMs: b.now + minute})
		if err != nil || resp.GetType() != c.kind {
			t.Errorf("%s: %v, %v", c.expr, resp, err)
		}
		if c.kind == pharosv1.ResultType_RESULT_TYPE_STRING && resp.GetText() != "hello" {
			t.Errorf("text %q", resp.GetText())
		}
		b.want(render(resp, b.now), c.want)
	}
}

func TestMetadata(t *testing.T) {
	b := newBench(t, Options{})
	spec, err := json.Marshal(logrule.Spec{Title: "Trades", Type: logrule.MinuteMulti, GroupBy: []string{"city"},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Avg}}})
	if err != nil {
		t.Fatal(err)
	}
	b.live.monitors = []*pharosv1.MonitorInfo{
		{MonitorId: "m1", Key: "trade", Workspace: "shop", SpecJson: spec},
		{MonitorId: "m2", Key: "secret", Workspace: "bank", SpecJson: spec}}
	b.raw(store.FromStrings("__name__", "sys_net_bytes_total", "host", "h"), 10_000, 1)
	resp, err := b.Metadata(context.Background(), &pharosv1.MetadataRequest{Scope: shop})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range resp.GetMetrics() {
		found[m.GetMetric()] = m.GetType() + "|" + m.GetHelp() + "|" + m.GetUnit()
	}
	for metric, want := range map[string]string{
		"trade:count":           "gauge|Trades: count per 1m|",
		"trade:count:total":     "gauge|Trades: count per 1m, over all keys|",
		"trade:ms_sum":          "gauge|Trades: ms per 1m: sum|",
		"trade:ms_sum:total":    "gauge|Trades: ms per 1m: sum, over all keys|",
		"trade:lost_bytes":      "gauge|Trades: bytes that could not be read before they were gone|bytes",
		"sys_net_bytes_total":   "counter||bytes",
		"trade:throttled_bytes": "gauge|Trades: bytes given up because of the monitor's flow limit|bytes",
		"trade:lines_throttled": "",
		"secret:count":          "",
	} {
		if found[metric] != want {
			t.Errorf("%s: %q, want %q", metric, found[metric], want)
		}
	}
	one, err := b.Metadata(context.Background(), &pharosv1.MetadataRequest{Scope: shop, Metric: "trade:ms"})
	if err != nil || len(one.GetMetrics()) != 1 {
		t.Errorf("one metric: %v, %v", one, err)
	}
	if _, err := b.MonitorWindows(context.Background(), &pharosv1.MonitorWindowsRequest{Scope: shop, MonitorId: "m2"}); status.Code(err) != codes.NotFound {
		t.Errorf("windows of another workspace's monitor: %v", err)
	}
	st, err := b.Status(context.Background(), &pharosv1.StatusRequest{})
	if err != nil || st.GetComputeId() != "c1" {
		t.Errorf("status %v, %v", st, err)
	}
}
