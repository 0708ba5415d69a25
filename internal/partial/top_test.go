package partial

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// keyed is a key's true aggregate.
type keyed struct {
	lines    uint64
	sum, max float64
}

func (k keyed) weight(w Weight) float64 {
	switch w {
	case BySum:
		return k.sum
	case ByMax:
		return k.max
	}
	return float64(k.lines)
}

// TestBoundedTables spreads lines with many keys over the tables of three agents,
// merges those in random orders, with folding, and compares with a plain count:
// every key lies within what is stated, and totals are exact.
func TestBoundedTables(t *testing.T) {
	for _, weight := range []Weight{ByLines, BySum, ByMax} {
		for _, keys := range []int{90, 20_000} {
			t.Run(fmt.Sprintf("weight %d, %d keys", weight, keys), func(t *testing.T) {
				const lines, agents, parts, top = 300_000, 3, 5, 50
				rng := rand.New(rand.NewPCG(uint64(weight), uint64(keys)))
				zipf := rand.NewZipf(rng, 1.2, 3, uint64(keys-1))
				l := Layout{Groups: 1, Columns: 1, Top: top, Weight: weight}
				tables := make([]*Table, agents*parts)
				for i := range tables {
					tables[i] = NewTable(l)
				}
				truth, all := map[string]keyed{}, keyed{}
				for range lines {
					key, v := fmt.Sprint("key-", zipf.Uint64()), float64(rng.IntN(1000))/8
					k := truth[key]
					truth[key] = keyed{k.lines + 1, k.sum + v, max(k.max, v)}
					all = keyed{all.lines + 1, all.sum + v, max(all.max, v)}
					row := Row{Key: []string{key}, Lines: 1, Cells: make([]Cell, 1), Missed: weight.None()}
					row.Cells[0].AddMicro(int64(v * Micro))
					table := tables[rng.IntN(len(tables))]
					table.Total.merge(&row)
					table.Add(&row)
					if len(table.Rows) > 2*top {
						t.Fatalf("a table has %d rows, at most twice %d are kept", len(table.Rows), top)
					}
				}
				for range 4 {
					merged := NewTable(l)
					for _, i := range rng.Perm(len(tables)) {
						if err := merged.MergeEncoded(tables[i].Append(nil)); err != nil {
							t.Fatal(err)
						}
						if rng.IntN(3) == 0 {
							folded, err := Decode(merged.Append(nil))
							if err != nil {
								t.Fatal(err)
							}
							merged = folded
						}
					}
					compareBounded(t, merged, truth, all)
				}
			})
		}
	}
}

func compareBounded(t *testing.T, merged *Table, truth map[string]keyed, all keyed) {
	t.Helper()
	l := merged.Layout
	if merged.Total.Lines != all.lines || merged.Total.Cells[0].Sum() != all.sum || merged.Total.Cells[0].Max != all.max {
		t.Errorf("total is %+v, want %+v", merged.Total, all)
	}
	if len(merged.Rows) > 2*l.Top {
		t.Errorf("%d rows, at most twice %d are kept", len(merged.Rows), l.Top)
	}
	if n, want := merged.Keys(), float64(len(truth)); math.Abs(n-want) > 0.03*want {
		t.Errorf("%v keys, there were %v", n, want)
	}
	if exact := merged.Pruned == nil; exact != (len(truth) <= 2*l.Top) {
		t.Errorf("exact is %t with %d keys", exact, len(truth))
	}
	var joined []byte
	for key, k := range truth {
		joined = JoinKey(joined[:0], []string{key})
		r := merged.Rows[string(joined)]
		want := k.weight(l.Weight)
		if r == nil {
			if want > merged.Pruned.Missed {
				t.Errorf("%s has no row, weighs %v, missed is %v", key, want, merged.Pruned.Missed)
			}
			continue
		}
		if got, most := l.Weight.of(r), l.Weight.Upper(r); want < got || want > most {
			t.Errorf("%s weighs %v, its row says %v to %v", key, want, got, most)
		}
		if merged.Pruned == nil && (r.Lines != k.lines || r.Cells[0].Sum() != k.sum || r.Cells[0].Max != k.max) {
			t.Errorf("%s is %+v, want %+v", key, r, k)
		}
	}
	if merged.Pruned == nil {
		return
	}
	if l.Weight != ByMax && merged.Pruned.Missed > all.weight(l.Weight)/float64(l.Top) {
		t.Errorf("missed is %v, more than %v/%d", merged.Pruned.Missed, all.weight(l.Weight), l.Top)
	}
	if l.Weight == ByMax { // the largest are exact
		var want, got []float64
		for _, k := range truth {
			want = append(want, k.max)
		}
		for _, r := range merged.Rows {
			got = append(got, r.Cells[0].Max)
		}
		slices.Sort(want)
		slices.Sort(got)
		if w, g := want[len(want)-l.Top:], got[len(got)-l.Top:]; !slices.Equal(w, g) {
			t.Errorf("the largest are %v, want %v", g, w)
		}
	}
}

// TestNegativeNumbers: with numbers below 0 a key that was given up may weigh
// anything, and the table says so.
func TestNegativeNumbers(t *testing.T) {
	table := NewTable(Layout{Groups: 1, Columns: 1, Top: 2, Weight: BySum})
	for i := range 5 {
		row := Row{Key: []string{fmt.Sprint(i)}, Lines: 1, Cells: make([]Cell, 1)}
		row.Cells[0].AddMicro(int64(3-2*i) * Micro)
		table.Add(&row)
	}
	if table.Pruned == nil || !math.IsInf(table.Pruned.Missed, 1) || len(table.Rows) != 2 {
		t.Errorf("pruned is %+v, %d rows", table.Pruned, len(table.Rows))
	}
	again, err := Decode(table.Append(nil))
	if err != nil || !math.IsInf(again.Pruned.Missed, 1) {
		t.Errorf("decoded %+v, %v", again, err)
	}
}

func TestBoundedWireForm(t *testing.T) {
	table := NewTable(Layout{Groups: 1, Top: 3, Weight: ByLines})
	for i := range 9 {
		table.Add(&Row{Key: []string{fmt.Sprint(i)}, Lines: uint64(1 + i)})
	}
	body := table.Append(nil)
	for n := range body {
		if _, err := Decode(body[:n]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, len(body))
		}
	}
	for _, at := range []int{4, 5} { // the weight, and whether rows were given up
		bad := slices.Clone(body)
		bad[at] = 9
		if _, err := Decode(bad); err == nil {
			t.Errorf("9 at byte %d was accepted", at)
		}
	}
}
