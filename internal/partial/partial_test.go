package partial

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestSumIsExactInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	parts := make([]Cell, 7)
	want := new(big.Int)
	for range 10_000 {
		v := rng.Int64() - math.MaxInt64/2
		want.Add(want, big.NewInt(v))
		parts[rng.IntN(len(parts))].AddMicro(v)
	}
	var merged Cell
	for _, i := range rng.Perm(len(parts)) {
		merged.Merge(&parts[i])
	}
	got := new(big.Int).Lsh(big.NewInt(merged.SumHi), 64)
	got.Add(got, new(big.Int).SetUint64(merged.SumLo))
	if got.Cmp(want) != 0 {
		t.Fatalf("sum is %s, want %s", got, want)
	}
	if merged.N != 10_000 {
		t.Fatalf("N is %d", merged.N)
	}
}

func TestEncodedMergeEqualsMerge(t *testing.T) {
	l := Layout{Groups: 2, Columns: 1}
	want, got := NewTable(l), NewTable(Layout{})
	keys := [][]string{{"a", "b"}, {"a\x00", "b"}, {"a", "\x00b"}, {"", ""}, {"食品", "\x01"}}
	for round := range 3 {
		part := NewTable(l)
		for i, k := range keys {
			row := Row{Key: k, Lines: uint64(i + round), Cells: make([]Cell, 1)}
			row.Cells[0].AddMicro(int64(i-round) * 1_500_000)
			row.Cells[0].AddFloat(0.1234567)
			part.Add(&row)
			part.Total.merge(&row)
		}
		part.Dropped = uint64(round)
		for _, r := range part.Rows {
			want.Add(r)
		}
		want.Total.merge(&part.Total)
		if err := got.MergeEncoded(part.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.Rows) != len(keys) || got.Dropped != 3 {
		t.Fatalf("got %d rows, %d dropped", len(got.Rows), got.Dropped)
	}
	for k, w := range want.Rows {
		g := got.Rows[k]
		if g == nil || g.Lines != w.Lines || g.Cells[0] != w.Cells[0] {
			t.Errorf("key %q: got %+v, want %+v", k, g, w)
		}
	}
	if got.Total.Cells[0] != want.Total.Cells[0] {
		t.Errorf("total: got %+v, want %+v", got.Total, want.Total)
	}
}

func FuzzDecode(f *testing.F) {
	seed := NewTable(Layout{Groups: 1, Columns: 1})
	row := Row{Key: []string{"k"}, Lines: 3, Cells: make([]Cell, 1)}
	row.Cells[0].AddMicro(math.MaxInt64)
	row.Cells[0].AddMicro(math.MaxInt64)
	seed.Add(&row)
	f.Add(seed.Append(nil))
	for _, kind := range []SketchKind{Quantiles, Distinct} {
		row.Cells[0].Sketch = NewSketch(kind)
		row.Cells[0].Sketch.raise(7, 3)
		sketched := NewTable(Layout{Groups: 1, Columns: 1})
		sketched.Add(&row)
		f.Add(sketched.Append(nil))
	}
	for _, rows := range []int{1, 20} { // whole, and cut
		bounded := NewTable(Layout{Groups: 1, Columns: 1, Top: 4, Weight: BySum})
		for i := range rows {
			row.Key = []string{strconv.Itoa(i)}
			bounded.Add(&row)
		}
		f.Add(bounded.Append(nil))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := Decode(b)
		if err != nil {
			return
		}
		if _, err := Decode(first.Append(nil)); err != nil {
			t.Fatalf("cannot decode what was encoded: %v", err)
		}
	})
}

// BenchmarkMergeEncoded merges 50 encoded tables of 200 keys each: the same
// keys in all of them, and each time others.
func BenchmarkMergeEncoded(b *testing.B) {
	for _, distinct := range []bool{false, true} {
		name := "same keys"
		if distinct {
			name = "new keys"
		}
		var bodies [][]byte
		for part := range 50 {
			t := NewTable(Layout{Groups: 2, Columns: 1})
			for i := range 200 {
				if distinct {
					i += 1000 * part
				}
				row := Row{Key: []string{"some-service", strconv.Itoa(i)}, Lines: 3, Cells: make([]Cell, 1)}
				row.Cells[0].AddMicro(int64(i) * Micro)
				t.Add(&row)
			}
			bodies = append(bodies, t.Append(nil))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t := NewTable(Layout{})
				for _, body := range bodies {
					if err := t.MergeEncoded(body); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*50*200), "ns/row")
		})
	}
}
