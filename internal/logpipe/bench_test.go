package logpipe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// benchNow is the clock of the benchmarks, shortly after their lines.
var benchNow = time.Date(2026, 11, 23, 10, 10, 0, 0, time.UTC).UnixMilli()

// shopLog makes about size bytes of comma-separated lines of about 85 bytes,
// one second every perSecond lines.
func shopLog(size, perSecond int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := []string{"clothes", "food", "books", "toys", "garden", "music"}
	verbs := []string{"create", "pay", "cancel", "refund"}
	var b bytes.Buffer
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for n := 0; b.Len() < size; n++ {
		if n%perSecond == 0 {
			at = at.Add(time.Second)
		}
		ok := "Y"
		if rng.IntN(20) == 0 {
			ok = "N"
		}
		fmt.Fprintf(&b, "%s,%016x,%s,trade,%s,%d,%s,%d,10.0.%d.%d,web-%02d\n", at.Format("2006-01-02 15:04:05"), rng.Uint64(),
			kinds[rng.IntN(len(kinds))], verbs[rng.IntN(len(verbs))], rng.IntN(1000), ok, rng.IntN(3000), rng.IntN(256), rng.IntN(256), rng.IntN(20))
	}
	return b.Bytes()
}

func split(name string, i int) logrule.Column {
	return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: ",", Index: i}}
}

// shopSpec counts and sums by two columns.
func shopSpec() logrule.Spec {
	return logrule.Spec{Title: "shop", Type: logrule.MinuteMulti, Paths: []string{"/x"},
		Time:       logrule.TimeRule{Format: logrule.TimeNormal},
		Columns:    []logrule.Column{split("kind", 2), split("verb", 4), split("fee", 5), split("ok", 6), split("ms", 7), split("web", 9)},
		GroupBy:    []string{"kind", "verb"},
		Statistics: []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "fee"}}}
}

func mustTask(tb testing.TB, s logrule.Spec) *Task {
	tb.Helper()
	s = s.WithDefaults()
	if err := s.Validate("spec"); err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(s)
	if err != nil {
		tb.Fatal(err)
	}
	return NewTask(p, TaskOptions{})
}

// reportCPU reports the rate by the time the processor was used, which other
// work on the machine disturbs less than the wall clock.
func reportCPU(b *testing.B, bytes int, start time.Duration) {
	b.ReportMetric(float64(bytes)*float64(b.N)/1e6/(cpuTime(b)-start).Seconds(), "cpuMB/s")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano())
}

// runBlocks processes the log in blocks of 256 KiB, as a reader would.
func runBlocks(g *Group, fs *FileState, log []byte, now int64) {
	const size = 256 << 10
	for len(log) > 0 {
		n := min(size, len(log))
		if n < len(log) {
			n = bytes.LastIndexByte(log[:n], '\n') + 1
		}
		g.Process(fs, log[:n], now)
		log = log[n:]
	}
}

func benchProcess(b *testing.B, log []byte, specs ...logrule.Spec) {
	var tasks []*Task
	for _, s := range specs {
		tasks = append(tasks, mustTask(b, s))
	}
	g := NewGroup(tasks)
	var fs FileState
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	runBlocks(g, &fs, log, benchNow)
	start := cpuTime(b)
	for b.Loop() {
		runBlocks(g, &fs, log, benchNow)
	}
	reportCPU(b, len(log), start)
	for _, t := range tasks {
		if c := t.Counters(); c.Matched == 0 || c.Bad+c.Late+c.Unmatched+c.BadNumbers > 0 {
			b.Fatalf("the benchmark does not measure what it should: %+v", c)
		}
	}
}

const benchSize = 8 << 20

func BenchmarkProcessDelimiter(b *testing.B) {
	benchProcess(b, shopLog(benchSize, 1000), shopSpec())
}

func tenSpecs() []logrule.Spec {
	keys := [][]string{{"kind", "verb"}, {"kind"}, {"verb"}, {"ok"}, {"web"}, {"kind", "ok"}, {"verb", "ok"}, {"web", "ok"}, {"kind", "web"}, {"verb", "web"}}
	var specs []logrule.Spec
	for i, k := range keys {
		s := shopSpec()
		s.GroupBy = k
		if i%2 == 1 {
			s.Statistics[1].Column = "ms"
		}
		specs = append(specs, s)
	}
	return specs
}

func BenchmarkProcessTenMonitors(b *testing.B) {
	benchProcess(b, shopLog(benchSize, 1000), tenSpecs()...)
}

func BenchmarkProcessFilter(b *testing.B) {
	s := shopSpec()
	s.Filters = logrule.Filters{White: []logrule.FilterRow{{Column: "ok", Values: []string{"Y"}}, {Column: "kind", Values: []string{"food", "toys", "books"}}}}
	benchProcess(b, shopLog(benchSize, 1000), s)
}

