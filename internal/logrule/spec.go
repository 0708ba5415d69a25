// Package logrule defines what a log monitor is told to do: which files to
// read, how to cut their lines into columns, which lines to keep, how to group
// them and which figures to compute. It is the one definition that the YAML
// resource, the HTTP API, the plan and the agent share.
//
// A spec that passes Validate can be compiled by internal/logpipe.
package logrule

import "time"

// Spec is the spec of a LogMonitor resource.
type Spec struct {
	// Title is the name people see, 1 to 64 characters.
	Title string `json:"title" yaml:"title" doc:"Name people see" minLength:"1" maxLength:"64"`
	// Description is free text, at most 500 characters.
	Description string `json:"description,omitempty" yaml:"description,omitempty" maxLength:"500"`
	// Index are names with values that people search monitors by, at most MaxIndex.
	Index map[string]string `json:"index,omitempty" yaml:"index,omitempty" doc:"Up to 3 names with values that monitors are searched by, such as team: payments"`
	// Type is one of the monitor types below.
	Type Type `json:"type" yaml:"type" enum:"minute,minute_multi,minute_top,spm,second,second_multi,row_top,match" doc:"minute: figures of all lines; minute_multi: figures per key; minute_top: the keys with the largest figure; spm: common service indicators, with or without keys; second and second_multi: the same by the second, without alarms; row_top: the records with the largest numbers, with their lines; match: an alarm on matching lines"`
	// App owns the monitor; only agents of this app read. Default "default", which covers every agent.
	App string `json:"app,omitempty" yaml:"app,omitempty" doc:"App whose agents read the files; default covers every agent"`
	// Disabled stops collection; history stays.
	Disabled bool `json:"disabled,omitempty" yaml:"disabled,omitempty"`
	// Paths are absolute file patterns (LOG-4): `*`, `?`, `[..]` inside a segment, no `**`.
	Paths []string `json:"paths" yaml:"paths" minItems:"1" maxItems:"10" doc:"Absolute file patterns; *, ? and [..] inside a segment"`
	// StartAt says where a file that is seen for the first time is read from. Default end.
	// Files that appear after the monitor is active are always read from the beginning.
	StartAt StartAt `json:"start_at,omitempty" yaml:"start_at,omitempty" enum:"end,beginning" doc:"Where to begin in files that are there when the monitor starts"`
	// Encoding of the files. Default auto.
	Encoding Encoding `json:"encoding,omitempty" yaml:"encoding,omitempty" enum:"auto,utf-8,gbk,gb18030,big5,iso-8859-1,shift_jis,euc-kr"`
	// MultilineStart is an RE2 pattern that the first line of each record has;
	// other lines belong to the record before them. At most 64 KiB and 500 lines
	// of a record are kept. Empty: each line is a record.
	MultilineStart string `json:"multiline_start,omitempty" yaml:"multiline_start,omitempty" maxLength:"500" doc:"Pattern of the first line of records that have several, such as ^\\d{4}-; empty: each line is one"`
	// SymlinkPart is the leading part of the paths that is a symbolic link (LOG-8).
	SymlinkPart string `json:"symlink_part,omitempty" yaml:"symlink_part,omitempty" doc:"Leading part of the paths that is a symbolic link; only one level is followed"`
	// Window is the length of a window, such as 1s, 1m or 1h. Default 1m, of second types 1s.
	Window Duration `json:"window,omitempty" yaml:"window,omitempty" doc:"Length of a window, 1s to 1h, dividing an hour; default 1m; of second types 1s, 5s, 10s, 15s or 30s, default 1s"`
	// Time says where a line's event time stands.
	Time TimeRule `json:"time" yaml:"time"`
	// Columns are cut out of a line.
	Columns []Column `json:"columns,omitempty" yaml:"columns,omitempty" maxItems:"50"`
	// Filters keep and drop lines.
	Filters Filters `json:"filters,omitzero" yaml:"filters,omitempty"`
	// GroupBy names columns, or the labels of GroupLabels, whose values form the key; of row_top they are further columns of the records.
	GroupBy []string `json:"group_by,omitempty" yaml:"group_by,omitempty" maxItems:"8" doc:"Columns or labels (host, ip, az, cell, ...) that form the key"`
	// Statistics are the figures, 1 to 10; the first is the default figure. Default one count.
	Statistics []Statistic `json:"statistics,omitempty" yaml:"statistics,omitempty" maxItems:"10"`
	// ResultColumn says of each line whether it was a success: Y. Type spm only, and required there.
	ResultColumn string `json:"result_column,omitempty" yaml:"result_column,omitempty" doc:"spm: column whose value Y means success; everything else is a failure"`
	// TimeColumn is how long what the line tells of took, in milliseconds. Type spm only.
	TimeColumn string `json:"time_column,omitempty" yaml:"time_column,omitempty" doc:"spm: column with the time taken in milliseconds; empty: no average"`
	// WeightColumn holds how many calls or events a line stands for, in logs that are aggregated already.
	WeightColumn string `json:"weight_column,omitempty" yaml:"weight_column,omitempty" doc:"Column with how many calls a line stands for: count, avg, success, fail and success_rate count these in place of lines"`
	// TopN is how many records or keys of a window are kept. Types row_top and minute_top only; default 10.
	TopN int `json:"top_n,omitempty" yaml:"top_n,omitempty" minimum:"0" maximum:"200" doc:"row_top: records that are kept of a window, 1 to 200; minute_top: keys, 1 to 100; default 10"`
	// SortColumn holds the number that records are ordered by. Type row_top only, and required there.
	SortColumn string `json:"sort_column,omitempty" yaml:"sort_column,omitempty" doc:"row_top: column with the number that records are ordered by"`
	// Match is the alarm of type match, and required there.
	Match *MatchRule `json:"match,omitempty" yaml:"match,omitempty" doc:"match: the alarm"`
	// Masking says what of kept lines must not leave the host. Types row_top and match only.
	Masking Masking `json:"masking,omitzero" yaml:"masking,omitempty" doc:"row_top and match: what of lines must not leave the host; all built-in masks are on by default"`
	// KeyLimit bounds the keys of a sliding 24 h (LOG-9). Default 1000, of second_multi 500. Of minute_top it is how many
	// keys of a window agents and compute hold at least; up to so many, all is exact.
	KeyLimit int `json:"key_limit,omitempty" yaml:"key_limit,omitempty" minimum:"0" maximum:"100000"`
	// FlowLimitKBMin bounds the intake over all agents in KB per minute (LOG-7). 0: no limit.
	FlowLimitKBMin int `json:"flow_limit_kb_min,omitempty" yaml:"flow_limit_kb_min,omitempty" minimum:"0"`
	// Scope narrows the agents that read.
	Scope Scope `json:"scope,omitzero" yaml:"scope,omitempty"`
	// DeadlineS is how many seconds after its end a window settles without all agents, 10 to 300. Default 60.
	DeadlineS int `json:"deadline_s,omitempty" yaml:"deadline_s,omitempty" minimum:"0" maximum:"300"`
}

