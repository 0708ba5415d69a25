package logrule

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// good is a spec in which every section is used.
func good() Spec {
	return Spec{Title: "Trades", Type: MinuteMulti, Paths: []string{"/var/log/trade.log"}, Time: TimeRule{Format: TimeNormal},
		Columns: []Column{
			{Name: "kind", Split: &SplitRule{Delimiter: ",", Index: 1}},
			{Name: "fee", Between: &BetweenRule{Left: "￥", Right: ","}},
			{Name: "ok", Split: &SplitRule{Delimiter: ",", Index: 3}, Translate: &Translation{Entries: []TranslationEntry{{Value: "200", To: "Y"}}}},
		},
		Filters: Filters{White: []FilterRow{{Column: "kind", Values: []string{"a"}}}},
		GroupBy: []string{"kind", "az"}, Statistics: []Statistic{{Kind: Count}, {Kind: Sum, Column: "fee"}}}
}

func TestGoodSpecs(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"as it is":      func(*Spec) {},
		"without keys":  func(s *Spec) { s.Type, s.GroupBy = Minute, nil },
		"service":       func(s *Spec) { s.Type, s.Statistics, s.ResultColumn, s.TimeColumn = Service, nil, "ok", "fee" },
		"service, keys": func(s *Spec) { s.Type, s.GroupBy, s.Statistics, s.ResultColumn = Service, nil, nil, "ok" },
		"second":        func(s *Spec) { s.Type, s.GroupBy = Second, nil },
		"5 seconds":     func(s *Spec) { s.Type, s.Window = SecondMulti, Duration(5*time.Second) },
		"all figures": func(s *Spec) {
			s.Statistics = []Statistic{{Kind: Avg, Column: "fee"}, {Kind: Min, Column: "fee"}, {Kind: Max, Column: "fee"}, {Kind: Ratio, Column: "fee", Divisor: "kind"},
				{Kind: Occurrences, Text: "x"}, {Kind: Success, Column: "ok"}, {Kind: Fail, Column: "ok"}, {Kind: SuccessRate, Column: "ok"}}
		},
		"derived": func(s *Spec) {
			s.Columns = append(s.Columns, Column{Name: "a", From: "kind", Line: true}, Column{Name: "b", From: "a", Line: true}, Column{Name: "c", From: "b", Line: true})
		},
		"every way to cut": func(s *Spec) {
			s.Columns = append(s.Columns, Column{Name: "j", JSON: &JSONRule{Path: "a.b[0]"}}, Column{Name: "k", KV: &KVRule{Key: "cost"}}, Column{Name: "f", Fixed: &FixedRule{Length: 4}},
				Column{Name: "r", Regex: &RegexRule{Pattern: "(x)", Group: 1}}, Column{Name: "l", Line: true})
		},
	} {
		s := good()
		change(&s)
		if err := s.WithDefaults().Validate("spec"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadSpecs breaks one thing at a time.
func TestBadSpecs(t *testing.T) {
	column := func(c Column) func(*Spec) { return func(s *Spec) { s.Columns[0] = c } }
	translate := func(tr Translation) func(*Spec) { return func(s *Spec) { s.Columns[2].Translate = &tr } }
	for _, c := range []struct {
		want   string // fields and codes
		change func(*Spec)
	}{
		{"title bad_title", func(s *Spec) { s.Title = "" }},
		{"description too_long", func(s *Spec) { s.Description = strings.Repeat("x", 501) }},
		{"type bad_type", func(s *Spec) { s.Type = "hourly" }},
		{"group_by group_not_allowed", func(s *Spec) { s.Type = Minute }},
		{"group_by group_not_allowed", func(s *Spec) { s.Type = Second }},
		{"group_by group_required", func(s *Spec) { s.GroupBy = nil }},
		{"group_by group_required", func(s *Spec) { s.Type, s.GroupBy = SecondMulti, nil }},
		{"paths bad_path", func(s *Spec) { s.Paths = nil }},
		{"paths[0] bad_path", func(s *Spec) { s.Paths = []string{"relative.log"} }},
		{"paths[0] bad_path", func(s *Spec) { s.Paths = []string{"/a/**/b.log"} }},
		{"paths[0] bad_path", func(s *Spec) { s.Paths = []string{"/a/../b.log"} }},
		{"paths[0] bad_path", func(s *Spec) { s.Paths = []string{"/a/[b.log"} }},
		{"multiline_start bad_regex", func(s *Spec) { s.MultilineStart = "(" }},
		{"multiline_start too_long", func(s *Spec) { s.MultilineStart = strings.Repeat("x", 501) }},
		{"symlink_part bad_path", func(s *Spec) { s.SymlinkPart = "/other" }},
		{"start_at bad_start_at", func(s *Spec) { s.StartAt = "middle" }},
		{"encoding bad_encoding", func(s *Spec) { s.Encoding = "ebcdic" }},
		{"encoding bad_encoding", func(s *Spec) { s.Encoding = "UTF-16LE" }},
		{"window bad_window", func(s *Spec) { s.Window = Duration(7 * time.Minute) }},
		{"window bad_window", func(s *Spec) { s.Type, s.Window = SecondMulti, Duration(time.Minute) }},
		{"key_limit bad_key_limit", func(s *Spec) { s.KeyLimit = 200_000 }},
		{"key_limit bad_key_limit", func(s *Spec) { s.Type, s.KeyLimit = SecondMulti, 1000 }},
		{"deadline_s bad_deadline", func(s *Spec) { s.DeadlineS = 5 }},
		{"flow_limit_kb_min bad_flow_limit", func(s *Spec) { s.FlowLimitKBMin = -1 }},
		{"time.format bad_time_format", func(s *Spec) { s.Time.Format = "rfc822" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format = TimeCustom }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "yyyy-MM-dd" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "HH:mm QQ" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "hh:mm" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "yyyy HH:mm" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "HH:mm 'x" }},
		{"time.layout bad_time_format", func(s *Spec) { s.Time.Format, s.Time.Layout = TimeCustom, "HH:mm HH" }},
		{"time.layout not_used", func(s *Spec) { s.Time.Layout = "HH:mm" }},
		{"time.column bad_column", func(s *Spec) { s.Time.Column = "nope" }},
		{"time.timezone bad_timezone", func(s *Spec) { s.Time.Timezone = "Moon/Base" }},
		{"filters.white[0].column bad_column", func(s *Spec) { s.Filters.White[0].Column = "nope" }},
		{"filters.white[0].values bad_filter", func(s *Spec) { s.Filters.White[0].Values = nil }},
		{"group_by[0] bad_column", func(s *Spec) { s.GroupBy = []string{"nope"} }},
		{"group_by[1] bad_column", func(s *Spec) { s.GroupBy = []string{"kind", "kind"} }},
		{"columns[1].name bad_column", func(s *Spec) { s.Columns[1].Name, s.Statistics = "kind", nil }},
		{"columns[1].name bad_column", func(s *Spec) { s.Columns[1].Name, s.Statistics = "host", nil }},
		{"columns[0].split.delimiter bad_column", column(Column{Name: "kind", Split: &SplitRule{}})},
		{"columns[0].split.delimiter bad_column", column(Column{Name: "kind", Split: &SplitRule{Delimiter: "char(300)"}})},
		{"columns[0].between.left bad_column", column(Column{Name: "kind", Between: &BetweenRule{Left: `\xg0`}})},
		{"columns[0].between bad_column", column(Column{Name: "kind", Between: &BetweenRule{LeftIndex: -1}})},
		{"columns[0].regex.pattern bad_regex", column(Column{Name: "kind", Regex: &RegexRule{Pattern: "(a"}})},
		{"columns[0].regex.group bad_regex", column(Column{Name: "kind", Regex: &RegexRule{Pattern: "(a)", Group: 2}})},
		{"columns[0].json.path bad_column", column(Column{Name: "kind", JSON: &JSONRule{Path: "a..b"}})},
		{"columns[0].kv.key bad_column", column(Column{Name: "kind", KV: &KVRule{}})},
		{"columns[0].kv.separator bad_column", column(Column{Name: "kind", KV: &KVRule{Key: "a", Separator: `\x1`}})},
		{"columns[0].fixed bad_column", column(Column{Name: "kind", Fixed: &FixedRule{Offset: -1, Length: 1}})},
		{"columns[0].fixed bad_column", column(Column{Name: "kind", Fixed: &FixedRule{}})},
		{"columns[0] bad_column", column(Column{Name: "kind"})},
		{"columns[0] bad_column", column(Column{Name: "kind", Line: true, JSON: &JSONRule{Path: "a"}})},
		{"columns[0].from bad_column", column(Column{Name: "kind", From: "nope", Line: true})},
		{"columns[0].from bad_column", column(Column{Name: "kind", From: "kind", Line: true})},
		{"columns[2].translate.entries[0].match bad_translation", translate(Translation{Entries: []TranslationEntry{{Match: "like", Value: "a"}}})},
		{"columns[2].translate.entries[0].value bad_regex", translate(Translation{Entries: []TranslationEntry{{Match: MatchRegex, Value: "(a"}}})},
		{"columns[2].translate.entries[0].value bad_translation", translate(Translation{Entries: []TranslationEntry{{Match: MatchRange, Value: "1-2"}}})},
		{"columns[2].translate.entries[0].value bad_translation", translate(Translation{Entries: []TranslationEntry{{Match: MatchPrefix}}})},
		{"columns[2].translate.entries[0].to too_long", translate(Translation{Entries: []TranslationEntry{{Value: "a", To: strings.Repeat("x", 257)}}})},
		{"columns[2].translate.entries too_many", translate(Translation{Entries: make([]TranslationEntry, 1001)})},
		{"columns[2].translate.default bad_translation", translate(Translation{Default: "skip"})},
		{"columns[2].translate.constant not_used", translate(Translation{Constant: "x"})},
		{"columns[2].translate.script bad_translation", translate(Translation{Script: "a b"})},
		{"columns[2].translate.script bad_translation", translate(Translation{Script: "a => b", Default: DefaultKeep})},
		{"columns[2].translate.script bad_regex", translate(Translation{Script: "(a ~> b"})},
		{"statistics[1].column column_required", func(s *Spec) { s.Statistics[1].Column, s.Statistics[1].Name = "", "sum" }},
		{"statistics[1].column bad_column", func(s *Spec) { s.Statistics[1].Column = "nope" }},
		{"statistics[1].kind bad_kind", func(s *Spec) { s.Statistics[1].Kind = "p101" }},
		{"statistics[1].divisor column_required", func(s *Spec) { s.Statistics[1].Kind = Ratio }},
		{"statistics[1].divisor not_used", func(s *Spec) { s.Statistics[1].Divisor = "ok" }},
		{"statistics[1].text bad_text", func(s *Spec) { s.Statistics[1] = Statistic{Kind: Occurrences} }},
		{"statistics[1].text not_used", func(s *Spec) { s.Statistics[1].Text = "x" }},
		{"statistics[1].name bad_name", func(s *Spec) { s.Statistics[1].Name = "Fee" }},
		{"statistics[1].name bad_name", func(s *Spec) { s.Statistics[1].Name = "count" }},
		{"statistics[1].name bad_name", func(s *Spec) { s.Statistics[1].Name = "completeness" }},
		{"statistics[1].name bad_name", func(s *Spec) {
			s.Statistics = []Statistic{{Name: "ms", Kind: Avg, Column: "fee"}, {Name: "ms_sum", Kind: Sum, Column: "fee"}}
		}},
		{"result_column not_used", func(s *Spec) { s.ResultColumn = "ok" }},
		{"result_column column_required", func(s *Spec) { s.Type, s.Statistics = Service, nil }},
		{"result_column bad_column", func(s *Spec) { s.Type, s.Statistics, s.ResultColumn = Service, nil, "nope" }},
		{"statistics bad_kind", func(s *Spec) { s.Type, s.ResultColumn = Service, "ok" }},
	} {
		s := good()
		c.change(&s)
		var es fielderr.Errors
		errors.As(s.WithDefaults().Validate("spec"), &es)
		got := make([]string, len(es))
		for i, e := range es {
			got[i] = strings.TrimPrefix(e.Field, "spec.") + " " + e.Code
			if strings.Contains(e.Message, "%!") {
				t.Errorf("%s: %s", c.want, e.Message)
			}
		}
		if !slices.Contains(got, c.want) || len(got) > 2 {
			t.Errorf("%s: got %q", c.want, got)
		}
	}
}

func TestUTF16IsRefusedWithAWayOut(t *testing.T) {
	for _, e := range []Encoding{"utf-16", "UTF-16BE", "utf16le"} {
		s := good()
		s.Encoding = e
		if err := s.WithDefaults().Validate("spec"); err == nil || !strings.Contains(err.Error(), "let the program write UTF-8") {
			t.Errorf("%s: %v", e, err)
		}
	}
}
