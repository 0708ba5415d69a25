package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/agent/collect"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// measuredPipeline is the process that is measured: the agent's collector, with
// its reader, checkpoints and outbox, reads log to its end and then exits.
func measuredPipeline(ctx context.Context, log string, monitors int, rule string) error {
	dir, err := os.MkdirTemp("", "pharos-pipeline-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := filesOf(log)
	if err != nil {
		return err
	}
	size := map[string]int64{}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		size[path] = info.Size()
	}
	c, err := collect.New(collect.Options{DataDir: dir, Logger: slog.New(slog.DiscardHandler), Location: time.UTC})
	if err != nil {
		return err
	}
	plan := &pharosv1.Plan{Revision: 1}
	for i := range monitors {
		spec := benchSpec(files, rule, i).WithDefaults()
		if err := spec.Validate("spec"); err != nil {
			return err
		}
		text, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("mon_%d", i)
		plan.Tasks = append(plan.Tasks, &pharosv1.PlanTask{TaskId: logrule.TaskID(id, spec), MonitorId: id, DefinitionRevision: 1,
			Kind: &pharosv1.PlanTask_Log{Log: &pharosv1.LogTask{SpecJson: text}}})
	}
	c.SetPlan(plan)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go acknowledge(ctx, c)
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ran:
			return fmt.Errorf("the collector ended early: %w", err)
		case <-tick.C:
		}
		tasks, problems, _ := c.Status()
		if len(problems) > 0 {
			return fmt.Errorf("the collector reports: %v", problems)
		}
		done := len(tasks) == monitors
		for _, t := range tasks {
			done = done && len(t.Files) > 0
			for _, f := range t.Files {
				done = done && f.ReadBytes == size[f.Path]
			}
		}
		if done {
			cancel()
			return <-ran
		}
	}
}

// filesOf returns the files of a directory, or the file itself.
func filesOf(log string) ([]string, error) {
	info, err := os.Stat(log)
	if err != nil || !info.IsDir() {
		return []string{log}, err
	}
	return filepath.Glob(filepath.Join(log, "*.log"))
}

// acknowledge stands for compute.
func acknowledge(ctx context.Context, c *collect.Collector) {
	cursor := c.Outbox().Stream()
	for {
		r, err := cursor.Next(ctx)
		if err != nil {
			return
		}
		c.Outbox().Ack([]*pharosv1.Ack{{TaskId: r.TaskId, WindowStartMs: r.WindowStartMs, Part: r.Part, Revision: r.Revision}})
	}
}

// benchSpec counts and sums by two columns, or what else the rule is named after. The i-th of several monitors looks
// at other columns, as different monitors do.
func benchSpec(files []string, rule string, i int) logrule.Spec {
	n := len(files)
	s := logrule.Spec{Title: "bench", Type: logrule.MinuteMulti, Paths: files[i%n : i%n+1], StartAt: logrule.StartBeginning,
		Time: logrule.TimeRule{Format: logrule.TimeNormal, Timezone: "UTC"}, GroupBy: []string{"goods", "method"},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Sum, Column: "ms"}}}
	if rule == "mixed" { // fifty monitors over twenty files: each reads two, so each file has five
		s.Paths = append(slices.Clone(s.Paths), files[(i+7)%n])
		rule = []string{"delimiter", "delimiter", "service", "p99", "regex", "top", "records", "match", "seconds", "delimiter"}[i/n*5%10+i%5]
	}
	if rule == "regex" {
		const pattern = `^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},[^,]*,([^,]*),[^,]*,([^,]*),(\d+),`
		for group, name := range []string{"goods", "method", "ms"} {
			s.Columns = append(s.Columns, logrule.Column{Name: name, Regex: &logrule.RegexRule{Pattern: pattern, Group: group + 1}})
		}
		return s
	}
	if rule == "json" {
		for _, name := range []string{"at", "goods", "method", "ms"} {
			s.Columns = append(s.Columns, logrule.Column{Name: name, JSON: &logrule.JSONRule{Path: name}})
		}
		s.Time.Column = "at"
		return s
	}
	column := func(name string, index int) logrule.Column {
		return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: ",", Index: index}}
	}
	groups := [][2]int{{2, 4}, {2, 3}, {3, 4}, {4, 6}, {2, 6}}[i%5]
	s.Columns = []logrule.Column{column("goods", groups[0]), column("method", groups[1]), column("ms", 5), column("result", 6)}
	switch rule {
	case "service", "translated":
		s.Type, s.Statistics, s.ResultColumn, s.TimeColumn = logrule.Service, nil, "result", "ms"
		if rule == "translated" {
			s.Columns[1].Translate = &logrule.Translation{Script: "create => Y\npay => Y\n* => N"}
			s.GroupBy, s.ResultColumn = []string{"goods", "result"}, "method"
		}
	case "top":
		s.Type, s.GroupBy, s.Statistics = logrule.MinuteTop, []string{"user"}, []logrule.Statistic{{Kind: logrule.Sum, Column: "ms"}}
		s.Columns = append(s.Columns, column("user", 7))
	case "records":
		s.Type, s.Statistics, s.SortColumn = logrule.RowTop, nil, "ms"
	case "match":
		s.Type, s.Statistics, s.GroupBy = logrule.Match, nil, nil
		s.Filters.White = []logrule.FilterRow{{Column: "method", Values: []string{"refund"}}}
		s.Columns[1] = column("method", 4)
		s.Match = &logrule.MatchRule{Title: "refund", Level: "P2", MinLinesChat: 1}
	case "seconds":
		s.Type = logrule.SecondMulti
	case "p99":
		s.Statistics = []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.P99, Column: "ms"}}
	}
	return s
}
