package logpipe

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	"golang.org/x/text/encoding/simplifiedchinese"
)

var propertyNow = time.Date(2026, 11, 23, 10, 0, 30, 0, time.UTC)

// randomLines makes lines that are mostly good and often odd. Their times jump,
// or when calm grow slowly, as they do in most files.
func randomLines(rng *rand.Rand, n int, delim string, calm bool) string {
	pick := func(s ...string) string { return s[rng.IntN(len(s))] }
	var b strings.Builder
	at := propertyNow.Add(-3 * time.Minute)
	for range n {
		if rng.IntN(4) == 0 && !(calm && rng.IntN(20) > 0) {
			at = at.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		t := at
		jump := rng.IntN(60)
		if calm {
			jump = rng.IntN(3000)
		}
		switch jump {
		case 0:
			t = t.Add(-30 * time.Hour)
		case 1:
			t = t.Add(3 * time.Hour)
		case 2:
			t = t.Add(-time.Hour)
		}
		stamp := pick("", "", "", "", "", "[") + t.Format(pick("2006-01-02 15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000", "2006-01-02 15:04:05,000", "2006-01-0215:04:05", "2006-01-02T15:04:05"))
		if rng.IntN(25) == 0 {
			stamp = pick("", "junk", "\tat com.example.Shop(Shop.java:17)", "2026-13-01 10:00:00", "2026-11-23 25:00:00")
		}
		fields := []string{stamp, fmt.Sprintf("%08x", rng.Uint32()),
			pick("clothes", "food", "食品", "books", " toys ", "", "a-very-long-kind-of-goods-name", "\u3000garden\u3000", strings.Repeat("aé", 200), strings.Repeat("x", 300), "bad\xff\xfebyte", "sixteen-bytes-ab"),
			pick("create", "pay", "cancel", "支付"),
			pick(fmt.Sprint(rng.IntN(100000)), fmt.Sprintf("%.2f", rng.Float64()*1000), "-"+fmt.Sprint(rng.IntN(99)), "+7", "1,234.5", "12e2", "99999999", "123456789", "0.123456", "1.5000000", "n/a", "", "-", "1 000", " 42 "),
			pick("Y", "Y", "Y", "N"), pick("200", "404", "500")}
		if delim == "," && strings.Contains(fields[4], ",") {
			fields[4] = "1234.5"
		}
		fields = fields[:len(fields)-[]int{0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 5}[rng.IntN(13)]]
		b.WriteString(strings.Join(fields, delim))
		b.WriteString(pick("\n", "\n", "\n", "\n", "\r\n"))
	}
	return b.String()
}

func propertySpecs(delim string) []logrule.Spec {
	col := func(name string, i int) logrule.Column {
		return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: delim, Index: i}}
	}
	base := logrule.Spec{Title: "t", Type: logrule.MinuteMulti, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{col("id", 1), col("kind", 2), col("verb", 3), col("fee", 4), col("ok", 5), col("status", 6), col("last", -1), col("third", -3),
			{Name: "second", Between: &logrule.BetweenRule{Left: delim, LeftIndex: 2, Right: delim}},
			{Name: "tail", Between: &logrule.BetweenRule{Left: delim, LeftIndex: 3, Right: ""}},
			{Name: "head", Between: &logrule.BetweenRule{Right: delim, RightIndex: 2}},
			{Name: "re", Regex: &logrule.RegexRule{Pattern: `(Y|N)\W+(\d+)`, Group: 2}},
			{Name: "all", Line: true},
			{Name: "rest", Between: &logrule.BetweenRule{Left: delim, LeftIndex: 2}},
			{Name: "inner", From: "rest", Split: &logrule.SplitRule{Delimiter: delim, Index: 1}},
			{Name: "innermost", From: "inner", Split: &logrule.SplitRule{Delimiter: "e", Index: -1}},
			{Name: "letters", From: "kind", Regex: &logrule.RegexRule{Pattern: `\p{L}{2}`}},
			{Name: "place", Fixed: &logrule.FixedRule{Offset: 5, Length: 18}},
			{Name: "class", From: "status", Line: true, Translate: &logrule.Translation{Entries: []logrule.TranslationEntry{
				{Value: "404", To: "missing"}, {Match: logrule.MatchRange, Value: "[200,300)", To: "Y"}, {Match: logrule.MatchPrefix, Value: "4", To: "no"}}}},
			{Name: "kinds", Split: &logrule.SplitRule{Delimiter: delim, Index: 2}, Translate: &logrule.Translation{IgnoreCase: true, Entries: []logrule.TranslationEntry{
				{Match: logrule.MatchContains, Value: "OO", To: "has oo"}, {Match: logrule.MatchSuffix, Value: "品", To: "食"}, {Match: logrule.MatchRegex, Value: "^[a-c]", To: "early"}},
				Default: logrule.DefaultConstant, Constant: "42"}},
			{Name: "of_kinds", From: "kinds", Fixed: &logrule.FixedRule{Offset: 1, Length: 3}}},
		GroupBy:    []string{"kind", "verb"},
		Statistics: []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "fee"}, {Kind: logrule.Avg, Column: "status"}}}
	with := func(change func(s *logrule.Spec)) logrule.Spec {
		s := base
		s.Statistics = slices.Clone(base.Statistics)
		change(&s)
		return s
	}
	return []logrule.Spec{
		base,
		with(func(s *logrule.Spec) { s.Encoding = logrule.EncodingUTF8 }),
		with(func(s *logrule.Spec) { s.Type, s.GroupBy = logrule.Minute, nil }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"verb"}; s.Window = logrule.Duration(time.Second) }),
		with(func(s *logrule.Spec) {
			s.GroupBy = []string{"status", "kind", "ok"}
			s.Window = logrule.Duration(5 * time.Second)
		}),
		with(func(s *logrule.Spec) {
			s.Filters.White = []logrule.FilterRow{{Column: "ok", Values: []string{"Y"}}, {Column: "verb", Values: []string{"create", "pay"}}}
			s.Filters.Black = []logrule.FilterRow{{Column: "kind", Values: []string{"food", "toys"}}, {Column: "status", Values: []string{"404"}}}
		}),
		with(func(s *logrule.Spec) {
			s.Filters.White = []logrule.FilterRow{{Column: "kind", Values: []string{"food", "食品", "books", "toys", "garden", "clothes"}}}
		}),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"second", "last"} }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"third"}; s.Statistics = s.Statistics[:1] }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"re"}; s.Statistics[1].Column = "re" }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"head"}; s.Statistics = s.Statistics[:1] }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"tail", "verb"} }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"all"}; s.Statistics = s.Statistics[:1] }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"inner", "letters"}; s.Statistics[1].Column = "kinds" }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"innermost", "of_kinds"}; s.Statistics = s.Statistics[:1] }),
		with(func(s *logrule.Spec) { s.GroupBy = []string{"place"}; s.Encoding = logrule.EncodingUTF8 }),
		with(func(s *logrule.Spec) {
			s.Type, s.ResultColumn, s.TimeColumn, s.Statistics, s.GroupBy = logrule.Service, "class", "status", nil, []string{"kinds"}
			s.Filters.Black = []logrule.FilterRow{{Column: "class", Values: []string{"no"}}}
		}),
		with(func(s *logrule.Spec) {
			s.Columns = append(slices.Clone(s.Columns), logrule.Column{Name: "only", From: "verb", Line: true, Translate: &logrule.Translation{
				Entries: []logrule.TranslationEntry{{Value: "pay", To: "paid"}, {Value: "支付", To: "paid"}}, Default: logrule.DefaultDropLine}})
			s.GroupBy = []string{"only", "kind"}
		}),
		with(func(s *logrule.Spec) {
			s.Type, s.ResultColumn, s.TimeColumn, s.Statistics = logrule.Service, "ok", "fee", nil
		}),
		with(func(s *logrule.Spec) {
			s.Type, s.GroupBy, s.ResultColumn, s.Statistics = logrule.Service, nil, "last", nil
		}),
		with(func(s *logrule.Spec) {
			s.Statistics = []logrule.Statistic{{Kind: logrule.Ratio, Column: "fee", Divisor: "status"}, {Kind: logrule.Success, Column: "re"},
				{Name: "cr", Kind: logrule.Occurrences, Column: "verb", Text: "c"}}
		}),
		with(func(s *logrule.Spec) {
			s.Type, s.GroupBy = logrule.Minute, nil
			s.Statistics = []logrule.Statistic{{Name: "zeros", Kind: logrule.Occurrences, Text: "00"}, {Name: "goods", Kind: logrule.Occurrences, Text: "食品"}}
		}),
		with(func(s *logrule.Spec) { // translations that go the short way
			s.Columns = append(slices.Clone(s.Columns), logrule.Column{Name: "paid", Split: &logrule.SplitRule{Delimiter: delim, Index: 3}, Translate: &logrule.Translation{
				Entries: []logrule.TranslationEntry{{Value: "pay", To: "Y"}, {Value: "支付", To: "Y"}, {Match: logrule.MatchPrefix, Value: "c", To: "N"}}}},
				logrule.Column{Name: "place of goods", Split: &logrule.SplitRule{Delimiter: delim, Index: 2}, Translate: &logrule.Translation{Entries: []logrule.TranslationEntry{
					{Value: "food", To: "食"}, {Value: "clothes", To: "pay"}, {Value: "books", To: ""}, {Match: logrule.MatchSuffix, Value: "-ab", To: "more than sixteen bytes"}}}})
			s.Type, s.ResultColumn, s.Statistics, s.GroupBy = logrule.Service, "paid", nil, []string{"place of goods", "ok"}
			s.Filters.Black = []logrule.FilterRow{{Column: "place of goods", Values: []string{"食", "toys"}}}
		}),
		with(func(s *logrule.Spec) { s.MultilineStart = `^\[?\d{4}-` }),
		with(func(s *logrule.Spec) {
			s.MultilineStart, s.GroupBy = `food|\d{8}`, []string{"re", "tail"}
			s.Statistics = []logrule.Statistic{{Kind: logrule.Occurrences, Text: "at com"}, {Kind: logrule.Sum, Column: "fee"}}
		}),
		with(func(s *logrule.Spec) { s.MultilineStart, s.GroupBy = `^\[?\d{4}-`, []string{"second", "letters"} }),
		with(func(s *logrule.Spec) {
			s.GroupBy = []string{"verb"}
			s.Statistics = []logrule.Statistic{{Kind: logrule.P50, Column: "fee"}, {Kind: logrule.P99, Column: "fee"}, {Kind: logrule.Sum, Column: "fee"}, {Kind: logrule.Distinct, Column: "kind"}}
		}),
		with(func(s *logrule.Spec) {
			s.Type, s.GroupBy = logrule.Minute, nil
			s.Statistics = []logrule.Statistic{{Kind: logrule.P99, Column: "status"}, {Kind: logrule.Distinct, Column: "id"}}
		}),
	}
}

