package window

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// TestWeighedFigures: figures over lines that stand for several calls, and what
// those over longer times are made of, count calls.
func TestWeighedFigures(t *testing.T) {
	column := func(name string, i int) logrule.Column {
		return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: ",", Index: i}}
	}
	spec := logrule.Spec{Title: "w", Type: logrule.Service, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns:      []logrule.Column{column("calls", 1), column("ms", 2), column("ok", 3)},
		ResultColumn: "ok", TimeColumn: "ms", WeightColumn: "calls"}.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(&pharosv1.MonitorInfo{MonitorId: "m", TaskId: "t", Key: "w", Workspace: "w", App: "a", SpecJson: body})
	if err != nil {
		t.Fatal(err)
	}
	program, err := logpipe.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	merge := NewMerge(plan)
	for _, log := range []string{"2026-11-23 10:04:05,10,400,Y\n2026-11-23 10:04:05,5,500,N\n", "2026-11-23 10:04:06,1,60,Y\n"} {
		task, fs := logpipe.NewTask(program, logpipe.TaskOptions{}), logpipe.FileState{Path: "/x"}
		logpipe.NewGroup([]*logpipe.Task{task}).Process(&fs, []byte(log), topClock)
		if err := merge.Add(plan, nil, task.Windows()[0].AppendTable(nil)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, s := range plan.Samples(nil, merge.Result(), &pharosv1.WindowState{Completeness: 1}, nil, nil) {
		got = append(got, fmt.Sprintf("%s=%v", s.Labels.Get("__name__"), s.Value))
	}
	slices.Sort(got)
	want := "w:avg_ms=60 w:avg_ms_count=16 w:avg_ms_sum=960 w:fail=5 w:success=11 w:success_rate=68.75 w:success_rate_success=11 w:success_rate_total=16 w:total=16"
	if text := strings.Join(got, " "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}
