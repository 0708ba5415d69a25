package partial

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// SketchKind is what a sketch estimates.
type SketchKind uint8

// The kinds of sketches.
const (
	// Quantiles holds how many numbers lie in each bucket of a logarithmic
	// scale. A quantile differs from the number of that rank by at most
	// QuantileError of it, whatever the numbers. After Masson, Rim, Lee: DDSketch,
	// VLDB 2019.
	Quantiles SketchKind = iota + 1
	// Distinct holds the registers of a HyperLogLog. The estimate's standard
	// error is 1.04/sqrt(16384) = 0.81 %. After Flajolet et al. 2007, estimated
	// as in Ertl: New cardinality estimation algorithms, 2017.
	Distinct
)

const (
	// QuantileError is the relative error of quantiles of numbers from
	// smallestNumber to largestNumber; smaller ones count as 0.
	QuantileError  = 0.01
	smallestNumber = 1e-6
	largestNumber  = 1e15

	registerBits = 14
	registers    = 1 << registerBits
	maxRank      = 64 - registerBits + 1
	// dense is from how many registers on an array takes less room than a map.
	dense = 512
)

var (
	gamma    = (1 + QuantileError) / (1 - QuantileError)
	logGamma = math.Log(gamma)
	// maxBucket is the bucket of the largest number.
	maxBucket = bucketOf(largestNumber)
)

// Sketch estimates quantiles or the number of different values in bounded
// room. Merging sketches gives exactly the sketch of all their values, in any
// order. The zero value is not usable; use NewSketch.
type Sketch struct {
	kind SketchKind
	// counts are the buckets in use, or the registers while they are few.
	counts map[int32]uint64
	// ranks are the registers once they are many.
	ranks []uint8
}

// NewSketch returns an empty sketch.
func NewSketch(kind SketchKind) *Sketch {
	return &Sketch{kind: kind, counts: map[int32]uint64{}}
}

// bucketOf returns the bucket of a positive number: the i for which
// gamma^(i-1) < v/smallestNumber <= gamma^i.
func bucketOf(v float64) int32 {
	return int32(math.Ceil(math.Log(v/smallestNumber)/logGamma)) + 1
}

// AddNumber adds a number to a sketch of quantiles.
func (s *Sketch) AddNumber(v float64) {
	bucket := int32(0)
	if size := math.Abs(v); size >= smallestNumber {
		bucket = bucketOf(math.Min(size, largestNumber))
	}
	if v < 0 {
		bucket = -bucket
	}
	s.counts[bucket]++
}

// AddValue adds a value to a sketch of distinct values.
func (s *Sketch) AddValue(v []byte) {
	h := xxhash.Sum64(v)
	rank := bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1)) + 1
	s.raise(int32(h>>(64-registerBits)), uint8(rank))
}

// raise sets a register to rank if that is more than it holds.
func (s *Sketch) raise(register int32, rank uint8) {
	if s.ranks != nil {
		s.ranks[register] = max(s.ranks[register], rank)
		return
	}
	if s.counts[register] < uint64(rank) {
		s.counts[register] = uint64(rank)
	}
	if len(s.counts) > dense {
		s.ranks = make([]uint8, registers)
		for r, n := range s.counts {
			s.ranks[r] = uint8(n)
		}
		s.counts = nil
	}
}

// Merge adds o, unless it is of another kind.
func (s *Sketch) Merge(o *Sketch) {
	if o.kind != s.kind {
		return
	}
	for i, n := range o.counts {
		if s.kind == Quantiles {
			s.counts[i] += n
		} else {
			s.raise(i, uint8(n))
		}
	}
	for i, n := range o.ranks {
		if n > 0 {
			s.raise(int32(i), n)
		}
	}
}

// Clone returns a copy.
func (s *Sketch) Clone() *Sketch {
	return &Sketch{kind: s.kind, counts: maps.Clone(s.counts), ranks: slices.Clone(s.ranks)}
}

// Subtract takes away what o added to a sketch of quantiles. Different values
// can't be taken away again; a sketch of them stays as it is.
func (s *Sketch) Subtract(o *Sketch) {
	if s.kind != Quantiles || o.kind != Quantiles {
		return
	}
	for i, n := range o.counts {
		if s.counts[i] -= n; s.counts[i] == 0 {
			delete(s.counts, i)
		}
	}
}

