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
	if strings.Join(d.Keys, ",") != "Goods,cloud" || d.KeysTotal != 4000 || d.Columns[0].Name != "fees" || d.Columns[0].Unit != "CNY" || d.StartMs != w.now-2*minute {
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

func TestAppReports(t *testing.T) {
	w := newWorld(t)
	spm := `"type":"spm","result_column":"fee","app":`
	w.monitor("pay", topSpec+spm+`"pay"}`)
	w.monitor("pay_all", strings.Replace(topSpec, `"group_by":["goods","cloud"],`, "", 1)+spm+`"pay"}`)
	w.monitor("stock", topSpec+spm+`"stock"}`)
	w.monitor("quiet", topSpec+spm+`"quiet"}`)
	w.monitor("off", topSpec+`"disabled":true,`+spm+`"off"}`)
	var batch []store.WindowSample
	for m := int64(-20); m < 0; m++ {
		at := w.now + m*minute
		batch = append(batch, sample("pay:fail:total", at, 3, "app", "pay"), sample("pay:fail", at, 2, "app", "pay", "goods", "apple"), sample("pay_all:fail", at, 4, "app", "pay"),
			sample("stock:fail:total", at, 5, "app", "stock"), sample("quiet:fail:total", at, 0, "app", "quiet"), sample("off:fail:total", at, 9, "app", "off"))
		for i, host := range []string{"a", "b", "c"} {
			at := at + 7_000
			labels := store.FromStrings("__name__", "sys_cpu_util", "workspace", "shop", "instance", host, "az", []string{"east", "west"}[i/2], "app", []string{"pay", "stock, pay", "payback"}[i])
			if err := w.store.WriteSamples(t.Context(), []store.Sample{{Labels: labels, TimeMs: at, Value: float64(10 * (i + 1))}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.write(batch)
	rows := func(d *Data) string {
		var out []string
		for _, r := range d.Rows {
			out = append(out, fmt.Sprintf("%s %v", r.Key[0], *r.Cells[0].Value))
		}
		return strings.Join(out, ", ")
	}
	d := w.ask(`{"name":"r","width":6,"type":"app_error_top"}`)
	if got := rows(d); got != "pay 70, stock 50" || len(d.Sources) != 4 {
		t.Errorf("errors are %s, %d sources", got, len(d.Sources))
	}
	if got := rows(w.ask(`{"name":"r","width":6,"type":"app_error_top","top":1,"span_s":300}`)); got != "pay 35" {
		t.Errorf("errors of five minutes are %s", got)
	}
	lines := func(report string) string {
		var out []string
		for _, l := range w.ask(report).Lines {
			last := "-"
			for _, v := range l.Values {
				if v != nil {
					last = fmt.Sprint(*v)
				}
			}
			out = append(out, strings.Join(l.Key, "/")+" "+last)
		}
		return strings.Join(out, ", ")
	}
	app := `{"name":"r","width":6,"type":"app_report","figure":"cpu_util","app":`
	for report, want := range map[string]string{
		app + `"pay"}`:                  "instance=b 20, instance=a 10",
		app + `"pay","view":"app"}`:     " 15",
		app + `"default","view":"az"}`:  "az=west 30, az=east 15",
		app + `"nobody","view":"cell"}`: "",
		app + `"stock","set":"system"}`: " 20",
	} {
		if got := lines(report); got != want {
			t.Errorf("%s: lines are %q, want %q", report, got, want)
		}
	}
	for _, c := range []struct{ report, field, code string }{
		{`{"name":"r","width":6,"type":"app_report","figure":"up{}","app":"pay"}`, "spec.reports[0].figure", "bad_figure"},
		{`{"name":"r","width":6,"type":"app_report","figure":"cpu_util"}`, "spec.reports[0].app", "app_required"},
		{`{"name":"r","width":6,"type":"app_error_top","sources":[{"monitor":"pay"}]}`, "spec.reports[0].sources", "source_type_mismatch"},
		{`{"name":"r","width":6,"type":"text","text":"x","view":"az"}`, "spec.reports[0].view", "not_used"},
	} {
		a := w.try(c.report)
		if a.Error == nil || len(a.Error.Details) == 0 || a.Error.Details[0].Field != c.field || a.Error.Details[0].Code != c.code {
			t.Errorf("%s: %+v", c.report, a.Error)
		}
	}
}