// TestGBKAgreesWithUTF8 runs the rules over the same lines in GB18030.
func TestGBKAgreesWithUTF8(t *testing.T) {
	for _, delim := range []string{",", "|", "||", "\t"} {
		for seed := range uint64(4) {
			rng := rand.New(rand.NewPCG(seed, 8))
			log := strings.ToValidUTF8(randomLines(rng, 300, delim, seed >= 2), "?")
			// The second bytes of these characters are |, \, ^ and letters.
			log = strings.NewReplacer("clothes", "亅丄憑", "food", "乗亅", "books", "乚|買"[:3]+"x").Replace(log)
			gb, err := simplifiedchinese.GB18030.NewEncoder().String(log)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range propertySpecs(delim) {
				for _, enc := range []logrule.Encoding{logrule.EncodingGBK, logrule.EncodingAuto} {
					s.Encoding = enc
					if enc == logrule.EncodingAuto && seed == 0 {
						continue
					}
					task := mustTask(t, s)
					fs := FileState{}
					if enc == logrule.EncodingAuto {
						fs.Encoding = logrule.EncodingGB18030
					}
					g := NewGroup([]*Task{task})
					g.Process(&fs, []byte(gb), propertyNow.UnixMilli())
					g.Flush(&fs, propertyNow.UnixMilli())
					ref := newReference(s.WithDefaults(), time.UTC, propertyNow)
					ref.text(log)
					compare(t, fmt.Sprintf("delim %q seed %d rule %d %s", delim, seed, i, enc), task, ref)
				}
			}
		}
	}
}

