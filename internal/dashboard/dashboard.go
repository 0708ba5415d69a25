// Package dashboard defines what a Dashboard resource says: which reports stand
// on the page, how wide they are, and which numbers of which monitors they
// show. YAML, HTTP API and console share it. Dashboards only show; alarms are
// the business of rules.
package dashboard

import (
	"cmp"
	"fmt"
)

// Limits of a dashboard (spec 05 §S7).
const (
	// MaxReports is how many reports a dashboard may have.
	MaxReports = 50
	// MaxColumns is how many value columns a report may have.
	MaxColumns = 50
	// MaxVariables is how many variables a dashboard may have.
	MaxVariables = 8
	// MaxSources is how many sources a report may have.
	MaxSources = 10
	// GridColumns is the width of the page; a report of this width stands alone in its row.
	GridColumns = 12
)

// Spec is the spec of a Dashboard resource.
type Spec struct {
	Title       string `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	Description string `json:"description,omitempty" yaml:"description,omitempty" maxLength:"500"`
	// Key dashboards are shown to all of the workspace first.
	Key bool `json:"key,omitempty" yaml:"key,omitempty" doc:"A key dashboard: shown to all of the workspace first"`
	// Variables are chosen on the page; each narrows every source that has its label.
	Variables []Variable `json:"variables,omitempty" yaml:"variables,omitempty" maxItems:"8"`
	// Reports stand in this order, row by row, on a grid of 12 columns.
	Reports []Report `json:"reports,omitempty" yaml:"reports,omitempty" maxItems:"50"`
}

// Variable is a choice at the top of the page, such as the AZ.
type Variable struct {
	// Name is what expressions call it: ${name}.
	Name string `json:"name" yaml:"name" minLength:"1" maxLength:"64" doc:"What expressions call it: ${name}"`
	// Label or key column of monitors that it narrows. Default the name.
	Label string `json:"label,omitempty" yaml:"label,omitempty" maxLength:"64" doc:"Label or key column of monitors that it narrows; default the name"`
	// Title is what people see. Default the name.
	Title string `json:"title,omitempty" yaml:"title,omitempty" maxLength:"64"`
}

// Report is one table, chart, number or text of a dashboard.
type Report struct {
	Name string `json:"name" yaml:"name" minLength:"1" maxLength:"64"`
	// Link is an address shown right of the name.
	Link string `json:"link,omitempty" yaml:"link,omitempty" maxLength:"500" doc:"http or https address shown beside the name"`
	// Width in columns of the grid, 1 to 12. Default 12.
	Width int `json:"width,omitempty" yaml:"width,omitempty" minimum:"0" maximum:"12" doc:"Columns of the grid; default 12"`
	// Height in pixels, 80 to 2000. 0: as high as the content.
	Height int  `json:"height,omitempty" yaml:"height,omitempty" minimum:"0" maximum:"2000" doc:"Pixels, 80 to 2000; absent: as high as the content"`
	Type   Type `json:"type" yaml:"type" enum:"table_10m,trend,keys_now,keys_minutes,minutes_keys,table_second,keys_second,key_map,spm_table,top_list,archive_table,app_error_top,app_report,single_value,pie,bar,text,promql"`
	// Text of a report of type text.
	Text    string   `json:"text,omitempty" yaml:"text,omitempty" maxLength:"4000" doc:"Content of type text"`
	Sources []Source `json:"sources,omitempty" yaml:"sources,omitempty" maxItems:"10"`
	// KeyTitles are the headings of the key columns, in the order of the monitor's group_by.
	KeyTitles []string `json:"key_titles,omitempty" yaml:"key_titles,omitempty" maxItems:"8"`
	// HiddenKeys are 0-based indexes of key columns that are not shown.
	HiddenKeys []int    `json:"hidden_keys,omitempty" yaml:"hidden_keys,omitempty" maxItems:"8" doc:"0-based indexes of key columns that are not shown"`
	Columns    []Column `json:"columns,omitempty" yaml:"columns,omitempty" maxItems:"50"`
	// Top is how many keys are shown, the largest by the first value column. 0: a trend shows the
	// total, others what suits the type.
	Top int `json:"top,omitempty" yaml:"top,omitempty" minimum:"0" maximum:"1000" doc:"Keys shown, the largest by the first value column; absent: a trend shows the total"`
	// SpanS is how many seconds are shown. 0: what the type shows, or the page's range.
	SpanS int `json:"span_s,omitempty" yaml:"span_s,omitempty" minimum:"0" maximum:"2678400" doc:"Seconds shown; absent: the type's or the page's range"`
	// Period and TimeZone of an archive_table: its rows. Days begin at midnight, weeks on Monday.
	Period   Period `json:"period,omitempty" yaml:"period,omitempty" enum:"hour,day,week,month" doc:"archive_table: what a row is of"`
	TimeZone string `json:"time_zone,omitempty" yaml:"time_zone,omitempty" maxLength:"64" doc:"archive_table: IANA zone in which days begin; default UTC"`
	// App, Set, Figure and View of an app_report: which figure of which app, and what has a line.
	App    string `json:"app,omitempty" yaml:"app,omitempty" maxLength:"63" doc:"app_report: the app; default means all hosts"`
	Set    Set    `json:"set,omitempty" yaml:"set,omitempty" enum:"system" doc:"app_report: system, the figures of the app's hosts; default system"`
	Figure string `json:"figure,omitempty" yaml:"figure,omitempty" maxLength:"64" doc:"app_report: the figure, such as cpu_util or traffic_bytin"`
	View   View   `json:"view,omitempty" yaml:"view,omitempty" enum:"app,az,cell,instance" doc:"app_report: what has a line of its own; default instance"`
	// StepS is the distance of points or rows in seconds. 0: one window, or more where the range is long.
	StepS int `json:"step_s,omitempty" yaml:"step_s,omitempty" minimum:"0" maximum:"86400" doc:"Seconds between rows or points"`
}

// Type of a report.
type Type string

// The report types.
const (
	Table10m    Type = "table_10m"
	Trend       Type = "trend"
	KeysNow     Type = "keys_now"
	KeysMinutes Type = "keys_minutes"
	MinutesKeys Type = "minutes_keys"
	TableSecond Type = "table_second"
	KeysSecond  Type = "keys_second"
	KeyMap      Type = "key_map"
	SPMTable    Type = "spm_table"
	// TopList shows what row_top and minute_top list.
	TopList Type = "top_list"
	// AppErrorTop shows the apps with the most failures, AppReport a figure of an app.
	AppErrorTop Type = "app_error_top"
	AppReport   Type = "app_report"
	// ArchiveTable shows calendar periods.
	ArchiveTable Type = "archive_table"
	SingleValue  Type = "single_value"
	Pie          Type = "pie"
	Bar          Type = "bar"
	Text         Type = "text"
	PromQL       Type = "promql"
)

// Period of an archive.
type Period string

// The periods.
const (
	Hour  Period = "hour"
	Day   Period = "day"
	Week  Period = "week"
	Month Period = "month"
)

// Source is a monitor or a PromQL expression; exactly one of them is set.
type Source struct {
	// Name is what columns call the source. Default: its monitor, or expr.
	Name    string `json:"name,omitempty" yaml:"name,omitempty" maxLength:"64" doc:"What columns call it; default the monitor's name, or expr"`
	Monitor string `json:"monitor,omitempty" yaml:"monitor,omitempty" maxLength:"63"`
	// Figure of the monitor; empty: its first.
	Figure string `json:"figure,omitempty" yaml:"figure,omitempty" maxLength:"64"`
	Expr   string `json:"expr,omitempty" yaml:"expr,omitempty" maxLength:"4000" doc:"PromQL"`
}

// Column is a column of values, or a line of a chart.
type Column struct {
	HeaderGroup string `json:"header_group,omitempty" yaml:"header_group,omitempty" maxLength:"64" doc:"Common heading over neighbouring columns"`
	Name        string `json:"name" yaml:"name" minLength:"1" maxLength:"64"`
	// Source names a source of the report. Default: the first.
	Source string `json:"source,omitempty" yaml:"source,omitempty"`
	// Figure of the source's monitor. Default: the source's.
	Figure string `json:"figure,omitempty" yaml:"figure,omitempty"`
	// SourceB and FigureB are the second operand of functions of two values.
	SourceB string `json:"source_b,omitempty" yaml:"source_b,omitempty" doc:"Second operand; default the first source"`
	FigureB string `json:"figure_b,omitempty" yaml:"figure_b,omitempty"`
	// KeySupplement chooses the keys of a column: one part per key column, "." for any.
	KeySupplement string `json:"key_supplement,omitempty" yaml:"key_supplement,omitempty" maxLength:"500" doc:"Values of the key columns, separated by commas; . for any"`
	// Function makes the shown value. Default value.
	Function Function `json:"function,omitempty" yaml:"function,omitempty" enum:"time,value,value_yesterday,value_last_week,ring_diff,ring_pct,day_diff,day_pct,week_diff,week_pct,a_plus_b,a_minus_b,a_times_b,a_div_b"`
	Format   Format   `json:"format,omitzero" yaml:"format,omitempty"`
	// Orange and Red colour the number when it is beyond them; red wins.
	Orange *float64 `json:"orange_threshold,omitempty" yaml:"orange_threshold,omitempty"`
	Red    *float64 `json:"red_threshold,omitempty" yaml:"red_threshold,omitempty"`
	// Direction says on which side of a threshold a number is coloured. Default above.
	Direction Direction `json:"direction,omitempty" yaml:"direction,omitempty" enum:"above,below"`
	// DiagnosisLink is opened from the number; ${key}, ${time}, ${app} and ${value} are replaced.
	DiagnosisLink string `json:"diagnosis_link,omitempty" yaml:"diagnosis_link,omitempty" maxLength:"500" doc:"Address opened from the number; ${key} ${time} ${app} ${value} are replaced, URL-encoded"`
}

// Format writes a number.
type Format struct {
	// Decimals after the point, 0 to 6. Absent: as many as the number needs.
	Decimals *int `json:"decimals,omitempty" yaml:"decimals,omitempty" minimum:"0" maximum:"6"`
	// Style is number, thousands, percent, bytes or ms. Default number.
	Style string `json:"style,omitempty" yaml:"style,omitempty" enum:"number,thousands,percent,bytes,ms" doc:"percent writes 95 as 95 %"`
	// Unit is written after the number.
	Unit string `json:"unit,omitempty" yaml:"unit,omitempty" maxLength:"16"`
}

// Direction of a threshold.
type Direction string

// The directions.
const (
	Above Direction = "above"
	Below Direction = "below"
)

// Function makes a column's value out of one or two series (spec 05 §S7.4).
// Percentages are (now − base) / base × 100; without a base, or with base 0,
// there is no value.
type Function string

// The functions. Ring compares with the step before, day with the same time
// yesterday, week with the same time a week ago.
const (
	Time           Function = "time"
	Value          Function = "value"
	ValueYesterday Function = "value_yesterday"
	ValueLastWeek  Function = "value_last_week"
	RingDiff       Function = "ring_diff"
	RingPct        Function = "ring_pct"
	DayDiff        Function = "day_diff"
	DayPct         Function = "day_pct"
	WeekDiff       Function = "week_diff"
	WeekPct        Function = "week_pct"
	APlusB         Function = "a_plus_b"
	AMinusB        Function = "a_minus_b"
	ATimesB        Function = "a_times_b"
	ADivB          Function = "a_div_b"
)

// OfTwo reports whether the function needs a second operand.
func (f Function) OfTwo() bool {
	return f == APlusB || f == AMinusB || f == ATimesB || f == ADivB
}

// WithDefaults returns a copy of s with every unset field at its default.
func (s Spec) WithDefaults() Spec {
	reports := make([]Report, len(s.Reports))
	for i, r := range s.Reports {
		reports[i] = r.withDefaults()
	}
	s.Reports = reports
	return s
}

func (r Report) withDefaults() Report {
	if r.Width == 0 {
		r.Width = GridColumns
	}
	if r.Type == ArchiveTable && r.TimeZone == "" {
		r.TimeZone = "UTC"
	}
	if r.Type == AppReport {
		r.Set, r.View = cmp.Or(r.Set, SetSystem), cmp.Or(r.View, ViewInstance)
	}
	r.Sources = append([]Source(nil), r.Sources...)
	for i, src := range r.Sources {
		if src.Name != "" {
			continue
		}
		src.Name = src.Monitor
		if src.Monitor == "" {
			src.Name = "expr"
			if i > 0 {
				src.Name = fmt.Sprintf("expr%d", i+1)
			}
		}
		r.Sources[i] = src
	}
	r.Columns = append([]Column(nil), r.Columns...)
	for i, c := range r.Columns {
		if c.Function == "" {
			c.Function = Value
		}
		if c.Function != Time && len(r.Sources) > 0 {
			if c.Source == "" {
				c.Source = r.Sources[0].Name
			}
			if c.SourceB == "" && c.Function.OfTwo() {
				c.SourceB = r.Sources[0].Name
			}
		}
		if c.Direction == "" && (c.Orange != nil || c.Red != nil) {
			c.Direction = Above
		}
		r.Columns[i] = c
	}
	return r
}
