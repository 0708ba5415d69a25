package dashboards

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/partial"
)

const topSpec = `{"title":"Tops","paths":["/var/log/t.log"],"time":{"format":"receive"},
	"columns":[{"name":"goods","split":{"delimiter":",","index":1}},{"name":"cloud","split":{"delimiter":",","index":2}},{"name":"fee","split":{"delimiter":",","index":3}}],
	"group_by":["goods","cloud"],`

func TestTopList(t *testing.T) {
	w := newWorld(t)
	w.monitor("best", topSpec+`"type":"minute_top","top_n":3,"statistics":[{"name":"fees","kind":"sum","column":"fee","unit":"CNY"}]}`)
	w.monitor("dear", topSpec+`"type":"row_top","top_n":2,"sort_column":"fee"}`)
	missed := 12.5
	var windows []store.LineWindow
	for m := int64(-3); m <= 0; m++ { // the newest has not settled
		for _, name := range []string{"best", "dear"} {
			o := store.LineWindow{Workspace: "shop", Monitor: w.id(name), StartMs: w.now + (m-1)*minute, WindowMs: minute, Revision: 1, Count: 90, Completeness: 1}
			if name == "best" {
				o.Keys, o.Missed = 4000, &missed
			}
			for i, goods := range []string{"apple", "pear", "plum"} {
				line := partial.Line{Value: float64(100*(10+m) - int64(i)), Key: []string{goods, []string{"east", "west"}[i%2]}}
				if name == "dear" {
					line.TimeMs, line.Text = o.StartMs+7, "a line of "+goods
				}
				o.Lines = append(o.Lines, line)
			}
			if name == "dear" {
				o.Lines = o.Lines[:2]
			}
			windows = append(windows, o)
		}
	}
	if err := store.WriteLines(t.Context(), w.rows, windows); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"best", "dear"} {
		w.live.windows[name].SettledUntilMs = w.now - minute
	}
	report := func(monitor, more string) string {
		return `{"name":"r","width":6,"type":"top_list","sources":[{"monitor":"` + monitor + `"}]` + more + `}`
	}
	text := func(d *Data) string {
		var out []string
		for _, r := range d.Rows {
			out = append(out, fmt.Sprintf("%s@%d %v%s", strings.Join(r.Key, "/"), (r.StartMs-w.now)/minute, *r.Cells[0].Value, r.Text))
		}
		return strings.Join(out, " ")
	}
	d := w.ask(report("best", `,"key_titles":["Goods"]`))
	if got := text(d); got != "apple/east@-2 900 pear/west@-2 899 plum/east@-2 898" {
		t.Errorf("keys are %s", got)
	}
	if d.Top == nil || d.Top.Keys != 4000 || d.Top.Exact || d.Top.Missed == nil || *d.Top.Missed != 12.5 {
		t.Errorf("exactness is told as %+v", d.Top)
	}
	if strings.Join(d.Keys, ",") != "Goods,cloud" || d.Columns[0].Name != "fees" || d.Columns[0].Unit != "CNY" || d.StartMs != w.now-2*minute {
		t.Errorf("headings %v %+v", d.Keys, d.Columns)
	}
	d = w.ask(report("best", `,"hidden_keys":[0],"top":1,"columns":[{"name":"Fees","red_threshold":899}]`), func(q *Question) {
		q.Chosen = map[string][]string{"cloud": {"east"}}
	})
	if got := text(d); got != "east@-2 900" || d.Rows[0].Cells[0].Level != "red" || d.KeysTotal != 2 || d.Columns[0].Name != "Fees" {
		t.Errorf("chosen keys are %s, %+v", got, d)
	}
	// Records, whose lines are not for everybody: of the newest window, and of three minutes.
	if got := text(w.ask(report("dear", ""))); got != "apple/east@-1 900 pear/west@-1 899" {
		t.Errorf("records are %s", got)
	}
	if got := text(w.ask(report("dear", `,"span_s":180,"top":3`))); got != "apple/east@-1 900 pear/west@-1 899 apple/east@-2 800" {
		t.Errorf("records of three minutes are %s", got)
	}
	for _, c := range []struct{ report, field, code string }{
		{report("best", `,"span_s":600`), "spec.reports[0].span_s", "bad_span"},
		{report("best", `,"columns":[{"name":"a","function":"ring_diff"}]`), "spec.reports[0].columns", "bad_column"},
		{`{"name":"r","width":6,"type":"top_list","sources":[{"monitor":"best"},{"monitor":"dear"}]}`, "spec.reports[0].sources", "too_many"},
		{`{"name":"r","width":6,"type":"trend","sources":[{"monitor":"best"}]}`, "spec.reports[0].sources[0].monitor", "source_type_mismatch"},
	} {
		a := w.try(c.report)
		if a.Error == nil || len(a.Error.Details) == 0 || a.Error.Details[0].Field != c.field || a.Error.Details[0].Code != c.code {
			t.Errorf("%s: %+v", c.report, a.Error)
		}
	}
}

// id of a monitor.
func (w *world) id(name string) string {
	for _, m := range w.live.monitors {
		if m.GetKey() == name {
			return m.GetMonitorId()
		}
	}
	w.t.Fatalf("there is no monitor %q", name)
	return ""
}
