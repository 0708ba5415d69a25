package logrule

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// figureName is what a figure may be called: it becomes part of a series name.
var figureName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// WithDefaults returns a copy of s with every unset field at its default.
func (s Spec) WithDefaults() Spec {
	if s.App == "" {
		s.App = "default"
	}
	if s.StartAt == "" {
		s.StartAt = StartEnd
	}
	if s.Encoding == "" {
		s.Encoding = EncodingAuto
	}
	window, keys, deadline := DefaultWindow, DefaultKeyLimit, DefaultDeadlineS
	if s.Type.BySecond() {
		window, keys, deadline = DefaultSecond, SecondKeyLimit, SecondDeadlineS
	}
	if s.Window == 0 {
		s.Window = Duration(window)
	}
	if s.KeyLimit == 0 {
		s.KeyLimit = keys
	}
	if s.DeadlineS == 0 {
		s.DeadlineS = deadline
	}
	s = s.withLineDefaults()
	switch {
	case len(s.Statistics) > 0:
	case s.Type == Service:
		s.Statistics = s.serviceFigures()
	case s.Type == RowTop:
		s.Statistics = s.rowTopFigures()
	case s.Type == Match: // its lines are counted, there is no series
	default:
		s.Statistics = []Statistic{{Name: "count", Kind: Count}}
	}
	s.Statistics = s.weighed(slices.Clone(s.Statistics))
	for i := range s.Statistics {
		st := &s.Statistics[i]
		if st.Name == "" {
			st.Name = string(st.Kind)
			if st.Kind != Count && st.Column != "" {
				st.Name = SeriesLabel(string(st.Kind) + "_" + st.Column)
			}
		}
	}
	return s
}

