package query

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Spec 05 §3.4: a key without lines in a complete window reads as 0 for additive
// figures while it was seen in the last 24 h, else it is absent.
func TestZeros(t *testing.T) {
	b := newBench(t, Options{})
	spec, err := json.Marshal(logrule.Spec{Title: "Trades", Type: logrule.MinuteMulti, GroupBy: []string{"goods"},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Avg}}})
	if err != nil {
		t.Fatal(err)
	}
	b.live.monitors = []*pharosv1.MonitorInfo{{MonitorId: "m1", Key: "trade", Workspace: "shop", SpecJson: spec}}
	metric := func(name string, pairs ...string) store.Labels {
		return store.FromStrings(append(pairs, "__name__", name, "workspace", "shop")...)
	}
	// Window 3 is incomplete, window 5 still open.
	b.window(metric("trade:completeness"), minute, 1, 1, 1, 0.5, 1, -1)
	b.window(metric("trade:count", "goods", "food"), minute, 5, -1, 7, -1, -1, -1)
	b.window(metric("trade:count", "goods", "late"), minute, -1, -1, 1, 2, -1, 3)
	b.window(metric("trade:ms", "goods", "food"), minute, 5, -1, 7)
	// Seen 23 h 59 min before window 1, and 24 h 2 min before window 0.
	hours := int64(24 * 60)
	b.live.series = []*store.Series{
		{Labels: metric("trade:count", "goods", "yesterday"), WindowMs: minute, TimesMs: []int64{b.now - (hours-2)*minute}, Values: []float64{9}},
		{Labels: metric("trade:count", "goods", "forgotten"), WindowMs: minute, TimesMs: []int64{b.now - (hours+2)*minute}, Values: []float64{9}},
	}
	b.want(b.over("trade:count", 0, 6*minute, minute), strings.Join([]string{
		`trade:count{goods="food"} 0s=5 60s=0 120s=7 240s=0`,
		`trade:count{goods="late"} 120s=1 180s=2 240s=0 300s=3`,
		`trade:count{goods="yesterday"} 0s=0 60s=0 120s=0`,
	}, "\n"))
	b.want(b.at(`count_over_time(trade:count{goods="food"}[4m])`, 4*minute+1), `{goods="food"} 3`)
	b.want(b.over("trade:ms", 0, 6*minute, minute), `trade:ms{goods="food"} 0s=5 120s=7`)
	// Another workspace's monitor of the same key says nothing about this one's.
	b.live.monitors[0].Workspace = "bank"
	b.want(b.over(`trade:count{goods="food"}`, 0, 6*minute, minute), `trade:count{goods="food"} 0s=5 120s=7`)
	b.live.monitors[0].Workspace = "shop"
	// Where a day's samples are too many, there are no zeros, and the answer says so.
	b.Service.limits.Samples = 5
	resp, err := b.Query(t.Context(), &pharosv1.QueryRequest{Scope: shop, Expr: "trade:count", StartMs: b.now + 2*minute, EndMs: b.now + 4*minute, StepMs: minute})
	if err != nil || len(resp.GetWarnings()) != 1 || !strings.Contains(resp.GetWarnings()[0], "absent instead of zero") {
		t.Fatalf("beyond the limit: %v, %v", resp, err)
	}
}