func BenchmarkProcessRegex(b *testing.B) {
	s := shopSpec()
	const pattern = `^[^,]*,[^,]*,([^,]*),[^,]*,([^,]*),(\d+),`
	for i := range s.Columns[:3] {
		s.Columns[i].Split = nil
		s.Columns[i].Regex = &logrule.RegexRule{Pattern: pattern, Group: i + 1}
	}
	benchProcess(b, shopLog(benchSize, 1000), s)
}

func BenchmarkProcessBetween(b *testing.B) {
	s := shopSpec()
	s.Columns = []logrule.Column{
		{Name: "kind", Between: &logrule.BetweenRule{Left: ",", LeftIndex: 2, Right: ","}},
		{Name: "verb", Between: &logrule.BetweenRule{Left: "trade,", Right: ","}},
		{Name: "fee", Between: &logrule.BetweenRule{Left: ",", LeftIndex: 5, Right: ","}}}
	benchProcess(b, shopLog(benchSize, 1000), s)
}

func BenchmarkProcessGBK(b *testing.B) {
	text := strings.NewReplacer("clothes", "服装鞋帽", "food", "食品", "books", "图书", "create", "创建", "pay", "支付", "cancel", "取消", ",", "|").
		Replace(string(shopLog(benchSize, 1000)))
	log, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	s := shopSpec()
	s.Encoding = logrule.EncodingGBK
	for i := range s.Columns {
		s.Columns[i].Split.Delimiter = "|"
	}
	benchProcess(b, log, s)
}

func BenchmarkProcessUTF8(b *testing.B) {
	text := strings.NewReplacer("clothes", "服装鞋帽", "food", "食品", "books", "图书", "create", "创建", "pay", "支付", "cancel", "取消").
		Replace(string(shopLog(benchSize, 1000)))
	benchProcess(b, []byte(text), shopSpec())
}

// BenchmarkProcessTranslated has the verb translated to a result, and the number
// of the server, of 20, to one of three groups.
func BenchmarkProcessTranslated(b *testing.B) {
	s := shopSpec()
	s.Columns[1].Translate = &logrule.Translation{Script: "create => Y\npay => Y\n* => N"}
	s.Columns = append(s.Columns[:5:5], logrule.Column{Name: "web", Split: s.Columns[5].Split,
		Translate: &logrule.Translation{Script: "web-00 => first\n^web-(0\\d) ~> group $1\n* => rest"}})
	s.Type, s.GroupBy, s.ResultColumn, s.TimeColumn, s.Statistics = logrule.Service, []string{"kind", "web"}, "verb", "ms", nil
	benchProcess(b, shopLog(benchSize, 1000), s)
}

// BenchmarkProcessTranslatedIDs translates values that hardly come twice.
func BenchmarkProcessTranslatedIDs(b *testing.B) {
	s := shopSpec()
	s.Columns = append(s.Columns, logrule.Column{Name: "id", Split: &logrule.SplitRule{Delimiter: ",", Index: 1},
		Translate: &logrule.Translation{Script: "[0-3]$ ~> low\n* => high"}})
	s.GroupBy = []string{"kind", "id"}
	benchProcess(b, shopLog(benchSize, 1000), s)
}

// BenchmarkNaiveLoop is what one would write by hand for this one rule: a loop
// over lines, bytes.IndexByte for each field, a Go map by key.
func BenchmarkNaiveLoop(b *testing.B) {
	log := shopLog(benchSize, 1000)
	type agg struct{ n, sum int64 }
	counts := map[string]*agg{}
	b.SetBytes(int64(len(log)))
	var key []byte
	start := cpuTime(b)
	for b.Loop() {
		rest := log
		for len(rest) > 0 {
			i := bytes.IndexByte(rest, '\n')
			line := rest[:i]
			rest = rest[i+1:]
			minute := line[:16]
			var f [6][]byte
			for n := range f {
				j := bytes.IndexByte(line, ',')
				f[n], line = line[:j], line[j+1:]
			}
			key = append(append(append(key[:0], minute...), f[2]...), f[4]...)
			a := counts[string(key)]
			if a == nil {
				a = &agg{}
				counts[string(key)] = a
			}
			a.n++
			v := int64(0)
			for _, c := range f[5] {
				v = v*10 + int64(c-'0')
			}
			a.sum += v
		}
	}
	reportCPU(b, len(log), start)
}

// BenchmarkNewlines counts line ends only: how fast memory is read at best.
func BenchmarkNewlines(b *testing.B) {
	log := shopLog(benchSize, 1000)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		if bytes.Count(log, []byte("\n")) == 0 {
			b.Fatal("no lines")
		}
	}
}
