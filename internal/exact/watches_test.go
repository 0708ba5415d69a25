package exact

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// columns of the writers' lines. The results are Y, N and T, which stands for Y.
var columns = []map[string]any{
	{"name": "goods", "split": map[string]any{"delimiter": ",", "index": 2}},
	{"name": "state", "split": map[string]any{"delimiter": ",", "index": 6}},
	{"name": "amount", "split": map[string]any{"delimiter": ",", "index": 7}},
	{"name": "result", "from": "state", "line": true, "translate": map[string]any{"script": "T => Y"}},
	{"name": "ms", "split": map[string]any{"delimiter": ",", "index": 5}},
	{"name": "cents", "from": "amount", "split": map[string]any{"delimiter": ".", "index": 1}},
}

// figures of a key by name. Amounts are in cents.
type figures map[string]int64

// watch is a monitor and what it must come to.
type watch struct {
	name   string
	spec   map[string]any
	labels []string
	// of says what the lines of a window, goods and state add to which key.
	of func(k key, t total) (key []string, f figures)
	// ask is the PromQL of each figure, asked shift seconds after the start of
	// the minute; cents says that it is an amount.
	ask   map[string]string
	shift int64
	cents []string
}

// watches are monitors of every type that aggregates.
var watches = []watch{
	{
		name: "exact", labels: []string{"goods", "state"},
		spec: map[string]any{"type": "minute_multi", "group_by": []string{"goods", "state"},
			"statistics": []map[string]any{{"name": "count", "kind": "count"}, {"name": "amount", "kind": "sum", "column": "amount"}}},
		of: func(k key, t total) ([]string, figures) {
			return []string{k.goods, k.state}, figures{"count": t.lines, "amount": t.cents}
		},
		ask: map[string]string{"count": "exact:count", "amount": "exact:amount"}, cents: []string{"amount"},
	},
	{
		name: "calls", labels: []string{"goods"},
		spec: map[string]any{"type": "spm", "group_by": []string{"goods"}, "result_column": "result", "time_column": "amount"},
		of: func(k key, t total) ([]string, figures) {
			f := figures{"total": t.lines, "success": t.lines, "fail": 0, "time": t.cents}
			if k.state == "N" {
				f["success"], f["fail"] = 0, t.lines
			}
			return []string{k.goods}, f
		},
		ask: map[string]string{"total": "calls:total", "success": "calls:success", "fail": "calls:fail", "time": "calls:avg_ms_sum"}, cents: []string{"time"},
	},
	{
		name: "ticks", labels: []string{"state"}, shift: 50,
		spec: map[string]any{"type": "second_multi", "window": "10s", "group_by": []string{"state"},
			"statistics": []map[string]any{{"name": "count", "kind": "count"}, {"name": "words", "kind": "occurrences", "text": "trade,create"}}},
		of: func(k key, t total) ([]string, figures) {
			return []string{k.state}, figures{"count": t.lines, "words": t.lines}
		},
		ask: map[string]string{"count": "sum_over_time(ticks:count[1m])", "words": "sum_over_time(ticks:words[1m])"},
	},
	{
		name: "all", spec: map[string]any{"type": "minute", "filters": map[string]any{"black": []map[string]any{{"column": "goods", "values": []string{"food"}}}},
			"statistics": []map[string]any{{"name": "fail", "kind": "fail", "column": "result"}, {"name": "per_cent", "kind": "ratio", "column": "amount", "divisor": "cents"}}},
		of: func(k key, t total) ([]string, figures) {
			if k.goods == "food" {
				return nil, nil
			}
			f := figures{"fail": 0, "amount": t.cents}
			if k.state == "N" {
				f["fail"] = t.lines
			}
			return nil, f
		},
		ask: map[string]string{"fail": "all:fail", "amount": "all:per_cent_dividend"}, cents: []string{"amount"},
	},
	{ // its records are compared by compareRecords
		name: "dear", spec: map[string]any{"type": "row_top", "top_n": mostRecords, "sort_column": "amount", "group_by": []string{"goods", "az"}},
		of:  func(k key, t total) ([]string, figures) { return nil, figures{"count": t.lines} },
		ask: map[string]string{"count": "dear:count"},
	},
	{ // its keys are compared by compareTop
		name: "best", spec: map[string]any{"type": "minute_top", "top_n": mostKeys, "group_by": []string{"goods", "state", "az"},
			"statistics": []map[string]any{{"name": "amount", "kind": "sum", "column": "amount"}}},
		of:  func(k key, t total) ([]string, figures) { return nil, figures{"amount": t.cents} },
		ask: map[string]string{"amount": "best:amount"}, cents: []string{"amount"},
	},
	{ // its estimates are compared by compareSketches
		name: "slow", labels: []string{"goods", "az"},
		spec: map[string]any{"type": "minute_multi", "group_by": []string{"goods", "az"}, "statistics": []map[string]any{{"kind": "count"},
			{"name": "p50", "kind": "p50", "column": "ms"}, {"name": "p99", "kind": "p99", "column": "ms"}, {"name": "times", "kind": "distinct", "column": "ms"}}},
		of: func(k key, t total) ([]string, figures) {
			return []string{k.goods, k.az}, figures{"count": t.lines}
		},
		ask: map[string]string{"count": "slow:count"},
	},
}

