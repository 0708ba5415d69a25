package dashboards

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/dashboard"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const tradesSpec = `{"title":"Trades","type":"minute_multi","paths":["/var/log/t.log"],"window":"1m","time":{"format":"receive"},
	"columns":[{"name":"goods","split":{"delimiter":",","index":1}},{"name":"cloud","split":{"delimiter":",","index":2}},{"name":"ms","split":{"delimiter":",","index":3}}],
	"group_by":["goods","cloud"],"statistics":[{"name":"count","kind":"count"},{"name":"cost","kind":"avg","column":"ms","unit":"ms"},{"name":"slow","kind":"p99","column":"ms","unit":"ms"}]}`

// trade is what was counted of one key in one minute.
type trade struct{ count, cost, slow float64 }

// tradesAt is what the test data says of a key in a minute, counted from now; it grows with the minute, and was half a day ago and a third a week ago.
func tradesAt(goods, cloud int, m int64) trade {
	n := float64(1000 + m + int64(goods*100+cloud*10))
	if m < -1440 {
		n = float64(1000+(m+1440)+int64(goods*100+cloud*10)) / 2
	}
	if m < -5*1440 {
		n = float64(1000+(m+7*1440)+int64(goods*100+cloud*10)) / 3
	}
	return trade{n, n * float64(5+goods), 100 + float64(goods*10+cloud)}
}

var (
	goods  = []string{"apple", "pear", "plum"}
	clouds = []string{"east", "west"}
)

// trades is a world with an hour of trades today, yesterday and a week ago.
func trades(t *testing.T) *world {
	w := newWorld(t)
	w.monitor("trades", tradesSpec)
	var batch []store.WindowSample
	for _, day := range []int64{0, -1440, -7 * 1440} {
		for m := day - 61; m < day; m++ {
			at, total := w.now+m*minute, trade{}
			for g, gn := range goods {
				for c, cn := range clouds {
					x := tradesAt(g, c, m)
					key := []string{"goods", gn, "cloud", cn}
					batch = append(batch, sample("trades:count", at, x.count, key...), sample("trades:cost", at, x.cost/x.count, key...), sample("trades:cost_sum", at, x.cost, key...),
						sample("trades:cost_count", at, x.count, key...), sample("trades:slow", at, x.slow, key...))
					total.count, total.cost, total.slow = total.count+x.count, total.cost+x.cost, max(total.slow, x.slow)
				}
			}
			// Ten lines a minute had keys beyond the limit.
			batch = append(batch, sample("trades:count:total", at, total.count+10), sample("trades:cost_sum:total", at, total.cost), sample("trades:cost_count:total", at, total.count), sample("trades:slow:total", at, total.slow))
		}
	}
	w.write(batch)
	return w
}

func (w *world) same(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: got\n%swant\n%s", what, got, want)
	}
}

func TestKeysNow(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"keys_now","key_titles":["Goods"],"sources":[{"monitor":"trades"}]}`)
	want := ""
	for g := 2; g >= 0; g-- {
		for c := 1; c >= 0; c-- {
			x := tradesAt(g, c, -1)
			want += fmt.Sprintf("%s,%s @-1: %.10g %.10g %.10g\n", goods[g], clouds[c], x.count, x.cost/x.count, x.slow)
		}
	}
	w.same("keys", w.table(d), want)
	if strings.Join(d.Keys, " ") != "Goods cloud" || d.KeysTotal != 6 || len(d.Columns) != 3 || d.Columns[1].Unit != "ms" || d.Columns[2].Largest {
		t.Errorf("%+v %+v", d.Keys, d.Columns)
	}

	// Hiding a key merges what it told apart, averages from their sums, and says that of percentiles the largest is told.
	d = w.ask(`{"name":"x","type":"keys_now","hidden_keys":[1],"sources":[{"monitor":"trades"}]}`)
	want = ""
	for g := 2; g >= 0; g-- {
		a, b := tradesAt(g, 0, -1), tradesAt(g, 1, -1)
		want += fmt.Sprintf("%s @-1: %.10g %.10g %.10g\n", goods[g], a.count+b.count, (a.cost+b.cost)/(a.count+b.count), max(a.slow, b.slow))
	}
	w.same("merged", w.table(d), want)
	if !d.Columns[2].Largest || d.Columns[1].Largest {
		t.Errorf("%+v", d.Columns)
	}

	// The newest window may not have settled: then the one before is shown.
	w.live.windows["trades"].SettledUntilMs = w.now - 3*minute
	if d = w.ask(`{"name":"x","type":"keys_now","sources":[{"monitor":"trades"}]}`); d.StartMs != w.now-4*minute || !d.Rows[0].Settled {
		t.Errorf("starts %d minutes before now", (w.now-d.StartMs)/minute)
	}
	// When none has for long, the newest is shown and said to be open.
	w.live.windows["trades"].SettledUntilMs = w.now - 30*minute
	if d = w.ask(`{"name":"x","type":"keys_now","sources":[{"monitor":"trades"}]}`); d.StartMs != w.now-minute || d.Rows[0].Settled || d.OpenFromMs != d.StartMs {
		t.Errorf("%d %+v", (w.now-d.StartMs)/minute, d.Rows[0])
	}
}

