package dashboard

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

var (
	types     = []Type{Table10m, Trend, KeysNow, KeysMinutes, MinutesKeys, TableSecond, KeysSecond, KeyMap, SPMTable, TopList, ArchiveTable, AppErrorTop, AppReport, SingleValue, Pie, Bar, Text, PromQL}
	functions = []Function{Time, Value, ValueYesterday, ValueLastWeek, RingDiff, RingPct, DayDiff, DayPct, WeekDiff, WeekPct, APlusB, AMinusB, ATimesB, ADivB}
)

// Validate checks s after WithDefaults; every bad field is in the returned
// fielderr.Errors, with paths below prefix. What needs the monitors is checked
// by CheckMonitors.
func (s Spec) Validate(prefix string) error {
	var es fielderr.Errors
	if n := utf8.RuneCountInString(s.Title); n < 1 || n > 64 {
		es.Add(prefix+".title", "bad_title", "has %d characters; give 1 to 64", n)
	}
	if n := utf8.RuneCountInString(s.Description); n > 500 {
		es.Add(prefix+".description", "too_long", "has %d characters; at most 500", n)
	}
	if len(s.Variables) > MaxVariables {
		es.Add(prefix+".variables", "too_many", "has %d; at most %d", len(s.Variables), MaxVariables)
	}
	names := map[string]bool{}
	for i, v := range s.Variables {
		at := fmt.Sprintf("%s.variables[%d]", prefix, i)
		if n := utf8.RuneCountInString(v.Name); n < 1 || n > 64 || strings.ContainsAny(v.Name, "{}$") {
			es.Add(at+".name", "bad_name", "%q; give 1 to 64 characters without $ { }", v.Name)
		}
		if utf8.RuneCountInString(v.Label) > 64 {
			es.Add(at+".label", "too_long", "at most 64 characters")
		}
		if utf8.RuneCountInString(v.Title) > 64 {
			es.Add(at+".title", "too_long", "at most 64 characters")
		}
		if names[v.Name] {
			es.Add(at+".name", "duplicate", "%q is there already; remove one", v.Name)
		}
		names[v.Name] = true
	}
	if len(s.Reports) > MaxReports {
		es.Add(prefix+".reports", "too_many", "has %d; at most %d", len(s.Reports), MaxReports)
	}
	for i, r := range s.Reports {
		r.validate(&es, fmt.Sprintf("%s.reports[%d]", prefix, i))
	}
	return es.Err()
}