// Validate checks s after WithDefaults and returns every bad field as
// fielderr.Errors, with paths below prefix (such as "spec").
func (s Spec) Validate(prefix string) error {
	var es fielderr.Errors
	at := func(format string, args ...any) string { return prefix + "." + fmt.Sprintf(format, args...) }

	if n := utf8.RuneCountInString(s.Title); n < 1 || n > 64 {
		es.Add(at("title"), "bad_title", "has %d characters; give 1 to 64", n)
	}
	if n := utf8.RuneCountInString(s.Description); n > 500 {
		es.Add(at("description"), "too_long", "has %d characters; at most 500", n)
	}
	if len(s.Index) > MaxIndex {
		es.Add(at("index"), "too_many", "has %d names; at most %d", len(s.Index), MaxIndex)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Index)) {
		if n, v := utf8.RuneCountInString(name), utf8.RuneCountInString(s.Index[name]); n < 1 || n > 32 || v < 1 || v > 64 {
			es.Add(at("index"), "bad_index_entry", "%q: %q; give names of 1 to 32 and values of 1 to 64 characters", name, s.Index[name])
		}
	}
	switch s.Type {
	case Minute, Second:
		if len(s.GroupBy) > 0 {
			es.Add(at("group_by"), "group_not_allowed", "type %s has no keys; remove group_by or use %s_multi", s.Type, s.Type)
		}
	case MinuteMulti, SecondMulti, MinuteTop:
		if len(s.GroupBy) == 0 {
			es.Add(at("group_by"), "group_required", "type %s needs 1 to 8 columns or labels to group by", s.Type)
		}
	case Service, RowTop, Match:
	default:
		es.Add(at("type"), "bad_type", "%q is not a monitor type; use minute, minute_multi, minute_top, spm, second, second_multi, row_top or match", s.Type)
	}
	if len(s.Paths) < 1 || len(s.Paths) > 10 {
		es.Add(at("paths"), "bad_path", "has %d paths; give 1 to 10", len(s.Paths))
	}
	for i, p := range s.Paths {
		if msg := s.checkPath(p); msg != "" {
			es.Add(at("paths[%d]", i), "bad_path", "%q %s", p, msg)
		}
	}
	if _, err := regexp.Compile(s.MultilineStart); err != nil {
		es.Add(at("multiline_start"), "bad_regex", "%v", err)
	} else if n := len(s.MultilineStart); n > 500 {
		es.Add(at("multiline_start"), "too_long", "has %d bytes; at most 500", n)
	}
	if s.SymlinkPart != "" {
		if !path.IsAbs(s.SymlinkPart) {
			es.Add(at("symlink_part"), "bad_path", "%q must be absolute", s.SymlinkPart)
		}
		for i, p := range s.Paths {
			if !strings.HasPrefix(p, s.SymlinkPart) {
				es.Add(at("symlink_part"), "bad_path", "%q is not the beginning of paths[%d] %q", s.SymlinkPart, i, p)
			}
		}
	}
	if !slices.Contains([]StartAt{StartEnd, StartBeginning}, s.StartAt) {
		es.Add(at("start_at"), "bad_start_at", "%q; use end or beginning", s.StartAt)
	}
	if e := strings.ToLower(string(s.Encoding)); strings.HasPrefix(e, "utf-16") || strings.HasPrefix(e, "utf16") {
		es.Add(at("encoding"), "bad_encoding", "%q is not read, for a line's end has two bytes there; let the program write UTF-8, or another of %v", s.Encoding, Encodings)
	} else if !slices.Contains(Encodings, s.Encoding) {
		es.Add(at("encoding"), "bad_encoding", "%q; use one of %v", s.Encoding, Encodings)
	}
	if s.Type.BySecond() {
		if w := s.Window.D(); !slices.Contains([]time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second}, w) {
			es.Add(at("window"), "bad_window", "%s; type %s has windows of 1s, 5s, 10s, 15s or 30s", s.Window, s.Type)
		}
		if s.KeyLimit > SecondKeyLimit {
			es.Add(at("key_limit"), "bad_key_limit", "%d; type %s has at most %d keys", s.KeyLimit, s.Type, SecondKeyLimit)
		}
	} else if w := s.Window.D(); w < time.Second || w > time.Hour || time.Hour%w != 0 || w%time.Second != 0 {
		es.Add(at("window"), "bad_window", "%s; use whole seconds from 1s to 1h that divide an hour", s.Window)
	}
	if s.DeadlineS < 10 || s.DeadlineS > 300 {
		es.Add(at("deadline_s"), "bad_deadline", "%d; use 10 to 300 seconds", s.DeadlineS)
	}
	if s.KeyLimit < 1 || s.KeyLimit > 100000 {
		es.Add(at("key_limit"), "bad_key_limit", "%d; use 1 to 100000", s.KeyLimit)
	}
	if s.FlowLimitKBMin < 0 {
		es.Add(at("flow_limit_kb_min"), "bad_flow_limit", "%d; use 0 (no limit) or more", s.FlowLimitKBMin)
	}
	s.validateUses(&es, at)
	s.validateFigures(&es, at)
	s.validateLines(&es, at)
	return es.Err()
}

// validateUses checks what uses columns: time, filters and keys.
func (s Spec) validateUses(es *fielderr.Errors, at func(string, ...any) string) {
	seen := s.validateColumns(es, at)
	known := func(field, name string) {
		if !seen[name] {
			es.Add(field, "bad_column", "%q is not one of the columns", name)
		}
	}
	if !slices.Contains([]TimeFormat{TimeNormal, TimeApache, TimeLong, TimeShortLong, TimeMonthFirst, TimeRevert, TimeMonthFirst2,
		TimeISO8601, TimeCustom, TimeReceive}, s.Time.Format) {
		es.Add(at("time.format"), "bad_time_format", "%q; use normal, apache, _long_, short long, monthfirst, revert, monthfirst2, iso8601, custom or receive", s.Time.Format)
	}
	switch {
	case s.Time.Format == TimeCustom && len(s.Time.Layout) > 100:
		es.Add(at("time.layout"), "too_long", "has %d bytes; at most 100", len(s.Time.Layout))
	case s.Time.Format == TimeCustom:
		if _, err := ParseTimeLayout(s.Time.Layout); err != nil {
			es.Add(at("time.layout"), "bad_time_format", "%v", err)
		}
	case s.Time.Layout != "":
		es.Add(at("time.layout"), "not_used", "only format custom has a layout; remove %q or choose custom", s.Time.Layout)
	}
	if s.Time.Column != "" {
		known(at("time.column"), s.Time.Column)
	}
	if s.Time.Timezone != "" {
		if _, err := time.LoadLocation(s.Time.Timezone); err != nil {
			es.Add(at("time.timezone"), "bad_timezone", "%q is not an IANA time zone, such as Asia/Shanghai", s.Time.Timezone)
		}
	}
	for kind, rows := range map[string][]FilterRow{"white": s.Filters.White, "black": s.Filters.Black} {
		if len(rows) > 20 {
			es.Add(at("filters.%s", kind), "too_many", "has %d rows; at most 20", len(rows))
		}
		for i, r := range rows {
			known(at("filters.%s[%d].column", kind, i), r.Column)
			if len(r.Values) < 1 || len(r.Values) > 200 {
				es.Add(at("filters.%s[%d].values", kind, i), "bad_filter", "has %d values; give 1 to 200", len(r.Values))
			}
		}
	}
	if len(s.GroupBy) > 8 {
		es.Add(at("group_by"), "too_many", "has %d entries; at most 8", len(s.GroupBy))
	}
	grouped := map[string]bool{}
	for i, g := range s.GroupBy {
		if grouped[g] {
			es.Add(at("group_by[%d]", i), "bad_column", "%q is given twice", g)
		}
		grouped[g] = true
		if !slices.Contains(GroupLabels, g) {
			known(at("group_by[%d]", i), g)
		}
	}
}