// Type of a monitor.
type Type string

// The monitor types.
const (
	Minute      Type = "minute"
	MinuteMulti Type = "minute_multi"
	// Service is the type of common service indicators: total, success, fail,
	// success_rate and, with a TimeColumn, avg_ms.
	Service     Type = "spm"
	Second      Type = "second"
	SecondMulti Type = "second_multi"
	// MinuteTop keeps the keys with the largest figure, in bounded memory.
	MinuteTop Type = "minute_top"
	// RowTop keeps the records with the largest numbers, with their lines.
	RowTop Type = "row_top"
	// Match counts lines by the minute and raises an alarm with the first of them.
	Match Type = "match"
)

// BySecond reports whether windows of the type are shorter than a minute; such
// monitors have no alarms (spec 05 §6.8).
func (t Type) BySecond() bool { return t == Second || t == SecondMulti }

// StartAt is where reading starts in a file that exists when the monitor begins.
type StartAt string

// The starting points.
const (
	StartEnd       StartAt = "end"
	StartBeginning StartAt = "beginning"
)

// Encoding of a file's text.
type Encoding string

// The encodings.
const (
	EncodingAuto    Encoding = "auto"
	EncodingUTF8    Encoding = "utf-8"
	EncodingGBK     Encoding = "gbk"
	EncodingGB18030 Encoding = "gb18030"
	// The others are turned into UTF-8 line by line before the rule sees them.
	EncodingBig5     Encoding = "big5"
	EncodingLatin1   Encoding = "iso-8859-1"
	EncodingShiftJIS Encoding = "shift_jis"
	EncodingEUCKR    Encoding = "euc-kr"
)

