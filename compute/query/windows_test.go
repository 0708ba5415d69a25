package query

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Spec 05 §3.3: a window value is not carried forward: absent stays absent.
func TestWindowIsNotCarriedForward(t *testing.T) {
	b := newBench(t, Options{})
	b.window(count(), minute, 1, 2, -1, 4)
	b.want(b.at("trade:count", 0), `trade:count{app="default"} 1`)
	b.want(b.at("trade:count", minute-1), `trade:count{app="default"} 1`)
	b.want(b.at("trade:count", minute), `trade:count{app="default"} 2`)
	b.want(b.at("trade:count", 2*minute-1), `trade:count{app="default"} 2`)
	b.want(b.at("trade:count", 2*minute), ``)
	b.want(b.at("trade:count", 3*minute-1), ``)
	b.want(b.at("trade:count", 3*minute), `trade:count{app="default"} 4`)
	b.want(b.at("trade:count", 4*minute-1), `trade:count{app="default"} 4`)
	b.want(b.at("trade:count", 4*minute), ``)
	b.want(b.over("trade:count", -minute, 5*minute, 30_000),
		`trade:count{app="default"} 0s=1 30s=1 60s=2 90s=2 180s=4 210s=4`)
	// Range selectors see each window once.
	b.want(b.at("sum_over_time(trade:count[10m])", 5*minute), `{app="default"} 7`)
	b.want(b.at("count_over_time(trade:count[10m])", 5*minute), `{app="default"} 3`)
	b.want(b.at("trade:count offset 1m", 4*minute), `trade:count{app="default"} 4`)
	b.want(b.at("absent(trade:count)", 2*minute), `{} 1`)
	b.want(b.at("count_over_time(trade:count[5m:30s])", 5*minute), `{app="default"} 5`)
}

func TestLongAndShortWindows(t *testing.T) {
	b := newBench(t, Options{})
	hour := store.FromStrings("__name__", "hourly:sum", "workspace", "shop")
	if err := b.store.WriteWindows(context.Background(), []store.WindowSample{{Labels: hour, StartMs: b.now - 60*minute, WindowMs: 60 * minute, Value: 7}}); err != nil {
		t.Fatal(err)
	}
	// An hour's value holds for the whole hour, far beyond the lookback.
	b.want(b.at("hourly:sum", -1), `hourly:sum{} 7`)
	b.want(b.at("hourly:sum", -30*minute), `hourly:sum{} 7`)
	b.want(b.at("hourly:sum", 0), ``)
	b.want(b.at("timestamp(hourly:sum)", -58*minute), `{} `+strconv.FormatFloat(float64(b.now/1000-3600), 'g', -1, 64))
	b.want(b.at("count_over_time(hourly:sum[2h])", 0), `{} 1`)
	second := store.FromStrings("__name__", "fast:count", "workspace", "shop")
	b.window(second, 1000, 1, 2, -1, 4)
	b.want(b.over("fast:count", 0, 5000, 1000), `fast:count{} 0s=1 1s=2 3s=4`)
	// A shorter lookback than the window leaves no holes either.
	resp, err := b.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: "hourly:sum", StartMs: b.now - 25*minute - 7, EndMs: b.now - 25*minute - 7, LookbackMs: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	b.want(render(resp, b.now), `hourly:sum{} 7`)
}

func TestRawSamplesAreCarriedForward(t *testing.T) {
	b := newBench(t, Options{})
	b.raw(store.FromStrings("__name__", "sys_cpu_util", "host", "a"), 10_000, 5, 6, 7)
	b.want(b.at("sys_cpu_util", 4*minute), `sys_cpu_util{host="a"} 7`)
	b.want(b.at("sys_cpu_util", 20_000+5*minute), ``)
	b.want(b.at("sum_over_time(sys_cpu_util[20s])", 20_000), `{host="a"} 13`) // left-open
}

func TestLiveWins(t *testing.T) {
	b := newBench(t, Options{})
	b.window(count("goods", "food"), minute, 10, 20)
	b.live.series = []*store.Series{
		{Labels: count("goods", "food"), WindowMs: minute, TimesMs: []int64{b.now + minute, b.now + 2*minute}, Values: []float64{25, 5}},
		{Labels: count("goods", "toys"), WindowMs: minute, TimesMs: []int64{b.now + 2*minute}, Values: []float64{1}},
	}
	b.want(b.over("trade:count", 0, 4*minute, minute),
		`trade:count{app="default",goods="food"} 0s=10 60s=25 120s=5`+"\n"+`trade:count{app="default",goods="toys"} 120s=1`)
	b.want(b.at("sum(sum_over_time(trade:count[1h]))", 4*minute), `{} 41`)
	values, err := b.LabelValues(context.Background(), &pharosv1.LabelValuesRequest{Scope: shop, Name: "goods", Selectors: []string{"trade:count"}})
	if err != nil || !slices.Equal(values.GetValues(), []string{"food", "toys"}) {
		t.Errorf("values %v, %v", values, err)
	}
	series, err := b.Series(context.Background(), &pharosv1.SeriesRequest{Scope: shop, Selectors: []string{"trade:count"}, Limit: 1})
	if err != nil || len(series.GetSeries()) != 1 || !series.GetTruncated() {
		t.Errorf("series %v, %v", series, err)
	}
}

func TestWindowLengthChanged(t *testing.T) {
	b := newBench(t, Options{})
	b.window(count(), minute, 1, 2)
	if err := b.store.WriteWindows(context.Background(), []store.WindowSample{{Labels: count(), StartMs: b.now + 5*minute, WindowMs: 5 * minute, Value: 50}}); err != nil {
		t.Fatal(err)
	}
	b.want(b.over("trade:count", 0, 11*minute, minute), `trade:count{app="default"} 0s=1 60s=2 300s=50 360s=50 420s=50 480s=50 540s=50`)
}
