package logrule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Bounds of what types that keep lines keep.
const (
	// DefaultTopN and MaxTopN bound the records of a window of row_top.
	DefaultTopN = 10
	MaxTopN     = 200
	// MaxTopKeys bounds the keys of a window of minute_top.
	MaxTopKeys = 100
	// DefaultMaxLines and MaxMaxLines bound the lines of a window of match.
	DefaultMaxLines = 3
	MaxMaxLines     = 20
	// MaxKeptLine is the most bytes that are kept of a line.
	MaxKeptLine = 4 << 10
	// MaxMasks is how many replacements of its own a monitor may have.
	MaxMasks = 10
)

// KeepsLines reports whether windows of the type carry lines.
func (t Type) KeepsLines() bool { return t == RowTop || t == Match }

// HasList reports whether windows of the type carry a list in place of series
// by key: of lines, or of the largest keys.
func (t Type) HasList() bool { return t.KeepsLines() || t == MinuteTop }

// Mask names a built-in mask.
type Mask string

// The built-in masks.
const (
	MaskMobile   Mask = "mobile"    // mobile numbers of mainland China: 138****5678
	MaskIDCard   Mask = "id_card"   // mainland ID cards of 18 characters: 110***********002X
	MaskBankCard Mask = "bank_card" // card numbers of 13 to 19 digits by Luhn: 622202*********1234
	MaskEmail    Mask = "email"     // e-mail addresses: z***@example.com
)

// Masks are all of them.
var Masks = []Mask{MaskMobile, MaskIDCard, MaskBankCard, MaskEmail}

// Masking says what of kept lines must not leave the host (spec 05 §16.1). All
// built-in masks are on unless named in Without.
type Masking struct {
	Without []Mask        `json:"without,omitempty" yaml:"without,omitempty" maxItems:"4" doc:"Built-in masks that are switched off: mobile, id_card, bank_card, email; all others are on"`
	Replace []Replacement `json:"replace,omitempty" yaml:"replace,omitempty" maxItems:"10" doc:"Replacements of one's own, applied in their order before the built-in masks"`
	// Enforced is set in plans where the workspace has a policy: then samples of
	// lines that could not be used are masked whatever the type.
	Enforced bool `json:"enforced,omitempty" yaml:"-" doc:"Set by the server in plans where the workspace has a masking policy"`
}

// Replacement puts With in place of what Pattern finds.
type Replacement struct {
	Pattern string `json:"pattern" yaml:"pattern" minLength:"1" maxLength:"500" doc:"RE2 pattern"`
	With    string `json:"with,omitempty" yaml:"with,omitempty" maxLength:"200" doc:"Text in its place; $1 or ${name} is a group"`
}

// TextMode says what of a matched line is kept.
type TextMode string

// The text modes.
const (
	TextDefault TextMode = "default" // the whole line
	TextCustom  TextMode = "custom"  // what MatchRule.CustomText makes of it
)