// mostRecords is how many records of a window the monitor dear keeps.
const mostRecords = 25

// compareRecords compares what the monitor dear keeps of each window with a
// sort of all lines by amount, time, file and text.
func (c *cluster) compareRecords(wrote map[int64][]record) error {
	for window, all := range wrote {
		slices.SortFunc(all, func(a, b record) int {
			return cmp.Or(cmp.Compare(b.cents, a.cents), cmp.Compare(a.ms, b.ms), strings.Compare(a.file, b.file), strings.Compare(a.text, b.text))
		})
		all = all[:min(mostRecords, len(all))]
		var answer struct {
			Total int
			Items []struct {
				Value    float64
				TimeMs   int64 `json:"time_ms"`
				Instance string
				File     string
				Key      []string
				Text     string
			}
		}
		path := fmt.Sprintf("/api/v1/workspaces/default/monitors/dear/rows?start=%d&end=%d&page_size=%d", window*1000, window*1000+1, mostRecords)
		if err := c.api.Call("GET", path, nil, &answer); err != nil {
			return err
		}
		if answer.Total != len(all) || len(answer.Items) != len(all) {
			return fmt.Errorf("window %d keeps %d records, want %d", window, answer.Total, len(all))
		}
		for i, got := range answer.Items {
			want := all[i]
			if math.Round(got.Value*100) != float64(want.cents) || got.File != want.file || got.Text != want.text || got.Instance == "" ||
				!slices.Equal(got.Key, []string{want.key.goods, want.key.az}) {
				return fmt.Errorf("record %d of window %d is %+v, want %+v", i+1, window, got, want)
			}
		}
	}
	return nil
}

// mostKeys is how many keys of a window the monitor best lists.
const mostKeys = 7

// compareTop compares the keys that the monitor best lists of each window with a
// sort of all keys by amount.
func (c *cluster) compareTop(wrote map[key]total) error {
	byWindow := map[int64][]key{}
	for k := range wrote {
		byWindow[k.window] = append(byWindow[k.window], k)
	}
	for window, all := range byWindow {
		slices.SortFunc(all, func(a, b key) int {
			return cmp.Or(cmp.Compare(wrote[b].cents, wrote[a].cents), strings.Compare(a.goods+a.state+a.az, b.goods+b.state+b.az))
		})
		var answer struct {
			Windows []struct {
				Keys  int
				Exact bool
			}
			Items []struct {
				Value float64
				More  float64
				Key   []string
			}
		}
		path := fmt.Sprintf("/api/v1/workspaces/default/monitors/best/rows?start=%d&end=%d&page_size=%d", window*1000, window*1000+1, mostKeys)
		if err := c.api.Call("GET", path, nil, &answer); err != nil {
			return err
		}
		if len(answer.Windows) != 1 || answer.Windows[0].Keys != len(all) || !answer.Windows[0].Exact || len(answer.Items) != min(mostKeys, len(all)) {
			return fmt.Errorf("window %d lists %d keys, %+v, want %d of %d", window, len(answer.Items), answer.Windows, min(mostKeys, len(all)), len(all))
		}
		for i, got := range answer.Items {
			want := all[i]
			if int64(math.Round(got.Value*100)) != wrote[want].cents || got.More != 0 || !slices.Equal(got.Key, []string{want.goods, want.state, want.az}) {
				return fmt.Errorf("key %d of window %d is %+v, want %v with %d", i+1, window, got, want, wrote[want].cents)
			}
		}
	}
	return nil
}