func TestKeyMap(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"key_map","hidden_keys":[1],"sources":[{"monitor":"trades"}],"columns":[
		{"header_group":"Count","name":"East","key_supplement":".,east"},{"header_group":"Count","name":"West","key_supplement":".,west"},
		{"name":"Cost west","figure":"cost","key_supplement":".,west","orange_threshold":6.5,"red_threshold":7}]}`)
	want := ""
	for g := 2; g >= 0; g-- {
		a, b := tradesAt(g, 0, -1), tradesAt(g, 1, -1)
		want += fmt.Sprintf("%s @-1: %.10g %.10g %.10g%s\n", goods[g], a.count, b.count, b.cost/b.count, []string{"", "", "orange"}[g])
	}
	// The cost of plum is 7: beyond orange, not beyond red.
	w.same("map", w.table(d), want)
}

func TestTimesAndKeysAcross(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"keys_minutes","span_s":180,"top":2,"sources":[{"monitor":"trades","figure":"count"}]}`)
	row := func(g, c int) string {
		return fmt.Sprintf("%s,%s: %.10g %.10g %.10g\n", goods[g], clouds[c], tradesAt(g, c, -1).count, tradesAt(g, c, -2).count, tradesAt(g, c, -3).count)
	}
	w.same("keys by minutes", w.table(d), row(2, 1)+row(2, 0))
	if d.Columns[0].StartMs != w.now-minute || d.Columns[2].StartMs != w.now-3*minute || d.KeysTotal != 6 {
		t.Errorf("%+v", d.Columns)
	}
	d = w.ask(`{"name":"x","type":"minutes_keys","span_s":120,"top":2,"sources":[{"monitor":"trades","figure":"count"}]}`)
	w.same("minutes by keys", w.table(d), fmt.Sprintf(" @-1: %.10g %.10g\n @-2: %.10g %.10g\n", tradesAt(2, 1, -1).count, tradesAt(2, 0, -1).count, tradesAt(2, 1, -2).count, tradesAt(2, 0, -2).count))
	if strings.Join(d.Columns[1].Key, ",") != "plum,east" {
		t.Errorf("%+v", d.Columns)
	}
}

// sumAt is the total of a minute, with the ten lines beyond the key limit.
func sumAt(m int64) float64 {
	sum := 10.0
	for g := range goods {
		for c := range clouds {
			sum += tradesAt(g, c, m).count
		}
	}
	return sum
}

