package logpipe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// figuresOf returns the figures of a task's only window by key, and over all lines.
func figuresOf(t *testing.T, task *Task) map[string]string {
	t.Helper()
	table, err := partial.Decode(task.Windows()[0].AppendTable(nil))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{"": fmt.Sprint(task.Program().Figures(&table.Total))}
	for _, r := range table.Rows {
		out[strings.Join(r.Key, "/")] = fmt.Sprint(task.Program().Figures(r))
	}
	return out
}

func TestFormulaColumns(t *testing.T) {
	spec := logrule.Spec{Title: "f", Type: logrule.MinuteMulti, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{split("goods", 1), split("amount", 2), split("n", 3), {Name: "price", Formula: "amount / n"},
			{Name: "size", Formula: "round(amount / 100)", Translate: &logrule.Translation{Script: "[0,2) #> small\n* => large"}}},
		GroupBy:    []string{"size"},
		Statistics: []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "price"}, {Kind: logrule.Max, Column: "price"}}}
	task := mustTask(t, spec)
	// The other task's column of the same formula is made of another field.
	other := spec
	other.GroupBy = nil
	other.Type = logrule.Minute
	other.Columns = []logrule.Column{split("n", 2), split("amount", 3), {Name: "price", Formula: "amount / n"}}
	other.Statistics = []logrule.Statistic{{Kind: logrule.Sum, Column: "price"}}
	turned := mustTask(t, other)
	fs := FileState{Path: "/x"}
	NewGroup([]*Task{task, turned}).Process(&fs, []byte("2026-11-23 10:00:01,food,10,4\n"+ // 2.5
		"2026-11-23 10:00:02,home,1000.5,3\n"+ // 333.5
		"2026-11-23 10:00:03,home,100,0\n"+ // no price
		"2026-11-23 10:00:04,home,much,3\n"+ // no size: unmatched
		"2026-11-23 10:00:05,food,1,3\n"+ // 0.333333
		"2026-11-23 10:00:06,food,-7,2\n"), benchNow)
	got := figuresOf(t, task)
	for key, want := range map[string]string{"small": "[4 -0.666667 2.5]", "large": "[1 333.5 333.5]"} {
		if got[key] != want {
			t.Errorf("%s: %s, want %s", key, got[key], want)
		}
	}
	if c := task.Windows()[0].Counters; c.Unmatched != 1 || c.BadNumbers != 1 || c.Matched != 5 {
		t.Errorf("counters %+v", c)
	}
	if got, want := figuresOf(t, turned)[""], "[3.117285]"; got != want {
		t.Errorf("turned: %s, want %s", got, want)
	}
}

func TestWeights(t *testing.T) {
	spec := logrule.Spec{Title: "w", Type: logrule.Service, Paths: []string{"/x"}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns:      []logrule.Column{split("method", 1), split("calls", 2), split("ms", 3), split("ok", 4)},
		ResultColumn: "ok", TimeColumn: "ms", WeightColumn: "calls", GroupBy: []string{"method"}}
	task := mustTask(t, spec)
	plain := spec
	plain.WeightColumn = ""
	lines := mustTask(t, plain)
	fs := FileState{Path: "/x"}
	NewGroup([]*Task{task, lines}).Process(&fs, []byte("2026-11-23 10:00:01,get,10,400,Y\n"+
		"2026-11-23 10:00:02,get,5,500,N\n"+
		"2026-11-23 10:00:03,put,1,7,Y\n"+
		"2026-11-23 10:00:04,put,many,7,Y\n"), benchNow)
	got := figuresOf(t, task)
	// total, success, fail, success rate, average time of a call
	for key, want := range map[string]string{"get": "[15 10 5 66.66666666666667 60]", "put": "[1 1 0 100 14]", "": "[16 11 5 68.75 57.125]"} {
		if got[key] != want {
			t.Errorf("%q: %s, want %s", key, got[key], want)
		}
	}
	if got := figuresOf(t, lines)["get"]; got != "[2 1 1 50 450]" {
		t.Errorf("without weights: %s", got)
	}
	if c := task.Windows()[0].Counters; c.BadNumbers != 2 { // of the weight and of the success that weighs so much
		t.Errorf("counters %+v", c)
	}
}
