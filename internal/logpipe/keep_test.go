package logpipe

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// topSpec keeps the records with the largest fees.
func topSpec(n int) logrule.Spec {
	return logrule.Spec{Title: "fees", Type: logrule.RowTop, TopN: n, SortColumn: "fee", Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{split("station", 1), split("fee", 2), split("plate", 3)}, GroupBy: []string{"station", "az"}}
}

// kept is what a window keeps, by one text for each line.
func kept(w *Window) []string {
	var out []string
	for _, l := range w.lines {
		out = append(out, fmt.Sprintf("%v %s %q %s %v", l.Value, l.File, l.Key, l.Text, l.Cut))
	}
	return out
}

func TestRowTop(t *testing.T) {
	task := mustTask(t, topSpec(3))
	g := NewGroup([]*Task{task})
	fs := FileState{Path: "/x"}
	block := "2026-11-23 10:00:05,east,12.5,A 13812345678\n" +
		"2026-11-23 10:00:04,west,7,B\n" +
		"2026-11-23 10:00:03,east,no number,C\n" +
		"2026-11-23 10:00:02,13912345678,99\n" + // no plate, and a key to mask
		"2026-11-23 10:00:01,west,12.5,D\n" +
		"2026-11-23 10:01:01,west,-1e300,E\n" +
		"2026-11-23 10:00:59,,12.5," + strings.Repeat("x", 5000) + "\n"
	g.Process(&fs, []byte(block), benchNow)
	first, second := task.Windows()[0], task.Windows()[1]
	want := []string{
		`99 /x ["139****5678"] 2026-11-23 10:00:02,139****5678,99 false`,
		`12.5 /x ["west"] 2026-11-23 10:00:01,west,12.5,D false`,
		`12.5 /x ["east"] 2026-11-23 10:00:05,east,12.5,A 138****5678 false`,
	}
	if got := kept(first); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := kept(second); len(got) != 1 || !strings.HasPrefix(got[0], "-1e+300 ") {
		t.Errorf("the next window keeps %v", got)
	}
	if c := first.Counters; c.Matched != 6 || c.BadNumbers != 1 || c.Unmatched != 0 {
		t.Errorf("counters %+v", c)
	}
	// A crash: what the checkpoint has goes on as if nothing had happened.
	again := mustTask(t, topSpec(3))
	w, err := again.Restore(first.StartMs, first.AppendTable(nil), first.Counters)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []*Task{task, again} {
		NewGroup([]*Task{one}).Process(&fs, []byte("2026-11-23 10:00:02,east,12.5,F\n2026-11-23 10:00:01,east,12.5,A\n2026-11-23 10:00:01,west,100,"+strings.Repeat("食", 2000)+"\n"), benchNow)
	}
	if a, b := string(first.AppendTable(nil)), string(w.AppendTable(nil)); a != b {
		t.Errorf("after a restart there are\n%v\nwithout one\n%v", kept(w), kept(first))
	}
	if top := first.lines[0]; !top.Cut || len(top.Text) > logrule.MaxKeptLine || !strings.HasSuffix(top.Text, "食") || len(top.Text) < logrule.MaxKeptLine-3 {
		t.Errorf("the long line has %d bytes: %v", len(top.Text), top.Cut)
	}
	if got := task.BadSamples(); len(got) != 1 || !strings.Contains(got[0].Text, "no number") {
		t.Errorf("samples %+v", got)
	}
}

func TestBadSamplesAreMasked(t *testing.T) {
	task := mustTask(t, topSpec(3))
	g, fs := NewGroup([]*Task{task}), FileState{Path: "/x"}
	line := "2026-11-23 10:00:05,east,none,13812345678 "
	g.Process(&fs, []byte(line+"\n"+line+strings.Repeat("x", sampleBytes-len(line)-6)+" 13912345678\n"), benchNow)
	samples := task.BadSamples()
	if len(samples) != 2 {
		t.Fatalf("%d samples", len(samples))
	}
	for _, s := range samples {
		if strings.Contains(s.Text, "13812345678") || strings.Contains(s.Text, "1391") || !strings.Contains(s.Text, "138****5678") {
			t.Errorf("sample %q", s.Text)
		}
	}
}

// TestRowTopAgreesWithSort also has the task beside others on one file, in GBK and UTF-8.
func TestRowTopAgreesWithSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	for _, enc := range []logrule.Encoding{logrule.EncodingUTF8, logrule.EncodingGBK} {
		spec := topSpec(20)
		spec.Encoding = enc
		top, other := mustTask(t, spec), mustTask(t, shopSpec())
		g, fs := NewGroup([]*Task{other, top}), FileState{Path: "/x"}
		type line struct {
			fee  int
			text string
		}
		var all []line
		for i := range 3000 {
			l := line{fee: rng.IntN(1_000_000)}
			l.text = fmt.Sprintf("2026-11-23 10:00:%02d,收费站%d,%d.%02d,x", i%60, i%7, l.fee/100, l.fee%100)
			all = append(all, l)
			raw := []byte(l.text + "\n")
			if enc == logrule.EncodingGBK {
				var err error
				if raw, err = simplifiedchinese.GBK.NewEncoder().Bytes(raw); err != nil {
					t.Fatal(err)
				}
			}
			g.Process(&fs, raw, benchNow)
		}
		slices.SortFunc(all, func(a, b line) int { return cmp.Or(b.fee-a.fee, strings.Compare(a.text, b.text)) }) // a text begins with its time
		for i, l := range top.Windows()[0].lines {
			if l.Text != all[i].text || l.Value != float64(all[i].fee)/100 || l.Key[0] != strings.Split(l.Text, ",")[1] {
				t.Fatalf("%s: rank %d is %+v, want %+v", enc, i+1, l, all[i])
			}
		}
		if n := other.Counters().Read; n != 3000 {
			t.Errorf("the other task read %d lines", n)
		}
	}
}

