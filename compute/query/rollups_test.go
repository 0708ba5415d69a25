package query

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/window"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// counting counts the values read of each level.
type counting struct {
	store.Store
	read [store.Levels]int
}

func (c *counting) SelectRollups(ctx context.Context, l store.Level, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	return c.Store.SelectRollups(ctx, l, matchers, startMs, endMs, limits, func(x *store.Series) error {
		c.read[l] += len(x.Values)
		return fn(x)
	})
}

const rollupDays = 5

// longBench has five days of windows of a monitor, ending with the current hour, with
// rollups of all but a few hours in the middle. Some windows are missing or incomplete.
func longBench(t *testing.T) (*bench, *counting) {
	t.Helper()
	b := newBench(t, Options{})
	spec, err := json.Marshal(logrule.Spec{Title: "Trades", Type: logrule.MinuteMulti, GroupBy: []string{"kind"}, Statistics: []logrule.Statistic{
		{Name: "count", Kind: logrule.Count}, {Name: "low", Kind: logrule.Min, Column: "ms"}, {Name: "high", Kind: logrule.Max, Column: "ms"}, {Name: "ms", Kind: logrule.Avg, Column: "ms"}}})
	if err != nil {
		t.Fatal(err)
	}
	info := &pharosv1.MonitorInfo{MonitorId: "m1", TaskId: "m1/1", Key: "trade", Workspace: "shop", App: "web", SpecJson: spec}
	b.live.monitors = []*pharosv1.MonitorInfo{info}
	plan, err := window.NewPlan(info)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(9, 9))
	start := b.now - rollupDays*24*hourMs
	for day := range int64(rollupDays) {
		var batch []store.WindowSample
		for at := start + day*24*hourMs; at < start+(day+1)*24*hourMs; at += minute {
			put := func(name, kind string, v float64) {
				batch = append(batch, store.WindowSample{Labels: store.FromMap(map[string]string{"__name__": "trade:" + name, "app": "web", "workspace": "shop", "kind": kind}), StartMs: at, WindowMs: minute, Revision: 1, Value: v})
			}
			if rng.IntN(500) == 0 {
				put("completeness", "", 0.5)
				continue
			}
			put("completeness", "", 1)
			for _, kind := range []string{"a", "b"} {
				if kind == "b" && rng.IntN(3) > 0 {
					continue // no lines: zero
				}
				n, ms := float64(1+rng.IntN(50)), float64(rng.IntN(1000))
				put("count", kind, n)
				put("low", kind, ms)
				put("high", kind, ms+n)
				put("ms_sum", kind, n*ms)
				put("ms_count", kind, n)
				put("ms", kind, ms)
			}
		}
		if err := b.store.WriteWindows(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	for at := start; at < b.now; at += 5 * minute {
		if hour := (at - start) / hourMs; hour >= 30 && hour < 33 {
			continue // as if rollups had been switched off
		}
		for _, l := range []store.Level{store.FiveMinutes, store.OneHour} {
			if at%l.LengthMs() != 0 {
				continue
			}
			if _, err := store.RollUp(ctx, b.store, l, at, plan.Matchers(), plan.Rollup); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := &counting{Store: b.store}
	b.store = c
	return b, c
}

// TestRollupsGiveTheSame asks the same with and without rollups.
func TestRollupsGiveTheSame(t *testing.T) {
	b, c := longBench(t)
	const span = rollupDays * 24 * hourMs
	ask := func(s *Service, expr string, start, end, step int64) string {
		t.Helper()
		resp, err := s.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: expr, StartMs: start, EndMs: end, StepMs: step})
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		return render(resp, b.now)
	}
	windows := New(Options{Store: c, Live: b.live, Limits: Limits{LateBy: 10_000 * time.Hour}})
	for _, q := range []struct {
		expr             string
		start, end, step int64
		level            store.Level // that is read, Base: none
	}{
		// As the console asks: a point covers the windows from its time less step on.
		{"sum_over_time(trade:count[1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.OneHour},
		{"sum_over_time(trade:count[15m])", b.now - span + 14*minute, b.now - minute, 15 * minute, store.FiveMinutes},
		{"sum_over_time(trade:count[2h])", b.now - span + 119*minute, b.now - minute, hourMs, store.OneHour},
		{"sum_over_time(trade:count[1h] offset 1h)", b.now - span + 119*minute, b.now - minute, hourMs, store.OneHour},
		{"sum by (kind) (sum_over_time(trade:ms_sum[1h])) / sum by (kind) (sum_over_time(trade:ms_count[1h]))", b.now - span + 59*minute, b.now - 1, hourMs, store.OneHour},
		{"min_over_time(trade:low[10m])", b.now - span + 9*minute, b.now - minute, 10 * minute, store.FiveMinutes},
		{"max_over_time(trade:high[1h])", b.now - span + 60*minute - 1, b.now - 1, hourMs, store.OneHour},
		{"min_over_time(trade:completeness[1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.OneHour},
		{"sum_over_time(trade:count[5d])", b.now - 1, b.now - 1, 0, store.OneHour},
		{"sum_over_time(trade:count[4d])", b.now - 17*minute, b.now - 17*minute, 0, store.OneHour},
		{"sum_over_time(trade:count[5h])", b.now - span + 1000*minute + 1, b.now - span + 1000*minute + 1, 0, store.FiveMinutes},
		{"trade:count and topk(1, sum_over_time(trade:count[100h] @ end()))", b.now - 2*hourMs, b.now - minute, minute, store.OneHour},
		// What buckets can't answer is read from windows.
		{"sum_over_time(trade:count[1h])", b.now - span + 60*minute, b.now, hourMs, store.Base},
		{"sum_over_time(trade:count[7m])", b.now - span + 59*minute, b.now - minute, hourMs, store.Base},
		{"sum_over_time(trade:count[1h])", b.now - span + 59*minute, b.now - minute, 7 * minute, store.Base},
		{"avg_over_time(trade:count[1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.Base},
		{"count_over_time(trade:count[1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.Base},
		{"max_over_time(trade:low[1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.Base},
		{"max_over_time(sum_over_time(trade:count[1h])[3h:1h])", b.now - span + 59*minute, b.now - minute, hourMs, store.Base},
		{"trade:count", b.now - span, b.now - minute, hourMs, store.Base},
		{`sum_over_time({__name__="trade:count",kind="a"}[1h]) + sum_over_time({__name__=~"trade:count",kind="a"}[1h])`, b.now - span + 59*minute, b.now - minute, hourMs, store.OneHour},
	} {
		want := ask(windows, q.expr, q.start, q.end, q.step)
		if c.read[store.FiveMinutes]+c.read[store.OneHour] > 0 || want == "" {
			t.Fatalf("%s: reading windows only read %v and gave %d bytes", q.expr, c.read, len(want))
		}
		all := c.read[store.Base]
		c.read = [store.Levels]int{}
		got := ask(b.Service, q.expr, q.start, q.end, q.step)
		if got != want {
			t.Errorf("%s by %s: with rollups:\n%s\nwithout:\n%s", q.expr, time.Duration(q.step)*time.Millisecond, first(got), first(want))
		}
		for _, l := range []store.Level{store.FiveMinutes, store.OneHour} {
			if (c.read[l] > 0) != (l == q.level) {
				t.Errorf("%s by %s: read %v values of the levels", q.expr, time.Duration(q.step)*time.Millisecond, c.read)
			}
		}
		if q.level != store.Base && !strings.Contains(q.expr, "=~") && c.read[store.Base] > all*2/3 {
			t.Errorf("%s by %s: read %v values, %d without rollups", q.expr, time.Duration(q.step)*time.Millisecond, c.read, all)
		}
		c.read = [store.Levels]int{}
	}

	// A bucket that is not as it should be, and all after it, is read from windows.
	b.live.pending = b.now - 100*hourMs
	ask(b.Service, "sum_over_time(trade:count[1h])", b.now-90*hourMs-minute, b.now-minute, hourMs)
	if c.read[store.OneHour] > 0 {
		t.Errorf("read %v values of the levels while a rollup is pending", c.read)
	}
}

func first(s string) string { return s[:min(len(s), 600)] }

// TestOnlyRollupsAreLeft asks for a time of which windows are no longer kept.
func TestOnlyRollupsAreLeft(t *testing.T) {
	b, c := longBench(t)
	b.Service.now = func() time.Time { return time.UnixMilli(b.now).Add(store.DefaultRetention) }
	const span = rollupDays * 24 * hourMs
	// As the console asks it is exact.
	got := b.over(`sum_over_time(trade:count{kind="a"}[1h])`, -span+59*minute, -span+3*hourMs-minute, hourMs)
	windows := New(Options{Store: c, Live: b.live, Limits: Limits{LateBy: 10_000 * time.Hour}})
	resp, err := windows.Query(context.Background(), &pharosv1.QueryRequest{Scope: shop, Expr: `sum_over_time(trade:count{kind="a"}[1h])`, StartMs: b.now - span + 59*minute, EndMs: b.now - span + 3*hourMs - minute, StepMs: hourMs})
	if err != nil {
		t.Fatal(err)
	}
	b.want(got, render(resp, b.now))
	// A selector shows the mean per window, until the end of the bucket.
	whole := resp.GetSeries()[0].GetValues()
	b.want(b.over(`trade:count{kind="a"}`, -span, -span+hourMs, hourMs), fmt.Sprintf(`trade:count{app="web",kind="a"} %ds=%v %ds=%v`,
		-span/1000, b.mean(-span), -span/1000+3600, b.mean(-span+hourMs)))
	hours := []float64{b.meanOfHour(-span), b.meanOfHour(-span + hourMs)}
	if hours[0]*60 < whole[0]-0.001 || hours[0]*60 > whole[0]+0.001 {
		t.Errorf("the mean of an hour is %v, its sum %v", hours[0], whole[0])
	}
	// On the full hour, a range of an hour is the bucket that has just ended, not the one that begins.
	b.want(b.at(`sum_over_time(trade:count{kind="a"}[1h])`, -span+hourMs), fmt.Sprintf(`{app="web",kind="a"} %v`, whole[0]))
	if c.read[store.Base] == 0 {
		t.Error("the comparison read no windows")
	}
}

// mean is the value per window of the five minutes at now+offset.
func (b *bench) mean(offsetMs int64) float64 { return b.bucket(store.FiveMinutes, offsetMs) / 5 }

func (b *bench) meanOfHour(offsetMs int64) float64 { return b.bucket(store.OneHour, offsetMs) / 60 }

func (b *bench) bucket(l store.Level, offsetMs int64) (v float64) {
	b.t.Helper()
	at := b.now + offsetMs
	if err := b.store.SelectRollups(context.Background(), l, []store.Matcher{{Name: store.MetricName, Value: "trade:count"}, {Name: "kind", Value: "a"}}, at, at, store.Limits{}, func(x *store.Series) error {
		v = x.Values[0]
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return v
}
