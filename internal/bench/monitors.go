package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

const (
	monitorFiles = 20
	manyMonitors = 50
	wideMonitors = 5 // of them: as many read all files, the others two each
)

// monitors compares many monitors over many files with one over the same
// files, and monitors of each kind with one that counts and sums by two keys.
func (c *commands) monitors(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pharos-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lines, size := 0, int64(0)
	for i := range monitorFiles {
		n, bytes, err := generateMixed(filepath.Join(dir, mixedName(i)), int64(c.MB)<<20/2/monitorFiles, uint64(i))
		if err != nil {
			return err
		}
		lines, size = lines+n, size+bytes
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	rows := []struct {
		name, rule string
		monitors   int
	}{
		{"one monitor (minute_multi)", "minute_multi", 1},
		{"50 monitors, 5 over all files, 45 over 2 files each", "mixed", manyMonitors},
		{"50 monitors, each over all files", "mixed-everywhere", manyMonitors},
		{"row_top alone", "row_top", 1},
		{"match alone, 2 % of lines", "match", 1},
		{"one monitor and a row_top", "minute_multi+row_top", 2},
		{"one monitor and a match", "minute_multi+match", 2},
		{"10 monitors (minute_multi)", "minute_multi", 10},
		{"10 monitors and a row_top", "minute_multi+row_top", 11},
	}
	fmt.Printf("%-54s %8s %8s %8s %8s %8s\n", fmt.Sprintf("%d files, %d MB, %d bytes a line, one core", monitorFiles, size>>20, size/int64(lines)),
		"on line", "MB/s", "ns/line", "× one", "RSS MB")
	one := 0.0
	for _, r := range rows {
		cmd := exec.CommandContext(ctx, self, "--pipeline", "--log", dir, "--rule", r.rule, "--monitors", strconv.Itoa(r.monitors))
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "TZ=UTC")
		var peak strings.Builder
		cmd.Stdout = &peak
		u, err := measure(cmd)
		if err != nil {
			return err
		}
		mb, err := strconv.ParseFloat(strings.TrimSpace(peak.String()), 64)
		if err != nil {
			return fmt.Errorf("cannot read what the measured process says of its memory: %w", err)
		}
		perLine := float64(u.cpu.Nanoseconds()) / float64(lines)
		if one == 0 {
			one = perLine
		}
		onLine := float64(r.monitors)
		if r.rule == "mixed" {
			onLine = wideMonitors + float64(r.monitors-wideMonitors)*2/monitorFiles
		}
		fmt.Printf("%-54s %8.1f %8.0f %8.0f %8.1f %8.0f\n", r.name, onLine, float64(size)/1e6/u.cpu.Seconds(), perLine, perLine/one, mb)
	}
	return nil
}

func mixedName(i int) string { return fmt.Sprintf("app-%02d.log", i) }

// generateMixed writes lines that can be cut by delimiter, by pattern and, their last field, as JSON.
func generateMixed(path string, size int64, seed uint64) (lines int, written int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, seed))
	goods := []string{"clothes", "food", "home", "books", "toys", "garden", "music", "sports"}
	methods := []string{"create", "pay", "refund", "query", "cancel"}
	tiers := []string{"gold", "silver", "none"}
	const about = 130
	begin := time.Now().Add(-5 * time.Minute)
	var line []byte
	for ; written < size; lines++ {
		at := begin.Add(time.Duration(float64(5*time.Minute) * float64(written) / float64(size+about)))
		result := "Y"
		if rng.IntN(50) == 0 {
			result = "N"
		}
		line = at.UTC().AppendFormat(line[:0], "2006-01-02 15:04:05")
		line = fmt.Appendf(line, `|%016x|%s|trade|%s|%d|%s|{"user":"user-%08d","tier":"%s","note":"%s"}`+"\n", rng.Uint64(), goods[rng.IntN(len(goods))],
			methods[rng.IntN(len(methods))], rng.IntN(3000), result, rng.IntN(100_000_000), tiers[rng.IntN(len(tiers))], strings.Repeat("x", 2+rng.IntN(10)))
		n, err := w.Write(line)
		if err != nil {
			return 0, 0, errors.Join(err, f.Close())
		}
		written += int64(n)
	}
	return lines, written, errors.Join(w.Flush(), f.Close())
}

