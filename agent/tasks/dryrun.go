package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// maxDryRun bytes of lines are explained in an answer; totals cover all lines.
	maxDryRun = 4 << 20
	// maxTotals are returned, the first by window and key.
	maxTotals = 1000
	// maxKept is how many kept lines of a window a dry run shows.
	maxKept = 20
)

// dryRun runs a rule on lines with the collector's code.
func (r *Runner) dryRun(ctx context.Context, t *pharosv1.DryRunTask) (*pharosv1.DryRunResult, error) {
	spec := logrule.Spec{}
	dec := json.NewDecoder(bytes.NewReader(t.GetSpecJson()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&spec); err != nil {
		return nil, taskError(CodeBadSpec, "cannot read the rule: %v", err)
	}
	spec = spec.WithDefaults()
	result := &pharosv1.DryRunResult{}
	var raw [][]byte
	if pasted := t.GetLines(); len(pasted) > 0 {
		size := 0
		for _, line := range pasted {
			size += len(line)
			raw = append(raw, []byte(strings.TrimSuffix(line, "\n")))
		}
		if len(pasted) > maxLines || size > maxRead {
			return nil, taskError(CodeBadRequest, "%d lines of %d bytes are too much to try; give at most %d lines and %d bytes", len(pasted), size, maxLines, maxRead)
		}
		spec.Encoding = logrule.EncodingUTF8 // whatever the file has, they came as text
	}
	written := spec.Encoding
	if _, transcoded := logpipe.ToUTF8(written, nil); transcoded {
		spec.Encoding = logrule.EncodingUTF8 // the lines are turned into it below, for Explain to tell places in them
	}
	if err := spec.Validate("spec"); err != nil {
		return nil, taskError(CodeBadSpec, "%v", err)
	}
	program, err := logpipe.Compile(spec)
	if err != nil {
		return nil, taskError(CodeBadSpec, "%v", err)
	}
	if raw == nil {
		if result.Path, err = r.roots.newest(ctx, spec.PathsAt(time.Now(), r.opts.Location)...); err != nil {
			return nil, err
		}
		f, info, err := r.roots.openFile(result.Path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if raw, err = lastLines(f, info.Size(), count(t.GetMaxLines(), 100)); err != nil {
			return nil, fileError("read", result.Path, err)
		}
		for i, line := range raw {
			raw[i], _ = logpipe.ToUTF8(written, line)
		}
	}
	nowMs := time.Now().UnixMilli()
	task := logpipe.NewTask(program, logpipe.TaskOptions{Location: r.opts.Location})
	group := logpipe.NewGroup([]*logpipe.Task{task})
	explained, counted := logpipe.FileState{Path: result.Path}, logpipe.FileState{Path: result.Path}
	size := 0
	for _, line := range program.Records(raw) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// Explain moves its state on, so that a line without time takes that of the one before.
		e := program.Explain(&explained, line, nowMs, r.opts.Location)
		if size < maxDryRun {
			l := lineOf(e)
			result.Lines = append(result.Lines, l)
			size += proto.Size(l)
		}
		group.Process(&counted, append(slices.Clip(line), '\n'), nowMs)
	}
	group.Flush(&counted, nowMs)
	result.Counters = countersOf(task.Counters())
	if result.Totals, err = r.totals(program, task, spec.GroupBy); err != nil {
		return nil, taskError(CodeFailed, "cannot read the totals: %v", err)
	}
	return result, nil
}

func lineOf(e logpipe.Explained) *pharosv1.DryRunLine {
	l := &pharosv1.DryRunLine{Text: e.Text, Outcome: e.Outcome, Detail: e.Detail, TimeMs: e.TimeMs,
		TimeStart: int32(e.TimeStart), TimeEnd: int32(e.TimeEnd)}
	for _, c := range e.Columns {
		l.Columns = append(l.Columns, &pharosv1.DryRunColumn{Name: c.Name, Value: c.Value, Start: int32(c.Start), End: int32(c.End), Missing: c.Missing})
	}
	return l
}

func (r *Runner) totals(program *logpipe.Program, task *logpipe.Task, groupBy []string) ([]*pharosv1.DryRunTotal, error) {
	if program.Layout().Keep > 0 {
		groupBy = nil // these are columns of records, there is one total
	}
	var out []*pharosv1.DryRunTotal
	for _, w := range task.Windows() {
		table, err := partial.Decode(w.AppendTable(nil))
		if err != nil {
			return nil, err
		}
		if table.Total.Lines == 0 {
			continue // only lines that could not be used
		}
		rows := []*partial.Row{&table.Total}
		if table.Layout.Groups > 0 && table.Layout.Keep == 0 {
			rows = rows[:0]
			for _, row := range table.Rows {
				rows = append(rows, row)
			}
			slices.SortFunc(rows, func(a, b *partial.Row) int { return slices.Compare(a.Key, b.Key) })
		}
		for _, row := range rows {
			if len(out) == maxTotals {
				return out, nil
			}
			total := &pharosv1.DryRunTotal{WindowMs: w.StartMs, Key: r.key(groupBy, row.Key), Figures: program.Figures(row), Lines: row.Lines}
			for _, l := range table.Lines[:min(len(table.Lines), maxKept)] {
				total.Kept = append(total.Kept, l.Text)
			}
			out = append(out, total)
		}
	}
	return out, nil
}

// key puts the values of columns and the agent's labels in the order of group_by.
func (r *Runner) key(groupBy, columns []string) []string {
	var key []string
	for _, name := range groupBy {
		switch {
		case slices.Contains(logrule.GroupLabels, name):
			key = append(key, r.opts.Labels[name])
		case len(columns) > 0:
			key = append(key, columns[0])
			columns = columns[1:]
		}
	}
	return key
}

func countersOf(c logpipe.Counters) *pharosv1.LineCounters {
	return &pharosv1.LineCounters{Read: c.Read, Matched: c.Matched, Filtered: c.Filtered, Unmatched: c.Unmatched, Bad: c.Bad, Late: c.Late,
		BadNumbers: c.BadNumbers, ThrottledBytes: c.ThrottledBytes, Undecodable: c.Undecodable, Cut: c.Cut, KeysDropped: c.KeysDropped}
}
