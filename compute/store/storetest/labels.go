package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
)

func testMatchers(t *testing.T, s *subject) {
	var batch []store.Sample
	for i, pairs := range [][]string{
		{"a", "1"}, {"a", "2", "b", "x"}, {"a", "10", "b", "y"}, {"b", "x"}, {"a", "line\nbreak"}, {"a", "A"}, {"a", "食品.1"},
	} {
		batch = append(batch, store.Sample{Labels: store.FromStrings(append(pairs, "__name__", "m")...), TimeMs: s.now, Value: float64(i)})
	}
	s.samples(batch...)
	s.samples(store.Sample{Labels: store.FromStrings("__name__", "other", "a", "1"), TimeMs: s.now, Value: 7})
	re := func(name, v string) store.Matcher { return store.Matcher{Type: store.MatchRegex, Name: name, Value: v} }
	nre := func(name, v string) store.Matcher {
		return store.Matcher{Type: store.MatchNotRegex, Name: name, Value: v}
	}
	neq := func(name, v string) store.Matcher {
		return store.Matcher{Type: store.MatchNotEqual, Name: name, Value: v}
	}
	for _, c := range []struct {
		matchers []store.Matcher
		want     []float64
	}{
		{[]store.Matcher{eq("a", "1")}, []float64{0}},
		{[]store.Matcher{eq("a", "")}, []float64{3}},
		{[]store.Matcher{eq("none", "")}, []float64{0, 1, 2, 3, 4, 5, 6}},
		{[]store.Matcher{eq("none", "x")}, nil},
		{[]store.Matcher{neq("a", "1")}, []float64{1, 2, 3, 4, 5, 6}},
		{[]store.Matcher{neq("a", "")}, []float64{0, 1, 2, 4, 5, 6}},
		{[]store.Matcher{neq("b", "x"), neq("b", "")}, []float64{2}},
		{[]store.Matcher{re("a", "1")}, []float64{0}}, // anchored: not 10
		{[]store.Matcher{re("a", "1.*")}, []float64{0, 2}},
		{[]store.Matcher{re("a", "1|2")}, []float64{0, 1}},
		{[]store.Matcher{re("a", "1|")}, []float64{0, 3}},
		{[]store.Matcher{re("a", "")}, []float64{3}},
		{[]store.Matcher{re("a", ".*")}, []float64{0, 1, 2, 3, 4, 5, 6}},
		{[]store.Matcher{re("a", ".+")}, []float64{0, 1, 2, 4, 5, 6}},
		{[]store.Matcher{re("a", "line.break")}, []float64{4}}, // the dot matches a newline
		{[]store.Matcher{re("a", "(?i)a")}, []float64{5}},
		{[]store.Matcher{re("a", "食品\\.1")}, []float64{6}},
		{[]store.Matcher{re("a", "[0-9]+")}, []float64{0, 1, 2}},
		{[]store.Matcher{nre("a", "1|2")}, []float64{2, 3, 4, 5, 6}},
		{[]store.Matcher{nre("a", "1|2|")}, []float64{2, 4, 5, 6}},
		{[]store.Matcher{nre("a", "")}, []float64{0, 1, 2, 4, 5, 6}},
		{[]store.Matcher{nre("a", ".*")}, nil},
		{[]store.Matcher{nre("a", ".+")}, []float64{3}},
		{[]store.Matcher{re("b", "x|"), neq("a", "1")}, []float64{1, 3, 4, 5, 6}},
		{[]store.Matcher{eq(store.WindowLabel, "")}, []float64{0, 1, 2, 3, 4, 5, 6}},
		{[]store.Matcher{re(store.WindowLabel, ".+")}, nil},
	} {
		matchers := append(named("m"), c.matchers...)
		var got []float64
		for _, series := range s.sel(matchers...) {
			got = append(got, series.Values...)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.matchers, got, c.want)
		}
		found, err := s.SeriesLabels(context.Background(), matchers, s.now, s.now, 0)
		if err != nil || len(found) != len(c.want) {
			t.Errorf("%v: listed %v, %v", c.matchers, found, err)
		}
	}
	var names []string
	for _, series := range s.sel(store.Matcher{Type: store.MatchRegex, Name: store.MetricName, Value: "m|other"}, eq("a", "1")) {
		names = append(names, series.Labels.String())
	}
	if fmt.Sprint(names) != `[m{a="1"} other{a="1"}]` {
		t.Errorf("by name: %v", names)
	}
	err := s.Select(context.Background(), []store.Matcher{re("a", "(")}, 0, s.now, store.Limits{}, nil)
	if err == nil || !strings.Contains(err.Error(), `a=~"("`) {
		t.Errorf("wrong regex: %v", err)
	}
}