// TestAgreesWithReference runs many rules over random lines, alone and as a
// group, in blocks of random size, with restores on the way.
func TestAgreesWithReference(t *testing.T) {
	for _, delim := range []string{",", "|", "||", "\t"} {
		for seed := range uint64(6) {
			rng := rand.New(rand.NewPCG(seed, 7))
			log := randomLines(rng, 400, delim, seed >= 3)
			specs := propertySpecs(delim)
			if seed%2 == 0 { // blocks without anything beyond ASCII go another way
				log = strings.Map(func(r rune) rune {
					if r > 0x7f {
						return 'u'
					}
					return r
				}, log)
			}
			// All; those of the short way; and those beside others, for which nobody may count from the line's end.
			groups := [][]logrule.Spec{specs, slices.Delete(slices.Clone(specs[:6]), 1, 2),
				slices.DeleteFunc(slices.Clone(specs), func(s logrule.Spec) bool {
					return slices.Contains(s.GroupBy, "last") || slices.Contains(s.GroupBy, "third") || s.ResultColumn == "last"
				})}
			for _, s := range specs {
				groups = append(groups, []logrule.Spec{s})
			}
			t.Run(fmt.Sprintf("%q/%d", delim, seed), func(t *testing.T) {
				for _, specs := range groups {
					for i := range specs {
						specs[i] = specs[i].WithDefaults()
					}
					checkAgainstReference(t, specs, log, rng)
				}
			})
		}
	}
}