// Quantile returns the number of rank q·(n-1), 0 <= q <= 1, of a sketch of n
// numbers; ok is false if it has none.
func (s *Sketch) Quantile(q float64) (v float64, ok bool) {
	if s.kind != Quantiles {
		return 0, false
	}
	buckets := slices.Sorted(maps.Keys(s.counts))
	n := uint64(0)
	for _, i := range buckets {
		n += s.counts[i]
	}
	if n == 0 {
		return 0, false
	}
	rank := uint64(math.Floor(q * float64(n-1)))
	for _, i := range buckets {
		if c := s.counts[i]; rank >= c {
			rank -= c
			continue
		}
		switch {
		case i > 0:
			return middle(i), true
		case i < 0:
			return -middle(-i), true
		}
		return 0, true
	}
	return 0, false
}

// middle returns the number that is within QuantileError of all in a bucket.
func middle(bucket int32) float64 {
	return smallestNumber * math.Pow(gamma, float64(bucket-1)) * 2 / (gamma + 1)
}

// Distinct returns about how many different values were added.
func (s *Sketch) Distinct() float64 {
	if s.kind != Distinct {
		return 0
	}
	var at [maxRank + 1]float64 // registers by rank
	held := 0
	for _, n := range s.counts {
		at[n]++
		held++
	}
	for _, n := range s.ranks {
		if n > 0 {
			at[n]++
			held++
		}
	}
	if held == 0 {
		return 0
	}
	const m = registers
	at[0] = float64(m - held)
	z := m * tau(1-at[maxRank]/m)
	for k := maxRank - 1; k >= 1; k-- {
		z = 0.5 * (z + at[k])
	}
	z += m * sigma(at[0]/m)
	return math.Round(m * m / (2 * math.Ln2 * z))
}

// sigma and tau are as in Ertl 2017.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

// MemoryBytes is about what the sketch holds in memory.
func (s *Sketch) MemoryBytes() int { return 64 + 40*len(s.counts) + len(s.ranks) }

// The wire form: kind (1) | n | n × (difference to the key before, zig-zag |
// count), by rising key. Keys are buckets or registers.
func (s *Sketch) append(dst []byte) []byte {
	dst = append(dst, byte(s.kind))
	if s.ranks != nil {
		n := 0
		for _, rank := range s.ranks {
			if rank > 0 {
				n++
			}
		}
		dst = binary.AppendUvarint(dst, uint64(n))
		before := 0
		for i, rank := range s.ranks {
			if rank > 0 {
				dst = append(binary.AppendVarint(dst, int64(i-before)), rank)
				before = i
			}
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.counts)))
	before := int32(0)
	for _, i := range slices.Sorted(maps.Keys(s.counts)) {
		dst = binary.AppendUvarint(binary.AppendVarint(dst, int64(i-before)), s.counts[i])
		before = i
	}
	return dst
}

func (d *decoder) sketch() *Sketch {
	kind := SketchKind(d.byte())
	n := d.uvarint()
	if kind != Quantiles && kind != Distinct || n > registers {
		if d.err == nil {
			d.err = fmt.Errorf("cannot decode partial: sketch of kind %d with %d entries", kind, n)
		}
		return nil
	}
	s := NewSketch(kind)
	at := int64(0)
	for range n {
		step, size := binary.Varint(d.b)
		if size <= 0 {
			d.fail()
			return nil
		}
		d.b = d.b[size:]
		count := d.uvarint()
		at += step
		low, high := -int64(maxBucket), int64(maxBucket)
		if kind == Distinct {
			low, high = 0, registers-1
		}
		if d.err != nil || at < low || at > high || count == 0 || kind == Distinct && count > maxRank {
			if d.err == nil {
				d.err = fmt.Errorf("cannot decode partial: sketch has %d at %d", count, at)
			}
			return nil
		}
		if kind == Distinct {
			s.raise(int32(at), uint8(count))
		} else {
			s.counts[int32(at)] += count
		}
	}
	return s
}