func testOddLabels(t *testing.T, s *subject) {
	values := []string{"a b", `"quoted"`, `back\slash`, "tab\there", "null\x00byte", "\x01\x02", "{x=\"y\"}", "😀", strings.Repeat("long", 1000), "'", "%s", "a,b=c"}
	for i, v := range values {
		s.windows(store.WindowSample{Labels: store.FromStrings("__name__", "odd:count", "v", v, "名前", "x"), StartMs: s.now, WindowMs: minute, Revision: 1, Value: float64(i)})
	}
	for i, v := range values {
		got := s.sel(eq(store.MetricName, "odd:count"), eq("v", v))
		if len(got) != 1 || got[0].Values[0] != float64(i) || got[0].Labels.Get("v") != v || got[0].Labels.Get("名前") != "x" {
			t.Errorf("%q: got %s", v, s.text(got))
		}
	}
	got, err := s.LabelValues(context.Background(), "v", named("odd:count"), s.now, s.now)
	slices.Sort(values)
	if err != nil || !slices.Equal(got, values) {
		t.Errorf("values %q, %v", got, err)
	}
}

func testWrongInput(t *testing.T, s *subject) {
	good := store.FromStrings("__name__", "good")
	for name, ls := range map[string]store.Labels{
		"no name":  {{Name: "a", Value: "b"}},
		"unsorted": {{Name: "b", Value: "1"}, {Name: "__name__", Value: "x"}},
		"doubled":  {{Name: "__name__", Value: "x"}, {Name: "__name__", Value: "y"}},
		"empty":    {{Name: "__name__", Value: "x"}, {Name: "a", Value: ""}},
		"unnamed":  {{Name: "", Value: "y"}, {Name: "__name__", Value: "x"}},
		"hidden":   {{Name: "__name__", Value: "x"}, {Name: store.WindowLabel, Value: "60000"}},
		"not text": {{Name: "__name__", Value: "x"}, {Name: "a", Value: "\xff"}},
		"too long": {{Name: "__name__", Value: "x"}, {Name: "a", Value: strings.Repeat("x", store.MaxLabelsBytes)}},
	} {
		if err := s.WriteSamples(context.Background(), []store.Sample{{Labels: good, TimeMs: s.now, Value: 1}, {Labels: ls, TimeMs: s.now}}); err == nil {
			t.Errorf("%s: sample accepted", name)
		}
		if err := s.WriteWindows(context.Background(), []store.WindowSample{{Labels: ls, StartMs: s.now, WindowMs: minute}}); err == nil {
			t.Errorf("%s: window accepted", name)
		}
	}
	for _, w := range []store.WindowSample{
		{Labels: good, StartMs: s.now, WindowMs: 0},
		{Labels: good, StartMs: s.now, WindowMs: -5},
		{Labels: good, StartMs: s.now + 1, WindowMs: minute},
		{Labels: good, StartMs: s.now + 30_000, WindowMs: 60 * minute},
	} {
		if err := s.WriteWindows(context.Background(), []store.WindowSample{w}); err == nil {
			t.Errorf("accepted %+v", w)
		}
	}
	s.want(s.sel(named("good")...)) // a refused write leaves nothing
	if err := s.WriteSamples(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func testSpecialValues(t *testing.T, s *subject) {
	values := []float64{0, math.Inf(1), -1, 1, math.Inf(-1), math.Copysign(0, -1), 123456789012345, -0.000001, 12345678.654321}
	before := s.Stats().Dropped
	for i, v := range values {
		// Each in a series of its own: a store may keep fewer digits of small values next to large ones.
		s.samples(store.Sample{Labels: store.FromStrings("__name__", "special", "i", fmt.Sprint(i)), TimeMs: s.now, Value: v})
	}
	s.samples(store.Sample{Labels: store.FromStrings("__name__", "special", "i", "nan"), TimeMs: s.now, Value: math.NaN()})
	s.windows(store.WindowSample{Labels: store.FromStrings("__name__", "special", "i", "nan"), StartMs: s.now, WindowMs: minute, Value: math.NaN()})
	got := s.sel(named("special")...)
	if len(got) != len(values) {
		t.Fatalf("got %s", s.text(got))
	}
	for i, v := range values {
		if got[i].Values[0] != v {
			t.Errorf("wrote %v, read %v", v, got[i].Values[0])
		}
	}
	if d := s.Stats().Dropped - before; d != 2 {
		t.Errorf("%d dropped, want the 2 that are not numbers", d)
	}
	// Sums of money in one series: integers to 2^53 and six decimals next to each other.
	ls := store.FromStrings("__name__", "money:sum")
	money := []float64{9007199254740991, 0, 1, 9007199254740990, 3}
	for i, v := range money {
		s.windows(store.WindowSample{Labels: ls, StartMs: s.now + int64(i)*minute, WindowMs: minute, Revision: 1, Value: v})
	}
	if got := s.sel(named("money:sum")...); len(got) != 1 || !slices.Equal(got[0].Values, money) {
		t.Errorf("money: %s", s.text(got))
	}
}

func testIndex(t *testing.T, s *subject) {
	for _, pairs := range [][]string{{"__name__", "i1", "a", "1", "b", "2"}, {"__name__", "i1", "a", "2"}, {"__name__", "i2", "c", "3"}} {
		s.windows(
			store.WindowSample{Labels: store.FromStrings(pairs...), StartMs: s.now, WindowMs: 1000, Revision: 1, Value: 1},
			store.WindowSample{Labels: store.FromStrings(pairs...), StartMs: s.now, WindowMs: 1000, Revision: 5000, Value: 1})
	}
	ctx := context.Background()
	check := func(what string, got []string, err error, want ...string) {
		t.Helper()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", what, got, err, want)
		}
	}
	names, err := s.LabelNames(ctx, nil, s.now, s.now)
	check("all names", names, err, "__name__", "a", "b", "c")
	names, err = s.LabelNames(ctx, named("i1"), s.now, s.now)
	check("names of i1", names, err, "__name__", "a", "b")
	values, err := s.LabelValues(ctx, "a", nil, s.now, s.now)
	check("values of a", values, err, "1", "2")
	values, err = s.LabelValues(ctx, "a", []store.Matcher{{Type: store.MatchNotEqual, Name: "b", Value: ""}}, s.now, s.now)
	check("values of a with b", values, err, "1")
	values, err = s.LabelValues(ctx, store.MetricName, nil, s.now, s.now)
	check("metrics", values, err, "i1", "i2")
	values, err = s.LabelValues(ctx, store.WindowLabel, nil, s.now, s.now)
	check("hidden label", values, err)
	values, err = s.LabelValues(ctx, "none", nil, s.now, s.now)
	check("unknown label", values, err)
	series, err := s.SeriesLabels(ctx, nil, s.now, s.now, 0)
	if err != nil || fmt.Sprint(series) != `[i1{a="1",b="2"} i1{a="2"} i2{c="3"}]` {
		t.Errorf("series %v, %v", series, err)
	}
	if _, err = s.SeriesLabels(ctx, nil, s.now, s.now, 2); !errors.Is(err, store.ErrLimit) {
		t.Errorf("limit: %v", err)
	}
	const day = 24 * 60 * minute
	if series, err = s.SeriesLabels(ctx, nil, s.now-10*day, s.now-5*day, 0); err != nil || len(series) != 0 {
		t.Errorf("series of other days: %v, %v", series, err)
	}
}

func testDelete(t *testing.T, s *subject) {
	ctx := context.Background()
	write := func(name, a string, revision uint32) {
		s.windows(store.WindowSample{Labels: store.FromStrings("__name__", name, "a", a), StartMs: s.now, WindowMs: 1000, Revision: revision, Value: float64(revision)})
	}
	for _, name := range []string{"d:count", "d:sum", "e:count"} {
		write(name, "1", 1)
		write(name, "2", 7000)
	}
	s.samples(store.Sample{Labels: store.FromStrings("__name__", "d:count", "a", "1"), TimeMs: s.now - 40*60*minute, Value: 5})
	if err := s.Delete(ctx, []store.Matcher{{Type: store.MatchRegex, Name: store.MetricName, Value: "d:.*"}, {Type: store.MatchNotEqual, Name: "a", Value: "2"}}); err != nil {
		t.Fatal(err)
	}
	s.want(s.sel(),
		`d:count{a="2"}/1000: 0=7000`, `d:sum{a="2"}/1000: 0=7000`, `e:count{a="1"}/1000: 0=1`, `e:count{a="2"}/1000: 0=7000`)
	write("d:count", "1", 3)
	s.want(s.sel(named("d:count")...), `d:count{a="1"}/1000: 0=3`, `d:count{a="2"}/1000: 0=7000`)
	if err := s.Delete(ctx, named("nothing:here")); err != nil {
		t.Error(err)
	}
	for _, matchers := range [][]store.Matcher{nil, {eq("x", "")}, {{Type: store.MatchRegex, Name: "a", Value: ".*"}}} {
		if err := s.Delete(ctx, matchers); err == nil {
			t.Errorf("deleted by %v", matchers)
		}
	}
	if err := s.Delete(ctx, named("d:count")); err != nil {
		t.Fatal(err)
	}
	s.want(s.sel(named("d:count")...))
	values, err := s.LabelValues(ctx, store.MetricName, nil, s.now, s.now)
	if err != nil || !slices.Equal(values, []string{"d:sum", "e:count"}) {
		t.Errorf("metrics left: %q, %v", values, err)
	}
}
