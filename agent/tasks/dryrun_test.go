package tasks

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func orderRule(path string) logrule.Spec {
	return logrule.Spec{Title: "Orders", Type: logrule.MinuteMulti, Paths: []string{path}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{{Name: "kind", Split: &logrule.SplitRule{Delimiter: ",", Index: 1}},
			{Name: "ms", Split: &logrule.SplitRule{Delimiter: ",", Index: 2}}, {Name: "state", Split: &logrule.SplitRule{Delimiter: ",", Index: 3}}},
		Filters: logrule.Filters{Black: []logrule.FilterRow{{Column: "state", Values: []string{"test"}}}},
		GroupBy: []string{"host", "kind"},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Sum, Column: "ms"},
			{Name: "slowest", Kind: logrule.Max, Column: "ms"}}}
}

func orderLines(n int) []string {
	start := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
	var lines []string
	for i := range n {
		at := start.Add(time.Duration(i) * 7 * time.Second).Format("2006-01-02 15:04:05")
		switch i % 10 {
		case 7:
			lines = append(lines, "  at com.example.Pay(Pay.java:7)")
		case 8:
			lines = append(lines, at+",pay,oops,test")
		case 9:
			lines = append(lines, at+",pay,abc,ok")
		default:
			lines = append(lines, fmt.Sprintf("%s,%s,%d.5,ok", at, []string{"create", "pay", "查询"}[i%3], i))
		}
	}
	return lines
}

func dryRun(t *testing.T, r *Runner, spec logrule.Spec, lines []string, maxLines int32) *pharosv1.TaskEvent {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, r, &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_DryRun{DryRun: &pharosv1.DryRunTask{SpecJson: b, Lines: lines, MaxLines: maxLines}}})[0]
}

func TestDryRunEqualsThePipeline(t *testing.T) {
	root := t.TempDir()
	lines := orderLines(60)
	write(t, root+"/o.log", strings.Join(lines, "\n")+"\n")
	spec := orderRule(root + "/*.log")
	fromFile := dryRun(t, runner(root), spec, nil, 60).GetDryRun()
	pasted := dryRun(t, runner(root), spec, lines, 0).GetDryRun()
	if fromFile.GetPath() != root+"/o.log" {
		t.Errorf("path %q", fromFile.GetPath())
	}

	// The same lines in one block through the pipeline, as the collector does it.
	program, err := logpipe.Compile(spec.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	task := logpipe.NewTask(program, logpipe.TaskOptions{Location: time.UTC})
	logpipe.NewGroup([]*logpipe.Task{task}).Process(&logpipe.FileState{}, []byte(strings.Join(lines, "\n")+"\n"), time.Now().UnixMilli())
	want := map[string][]float64{}
	for _, w := range task.Windows() {
		table, err := partial.Decode(w.AppendTable(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range table.Rows {
			want[fmt.Sprintf("%d h1/%s", w.StartMs, row.Key[0])] = program.Figures(row)
		}
	}
	for name, got := range map[string]*pharosv1.DryRunResult{"file": fromFile, "pasted": pasted} {
		if len(got.GetLines()) != 60 || len(got.GetTotals()) != len(want) {
			t.Fatalf("%s: %d lines, %d totals, want %d", name, len(got.GetLines()), len(got.GetTotals()), len(want))
		}
		for _, total := range got.GetTotals() {
			key := fmt.Sprintf("%d %s", total.GetWindowMs(), strings.Join(total.GetKey(), "/"))
			if !slices.EqualFunc(total.GetFigures(), want[key], func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
				t.Errorf("%s: %s is %v, want %v", name, key, total.GetFigures(), want[key])
			}
		}
		c := task.Counters()
		if g := got.GetCounters(); g.GetRead() != c.Read || g.GetMatched() != c.Matched || g.GetFiltered() != c.Filtered || g.GetBadNumbers() != c.BadNumbers || g.GetUnmatched() != c.Unmatched {
			t.Errorf("%s: counters %v, want %+v", name, g, c)
		}
		// What is said of each line adds up to the counters.
		outcomes := map[string]uint64{}
		for _, l := range got.GetLines() {
			outcomes[l.GetOutcome()]++
		}
		if outcomes["matched"] != c.Matched || outcomes["filtered"] != c.Filtered || outcomes["unmatched"] != c.Unmatched {
			t.Errorf("%s: outcomes %v, counters %+v", name, outcomes, c)
		}
	}
	l := fromFile.GetLines()[2]
	if kind := l.GetColumns()[0]; kind.GetName() != "kind" || l.GetText()[kind.GetStart():kind.GetEnd()] != "查询" || kind.GetValue() != "查询" ||
		l.GetText()[l.GetTimeStart():l.GetTimeEnd()] != lines[2][:19] {
		t.Errorf("line %v", l)
	}
}

func TestDryRunRefusesBadInput(t *testing.T) {
	root := t.TempDir()
	r := runner(root)
	bad := orderRule(root + "/*.log")
	bad.GroupBy = []string{"nothing"}
	if e := dryRun(t, r, bad, []string{"x"}, 0); e.GetErrorCode() != CodeBadSpec || !strings.Contains(e.GetError(), "group_by") {
		t.Errorf("a bad rule: %v", e)
	}
	if e := dryRun(t, r, orderRule(root+"/*.log"), nil, 0); e.GetErrorCode() != CodeNotFound {
		t.Errorf("no file: %v", e)
	}
	if e := dryRun(t, r, orderRule("/etc/*"), nil, 0); e.GetErrorCode() != CodeOutsideRoots {
		t.Errorf("outside: %v", e)
	}
	if e := dryRun(t, r, orderRule(root+"/*.log"), slices.Repeat([]string{"x"}, maxLines+1), 0); e.GetErrorCode() != CodeBadRequest {
		t.Errorf("too many lines: %v", e)
	}
	e := run(t, r, &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_DryRun{DryRun: &pharosv1.DryRunTask{SpecJson: []byte(`{"titel":"x"}`)}}})[0]
	if e.GetErrorCode() != CodeBadSpec || !strings.Contains(e.GetError(), "titel") {
		t.Errorf("an unknown field: %v", e)
	}
}

func TestDryRunShowsWhatWouldBeKept(t *testing.T) {
	root := t.TempDir()
	spec := logrule.Spec{Title: "fees", Type: logrule.RowTop, TopN: 2, SortColumn: "fee", GroupBy: []string{"host", "fee"}, Paths: []string{root + "/*.log"},
		Time:    logrule.TimeRule{Format: logrule.TimeReceive},
		Columns: []logrule.Column{{Name: "fee", Split: &logrule.SplitRule{Delimiter: ",", Index: 0}}}}
	got := dryRun(t, runner(root), spec, []string{"7,13812345678", "9,a", "8,b@example.com"}, 0).GetDryRun()
	if len(got.GetTotals()) != 1 {
		t.Fatalf("totals %v", got.GetTotals())
	}
	total := got.GetTotals()[0]
	if !slices.Equal(total.GetKept(), []string{"9,a", "8,b***@example.com"}) || len(total.GetKey()) != 0 || !slices.Equal(total.GetFigures(), []float64{3, 9}) || total.GetLines() != 3 {
		t.Errorf("total %v", total)
	}
}