// Encodings are all there are.
var Encodings = []Encoding{EncodingAuto, EncodingUTF8, EncodingGBK, EncodingGB18030, EncodingBig5, EncodingLatin1, EncodingShiftJIS, EncodingEUCKR}

// TimeFormat names the layout of a line's time (spec 05 §4.4).
type TimeFormat string

// The time formats. Fractions of a second after . or , are accepted in all textual ones.
const (
	TimeNormal      TimeFormat = "normal"      // 2016-12-13 10:00:14, the space may be missing or T
	TimeApache      TimeFormat = "apache"      // 08/May/2017 01:13:52 or 08/May/2017:01:13:52 +0800
	TimeLong        TimeFormat = "_long_"      // epoch milliseconds
	TimeShortLong   TimeFormat = "short long"  // epoch seconds
	TimeMonthFirst  TimeFormat = "monthfirst"  // May 08 01:13:52, no year
	TimeRevert      TimeFormat = "revert"      // 05-25-2017 18:28:42
	TimeMonthFirst2 TimeFormat = "monthfirst2" // May 08 2017 01:13:52
	TimeISO8601     TimeFormat = "iso8601"     // RFC 3339
	TimeCustom      TimeFormat = "custom"      // by a layout of one's own
	TimeReceive     TimeFormat = "receive"     // time of reading, fixed in the checkpoint
)

// TimeRule says where and how a line's event time stands.
type TimeRule struct {
	// Format is one of the names above.
	Format TimeFormat `json:"format" yaml:"format" enum:"normal,apache,_long_,short long,monthfirst,revert,monthfirst2,iso8601,custom,receive"`
	// Layout of format custom, as ParseTimeLayout reads it.
	Layout string `json:"layout,omitempty" yaml:"layout,omitempty" maxLength:"100" doc:"custom: yyyy/MM/dd HH:mm:ss and its like, with MMM, hh a, SSS, Z; without a date the day nearest to now"`
	// Column holds the time. Empty: the time stands at the start of the line (a leading [ is skipped).
	Column string `json:"column,omitempty" yaml:"column,omitempty" doc:"Column that holds the time; empty: start of the line"`
	// Timezone is an IANA name; empty means the agent's own zone. Ignored where the line carries an offset.
	Timezone string `json:"timezone,omitempty" yaml:"timezone,omitempty" doc:"IANA zone of times without an offset; empty: the agent's zone"`
}

// Column is a value cut out of a line, or computed. Exactly one of Split,
// Between, Regex, JSON, KV, Fixed, Line and Formula is set.
type Column struct {
	// Name is 1 to 64 characters, unique in the monitor.
	Name string `json:"name" yaml:"name" minLength:"1" maxLength:"64"`
	// From names the column whose value is cut instead of the line, as it is
	// after its translation. At most MaxDerived columns follow each other so.
	From    string       `json:"from,omitempty" yaml:"from,omitempty" doc:"Column whose value is cut instead of the line"`
	Split   *SplitRule   `json:"split,omitempty" yaml:"split,omitempty"`
	Between *BetweenRule `json:"between,omitempty" yaml:"between,omitempty"`
	Regex   *RegexRule   `json:"regex,omitempty" yaml:"regex,omitempty"`
	JSON    *JSONRule    `json:"json,omitempty" yaml:"json,omitempty"`
	KV      *KVRule      `json:"kv,omitempty" yaml:"kv,omitempty"`
	Fixed   *FixedRule   `json:"fixed,omitempty" yaml:"fixed,omitempty"`
	Line    bool         `json:"line,omitempty" yaml:"line,omitempty" doc:"The column is the whole line, or all of the column it comes from"`
	// Formula is arithmetic over columns with numbers (see ParseFormula); a line on which one of them
	// is no number, or something is divided by 0, has no value. It is rounded to six decimals.
	Formula string `json:"formula,omitempty" yaml:"formula,omitempty" maxLength:"500" doc:"Arithmetic over columns with numbers: + - * / ( ), abs, round, min, max"`
	// Translate maps the value before anything uses it.
	Translate *Translation `json:"translate,omitempty" yaml:"translate,omitempty"`
}