// MatchRule is the alarm that a monitor of type match is for (spec 05 §6.9).
type MatchRule struct {
	Title string `json:"title" yaml:"title" minLength:"1" maxLength:"100" doc:"Title of the alarm"`
	Level string `json:"level" yaml:"level" enum:"P0,P1,P2" doc:"P0 is the worst"`
	// TextMode default keeps lines as they are, custom keeps CustomText of them.
	TextMode    TextMode `json:"text_mode,omitempty" yaml:"text_mode,omitempty" enum:"default,custom" doc:"default: the whole line; custom: custom_text"`
	TextPattern string   `json:"text_pattern,omitempty" yaml:"text_pattern,omitempty" maxLength:"2000" doc:"custom: RE2 pattern whose named groups custom_text takes; lines without a match are kept whole"`
	CustomText  string   `json:"custom_text,omitempty" yaml:"custom_text,omitempty" maxLength:"1000" doc:"custom: text with ${name} for the groups"`
	// MaxLines is how many lines of a minute are kept and sent. Absent: 3.
	MaxLines *int `json:"max_lines,omitempty" yaml:"max_lines,omitempty" minimum:"0" maximum:"20" doc:"Lines of a minute that are sent, 0 to 20; default 3"`
	// MinLinesChat and MinLinesSMS are from how many lines a minute on the channels are told; 0: never.
	MinLinesChat int      `json:"min_lines_chat,omitempty" yaml:"min_lines_chat,omitempty" minimum:"0" doc:"Matching lines of a minute from which on channels are told; 0: they are not"`
	MinLinesSMS  int      `json:"min_lines_sms,omitempty" yaml:"min_lines_sms,omitempty" minimum:"0" doc:"The same for sms_channels"`
	Channels     []string `json:"channels,omitempty" yaml:"channels,omitempty" maxItems:"20" doc:"Names of channels"`
	SMSChannels  []string `json:"sms_channels,omitempty" yaml:"sms_channels,omitempty" maxItems:"20" doc:"Names of channels that lead to a text message gateway"`
	// EmergencyText and EmergencyLink are sent with every message.
	EmergencyText string `json:"emergency_text,omitempty" yaml:"emergency_text,omitempty" maxLength:"500"`
	EmergencyLink string `json:"emergency_link,omitempty" yaml:"emergency_link,omitempty" maxLength:"500"`
}

// Keep is how many lines of a window are kept; 0 for types that keep none.
// s has passed WithDefaults.
func (s Spec) Keep() int {
	switch {
	case s.Type == RowTop:
		return s.TopN
	case s.Type == Match && s.Match != nil && s.Match.MaxLines != nil:
		return *s.Match.MaxLines
	}
	return 0
}

// rowTopFigures stand beside the records: how many there were, and the largest.
func (s Spec) rowTopFigures() []Statistic {
	return []Statistic{{Name: "count", Kind: Count}, {Name: "max", Kind: Max, Column: s.SortColumn}}
}

// withLineDefaults fills in the defaults of types that keep lines.
func (s Spec) withLineDefaults() Spec {
	if (s.Type == RowTop || s.Type == MinuteTop) && s.TopN == 0 {
		s.TopN = DefaultTopN
	}
	if s.Type == Match && s.Match != nil {
		m := *s.Match
		if m.TextMode == "" {
			m.TextMode = TextDefault
		}
		if m.MaxLines == nil {
			n := DefaultMaxLines
			m.MaxLines = &n
		}
		s.Match = &m
	}
	return s
}

// validateLines checks the fields of types that keep lines.
func (s Spec) validateLines(es *fielderr.Errors, at func(string, ...any) string) {
	if s.Type == RowTop {
		if s.TopN < 1 || s.TopN > MaxTopN {
			es.Add(at("top_n"), "bad_top_n", "%d; use 1 to %d", s.TopN, MaxTopN)
		}
		switch {
		case s.SortColumn == "":
			es.Add(at("sort_column"), "column_required", "row_top needs the column with the number that records are ordered by")
		case !s.hasColumn(s.SortColumn):
			es.Add(at("sort_column"), "bad_column", "%q is not one of the columns", s.SortColumn)
		case !slices.Equal(s.Statistics, s.rowTopFigures()):
			es.Add(at("statistics"), "bad_kind", "row_top has its own figures: count and max; leave statistics out")
		}
	} else {
		if s.TopN != 0 && s.Type != MinuteTop {
			es.Add(at("top_n"), "not_used", "only types row_top and minute_top have it; remove %d or use one of them", s.TopN)
		}
		if s.SortColumn != "" {
			es.Add(at("sort_column"), "not_used", "only type row_top has it; remove %q or use row_top", s.SortColumn)
		}
	}
	s.validateTop(es, at)
	s.validateMatch(es, at)
	s.validateMasking(es, at)
}

