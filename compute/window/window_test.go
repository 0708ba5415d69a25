package window

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func TestDecideProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		end, deadline, now := rng.Int64N(50)+1, int64(0), rng.Int64N(120)
		deadline = end + rng.Int64N(40)
		marks := map[string]int64{}
		var expected, behind []string
		for i := range rng.IntN(5) {
			a := fmt.Sprint(i)
			expected = append(expected, a)
			if rng.IntN(4) > 0 {
				marks[a] = rng.Int64N(100)
			}
			if marks[a] < end {
				behind = append(behind, a)
			}
		}
		mark := func(a string) int64 { return marks[a] }
		d := Decide(end, deadline, now, expected, mark)
		want := now >= end && (len(behind) == 0 || now >= deadline)
		if d.Settle != want {
			t.Fatalf("settles %v: end %d deadline %d now %d behind %v of %v", d.Settle, end, deadline, now, behind, expected)
		}
		if d.Settle && !slices.Equal(d.Missing, behind) {
			t.Fatalf("missing %v, want %v", d.Missing, behind)
		}
		if d.Settle {
			// Time and watermarks only grow: what has settled stays so, and nobody becomes missing.
			for a := range marks {
				marks[a] += rng.Int64N(10)
			}
			later := Decide(end, deadline, now+rng.Int64N(100), expected, mark)
			if !later.Settle || len(later.Missing) > len(d.Missing) {
				t.Fatalf("was settled with %v missing, later %+v", d.Missing, later)
			}
			if still := StillMissing(end, d.Missing, mark); !slices.Equal(still, later.Missing) {
				t.Fatalf("still missing %v, deciding again says %v", still, later.Missing)
			}
			if c := Completeness(len(expected), len(d.Missing)); c < 0 || c > 1 || c == 1 != (len(behind) == 0) {
				t.Fatalf("completeness is %v with %v of %v missing", c, d.Missing, expected)
			}
		} else if len(d.Missing) > 0 && !slices.Contains(behind, d.Missing[0]) {
			t.Fatalf("waits for %v, who is not behind", d.Missing)
		}
	}
}

func rows(keys ...string) []*Row {
	var out []*Row
	for _, k := range keys {
		out = append(out, &Row{Key: k})
	}
	return out
}

func TestKeysKeepTheirPlace(t *testing.T) {
	const hour = int64(3600_000)
	k := NewKeys()
	dropped := func(at int64, keys ...string) []string {
		a := k.Admit(rows(keys...), at, at, 2, false)
		var out []string
		for _, key := range keys {
			if a.Dropped[key] {
				out = append(out, key)
			}
		}
		return out
	}
	day := 24 * hour
	if d := dropped(day, "b", "c"); d != nil {
		t.Errorf("dropped %v within the limit", d)
	}
	if d := dropped(day+hour, "a", "c"); !slices.Equal(d, []string{"a"}) {
		t.Errorf("dropped %v", d)
	}
	if a := k.Admit(rows("a"), day+hour, day+hour, 2, true); !a.Dropped["a"] || len(a.Stored) > 0 {
		t.Errorf("a dry run says %+v", a)
	}
	// b was seen 24 h and a bit ago; c is still seen.
	if d := dropped(2*day, "c"); d != nil {
		t.Errorf("dropped known %v", d)
	}
	if d := dropped(2*day+2*hour, "a", "c", "x"); !slices.Equal(d, []string{"x"}) {
		t.Errorf("dropped %v after a place came free", d)
	}
	if n := k.Len(2*day + 2*hour); n != 2 {
		t.Errorf("%d keys", n)
	}
}

