package dashboard_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

func report(change func(*dashboard.Report)) dashboard.Spec {
	r := dashboard.Report{Name: "Trades", Type: dashboard.Trend, Sources: []dashboard.Source{{Monitor: "trades"}}, Columns: []dashboard.Column{{Name: "Count"}}}
	change(&r)
	return dashboard.Spec{Title: "Shop", Reports: []dashboard.Report{r}}
}

func bad(err error) []string {
	var es fielderr.Errors
	if err == nil {
		return nil
	}
	if !errors.As(err, &es) {
		return []string{err.Error()}
	}
	out := make([]string, len(es))
	for i, e := range es {
		out[i] = e.Field + " " + e.Code
	}
	return out
}

func TestDefaults(t *testing.T) {
	limit := 5.0
	given := report(func(r *dashboard.Report) {
		r.Sources = append(r.Sources, dashboard.Source{Expr: "up"})
		r.Columns = []dashboard.Column{{Name: "T", Function: dashboard.Time}, {Name: "V", Red: &limit}, {Name: "Q", Function: dashboard.ADivB, SourceB: "expr2"}}
	})
	s := given.WithDefaults()
	r := s.Reports[0]
	if r.Width != 12 || r.Sources[0].Name != "trades" || r.Sources[1].Name != "expr2" {
		t.Errorf("%+v", r)
	}
	if c := r.Columns[0]; c.Source != "" || c.Direction != "" {
		t.Errorf("a time column got %+v", c)
	}
	if c := r.Columns[1]; c.Source != "trades" || c.Function != dashboard.Value || c.Direction != dashboard.Above || c.SourceB != "" {
		t.Errorf("%+v", c)
	}
	if given.Reports[0].Width != 0 || given.Reports[0].Sources[0].Name != "" || given.Reports[0].Columns[1].Source != "" {
		t.Error("WithDefaults changed what it was given")
	}
	if got := bad(s.Validate("spec")); got != nil {
		t.Error(got)
	}
}