func checkAgainstReference(t *testing.T, specs []logrule.Spec, log string, rng *rand.Rand) {
	t.Helper()
	var tasks []*Task
	for _, s := range specs {
		tasks = append(tasks, mustTask(t, s))
	}
	g := NewGroup(tasks)
	fs := FileState{Path: "/x"}
	for rest := []byte(log); len(rest) > 0; {
		n := min(len(rest), 1+rng.IntN(6000))
		for n < len(rest) && rest[n-1] != '\n' {
			n++
		}
		block := append(make([]byte, 0, n), rest[:n]...) // nothing may be read beyond
		g.Process(&fs, block, propertyNow.UnixMilli())
		clear(block) // nothing may be kept
		rest = rest[n:]
		if rng.IntN(10) == 0 { // a crash: go on from a checkpoint
			enc := fs.AppendBinary(nil)
			again, rest, err := DecodeFileState(enc)
			if err != nil || len(rest) > 0 {
				t.Fatal(err, rest)
			}
			fs = again
			for i, old := range tasks {
				tasks[i] = mustTask(t, specs[i])
				for _, w := range old.Windows() {
					if _, err := tasks[i].Restore(w.StartMs, w.AppendTable(nil), w.Counters); err != nil {
						t.Fatal(err)
					}
				}
			}
			g = NewGroup(tasks)
		}
	}
	g.Flush(&fs, propertyNow.UnixMilli())
	if fs.Waiting() {
		t.Error("records still wait")
	}
	for i, s := range specs {
		ref := newReference(s, time.UTC, propertyNow)
		ref.text(log)
		compare(t, fmt.Sprintf("rule %d", i), tasks[i], ref)
	}
}