// topKinds are the figures that keys can be ordered by without storing all of
// them; see docs/decisions/top.md.
var topKinds = []StatKind{Count, Sum, Avg, Max, Occurrences, Success, Fail}

// validateTop checks the fields of minute_top.
func (s Spec) validateTop(es *fielderr.Errors, at func(string, ...any) string) {
	if s.Type != MinuteTop {
		return
	}
	if s.TopN < 1 || s.TopN > MaxTopKeys {
		es.Add(at("top_n"), "bad_top_n", "%d; use 1 to %d", s.TopN, MaxTopKeys)
	}
	if s.KeyLimit < 10*s.TopN {
		es.Add(at("key_limit"), "bad_key_limit", "%d; give at least ten times top_n, %d, or the order of the keys means little", s.KeyLimit, 10*s.TopN)
	}
	if len(s.Statistics) != 1 {
		es.Add(at("statistics"), "bad_kind", "has %d figures; minute_top orders keys by one", len(s.Statistics))
	} else if kind := s.Statistics[0].Kind; slices.Contains(StatKinds, kind) && !slices.Contains(topKinds, kind) {
		es.Add(at("statistics[0].kind"), "bad_kind", "%q; the largest keys can be found by count, sum, avg, max, occurrences, success and fail; for others use minute_multi", kind)
	}
}

func (s Spec) validateMasking(es *fielderr.Errors, at func(string, ...any) string) {
	m := s.Masking
	if !s.Type.KeepsLines() && !m.Enforced {
		if len(m.Without) > 0 || len(m.Replace) > 0 {
			es.Add(at("masking"), "not_used", "type %s keeps no lines; remove masking or use row_top or match", s.Type)
		}
		return
	}
	validateMasks(es, at("masking.without"), m.Without)
	most := MaxMasks
	if m.Enforced {
		most = len(m.Replace) // each policy was checked by itself
	}
	validateReplacements(es, at("masking.replace"), m.Replace, most)
}

func validateMasks(es *fielderr.Errors, field string, masks []Mask) {
	for i, name := range masks {
		if !slices.Contains(Masks, name) {
			es.Add(fmt.Sprintf("%s[%d]", field, i), "bad_mask", "%q is not a mask; use mobile, id_card, bank_card or email", name)
		}
	}
}

func validateReplacements(es *fielderr.Errors, field string, list []Replacement, most int) {
	if len(list) > most {
		es.Add(field, "too_many", "has %d replacements; at most %d", len(list), most)
	}
	for i, r := range list {
		validatePattern(es, fmt.Sprintf("%s[%d].pattern", field, i), r.Pattern, 500)
		if len(r.With) > 200 {
			es.Add(fmt.Sprintf("%s[%d].with", field, i), "too_long", "has %d bytes; at most 200", len(r.With))
		}
	}
}

// validatePattern checks a pattern that must be there; it returns nil if it can't be used.
func validatePattern(es *fielderr.Errors, field, pattern string, most int) *regexp.Regexp {
	re, err := regexp.Compile(pattern)
	switch {
	case pattern == "":
		es.Add(field, "bad_regex", "is empty; give an RE2 pattern")
	case len(pattern) > most:
		es.Add(field, "bad_regex", "has %d bytes; at most %d", len(pattern), most)
	case err != nil:
		es.Add(field, "bad_regex", "%v", err)
	default:
		return re
	}
	return nil
}

// groupName finds ${name} in custom text.
var groupName = regexp.MustCompile(`\$\{([^}]*)\}`)