func TestValidate(t *testing.T) {
	nan, many := -1, make([]dashboard.Report, 51)
	for i := range many {
		many[i] = dashboard.Report{Name: fmt.Sprint(i), Type: dashboard.Text, Text: "x"}
	}
	const at = "spec.reports[0]"
	for _, c := range []struct {
		name string
		spec dashboard.Spec
		want []string
	}{
		{"good", report(func(*dashboard.Report) {}), nil},
		{"no title", dashboard.Spec{}, []string{"spec.title bad_title"}},
		{"51 reports", dashboard.Spec{Title: "x", Reports: many}, []string{"spec.reports too_many"}},
		{"no name", report(func(r *dashboard.Report) { r.Name = "" }), []string{at + ".name bad_name"}},
		{"width 13", report(func(r *dashboard.Report) { r.Width = 13 }), []string{at + ".width bad_width"}},
		{"height 79", report(func(r *dashboard.Report) { r.Height = 79 }), []string{at + ".height bad_height"}},
		{"height 80", report(func(r *dashboard.Report) { r.Height = 80 }), nil},
		{"script as link", report(func(r *dashboard.Report) { r.Link = "javascript:alert(1)" }), []string{at + ".link bad_url"}},
		{"type", report(func(r *dashboard.Report) { r.Type = "gauge" }), []string{at + ".type bad_type"}},
		{"no source", report(func(r *dashboard.Report) { r.Sources = nil }), []string{at + ".sources source_required"}},
		{"both sources in one", report(func(r *dashboard.Report) { r.Sources[0].Expr = "up" }), []string{at + ".sources[0] bad_source"}},
		{"same source twice", report(func(r *dashboard.Report) { r.Sources = append(r.Sources, r.Sources[0]) }), []string{at + ".sources[1].name duplicate"}},
		{"monitor in promql", report(func(r *dashboard.Report) { r.Type = dashboard.PromQL }), []string{at + ".sources[0] source_type_mismatch"}},
		{"PromQL in a key table", report(func(r *dashboard.Report) {
			r.Type, r.Sources = dashboard.KeysNow, []dashboard.Source{{Expr: "up"}}
		}), []string{at + ".sources[0] source_type_mismatch"}},
		{"text with a source", report(func(r *dashboard.Report) { r.Type, r.Text = dashboard.Text, "x" }), []string{at + ".sources source_type_mismatch"}},
		{"unknown source", report(func(r *dashboard.Report) { r.Columns[0].Source = "b" }), []string{at + ".columns[0].source bad_source"}},
		{"second operand of one", report(func(r *dashboard.Report) { r.Columns[0].SourceB = "trades" }), []string{at + ".columns[0].source_b bad_source"}},
		{"function", report(func(r *dashboard.Report) { r.Columns[0].Function = "median" }), []string{at + ".columns[0].function bad_function"}},
		{"decimals", report(func(r *dashboard.Report) { r.Columns[0].Format.Decimals = &nan }), []string{at + ".columns[0].format.decimals bad_format"}},
		{"script as diagnosis", report(func(r *dashboard.Report) { r.Columns[0].DiagnosisLink = "javascript:x" }), []string{at + ".columns[0].diagnosis_link bad_url"}},
		{"other host by two slashes", report(func(r *dashboard.Report) { r.Columns[0].DiagnosisLink = "//evil.example" }), []string{at + ".columns[0].diagnosis_link bad_url"}},
		{"diagnosis", report(func(r *dashboard.Report) { r.Columns[0].DiagnosisLink = "https://x.example/?k=${key}&t=${time}" }), nil},
		{"table without time", report(func(r *dashboard.Report) { r.Type = dashboard.Table10m }), []string{at + ".columns column_required"}},
		{"columns of spm_table", report(func(r *dashboard.Report) { r.Type = dashboard.SPMTable }), []string{at + ".columns bad_column"}},
		{"key_supplement elsewhere", report(func(r *dashboard.Report) { r.Type = dashboard.Bar; r.Columns[0].KeySupplement = ".,x" }), []string{at + ".columns[0].key_supplement bad_column"}},
		{"archive without a period", report(func(r *dashboard.Report) { r.Type, r.Columns = dashboard.ArchiveTable, nil }), []string{at + ".period bad_period"}},
		{"archive of a zone", report(func(r *dashboard.Report) {
			r.Type, r.Columns, r.Period, r.TimeZone = dashboard.ArchiveTable, nil, dashboard.Day, "Asia/Nowhere"
		}), []string{at + ".time_zone bad_timezone"}},
		{"archive of yesterdays", report(func(r *dashboard.Report) {
			r.Type, r.Period, r.Columns = dashboard.ArchiveTable, dashboard.Day, []dashboard.Column{{Name: "t", Function: dashboard.Time}, {Name: "v", Function: dashboard.DayPct}}
		}), []string{at + ".columns[1].function bad_function"}},
		{"period of a trend", report(func(r *dashboard.Report) { r.Period = dashboard.Day }), []string{at + ".period bad_period"}},
		{"hidden key", report(func(r *dashboard.Report) { r.HiddenKeys = []int{-1} }), []string{at + ".hidden_keys[0] bad_index"}},
	} {
		if got := bad(c.spec.WithDefaults().Validate("spec")); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSourcesFitTheirReport(t *testing.T) {
	monitors := map[string]logrule.Spec{
		"minute": {Type: logrule.Minute}, "minute_multi": {Type: logrule.MinuteMulti, GroupBy: []string{"k"}},
		"spm": {Type: logrule.Service}, "spm_keys": {Type: logrule.Service, GroupBy: []string{"k"}},
		"row_top": {Type: logrule.RowTop}, "match": {Type: logrule.Match},
		"second": {Type: logrule.Second}, "second_multi": {Type: logrule.SecondMulti, GroupBy: []string{"k"}},
	}
	all := []string{"minute", "minute_multi", "second", "second_multi", "spm", "spm_keys"}
	keyed := []string{"minute_multi", "spm_keys"}
	want := map[dashboard.Type][]string{
		dashboard.Table10m: {"minute", "minute_multi", "spm", "spm_keys"}, dashboard.Trend: all, dashboard.SingleValue: all, dashboard.Bar: all,
		dashboard.KeysNow: keyed, dashboard.KeysMinutes: keyed, dashboard.MinutesKeys: keyed, dashboard.KeyMap: keyed,
		dashboard.TableSecond: {"second"}, dashboard.KeysSecond: {"second_multi"}, dashboard.SPMTable: {"spm"},
		dashboard.ArchiveTable: all,
		dashboard.Pie:          {"minute_multi", "second_multi", "spm_keys"}, dashboard.Text: nil, dashboard.PromQL: nil,
	}
	for typ, names := range want {
		for name, m := range monitors {
			if dashboard.Fits(typ, m) != slices.Contains(names, name) {
				t.Errorf("%s of %s: %v", typ, name, dashboard.Fits(typ, m))
			}
		}
	}
}

func TestCheckMonitors(t *testing.T) {
	monitor := func(string) (logrule.Spec, error) {
		return logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"goods"}, Statistics: []logrule.Statistic{{Name: "count"}}}, nil
	}
	s := report(func(r *dashboard.Report) {
		r.Type, r.Sources[0].Figure, r.Columns[0].Figure, r.HiddenKeys = dashboard.TableSecond, "sum", "avg", []int{0, 1}
	}).WithDefaults()
	want := []string{"spec.reports[0].sources[0].monitor source_type_mismatch", "spec.reports[0].sources[0].figure bad_figure", "spec.reports[0].hidden_keys[1] bad_index", "spec.reports[0].columns[0].figure bad_figure"}
	if got := bad(s.CheckMonitors("spec", monitor)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