// SplitRule takes the Index-th field of the line split by Delimiter.
type SplitRule struct {
	// Delimiter is text, or an escape: \t, \x1b, char(1,2).
	Delimiter string `json:"delimiter" yaml:"delimiter" minLength:"1"`
	// Index is 0-based; negative counts from the end.
	Index int `json:"index" yaml:"index"`
}

// BetweenRule takes the text after the LeftIndex-th Left up to the RightIndex-th Right after it.
type BetweenRule struct {
	// Left is the marker before the value; empty: line start. Escapes as in SplitRule.
	Left string `json:"left,omitempty" yaml:"left,omitempty"`
	// LeftIndex counts occurrences of Left from 1; 0 means 1.
	LeftIndex int `json:"left_index,omitempty" yaml:"left_index,omitempty" minimum:"0"`
	// Right is the marker after the value; empty: line end.
	Right string `json:"right,omitempty" yaml:"right,omitempty"`
	// RightIndex counts occurrences of Right after the left marker from 1; 0 means 1.
	RightIndex int `json:"right_index,omitempty" yaml:"right_index,omitempty" minimum:"0"`
}

// RegexRule takes a group of an RE2 pattern.
type RegexRule struct {
	Pattern string `json:"pattern" yaml:"pattern" minLength:"1" maxLength:"2000"`
	// Group is the number of the capturing group; 0: the whole match.
	Group int `json:"group,omitempty" yaml:"group,omitempty" minimum:"0"`
}

// JSONRule takes a member of the line, which is a JSON object or array. Strings
// are unescaped, objects and arrays stay as they are written, null is missing.
type JSONRule struct {
	// Path leads to the member: names joined by dots, places of arrays in
	// brackets from 0, and names with other characters in brackets and quotes.
	Path string `json:"path" yaml:"path" minLength:"1" maxLength:"500" doc:"Such as order.items[0].price or [\"a name\"].id"`
}

// KVRule takes the value that follows a key, as logfmt has them: key=value
// key="a value". The first one counts.
type KVRule struct {
	Key string `json:"key" yaml:"key" minLength:"1" maxLength:"200"`
	// Separator stands between two pairs; empty: spaces and tabs. Assign stands
	// between key and value; empty: =. Escapes as in SplitRule.
	Separator string `json:"separator,omitempty" yaml:"separator,omitempty" doc:"Between two pairs; empty: spaces"`
	Assign    string `json:"assign,omitempty" yaml:"assign,omitempty" doc:"Between key and value; empty: ="`
}

// FixedRule takes the Length characters after the first Offset.
type FixedRule struct {
	Offset int `json:"offset,omitempty" yaml:"offset,omitempty" minimum:"0" doc:"Characters before the value"`
	Length int `json:"length" yaml:"length" minimum:"1" doc:"Characters of the value; a line that ends earlier ends it"`
}

// Filters keep a line when all White rows and no Black row match (FLT-1 to FLT-8).
type Filters struct {
	White []FilterRow `json:"white,omitempty" yaml:"white,omitempty" maxItems:"20"`
	Black []FilterRow `json:"black,omitempty" yaml:"black,omitempty" maxItems:"20"`
}

// FilterRow matches when the column's value equals one of Values exactly.
type FilterRow struct {
	Column string   `json:"column" yaml:"column" minLength:"1"`
	Values []string `json:"values" yaml:"values" minItems:"1" maxItems:"200"`
}

// StatKind is the kind of a figure.
type StatKind string

// The kinds of figures.
const (
	Count StatKind = "count"
	Sum   StatKind = "sum"
	Avg   StatKind = "avg"
	Min   StatKind = "min"
	Max   StatKind = "max"
	// Ratio is the sum of Column divided by the sum of Divisor.
	Ratio StatKind = "ratio"
	// Occurrences is how often Text stands in Column, or in the lines.
	Occurrences StatKind = "occurrences"
	// Success counts the lines whose Column is Y, Fail the others; SuccessRate
	// is the share of the first in percent.
	Success     StatKind = "success"
	Fail        StatKind = "fail"
	SuccessRate StatKind = "success_rate"
	// P50 to P999 are quantiles of Column within 1 % of the number of that rank.
	P50  StatKind = "p50"
	P75  StatKind = "p75"
	P90  StatKind = "p90"
	P95  StatKind = "p95"
	P99  StatKind = "p99"
	P999 StatKind = "p999"
	// Distinct is about how many different values Column has, with a standard
	// error of 0.81 %.
	Distinct StatKind = "distinct"
)