// validateWeight checks the column that says what a line stands for.
func (s Spec) validateWeight(es *fielderr.Errors, at func(string, ...any) string) {
	switch {
	case s.WeightColumn == "":
	case s.Type.KeepsLines():
		es.Add(at("weight_column"), "not_used", "type %s is about single lines; remove %q", s.Type, s.WeightColumn)
	case !s.hasColumn(s.WeightColumn):
		es.Add(at("weight_column"), "bad_column", "%q is not one of the columns", s.WeightColumn)
	case s.Type == MinuteTop && len(s.Statistics) == 1 && s.Statistics[0].Kind == Fail:
		es.Add(at("weight_column"), "not_used", "keys can't be ordered by weighed failures; order by count or success, or remove %q", s.WeightColumn)
	}
}

func (s Spec) validateFigures(es *fielderr.Errors, at func(string, ...any) string) {
	s.validateService(es, at)
	s.validateWeight(es, at)
	if s.Type == Service || s.Type == RowTop || s.Type == Match {
		return // their figures are not for choice
	}
	if len(s.Statistics) > 10 {
		es.Add(at("statistics"), "too_many", "has %d figures; at most 10", len(s.Statistics))
	}
	names := map[string]bool{}
	for i, st := range s.Statistics {
		if !figureName.MatchString(st.Name) {
			es.Add(at("statistics[%d].name", i), "bad_name", "%q; use a lower-case letter, then letters, digits or _, at most 63", st.Name)
		}
		for _, name := range st.seriesNames() {
			if names[name] {
				es.Add(at("statistics[%d].name", i), "bad_name", "%q is used twice", name)
			}
			if slices.Contains(ReservedFigures, name) {
				es.Add(at("statistics[%d].name", i), "bad_name", "%q is a series that every monitor has; choose another name", name)
			}
			names[name] = true
		}
		if !slices.Contains(StatKinds, st.Kind) {
			es.Add(at("statistics[%d].kind", i), "bad_kind", "%q is not a kind of figure; use one of %s", st.Kind, kindList())
			continue
		}
		s.validateFigure(es, func(field string) string { return at("statistics[%d].%s", i, field) }, st)
	}
}