func (r Report) validate(es *fielderr.Errors, at string) {
	if n := utf8.RuneCountInString(r.Name); n < 1 || n > 64 {
		es.Add(at+".name", "bad_name", "has %d characters; give 1 to 64", n)
	}
	if r.Link != "" && !isWeb(r.Link) {
		es.Add(at+".link", "bad_url", "%q; use an http or https address", r.Link)
	}
	if r.Width < 1 || r.Width > GridColumns {
		es.Add(at+".width", "bad_width", "%d; use 1 to 12 columns", r.Width)
	}
	if r.Height != 0 && (r.Height < 80 || r.Height > 2000) {
		es.Add(at+".height", "bad_height", "%d; use 80 to 2000 pixels, or leave it out", r.Height)
	}
	if !slices.Contains(types, r.Type) {
		es.Add(at+".type", "bad_type", "%q; use one of %v", r.Type, types)
		return
	}
	if r.SpanS < 0 || r.SpanS > 31*86400 {
		es.Add(at+".span_s", "bad_span", "%d; use at most 2678400 seconds", r.SpanS)
	}
	if r.StepS < 0 || r.StepS > 86400 {
		es.Add(at+".step_s", "bad_step", "%d; use at most 86400 seconds", r.StepS)
	}
	if archive := r.Type == ArchiveTable; archive && !slices.Contains([]Period{Hour, Day, Week, Month}, r.Period) {
		es.Add(at+".period", "bad_period", "%q; choose hour, day, week or month", r.Period)
	} else if !archive && (r.Period != "" || r.TimeZone != "") {
		es.Add(at+".period", "bad_period", "period and time_zone belong to archive_table; remove them")
	} else if _, err := time.LoadLocation(r.TimeZone); err != nil {
		es.Add(at+".time_zone", "bad_timezone", "%q is not a time zone; use a name such as Asia/Shanghai", r.TimeZone)
	}
	if r.Top < 0 || r.Top > 1000 {
		es.Add(at+".top", "bad_top", "%d; use 1 to 1000 keys, or leave it out", r.Top)
	}
	r.validateApp(es, at)
	if r.Type == AppErrorTop || r.Type == AppReport {
		if len(r.Sources) > 0 {
			es.Add(at+".sources", "source_type_mismatch", "%s finds its own sources; remove them", r.Type)
		}
		if len(r.Columns) > 0 && (r.Type == AppErrorTop || len(r.Columns) > 1) {
			es.Add(at+".columns", "bad_column", "%s has its own column; remove them", r.Type)
		}
		return
	}
	if r.Type == Text {
		if n := utf8.RuneCountInString(r.Text); n < 1 || n > 4000 {
			es.Add(at+".text", "bad_text", "has %d characters; give 1 to 4000", n)
		}
		if len(r.Sources)+len(r.Columns) > 0 {
			es.Add(at+".sources", "source_type_mismatch", "a text has no sources and no columns; remove them")
		}
		return
	}
	if len(r.Sources) < 1 || len(r.Sources) > MaxSources {
		es.Add(at+".sources", "source_required", "has %d; give 1 to %d", len(r.Sources), MaxSources)
	}
	if r.Type == TopList && len(r.Sources) > 1 {
		es.Add(at+".sources", "too_many", "has %d; top_list shows one monitor", len(r.Sources))
	}
	names := map[string]bool{}
	for i, src := range r.Sources {
		here := fmt.Sprintf("%s.sources[%d]", at, i)
		if (src.Monitor == "") == (src.Expr == "") {
			es.Add(here, "bad_source", "give either monitor or expr")
		}
		if src.Expr != "" && src.Figure != "" {
			es.Add(here+".figure", "bad_source", "a figure belongs to a monitor; put it into expr")
		}
		if (src.Expr != "" && !takesExpr(r.Type)) || (src.Monitor != "" && r.Type == PromQL) {
			es.Add(here, "source_type_mismatch", "%s does not take this source; it takes %s", r.Type, fitting(r.Type))
		}
		if names[src.Name] {
			es.Add(here+".name", "duplicate", "%q is there already; give each source its own name", src.Name)
		}
		names[src.Name] = true
	}
	r.validateColumns(es, at, names)
	for i, k := range r.HiddenKeys {
		if k < 0 || k > 7 {
			es.Add(fmt.Sprintf("%s.hidden_keys[%d]", at, i), "bad_index", "%d; use 0 to 7", k)
		}
	}
}