// StatKinds are all of them.
var StatKinds = []StatKind{Count, Sum, Avg, Min, Max, Ratio, Occurrences, Success, Fail, SuccessRate, P50, P75, P90, P95, P99, P999, Distinct}

// Statistic is one figure.
type Statistic struct {
	// Name is the figure's name in series, such as "count" in trade_create:count. Default: kind, or kind_column.
	Name string   `json:"name,omitempty" yaml:"name,omitempty"`
	Kind StatKind `json:"kind" yaml:"kind" enum:"count,sum,avg,min,max,ratio,occurrences,success,fail,success_rate,p50,p75,p90,p95,p99,p999,distinct" doc:"ratio: sum of column by sum of divisor; occurrences: how often text occurs; success, fail, success_rate: lines whose column is Y, is not, and the share in percent; p50 to p999: quantiles within 1 %; distinct: number of different values, standard error 0.81 %"`
	// Column holds the number, the dividend of a ratio, or the result; required
	// for all kinds but count and occurrences.
	Column string `json:"column,omitempty" yaml:"column,omitempty"`
	// Divisor is the other column of a ratio.
	Divisor string `json:"divisor,omitempty" yaml:"divisor,omitempty" doc:"ratio: column whose sum divides"`
	// Weight is the spec's WeightColumn where the kind has a use for it; WithDefaults sets it.
	Weight string `json:"-" yaml:"-"`
	// Text is what occurrences looks for, 1 to 256 characters.
	Text string `json:"text,omitempty" yaml:"text,omitempty" maxLength:"256" doc:"occurrences: text to look for, in the column or, without one, in the whole line"`
	// Unit is shown with the figure, such as "ms" or "CNY".
	Unit string `json:"unit,omitempty" yaml:"unit,omitempty"`
}

// Scope narrows the agents by exact names; between the lists it is an intersection.
type Scope struct {
	// Envs are the environments that are read. Default prod alone.
	Envs      []string `json:"envs,omitempty" yaml:"envs,omitempty" doc:"Environments; default prod alone. An agent without the label env is of prod"`
	AZs       []string `json:"azs,omitempty" yaml:"azs,omitempty"`
	Cells     []string `json:"cells,omitempty" yaml:"cells,omitempty"`
	Instances []string `json:"instances,omitempty" yaml:"instances,omitempty" doc:"Host names or IPs"`
}

// GroupLabels are the labels an agent carries that a monitor can group by
// (spec 05 §3.1). Compute fills them from the agent's metadata; they are not
// cut out of lines.
var GroupLabels = []string{"instance", "ip", "host", "az", "cell", "unit", "env", "version", "agent"}

// ReservedLabels are names that a column's label must not take; a colliding
// column gets the prefix c_.
var ReservedLabels = []string{"tenant", "workspace", "app", "app_service", "instance", "ip", "host", "az", "cell", "unit",
	"env", "cluster", "namespace", "pod", "container", "version", "agent"}

// ReservedFigures are the series that stand beside every monitor's figures.
var ReservedFigures = []string{"completeness", "keys_dropped", "throttled_bytes", "lines_late", "lines_bad", "lines_unmatched", "bad_numbers", "lost_bytes"}

// MaxIndex is how many names the index of a monitor may have.
const MaxIndex = 3

// MaxDerived is how many columns may be cut out of each other in a row.
const MaxDerived = 3

// Defaults that WithDefaults fills in.
const (
	DefaultWindow   = time.Minute
	DefaultKeyLimit = 1000
	// SecondKeyLimit is the default and the most keys of second_multi.
	SecondKeyLimit = 500
	// DefaultSecond is the default window of types by the second, SecondDeadlineS their deadline.
	DefaultSecond    = time.Second
	SecondDeadlineS  = 10
	DefaultDeadlineS = 60
	// LateAccept is how far back a late line still re-opens its window.
	LateAccept = 24 * time.Hour
	// FutureAccept is how far ahead of the agent's clock an event time may lie.
	FutureAccept = time.Hour
	// MaxLine is the longest line in bytes; a longer one is cut there and counted.
	MaxLine = 256 << 10
	// TotalKey stands in the API for the row over all keys, including dropped ones (LOG-9).
	TotalKey = "__total__"
)