// TestRowTopIsBounded feeds different lines of the same length, each larger than all before: once there are as many as
// are kept, no more memory may be held, neither by what the window says nor by what the heap does.
func TestRowTopIsBounded(t *testing.T) {
	const early, lines = 500, 30_000 // all that was ever kept would be some 6 MB
	task := mustTask(t, topSpec(100))
	g, fs := NewGroup([]*Task{task}), FileState{Path: "/x"}
	var block []byte
	var said int
	var held uint64
	for i := range lines {
		block = fmt.Appendf(block, "2026-11-23 10:00:05,station-%07d,%07d,plate-%07d\n", i, i, i)
		if (i+1)%early == 0 {
			g.Process(&fs, block, benchNow)
			block = block[:0]
		}
		if i+1 == early {
			said, held = task.Windows()[0].MemoryBytes(), heapBytes()
		}
	}
	w := task.Windows()[0]
	if n := w.MemoryBytes(); n != said || n > 100<<10 {
		t.Errorf("the window says %d bytes after %d lines, %d after %d", n, lines, said, early)
	}
	if n := heapBytes(); n > held+1<<20 {
		t.Errorf("the heap holds %d bytes after %d lines, %d after %d", n, lines, held, early)
	}
	if len(w.lines) != 100 || w.lines[0].Value != lines-1 || w.lines[99].Value != lines-100 || w.Counters.Matched != lines {
		t.Errorf("%d lines from %v, counters %+v", len(w.lines), w.lines[0], w.Counters)
	}
	runtime.KeepAlive(g)
}

// heapBytes is what the heap holds that is in use.
func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestMatchKeepsTheFirstLines(t *testing.T) {
	three := 3
	spec := logrule.Spec{Title: "plates", Type: logrule.Match, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{split("plate", 1)}, Filters: logrule.Filters{White: []logrule.FilterRow{{Column: "plate", Values: []string{"A1"}}}},
		Match: &logrule.MatchRule{Title: "seen", Level: "P1", MinLinesChat: 1, MaxLines: &three}}
	var log string
	for i, at := range []int{9, 3, 5, 1, 7} {
		log += fmt.Sprintf("2026-11-23 10:00:0%d,A1,tel 1381234567%d fee=$%d\n2026-11-23 10:00:00,B,\n", at, i, at)
	}
	for name, c := range map[string]struct {
		change func(*logrule.MatchRule)
		want   string
	}{
		"whole lines": {func(m *logrule.MatchRule) {},
			"2026-11-23 10:00:01,A1,tel 138****5673 fee=$1|2026-11-23 10:00:03,A1,tel 138****5671 fee=$3|2026-11-23 10:00:05,A1,tel 138****5672 fee=$5"},
		"custom text": {func(m *logrule.MatchRule) {
			m.TextMode, m.TextPattern, m.CustomText = logrule.TextCustom, `(?P<tel>\d{11}) fee=\$(?P<fee>\d)`, "${tel} paid $${fee}, $tel"
		}, "138****5673 paid $1, $tel|138****5671 paid $3, $tel|138****5672 paid $5, $tel"},
		"pattern without a match": {func(m *logrule.MatchRule) {
			m.TextMode, m.TextPattern, m.CustomText = logrule.TextCustom, `fee=\$[13]$`, "x"
		}, "x|x|2026-11-23 10:00:05,A1,tel 138****5672 fee=$5"},
		"no lines": {func(m *logrule.MatchRule) { none := 0; m.MaxLines = &none }, ""},
	} {
		s, m := spec, *spec.Match
		c.change(&m)
		s.Match = &m
		task := mustTask(t, s)
		fs := FileState{Path: "/x"}
		NewGroup([]*Task{task}).Process(&fs, []byte(log), benchNow)
		w := task.Windows()[0]
		var texts []string
		for _, l := range w.lines {
			texts = append(texts, l.Text)
		}
		if got := strings.Join(texts, "|"); got != c.want || w.Counters.Matched != 5 {
			t.Errorf("%s: %q of %d, want %q", name, got, w.Counters.Matched, c.want)
		}
	}
}

// TestPolicyMasksSamples: where the workspace has a policy, samples of lines that
// could not be used are masked, also of monitors that keep no lines.
func TestPolicyMasksSamples(t *testing.T) {
	spec := logrule.Spec{Title: "m", Type: logrule.Minute, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{split("fee", 1)}, Statistics: []logrule.Statistic{{Kind: logrule.Sum, Column: "fee"}}}
	for _, enforced := range []bool{false, true} {
		if enforced {
			spec.Masking = spec.Masking.Under([]logrule.MaskingPolicy{{Replace: []logrule.Replacement{{Pattern: `pin \d+`, With: "pin *"}}}})
		}
		task := mustTask(t, spec)
		fs := FileState{Path: "/x"}
		NewGroup([]*Task{task}).Process(&fs, []byte("2026-11-23 10:00:05,much,tel 13812345678 pin 1234\n"), benchNow)
		samples := task.BadSamples()
		if len(samples) != 1 {
			t.Fatalf("%d samples", len(samples))
		}
		if masked := strings.Contains(samples[0].Text, "138****5678 pin *"); masked != enforced {
			t.Errorf("enforced is %t, the sample is %q", enforced, samples[0].Text)
		}
	}
}