func TestFunctions(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"table_10m","span_s":120,"sources":[{"monitor":"trades"},{"name":"two","monitor":"trades","figure":"cost"}],"columns":[
		{"name":"t","function":"time"},{"name":"v"},{"name":"y","function":"value_yesterday"},{"name":"w","function":"value_last_week"},
		{"name":"rd","function":"ring_diff"},{"name":"rp","function":"ring_pct"},{"name":"dd","function":"day_diff"},{"name":"dp","function":"day_pct"},
		{"name":"wd","function":"week_diff"},{"name":"wp","function":"week_pct"},
		{"name":"+","function":"a_plus_b","source_b":"two"},{"name":"-","function":"a_minus_b","source_b":"two"},{"name":"*","function":"a_times_b","source_b":"two"},{"name":"/","function":"a_div_b","source_b":"two"},
		{"name":"plum only","key_supplement":"plum,."}]}`)
	want := ""
	for _, m := range []int64{-1, -2} {
		v, before, y, l := sumAt(m), sumAt(m-1), sumAt(m-1440), sumAt(m-7*1440)
		count, cost, plum := 0.0, 0.0, 0.0
		for g := range goods {
			for c := range clouds {
				x := tradesAt(g, c, m)
				count, cost = count+x.count, cost+x.cost
				if g == 2 {
					plum += x.count
				}
			}
		}
		a := cost / count
		want += fmt.Sprintf(" @%d: -", m)
		for _, x := range []float64{v, y, l, v - before, (v - before) / before * 100, v - y, (v - y) / y * 100, v - l, (v - l) / l * 100, v + a, v - a, v * a, v / a, plum} {
			want += fmt.Sprintf(" %.10g", x)
		}
		want += "\n"
	}
	w.same("functions", w.table(d), want)
	if d.Columns[5].Unit != "%" {
		t.Errorf("%+v", d.Columns[5])
	}
	// Before the data began there is no base: no value rather than a made-up one.
	d = w.ask(`{"name":"x","type":"table_10m","span_s":60,"sources":[{"monitor":"trades"}],"columns":[{"name":"t","function":"time"},{"name":"rp","function":"ring_pct"},{"name":"v"}]}`,
		func(q *Question) { q.End = w.now - 60*minute; q.Start = q.End - 60*minute })
	w.same("no base", w.table(d), fmt.Sprintf(" @-61: - - %.10g\n", sumAt(-61)))
}

func TestTrend(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"trend","span_s":180,"sources":[{"monitor":"trades"}]}`, func(q *Question) { q.Compare = []string{"day", "week"} })
	line := func(name string, at int64) string {
		return fmt.Sprintf("%s: %.10g %.10g %.10g\n", name, sumAt(at-3), sumAt(at-2), sumAt(at-1))
	}
	w.same("trend", lines(d), line("0 ", 0)+line("0 day", -1440)+line("0 week", -7*1440))
	if d.StartMs != w.now-3*minute || d.StepMs != minute || d.EndMs != w.now {
		t.Errorf("%+v", d)
	}
	// Steps of several windows are merged from parts; the top keys are the largest over all the time.
	d = w.ask(`{"name":"x","type":"trend","span_s":240,"step_s":120,"top":2,"sources":[{"monitor":"trades"}],"columns":[{"name":"a","figure":"cost"}]}`)
	want := ""
	for _, c := range []int{1, 0} {
		want += "0 plum," + clouds[c] + ":"
		for _, m := range []int64{-4, -2} {
			a, b := tradesAt(2, c, m), tradesAt(2, c, m+1)
			want += fmt.Sprintf(" %.10g", (a.cost+b.cost)/(a.count+b.count))
		}
		want += "\n"
	}
	got := strings.Split(strings.TrimSpace(lines(d)), "\n")
	if got[0] > got[1] {
		got[0], got[1] = got[1], got[0]
	}
	if d.KeysTotal != 6 || len(got) != 2 || !strings.Contains(want, got[0]) || !strings.Contains(want, got[1]) {
		t.Errorf("top keys: %s, want %s", got, want)
	}
	// A value over several windows of a percentile is the largest, and said to be.
	d = w.ask(`{"name":"x","type":"trend","span_s":240,"step_s":120,"sources":[{"monitor":"trades","figure":"slow"}]}`)
	w.same("percentile", lines(d), "0 : 121 121\n")
	if !d.Columns[0].Largest {
		t.Error("the largest is not said to be it")
	}
}

func TestVariables(t *testing.T) {
	w := trades(t)
	east := func(q *Question) { q.Chosen = map[string][]string{"cloud": {"east"}, "az": {"AZ1"}} }
	d := w.ask(`{"name":"x","type":"trend","span_s":60,"sources":[{"monitor":"trades"}]}`, east)
	sum := 0.0
	for g := range goods {
		sum += tradesAt(g, 0, -1).count
	}
	w.same("narrowed", lines(d), fmt.Sprintf("0 : %.10g\n", sum))
	if strings.Join(d.Unfiltered, " ") != "az" {
		t.Errorf("unfiltered %v", d.Unfiltered)
	}
	d = w.ask(`{"name":"x","type":"single_value","sources":[{"expr":"sum(trades:count{cloud=~\"$cloud\"})"}]}`,
		func(q *Question) {
			east(q)
			q.Variables = []dashboard.Variable{{Name: "cloud"}}
		})
	if len(d.Rows) != 1 || d.Rows[0].Cells[0].Value == nil {
		t.Fatalf("%+v", d)
	}
}