func compare(t *testing.T, name string, task *Task, ref *reference) {
	t.Helper()
	for _, w := range task.Windows() {
		want := ref.windows[w.StartMs]
		if want == nil {
			t.Errorf("%s: window %d should not be", name, w.StartMs)
			continue
		}
		c := w.Counters
		c.Undecodable, c.ValuesCut = 0, 0 // the reference does not count them
		if c != want.counters {
			t.Errorf("%s window %d: counters %+v, want %+v", name, w.StartMs, c, want.counters)
		}
		table, err := partial.Decode(w.AppendTable(nil))
		if err != nil {
			t.Fatal(err)
		}
		numbers := refInputs(ref.spec)
		compareRow(t, name+" total", &table.Total, &want.total, numbers)
		if len(table.Rows) != len(want.rows) {
			t.Errorf("%s window %d: %d keys, want %d", name, w.StartMs, len(table.Rows), len(want.rows))
		}
		for _, r := range table.Rows {
			wantRow := want.rows[strings.Join(r.Key, "\x1f")]
			if wantRow == nil {
				t.Errorf("%s: key %q should not be", name, r.Key)
				continue
			}
			compareRow(t, fmt.Sprintf("%s key %q", name, r.Key), r, wantRow, numbers)
		}
	}
	if len(task.Windows()) != len(ref.windows) {
		t.Errorf("%s: %d windows, want %d", name, len(task.Windows()), len(ref.windows))
	}
}

func compareRow(t *testing.T, name string, got *partial.Row, want *refRow, inputs []logrule.Input) {
	t.Helper()
	if got.Lines != want.lines {
		t.Errorf("%s: %d lines, want %d", name, got.Lines, want.lines)
	}
	for i, n := range inputs {
		c := got.Cells[i]
		w := want.nums[n]
		if w == nil {
			if c.N != 0 {
				t.Errorf("%s %v: %d numbers, want none", name, n, c.N)
			}
			continue
		}
		sum := new(big.Int).Lsh(big.NewInt(c.SumHi), 64)
		sum.Add(sum, new(big.Int).SetUint64(c.SumLo))
		exact := new(big.Rat).SetFrac(sum, big.NewInt(partial.Micro))
		lo, _ := w.min.Float64()
		hi, _ := w.max.Float64()
		if c.N != w.n || exact.Cmp(w.sum) != 0 || c.Rest != 0 || c.Min != lo || c.Max != hi {
			t.Errorf("%s %v: %d numbers, sum %s, min %v, max %v; want %d, %s, %v, %v", name, n, c.N, exact.FloatString(7), c.Min, c.Max, w.n, w.sum.FloatString(7), lo, hi)
		}
		switch n.Kind {
		case logrule.InputQuantiles:
			slices.Sort(w.numbers)
			for _, kind := range []logrule.StatKind{logrule.P50, logrule.P95, logrule.P999} {
				q, _ := kind.Quantile()
				want := w.numbers[int(q*float64(len(w.numbers)-1))]
				if v, ok := got.Figure(kind, []int{i}); !ok || math.Abs(v-want) > partial.QuantileError*math.Abs(want)+1e-6 {
					t.Errorf("%s: %s of %s is %v, want %v", name, kind, n.Column, v, want)
				}
			}
		case logrule.InputDistinct:
			if v, ok := got.Figure(logrule.Distinct, []int{i}); !ok || math.Abs(v-float64(len(w.texts))) > 0.02*float64(len(w.texts))+0.5 {
				t.Errorf("%s: %v different values of %s, want %d", name, v, n.Column, len(w.texts))
			}
		}
	}
}
