package partial

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuantilesAreWithinTheirError compares quantiles with the sorted numbers.
func TestQuantilesAreWithinTheirError(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, next := range map[string]func() float64{
		"uniform":     func() float64 { return rng.Float64() * 1000 },
		"exponential": func() float64 { return rng.ExpFloat64() * 35 },
		"log-normal":  func() float64 { return math.Exp(rng.NormFloat64() * 4) },
		"normal":      func() float64 { return rng.NormFloat64() * 1e6 },
		"whole":       func() float64 { return float64(rng.IntN(20)) },
		"negative":    func() float64 { return -rng.Float64() },
		"constant":    func() float64 { return 250 },
		"huge":        func() float64 { return rng.Float64() * 9e14 },
		"two peaks":   func() float64 { return []float64{0.001, 30_000}[rng.IntN(2)] },
	} {
		for _, n := range []int{1, 2, 10, 1000, 100_000} {
			s, numbers := NewSketch(Quantiles), make([]float64, n)
			for i := range numbers {
				numbers[i] = next()
				s.AddNumber(numbers[i])
			}
			slices.Sort(numbers)
			for _, q := range []float64{0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1} {
				want := numbers[int(q*float64(n-1))]
				got, ok := s.Quantile(q)
				if !ok || math.Abs(got-want) > QuantileError*math.Abs(want)*(1+1e-9)+smallestNumber {
					t.Errorf("%s, %d numbers: quantile %g is %g, want %g", name, n, q, got, want)
				}
			}
		}
	}
	if _, ok := NewSketch(Quantiles).Quantile(0.5); ok {
		t.Error("no numbers have a median")
	}
}

func TestDistinctIsWithinItsError(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 100, 500, 513, 1000, 5000, 20_000, 50_000, 200_000, 1_000_000} {
		s := NewSketch(Distinct)
		for i := range n {
			v := fmt.Appendf(nil, "user-%d", i)
			s.AddValue(v)
			s.AddValue(v)
		}
		if got := s.Distinct(); math.Abs(got-float64(n)) > 0.02*float64(n) {
			t.Errorf("%d values are estimated as %v", n, got)
		}
	}
}

// TestSketchesMergeExactly splits values at random and merges the parts in
// random order, through their wire form.
func TestSketchesMergeExactly(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, kind := range []SketchKind{Quantiles, Distinct} {
		for _, n := range []int{1, 100, 400, 600, 20_000} {
			whole, parts := NewSketch(kind), make([]*Sketch, 5)
			for i := range parts {
				parts[i] = NewSketch(kind)
			}
			for range n {
				part := parts[rng.IntN(len(parts))]
				if kind == Quantiles {
					v := rng.NormFloat64() * 1000
					whole.AddNumber(v)
					part.AddNumber(v)
				} else {
					v := fmt.Append(nil, rng.IntN(n))
					whole.AddValue(v)
					part.AddValue(v)
				}
			}
			merged := NewSketch(kind)
			for _, i := range rng.Perm(len(parts)) {
				d := decoder{b: parts[i].append(nil)}
				got := d.sketch()
				if d.err != nil || len(d.b) > 0 {
					t.Fatalf("cannot read a sketch: %v, %d bytes left", d.err, len(d.b))
				}
				merged.Merge(got)
			}
			if a, b := whole.append(nil), merged.append(nil); !bytes.Equal(a, b) {
				t.Errorf("kind %d, %d values: the merged sketch is another one", kind, n)
			}
			if kind == Quantiles {
				rest := merged.Clone()
				for _, p := range parts[1:] {
					rest.Subtract(p)
				}
				if !bytes.Equal(rest.append(nil), parts[0].append(nil)) {
					t.Error("what is taken away leaves something else than the rest")
				}
			}
		}
	}
	// Another kind, as a broken agent may send it, changes nothing and stops nothing.
	a, b := NewSketch(Quantiles), NewSketch(Distinct)
	a.AddNumber(-5)
	b.AddValue([]byte("x"))
	a.Merge(b)
	b.Merge(a)
	if v, _ := a.Quantile(0.5); math.Abs(v+5) > 0.05 || b.Distinct() != 1 {
		t.Errorf("%v, %v", v, b.Distinct())
	}
}