// mixedSpecs are the monitors of one row of the table. Those of one kind look
// at different columns, as different monitors do.
func mixedSpecs(dir, rule string, monitors int) []logrule.Spec {
	var specs []logrule.Spec
	for i := range monitors {
		kind := rule
		if plain, last, ok := strings.Cut(rule, "+"); ok {
			kind = plain
			if i == monitors-1 {
				kind = last
			}
		}
		paths := []string{filepath.Join(dir, "app-*.log")}
		if strings.HasPrefix(rule, "mixed") {
			kinds := []string{"minute_multi", "spm", "second_multi", "minute", "row_top", "match", "regex", "json", "translated", "sketches"}
			kind = kinds[(i+i/len(kinds))%len(kinds)]
			if rule == "mixed" && i >= wideMonitors {
				paths = []string{filepath.Join(dir, mixedName(i%monitorFiles)), filepath.Join(dir, mixedName((i*7+3)%monitorFiles))}
			}
		}
		s := mixedSpec(kind, i)
		s.Paths = paths
		specs = append(specs, s)
	}
	return specs
}

func mixedSpec(kind string, i int) logrule.Spec {
	column := func(name string, index int) logrule.Column {
		return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: "|", Index: index}}
	}
	first := [][2]string{{"goods", "method"}, {"goods", "result"}, {"method", "result"}, {"goods", "domain"}, {"method", "domain"}}[i%5]
	s := logrule.Spec{Title: kind, Type: logrule.MinuteMulti, StartAt: logrule.StartBeginning, Time: logrule.TimeRule{Format: logrule.TimeNormal, Timezone: "UTC"},
		Columns:    []logrule.Column{column("goods", 2), column("domain", 3), column("method", 4), column("ms", 5), column("result", 6)},
		GroupBy:    first[:],
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Sum, Column: "ms"}}}
	switch kind {
	case "minute":
		s.Type, s.GroupBy = logrule.Minute, nil
		s.Filters.White = []logrule.FilterRow{{Column: "goods", Values: []string{"food", "books"}}}
	case "second_multi":
		s.Type, s.Window, s.GroupBy = logrule.SecondMulti, logrule.Duration(5*time.Second), s.GroupBy[:1]
	case "spm", "translated":
		s.Type, s.Statistics, s.GroupBy, s.ResultColumn, s.TimeColumn = logrule.Service, nil, s.GroupBy[:1], "result", "ms"
		if kind == "translated" {
			s.Columns[2].Translate = &logrule.Translation{Script: "create => Y\npay => Y\n* => N"}
			s.GroupBy, s.ResultColumn = []string{"goods"}, "method"
		}
	case "row_top":
		s.Type, s.Statistics, s.SortColumn = logrule.RowTop, nil, "ms"
	case "match":
		s.Type, s.Statistics, s.GroupBy = logrule.Match, nil, nil
		s.Filters.White = []logrule.FilterRow{{Column: "result", Values: []string{"N"}}}
		s.Match = &logrule.MatchRule{Title: "failed", Level: "P1", MinLinesChat: 1}
	case "regex":
		const pattern = `^[^|]*\|[^|]*\|([^|]*)\|[^|]*\|([^|]*)\|(\d+)\|`
		s.Columns, s.GroupBy = nil, []string{"goods", "method"}
		for group, name := range []string{"goods", "method", "ms"} {
			s.Columns = append(s.Columns, logrule.Column{Name: name, Regex: &logrule.RegexRule{Pattern: pattern, Group: group + 1}})
		}
	case "json":
		s.Columns = append(s.Columns, column("rest", 7), logrule.Column{Name: "tier", From: "rest", JSON: &logrule.JSONRule{Path: "tier"}})
		s.GroupBy = []string{"tier", first[0]}
	case "sketches":
		s.GroupBy = s.GroupBy[:1]
		s.Statistics = []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.P99, Column: "ms"}, {Kind: logrule.Distinct, Column: "method"}}
	}
	return s
}
