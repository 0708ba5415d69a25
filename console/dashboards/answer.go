package dashboards

import (
	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/dashboard"
)

// Question asks what reports show. They need not be saved.
type Question struct {
	Reports   []dashboard.Report   `json:"reports" minItems:"1" maxItems:"50"`
	Variables []dashboard.Variable `json:"variables,omitempty" maxItems:"8"`
	Chosen    map[string][]string  `json:"chosen,omitempty" doc:"Values of variables; of an absent one all"`
	Start     int64                `json:"start" minimum:"0" doc:"Unix milliseconds, included"`
	End       int64                `json:"end" minimum:"0" doc:"Unix milliseconds, not included"`
	Compare   []string             `json:"compare,omitempty" maxItems:"2" enum:"day,week" doc:"Trends show these earlier times too"`
}

// Answers has one answer per report, in their order.
type Answers struct {
	Reports []Answer `json:"reports"`
}

// Answer is what one report shows, or why it can't.
type Answer struct {
	Data  *Data      `json:"data,omitempty"`
	Error *api.Error `json:"error,omitempty"`
}

// Data is what a report shows: rows of a table, or lines over time.
type Data struct {
	StartMs int64 `json:"start_ms" doc:"Start of what is covered"`
	EndMs   int64 `json:"end_ms" doc:"End of what is covered, not included"`
	StepMs  int64 `json:"step_ms" doc:"How much time one value covers"`
	// Keys are the key columns that are shown.
	Keys    []string `json:"keys" doc:"Headings of the key columns"`
	Columns []Head   `json:"columns"`
	Rows    []Row    `json:"rows"`
	// Rest is what the shown keys leave of the total.
	Rest      *Row      `json:"rest,omitempty" doc:"What the shown keys leave of the total, where that can be told"`
	Lines     []Line    `json:"lines"`
	KeysTotal int       `json:"keys_total" doc:"Keys that there are; rows and lines have the largest"`
	Top       *TopState `json:"top,omitempty" doc:"top_list of a monitor of type minute_top"`
	// Sources tells how far the numbers can be trusted.
	Sources []SourceState `json:"sources" doc:"How complete and exact the numbers are, by source"`
	// Incomplete are stretches of time that lack agents.
	Incomplete []Stretch `json:"incomplete" doc:"Settled stretches of time that lack agents"`
	OpenFromMs int64     `json:"open_from_ms,omitempty" doc:"Values from here on may still grow; absent: none"`
	// Unfiltered are chosen variables that a source has no label for.
	Unfiltered []string `json:"unfiltered" doc:"Chosen variables that a source does not have"`
	Warnings   []string `json:"warnings"`
}

// Head is a column of values.
type Head struct {
	dashboard.Column
	Unit    string   `json:"unit,omitempty"`
	Largest bool     `json:"largest,omitempty" doc:"A value over several windows or keys is the largest of theirs"`
	StartMs int64    `json:"start_ms,omitempty" doc:"Time of a column of keys_minutes"`
	Key     []string `json:"key,omitempty" doc:"Key of a column of minutes_keys"`
}

// Row is a row of a table: a key, a time, or both.
type Row struct {
	Key     []string `json:"key,omitempty"`
	StartMs int64    `json:"start_ms,omitempty"`
	Cells   []Cell   `json:"cells"`
	Text    string   `json:"text,omitempty" doc:"top_list: the record's line, for editors"`
	// Completeness is the least of the windows that the row is made of.
	Completeness *float64 `json:"completeness,omitempty" doc:"Least share of expected agents that reported, 0 to 1; absent: not known"`
	Settled      bool     `json:"settled" doc:"All its windows have settled"`
}

// Cell is a value with its colour.
type Cell struct {
	Value *float64 `json:"value,omitempty" doc:"Absent: there is none"`
	Level string   `json:"level,omitempty" enum:"orange,red"`
}

// Line is a line of a chart; its points stand at start_ms and every step_ms after.
type Line struct {
	Column int        `json:"column" doc:"Index in columns"`
	Key    []string   `json:"key,omitempty" doc:"Of a line per key"`
	Shift  string     `json:"shift,omitempty" enum:"day,week" doc:"The line is that of a day or week earlier"`
	Values []*float64 `json:"values"`
}

// SourceState tells of a monitor's windows in the covered time.
type SourceState struct {
	Name    string `json:"name"`
	Monitor string `json:"monitor,omitempty"`
	Title   string `json:"title,omitempty"`
	App     string `json:"app,omitempty"`
	// SinceMs is from when on the following is told.
	SinceMs        int64    `json:"since_ms,omitempty" doc:"The following is told from this time on"`
	Completeness   *float64 `json:"completeness,omitempty" doc:"Least of all settled windows; absent: none has settled"`
	LinesLate      uint64   `json:"lines_late"`
	LinesBad       uint64   `json:"lines_bad"`
	BadNumbers     uint64   `json:"bad_numbers"`
	LostBytes      uint64   `json:"lost_bytes"`
	ThrottledBytes uint64   `json:"throttled_bytes"`
	KeysDropped    uint64   `json:"keys_dropped"`
	Unknown        string   `json:"unknown,omitempty" doc:"Why nothing of this is known"`
}

// Stretch is a stretch of time.
type Stretch struct {
	StartMs int64 `json:"start_ms"`
	EndMs   int64 `json:"end_ms"`
}