// compareSketches compares the monitor slow's percentiles with the sorted
// numbers, and the count of different ones, by key and over all keys.
func (c *cluster) compareSketches(wrote map[key][]float64) error {
	numbers := map[string][]float64{}
	start, end := int64(math.MaxInt64), int64(0)
	place := func(at int64, labels ...string) string { return fmt.Sprint(at, labels) }
	for k, ms := range wrote {
		start, end = min(start, k.window), max(end, k.window)
		for _, p := range []string{place(k.window, k.goods, k.az), place(k.window, "", "")} {
			numbers[p] = append(numbers[p], ms...)
		}
	}
	for _, n := range numbers {
		slices.Sort(n)
	}
	for figure, want := range map[string]func([]float64) (v, tolerance float64){
		"p50": func(n []float64) (float64, float64) { v := n[(len(n)-1)/2]; return v, 0.01*v + 1e-6 },
		"p99": func(n []float64) (float64, float64) { v := n[int(0.99*float64(len(n)-1))]; return v, 0.01*v + 1e-6 },
		"times": func(n []float64) (float64, float64) {
			v := float64(len(slices.Compact(slices.Clone(n))))
			return v, 0.02*v + 1
		},
	} {
		seen := 0
		for _, suffix := range []string{"", ":total"} {
			series, err := c.api.Range("slow:"+figure+suffix, start, end, 60)
			if err != nil {
				return err
			}
			for _, s := range series {
				for at, text := range s.Points {
					got, err := strconv.ParseFloat(text, 64)
					if err != nil {
						return err
					}
					p := place(at, s.Labels["goods"], s.Labels["az"])
					if len(numbers[p]) == 0 {
						return fmt.Errorf("%s of %s is %v, nothing was written", figure, p, got)
					}
					if v, tolerance := want(numbers[p]); math.Abs(got-v) > tolerance {
						return fmt.Errorf("%s of %s is %v, want %v", figure, p, got, v)
					}
					seen++
				}
			}
		}
		if seen != len(numbers) {
			return fmt.Errorf("%s has %d values, want %d", figure, seen, len(numbers))
		}
	}
	return nil
}

// compare asks for the whole result of a monitor and reports the first differences.
func (c *cluster) compare(w watch, wrote map[key]total) error {
	want := map[string]figures{}
	start, end := int64(math.MaxInt64), int64(0)
	at := func(window int64, labels []string) string {
		return time.Unix(window, 0).UTC().Format("15:04 ") + strings.Join(labels, "/")
	}
	for k, t := range wrote {
		start, end = min(start, k.window), max(end, k.window)
		labels, f := w.of(k, t)
		for name, v := range f {
			place := at(k.window, labels)
			if want[place] == nil {
				want[place] = figures{}
			}
			want[place][name] += v
		}
	}
	got := map[string]figures{}
	for figure, expr := range w.ask {
		series, err := c.api.Range(expr, start+w.shift, end+w.shift, 60)
		if err != nil {
			return err
		}
		for _, s := range series {
			labels := make([]string, len(w.labels))
			for i, l := range w.labels {
				labels[i] = s.Labels[l]
			}
			for ts, text := range s.Points {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return err
				}
				if slices.Contains(w.cents, figure) {
					v *= 100
				}
				place := at(ts-w.shift, labels)
				if got[place] == nil {
					got[place] = figures{}
				}
				got[place][figure] += int64(math.Round(v))
			}
		}
	}
	var wrong []string
	for place := range maps.Keys(want) {
		if !maps.Equal(got[place], want[place]) {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", place, got[place], want[place]))
		}
	}
	for place, g := range got {
		if _, ok := want[place]; !ok && slices.ContainsFunc(slices.Collect(maps.Values(g)), func(v int64) bool { return v != 0 }) {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, nothing was written", place, g))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%d of %d windows and keys differ:\n%s", len(wrong), len(want), strings.Join(wrong[:min(len(wrong), 12)], "\n"))
}