func (r Report) validateColumns(es *fielderr.Errors, at string, sources map[string]bool) {
	if len(r.Columns) > MaxColumns {
		es.Add(at+".columns", "too_many", "has %d; at most %d", len(r.Columns), MaxColumns)
	}
	if r.Type == SPMTable && len(r.Columns) > 0 {
		es.Add(at+".columns", "bad_column", "spm_table has its own columns; remove them or use table_10m")
	}
	if r.Type == TopList && (len(r.Columns) > 1 || len(r.Columns) == 1 && r.Columns[0].Function != Value) {
		es.Add(at+".columns", "bad_column", "top_list has one column of values, with the function value; remove the others")
	}
	timed := false
	for i, c := range r.Columns {
		here := fmt.Sprintf("%s.columns[%d]", at, i)
		timed = timed || c.Function == Time
		if n := utf8.RuneCountInString(c.Name); n < 1 || n > 64 {
			es.Add(here+".name", "bad_name", "has %d characters; give 1 to 64", n)
		}
		if !slices.Contains(functions, c.Function) {
			es.Add(here+".function", "bad_function", "%q; use one of %v", c.Function, functions)
		}
		if r.Type == ArchiveTable && slices.Contains([]Function{ValueYesterday, ValueLastWeek, DayDiff, DayPct, WeekDiff, WeekPct}, c.Function) {
			es.Add(here+".function", "bad_function", "%s compares times of day; archive_table compares with the period before: use ring_diff or ring_pct", c.Function)
		}
		if c.Function != Time && c.Source != "" && !sources[c.Source] {
			es.Add(here+".source", "bad_source", "the report has no source %q; name one of its sources", c.Source)
		}
		if c.SourceB != "" && !sources[c.SourceB] {
			es.Add(here+".source_b", "bad_source", "the report has no source %q; name one of its sources", c.SourceB)
		}
		if !c.Function.OfTwo() && (c.SourceB != "" || c.FigureB != "") {
			es.Add(here+".source_b", "bad_source", "%s has one operand; remove source_b and figure_b", c.Function)
		}
		if c.Format.Decimals != nil && (*c.Format.Decimals < 0 || *c.Format.Decimals > 6) {
			es.Add(here+".format.decimals", "bad_format", "%d; use 0 to 6", *c.Format.Decimals)
		}
		if !slices.Contains([]string{"", "number", "thousands", "percent", "bytes", "ms"}, c.Format.Style) {
			es.Add(here+".format.style", "bad_format", "%q; use number, thousands, percent, bytes or ms", c.Format.Style)
		}
		checkThreshold(es, here+".orange_threshold", c.Orange)
		checkThreshold(es, here+".red_threshold", c.Red)
		if c.Direction != "" && c.Direction != Above && c.Direction != Below {
			es.Add(here+".direction", "bad_direction", "%q; use above or below", c.Direction)
		}
		if c.DiagnosisLink != "" && !isWeb(c.DiagnosisLink) && !(strings.HasPrefix(c.DiagnosisLink, "/") && !strings.HasPrefix(c.DiagnosisLink, "//")) {
			es.Add(here+".diagnosis_link", "bad_url", "%q; use an http or https address, or a path of the console", c.DiagnosisLink)
		}
		if c.KeySupplement != "" && !r.Type.choosesKeys() {
			es.Add(here+".key_supplement", "bad_column", "belongs to key_map, trend, single_value and tables of times; remove it")
		}
	}
	if (r.Type == Table10m || r.Type == TableSecond || r.Type == ArchiveTable) && len(r.Columns) > 0 && !timed {
		es.Add(at+".columns", "column_required", "%s needs a column whose function is time", r.Type)
	}
	if r.Type == KeyMap && len(r.Columns) == 0 {
		es.Add(at+".columns", "column_required", "key_map needs a column with key_supplement per key")
	}
}

func checkThreshold(es *fielderr.Errors, at string, v *float64) {
	if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
		es.Add(at, "bad_threshold", "%v is not a finite number; give one, or leave it out", *v)
	}
}