func (s Spec) validateMatch(es *fielderr.Errors, at func(string, ...any) string) {
	m := s.Match
	switch {
	case s.Type != Match && m != nil:
		es.Add(at("match"), "not_used", "only type match has it; remove it or use match")
		return
	case s.Type != Match:
		return
	case m == nil:
		es.Add(at("match"), "match_required", "type match is an alarm; give match with title, level and min_lines_chat or min_lines_sms")
		return
	}
	if len(s.Statistics) > 0 {
		es.Add(at("statistics"), "bad_kind", "match has no figures; leave statistics out")
	}
	if len(s.GroupBy) > 0 {
		es.Add(at("group_by"), "group_not_allowed", "type match has no keys; remove group_by or use minute_multi")
	}
	if s.Window.D() != time.Minute {
		es.Add(at("window"), "bad_window", "%s; type match counts by the minute, leave window out", s.Window)
	}
	if n := utf8.RuneCountInString(m.Title); n < 1 || n > 100 {
		es.Add(at("match.title"), "bad_alarm_title", "has %d characters; give 1 to 100", n)
	}
	if !slices.Contains([]string{"P0", "P1", "P2"}, m.Level) {
		es.Add(at("match.level"), "bad_match_level", "%q; use P0 (worst), P1 or P2", m.Level)
	}
	if n := *m.MaxLines; n < 0 || n > MaxMaxLines {
		es.Add(at("match.max_lines"), "bad_max_lines", "%d; use 0 to %d", n, MaxMaxLines)
	}
	if m.MinLinesChat == 0 && m.MinLinesSMS == 0 {
		es.Add(at("match.min_lines_chat"), "min_lines_required", "give min_lines_chat or min_lines_sms, 1 or more")
	}
	for _, c := range []struct {
		field    string
		min      int
		channels []string
	}{{"min_lines_chat", m.MinLinesChat, m.Channels}, {"min_lines_sms", m.MinLinesSMS, m.SMSChannels}} {
		names := map[string]string{"min_lines_chat": "channels", "min_lines_sms": "sms_channels"}[c.field]
		switch {
		case c.min < 0:
			es.Add(at("match.%s", c.field), "bad_min_lines", "%d; use 1 or more, or leave it out", c.min)
		case c.min == 0 && len(c.channels) > 0:
			es.Add(at("match.%s", names), "not_used", "are never told without %s; give it or remove them", c.field)
		}
		if len(c.channels) > 20 {
			es.Add(at("match.%s", names), "too_many", "has %d; at most 20", len(c.channels))
		}
	}
	m.validateText(es, at)
	if n := utf8.RuneCountInString(m.EmergencyText); n > 500 {
		es.Add(at("match.emergency_text"), "too_long", "has %d characters; at most 500", n)
	}
	if l := m.EmergencyLink; l != "" && (len(l) > 500 || !strings.HasPrefix(l, "http://") && !strings.HasPrefix(l, "https://")) {
		es.Add(at("match.emergency_link"), "bad_url", "%.100q; begin with http:// or https://, at most 500 bytes", l)
	}
}

func (m MatchRule) validateText(es *fielderr.Errors, at func(string, ...any) string) {
	switch m.TextMode {
	case TextDefault:
		for field, value := range map[string]string{"text_pattern": m.TextPattern, "custom_text": m.CustomText} {
			if value != "" {
				es.Add(at("match.%s", field), "not_used", "only text_mode custom has it; remove it or use custom")
			}
		}
	case TextCustom:
		re := validatePattern(es, at("match.text_pattern"), m.TextPattern, 2000)
		if n := utf8.RuneCountInString(m.CustomText); n < 1 || n > 1000 {
			es.Add(at("match.custom_text"), "bad_custom_text", "has %d characters; give 1 to 1000", n)
			return
		}
		if re == nil {
			return
		}
		for _, found := range groupName.FindAllStringSubmatch(m.CustomText, -1) {
			if re.SubexpIndex(found[1]) < 0 {
				es.Add(at("match.custom_text"), "bad_custom_text", "the pattern has no group %q; write it as (?P<%s>…)", found[1], found[1])
			}
		}
	default:
		es.Add(at("match.text_mode"), "bad_text_mode", "%q; use default or custom", m.TextMode)
	}
}