func kindList() string {
	names := make([]string, len(StatKinds))
	for i, k := range StatKinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func (s Spec) hasColumn(name string) bool {
	return slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// validateFigure checks the fields that a figure's kind needs and those it has no use for.
func (s Spec) validateFigure(es *fielderr.Errors, at func(field string) string, st Statistic) {
	column := func(field, name, what string) {
		switch {
		case name == "":
			es.Add(at(field), "column_required", "%s needs the column that holds %s", st.Kind, what)
		case !s.hasColumn(name):
			es.Add(at(field), "bad_column", "%q is not one of the columns", name)
		}
	}
	switch st.Kind {
	case Sum, Avg, Min, Max:
		column("column", st.Column, "the number")
	case Ratio:
		column("column", st.Column, "the dividend")
		column("divisor", st.Divisor, "the divisor")
	case Success, Fail, SuccessRate:
		column("column", st.Column, "Y for success")
	case Distinct:
		column("column", st.Column, "the value")
	case Occurrences:
		if st.Column != "" {
			column("column", st.Column, "the text")
		}
		if n := utf8.RuneCountInString(st.Text); n < 1 || n > 256 {
			es.Add(at("text"), "bad_text", "has %d characters; give the 1 to 256 characters to look for", n)
		}
	default:
		if _, ok := st.Kind.Quantile(); ok {
			column("column", st.Column, "the number")
		}
	}
	if st.Divisor != "" && st.Kind != Ratio {
		es.Add(at("divisor"), "not_used", "only a ratio has a divisor; remove %q or choose the kind ratio", st.Divisor)
	}
	if st.Text != "" && st.Kind != Occurrences {
		es.Add(at("text"), "not_used", "only occurrences looks for a text; remove %q or choose the kind occurrences", st.Text)
	}
}

// validateService checks the columns of common service indicators.
func (s Spec) validateService(es *fielderr.Errors, at func(string, ...any) string) {
	for _, f := range []struct{ field, name string }{{"result_column", s.ResultColumn}, {"time_column", s.TimeColumn}} {
		switch {
		case s.Type != Service && f.name != "":
			es.Add(at("%s", f.field), "not_used", "only type spm has it; remove %q or use spm", f.name)
		case s.Type == Service && f.name != "" && !s.hasColumn(f.name):
			es.Add(at("%s", f.field), "bad_column", "%q is not one of the columns", f.name)
		}
	}
	if s.Type != Service {
		return
	}
	if s.ResultColumn == "" {
		es.Add(at("result_column"), "column_required", "spm needs the column whose value Y means success")
	} else if !slices.Equal(s.Statistics, s.serviceFigures()) {
		es.Add(at("statistics"), "bad_kind", "spm has its own figures: total, success, fail, success_rate and, with time_column, avg_ms; leave statistics out")
	}
}

// Unescape turns the written form of a delimiter into its text: \t, \n, \\,
// \x1b and char(1,2) (COL-3); everything else stands for itself.
func Unescape(s string) (string, error) {
	if body, ok := strings.CutPrefix(s, "char("); ok && strings.HasSuffix(body, ")") {
		codes := strings.Split(strings.TrimSuffix(body, ")"), ",")
		if len(codes) > 8 {
			return "", fmt.Errorf("%q has %d codes; at most 8", s, len(codes))
		}
		var b []byte
		for _, c := range codes {
			n, err := strconv.ParseUint(strings.TrimSpace(c), 10, 8)
			if err != nil {
				return "", fmt.Errorf("%q: %q is not a character code from 0 to 255", s, c)
			}
			b = append(b, byte(n))
		}
		return string(b), nil
	}
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b = append(b, '\t')
		case 'n':
			b = append(b, '\n')
		case '\\':
			b = append(b, '\\')
		case 'x':
			if i+3 > len(s) {
				return "", fmt.Errorf("%q ends within \\x; write two hexadecimal digits", s)
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("%q: %q is not two hexadecimal digits", s, s[i+1:i+3])
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, '\\', s[i])
		}
	}
	return string(b), nil
}

// SeriesLabel turns a column's name into a valid Prometheus label name. A name
// that collides with a reserved label gets the prefix c_; characters that a
// label can't have become _ (a name with none left is numbered by its bytes).
func SeriesLabel(column string) string {
	if slices.Contains(ReservedLabels, column) {
		return "c_" + column
	}
	var b strings.Builder
	plain := false
	for _, r := range column {
		switch {
		case r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			b.WriteRune(r)
			plain = true
		case r < utf8.RuneSelf:
			b.WriteByte('_')
		default:
			fmt.Fprintf(&b, "u%x_", r)
			plain = true
		}
	}
	out := b.String()
	if !plain || out[0] >= '0' && out[0] <= '9' || strings.HasPrefix(out, "__") {
		out = "c_" + strings.TrimLeft(out, "_")
	}
	return out
}