// CheckMonitors checks what a valid spec says of its monitors: their type, their
// figures and their keys. monitor returns a monitor by its name.
func (s Spec) CheckMonitors(prefix string, monitor func(name string) (logrule.Spec, error)) error {
	var es fielderr.Errors
	for i, r := range s.Reports {
		at := fmt.Sprintf("%s.reports[%d]", prefix, i)
		found := map[string]logrule.Spec{}
		for j, src := range r.Sources {
			if src.Monitor == "" {
				continue
			}
			m, err := monitor(src.Monitor)
			if err != nil {
				return err
			}
			here := fmt.Sprintf("%s.sources[%d]", at, j)
			if !Fits(r.Type, m) {
				es.Add(here+".monitor", "source_type_mismatch", "monitor %q is of type %s%s; %s takes %s", src.Monitor, m.Type, keysOf(m), r.Type, fitting(r.Type))
			}
			checkFigure(&es, here+".figure", src.Monitor, m, src.Figure)
			if r.Type == TopList && m.Type == logrule.MinuteTop && r.SpanS > int(m.Window.D().Seconds()) {
				es.Add(at+".span_s", "bad_span", "%d; the keys of several windows can't be added up, remove it", r.SpanS)
			}
			for k, hidden := range r.HiddenKeys {
				if hidden >= len(m.GroupBy) && j == 0 {
					es.Add(fmt.Sprintf("%s.hidden_keys[%d]", at, k), "bad_index", "%d; monitor %q has %d key columns, counted from 0", hidden, src.Monitor, len(m.GroupBy))
				}
			}
			found[src.Name] = m
		}
		for j, c := range r.Columns {
			here := fmt.Sprintf("%s.columns[%d]", at, j)
			if m, ok := found[c.Source]; ok {
				checkFigure(&es, here+".figure", c.Source, m, c.Figure)
			}
			if m, ok := found[c.SourceB]; ok {
				checkFigure(&es, here+".figure_b", c.SourceB, m, c.FigureB)
			}
		}
	}
	return es.Err()
}

func checkFigure(es *fielderr.Errors, at, name string, m logrule.Spec, figure string) {
	names := make([]string, len(m.Statistics))
	for i, st := range m.Statistics {
		names[i] = st.Name
	}
	if figure != "" && !slices.Contains(names, figure) {
		es.Add(at, "bad_figure", "monitor %q has no figure %q; it has %v", name, figure, names)
	}
}

// Fits reports whether a report of type t can show a monitor (spec 05 §S7.3).
func Fits(t Type, m logrule.Spec) bool {
	if top := m.Type == logrule.RowTop || m.Type == logrule.MinuteTop; top || t == TopList {
		return top && t == TopList
	}
	if m.Type == logrule.Match {
		return false // its lines are shown on its own page
	}
	grouped := len(m.GroupBy) > 0
	switch t {
	case Table10m:
		return !m.Type.BySecond()
	case KeysNow, KeysMinutes, MinutesKeys, KeyMap:
		return grouped && !m.Type.BySecond()
	case TableSecond:
		return m.Type == logrule.Second
	case KeysSecond:
		return m.Type == logrule.SecondMulti
	case SPMTable:
		return m.Type == logrule.Service && !grouped
	case Trend, SingleValue, Bar, ArchiveTable:
		return true
	case Pie:
		return grouped
	}
	return false
}

// choosesKeys reports whether columns of the type may be narrowed to some keys.
func (t Type) choosesKeys() bool {
	return t == KeyMap || t == Trend || t == SingleValue || t == Table10m || t == TableSecond || t == ArchiveTable
}

func takesExpr(t Type) bool {
	return t == PromQL || t == SingleValue || t == Trend || t == Bar || t == Pie
}

// fitting names the sources that a report of type t takes.
func fitting(t Type) string {
	switch t {
	case Table10m:
		return "minute, minute_multi and spm"
	case KeysNow, KeysMinutes, MinutesKeys, KeyMap:
		return "minute_multi, and spm with keys"
	case TableSecond:
		return "second"
	case KeysSecond:
		return "second_multi"
	case SPMTable:
		return "spm without keys"
	case TopList:
		return "row_top and minute_top"
	case Pie:
		return "monitors with keys, and PromQL"
	case PromQL:
		return "PromQL only"
	}
	if t == ArchiveTable {
		return "every monitor"
	}
	return "every monitor, and PromQL"
}

func keysOf(m logrule.Spec) string {
	if len(m.GroupBy) > 0 {
		return " with keys"
	}
	return " without keys"
}

func isWeb(s string) bool {
	// Placeholders stand where a URL may have no braces.
	u, err := url.Parse(strings.NewReplacer("${", "", "}", "").Replace(s))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