func TestSharesAndRest(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"pie","top":2,"sources":[{"monitor":"trades","figure":"count"}]}`)
	over := func(f func(m int64) float64) float64 {
		sum := 0.0
		for m := int64(-60); m < 0; m++ {
			sum += f(m)
		}
		return sum
	}
	east, west := over(func(m int64) float64 { return tradesAt(2, 0, m).count }), over(func(m int64) float64 { return tradesAt(2, 1, m).count })
	w.same("shares", w.table(d), fmt.Sprintf("plum,west: %.10g\nplum,east: %.10g\n", west, east))
	if d.Rest == nil || math.Abs(*d.Rest.Cells[0].Value-(over(sumAt)-east-west)) > 1e-6 || d.KeysTotal != 6 {
		t.Errorf("rest %+v", d.Rest)
	}
}

func TestHealth(t *testing.T) {
	w := trades(t)
	s := w.live.windows["trades"]
	s.Windows = []*pharosv1.WindowState{
		{WindowStartMs: w.now - 3*minute, WindowMs: minute, Settled: true, Completeness: 0.5, LinesLate: 3, KeysDropped: 1},
		{WindowStartMs: w.now - 2*minute, WindowMs: minute, Settled: true, Completeness: 0.75, LostBytes: 9},
		{WindowStartMs: w.now - minute, WindowMs: minute, Completeness: 0.25},
	}
	s.SettledUntilMs = w.now - minute
	d := w.ask(`{"name":"x","type":"table_10m","span_s":240,"sources":[{"monitor":"trades","figure":"count"}]}`)
	for i, want := range []struct {
		share   float64
		settled bool
	}{{0.25, false}, {0.75, true}, {0.5, true}, {-1, true}} {
		r := d.Rows[i]
		share := -1.0
		if r.Completeness != nil {
			share = *r.Completeness
		}
		if share != want.share || r.Settled != want.settled {
			t.Errorf("row %d: %v %v, want %v", i, share, r.Settled, want)
		}
	}
	src := d.Sources[0]
	if *src.Completeness != 0.5 || src.LinesLate != 3 || src.LostBytes != 9 || src.KeysDropped != 1 || d.OpenFromMs != w.now-minute {
		t.Errorf("%+v", d.Sources)
	}
	if len(d.Incomplete) != 1 || d.Incomplete[0] != (Stretch{w.now - 3*minute, w.now - minute}) {
		t.Errorf("%+v", d.Incomplete)
	}
}

func TestOneBadReportStopsNoOther(t *testing.T) {
	w := trades(t)
	if a := w.try(`{"name":"x","type":"keys_now","sources":[{"monitor":"gone"}]}`); a.Error == nil || a.Error.Code != "not_found" {
		t.Errorf("%+v", a.Error)
	}
	if a := w.try(`{"name":"x","type":"spm_table","sources":[{"monitor":"trades"}]}`); a.Error == nil || a.Error.Details[0].Code != "source_type_mismatch" {
		t.Errorf("%+v", a.Error)
	}
	if a := w.try(`{"name":"x","type":"promql","sources":[{"expr":"sum("}]}`); a.Error == nil {
		t.Error("a broken expression gave an answer")
	}
}

func TestExpressions(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"promql","span_s":60,"step_s":60,"sources":[{"expr":"sum by (cloud) (trades:count)"}]}`)
	a, b := 0.0, 0.0
	for g := range goods {
		a, b = a+tradesAt(g, 0, -1).count, b+tradesAt(g, 1, -1).count
	}
	w.same("by series", lines(d), fmt.Sprintf("0 cloud=west: %.10g\n0 cloud=east: %.10g\n", b, a))
	// Labels that are the same everywhere tell nothing apart.
	d = w.ask(`{"name":"x","type":"single_value","sources":[{"expr":"trades:count{cloud=\"east\"}"}]}`)
	keys := []string{}
	for _, r := range d.Rows {
		keys = append(keys, strings.Join(r.Key, ","))
	}
	if strings.Join(keys, " ") != "goods=plum goods=pear goods=apple" {
		t.Errorf("keys %q", keys)
	}
	d = w.ask(`{"name":"x","type":"trend","span_s":60,"step_s":60,"sources":[{"name":"a","expr":"sum(trades:count)"},{"name":"b","expr":"sum(trades:count{cloud=\"east\"})"}],"columns":[{"name":"share","source":"b","function":"a_div_b","source_b":"a"}]}`)
	w.same("share", lines(d), fmt.Sprintf("0 : %.10g\n", a/(a+b)))
}