func plan(t *testing.T, spec logrule.Spec) *Plan {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(&pharosv1.MonitorInfo{MonitorId: "m", TaskId: "m/1", Key: "k", Workspace: "w", App: "shop", SpecJson: b})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMergeInAnySplit merges lines that are spread over agents and parts at random.
func TestMergeInAnySplit(t *testing.T) {
	p := plan(t, logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"az", "kind"}, Statistics: []logrule.Statistic{
		{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "ms"}, {Kind: logrule.Min, Column: "ms"}, {Kind: logrule.Max, Column: "ms"}, {Kind: logrule.Avg, Column: "n"}}})
	rng := rand.New(rand.NewPCG(5, 6))
	l := partial.Layout{Groups: 1, Columns: 2}
	parts := make([]*partial.Table, 12)
	for i := range parts {
		parts[i] = partial.NewTable(l)
	}
	type want struct{ lines, sum, low, high int64 }
	all := map[string]*want{}
	for range 5000 {
		i := rng.IntN(len(parts))
		kind, ms := fmt.Sprint("k", rng.IntN(5)), rng.Int64N(2000)-500
		row := partial.Row{Key: []string{kind}, Lines: 1, Cells: make([]partial.Cell, 2)}
		row.Cells[0].AddMicro(ms * partial.Micro)
		if ms%3 == 0 {
			row.Cells[1].AddMicro(ms * partial.Micro)
		}
		parts[i].Add(&row)
		parts[i].Total.Lines++
		for c := range row.Cells {
			parts[i].Total.Cells[c].Merge(&row.Cells[c])
		}
		k := fmt.Sprintf("az-%d %s", i%2, kind)
		w := all[k]
		if w == nil {
			w = &want{low: ms, high: ms}
			all[k] = w
		}
		w.lines, w.sum, w.low, w.high = w.lines+1, w.sum+ms, min(w.low, ms), max(w.high, ms)
	}
	m := NewMerge(p)
	for _, i := range rng.Perm(len(parts)) {
		if err := m.Add(p, map[string]string{"az": fmt.Sprintf("az-%d", i%2), "host": fmt.Sprint(i)}, parts[i].Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	state := &pharosv1.WindowState{WindowStartMs: 60_000, WindowMs: 60_000, Completeness: 1, Revision: 3}
	values := map[string]float64{}
	for _, s := range p.Samples(nil, m.Result(), state, nil, nil) {
		if err := s.Validate(); err != nil || s.Revision != 3 {
			t.Errorf("%+v: %v", s, err)
		}
		values[s.Labels.String()] = s.Value
	}
	total := int64(0)
	for k, w := range all {
		total += w.lines
		labels := fmt.Sprintf(`{app="shop",az="%s",kind="%s",workspace="w"}`, k[:4], k[5:])
		for figure, v := range map[string]int64{"count": w.lines, "sum_ms": w.sum, "min_ms": w.low, "max_ms": w.high} {
			if got := values["k:"+figure+labels]; got != float64(v) {
				t.Errorf("%s of %s is %v, want %d", figure, k, got, v)
			}
		}
	}
	if got := values[`k:count:total{app="shop",workspace="w"}`]; got != float64(total) || total != 5000 {
		t.Errorf("total is %v", got)
	}
	names := p.Names()
	for k := range values {
		if !slices.ContainsFunc(names, func(n string) bool { return len(k) > len(n) && k[:len(n)+1] == n+"{" }) {
			t.Errorf("%s is not among the names", k)
		}
	}
}

// TestFiguresOfEveryKind says of two windows which series they have, and what
// they are made of over both.
func TestFiguresOfEveryKind(t *testing.T) {
	p := plan(t, logrule.Spec{Type: logrule.Minute, Statistics: []logrule.Statistic{
		{Name: "ratio", Kind: logrule.Ratio, Column: "a", Divisor: "b"}, {Name: "hits", Kind: logrule.Occurrences, Text: "x"},
		{Name: "ok", Kind: logrule.Success, Column: "r"}, {Name: "bad", Kind: logrule.Fail, Column: "r"}, {Name: "rate", Kind: logrule.SuccessRate, Column: "r"}}})
	window := func(lines uint64, a, b, hits, ok []int64) map[string]float64 {
		table := partial.NewTable(partial.Layout{Columns: 4})
		table.Total.Lines = lines
		for i, values := range [][]int64{a, b, hits, ok} {
			for _, v := range values {
				table.Total.Cells[i].AddMicro(v * partial.Micro)
			}
		}
		m := NewMerge(p)
		if err := m.Add(p, nil, table.Append(nil)); err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, s := range p.Samples(nil, m.Result(), &pharosv1.WindowState{Completeness: 1}, nil, nil) {
			got[strings.TrimPrefix(s.Labels.Get(store.MetricName), "k:")] = s.Value
		}
		return got
	}
	for _, c := range []struct {
		what string
		got  map[string]float64
		want map[string]float64
	}{
		{"all there", window(4, []int64{6, 9}, []int64{2, 3}, []int64{0, 2}, []int64{1, 0, 1, 1}), map[string]float64{
			"ratio": 3, "ratio_dividend": 15, "ratio_divisor": 5, "hits": 2, "ok": 3, "bad": 1, "rate": 75, "rate_success": 3, "rate_total": 4}},
		{"a divisor of 0 has no ratio, but counts over both windows", window(2, []int64{7}, []int64{0}, nil, nil), map[string]float64{
			"ratio_dividend": 7, "ratio_divisor": 0, "hits": 0, "ok": 0, "bad": 2, "rate": 0, "rate_success": 0, "rate_total": 2}},
		{"without lines there are no rates", window(0, nil, nil, nil, nil), map[string]float64{"hits": 0, "ok": 0, "bad": 0}},
	} {
		if !maps.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	for name, want := range map[string]store.Rollup{
		"k:ratio": {Kind: store.RollupRatio, Over: "k:ratio_dividend", Under: "k:ratio_divisor", Scale: 1},
		"k:rate":  {Kind: store.RollupRatio, Over: "k:rate_success", Under: "k:rate_total", Scale: 100},
		"k:hits":  {Kind: store.RollupSum}, "k:ok": {Kind: store.RollupSum}, "k:bad": {Kind: store.RollupSum},
		"k:rate_success": {Kind: store.RollupSum}, "k:ratio_divisor": {Kind: store.RollupSum},
	} {
		if got, ok := p.Rollup(name); !ok || got != want {
			t.Errorf("rollup of %s is %+v, want %+v", name, got, want)
		}
	}
	for _, c := range companions {
		if !slices.Contains(logrule.ReservedFigures, c.suffix) {
			t.Errorf("a figure may be called %s", c.suffix)
		}
	}
}

func TestGroupsFromLabelsAlone(t *testing.T) {
	p := plan(t, logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"host"}})
	m := NewMerge(p)
	table := partial.NewTable(partial.Layout{})
	table.Total.Lines = 4
	for _, host := range []string{"h1", "h2", "h1"} {
		if err := m.Add(p, map[string]string{"host": host}, table.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]float64{}
	for _, s := range p.Samples(nil, m.Result(), &pharosv1.WindowState{Completeness: 1}, nil, nil) {
		got[s.Labels.String()] = s.Value
	}
	if got[`k:count{app="shop",host="h1",workspace="w"}`] != 8 || got[`k:count{app="shop",host="h2",workspace="w"}`] != 4 || got[`k:count:total{app="shop",workspace="w"}`] != 12 || len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestLabels(t *testing.T) {
	p := plan(t, logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"a-b", "a_b", "host", "pod"}})
	ls, key := p.place([]string{"1", "\xff", "p"}, map[string]string{"host": "h"})
	series := p.series("x", ls)
	if want := `x{a_b="1",a_b_="` + "\uFFFD" + `",app="shop",c_pod="p",host="h",workspace="w"}`; series.String() != want {
		t.Errorf("series is %s, want %s", series, want)
	}
	if err := series.Validate(); err != nil {
		t.Error(err)
	}
	if _, other := p.place([]string{"1", "", "p"}, map[string]string{"host": "h"}); other == key {
		t.Error("two keys are one")
	}
	var _ store.Labels = ls
}
