package partial

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestLargestOfAMillion keeps the largest of a million lines over three agents,
// which send their windows in several parts, some of them twice, and compares
// them with a plain sort of all lines by what they say.
func TestLargestOfAMillion(t *testing.T) {
	const lines, agents, parts, keep = 1_000_000, 3, 7, 100
	rng := rand.New(rand.NewPCG(11, 12))
	l := Layout{Groups: 1, Columns: 1, Keep: keep}
	tables := make([][]*Table, agents)
	for a := range tables {
		for range parts {
			tables[a] = append(tables[a], NewTable(l))
		}
	}
	type said struct {
		value float64
		at    int64
		rest  string
	}
	all := make([]said, 0, lines)
	for i := range lines {
		a := rng.IntN(agents)
		// Few values and times, so that much is decided by what else lines say; some lines are equal.
		value, at := float64(rng.IntN(4000)-2000)/8, int64(rng.IntN(20))
		if rng.IntN(50_000) == 0 {
			value = 1e300 * rng.Float64()
		}
		line := Line{Value: value, TimeMs: at, File: fmt.Sprint("/f", rng.IntN(3)), Key: []string{fmt.Sprint(i % 3)}, Text: fmt.Sprint("line ", i%1000)}
		table := tables[a][rng.IntN(parts)]
		table.Total.Lines++
		if !table.Lines.Below(keep, value, at) {
			table.Lines.Keep(keep, line)
		}
		all = append(all, said{value, at, fmt.Sprintf("host-%d %s %s %s", a, line.File, line.Text, line.Key)})
	}
	slices.SortFunc(all, func(a, b said) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.at, b.at), strings.Compare(a.rest, b.rest))
	})
	for range 5 {
		merged := NewTable(l)
		for _, i := range rng.Perm(agents * parts) {
			a := i % agents
			merged.Instance = fmt.Sprint("host-", a)
			if err := merged.MergeEncoded(tables[a][i/agents].Append(nil)); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(3) == 0 { // folded meanwhile
				folded, err := Decode(merged.Append(nil))
				if err != nil {
					t.Fatal(err)
				}
				merged = folded
			}
		}
		if merged.Total.Lines != lines || len(merged.Lines) != keep {
			t.Fatalf("%d lines, %d kept", merged.Total.Lines, len(merged.Lines))
		}
		for i, got := range merged.Lines {
			if g := (said{got.Value, got.TimeMs, fmt.Sprintf("%s %s %s %s", got.Instance, got.File, got.Text, got.Key)}); g != all[i] {
				t.Fatalf("rank %d is %+v, want %+v", i+1, g, all[i])
			}
		}
	}
}

func TestLinesInWireForm(t *testing.T) {
	want := NewTable(Layout{Groups: 2, Keep: 3})
	for _, l := range []Line{
		{Value: -1.5, TimeMs: -7, File: "/a", Key: []string{"", "食品"}, Text: strings.Repeat("x", MaxValue), Cut: true},
		{Value: 1e308, Instance: "h", Key: []string{"\x00", "b"}},
	} {
		want.Lines.Keep(3, l)
	}
	want.Total.Lines = 9
	body := want.Append(nil)
	got, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprintf("%+v", got.Lines), fmt.Sprintf("%+v", want.Lines); g != w || got.Total.Lines != 9 || got.Layout != want.Layout {
		t.Errorf("got %.200s, want %.200s", g, w)
	}
	for n := range body {
		if _, err := Decode(body[:n]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, len(body))
		}
	}
	if err := NewTable(Layout{}).MergeEncoded(append(slices.Clone(body), 0)); err == nil {
		t.Error("a byte too many was accepted")
	}
	other := NewTable(Layout{Groups: 2, Keep: 4})
	other.Total.Lines = 1
	if err := other.MergeEncoded(body); err == nil {
		t.Error("a table that keeps another number was merged")
	}
}

func TestNoLinesToKeep(t *testing.T) {
	var ls Lines
	if !ls.Below(0, 1e9, 0) || ls.Keep(0, Line{}) || len(ls) > 0 {
		t.Errorf("kept %v of none", ls)
	}
}
