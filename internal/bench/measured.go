package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/pharos-stack/pharos/agent/collect"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// measuredPipeline is the process that is measured: the agent's collector, with
// its reader, checkpoints and outbox, reads log, or the logs of that directory,
// to the end, says how many MB it had in memory and exits.
func measuredPipeline(ctx context.Context, log string, monitors int, rule string) error {
	dir, err := os.MkdirTemp("", "pharos-pipeline-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	specs, sizes, err := measuredSpecs(log, monitors, rule)
	if err != nil {
		return err
	}
	c, err := collect.New(collect.Options{DataDir: dir, Logger: slog.New(slog.DiscardHandler), Location: time.UTC})
	if err != nil {
		return err
	}
	plan := &pharosv1.Plan{Revision: 1}
	want := map[string]int{} // files of a task
	for i, spec := range specs {
		spec = spec.WithDefaults()
		if err := spec.Validate("spec"); err != nil {
			return err
		}
		text, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("mon_%d", i)
		task := logrule.TaskID(id, spec)
		for _, pattern := range spec.Paths {
			names, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			want[task] += len(names)
		}
		plan.Tasks = append(plan.Tasks, &pharosv1.PlanTask{TaskId: task, MonitorId: id, DefinitionRevision: 1,
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
			done = done && len(t.Files) == want[t.TaskId]
			for _, f := range t.Files {
				done = done && f.ReadBytes == sizes[f.Path]
			}
		}
		if done {
			cancel()
			_, peak, err := residentMB(os.Getpid())
			fmt.Println(peak)
			return errors.Join(err, <-ran)
		}
	}
}

// measuredSpecs are the monitors and the sizes of what they read.
func measuredSpecs(log string, monitors int, rule string) (specs []logrule.Spec, sizes map[string]int64, err error) {
	names := []string{log}
	if info, err := os.Stat(log); err != nil {
		return nil, nil, err
	} else if info.IsDir() {
		specs = mixedSpecs(log, rule, monitors)
		if names, err = filepath.Glob(filepath.Join(log, "*.log")); err != nil {
			return nil, nil, err
		}
	} else {
		for i := range monitors {
			specs = append(specs, benchSpec(log, rule, i))
		}
	}
	sizes = map[string]int64{}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, nil, err
		}
		sizes[name] = info.Size()
	}
	return specs, sizes, nil
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
func benchSpec(log, rule string, i int) logrule.Spec {
	s := logrule.Spec{Title: "bench", Type: logrule.MinuteMulti, Paths: []string{log}, StartAt: logrule.StartBeginning,
		Time: logrule.TimeRule{Format: logrule.TimeNormal, Timezone: "UTC"}, GroupBy: []string{"goods", "method"},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Sum, Column: "ms"}}}
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
	case "p99":
		s.Statistics = []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.P99, Column: "ms"}}
	}
	return s
}
