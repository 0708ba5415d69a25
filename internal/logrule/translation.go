package logrule

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Translation maps a column's raw value to another one (spec 05 §5.2): the
// first entry that matches says which. Either Entries or Script is set.
type Translation struct {
	Entries []TranslationEntry `json:"entries,omitempty" yaml:"entries,omitempty" maxItems:"1000"`
	// Script is the written form of entries and default, one a line; see ParseTranslation.
	Script string `json:"script,omitempty" yaml:"script,omitempty" maxLength:"200000" doc:"Entries as text, one a line: A => name, ^5\\\\d\\\\d$ ~> error, [100,200) #> ok, * => other"`
	// Default says what becomes of a value that no entry matches. Default keep.
	Default TranslationDefault `json:"default,omitempty" yaml:"default,omitempty" enum:"keep,drop_line,constant" doc:"What becomes of a value that no entry matches"`
	// Constant is the value of Default constant.
	Constant string `json:"constant,omitempty" yaml:"constant,omitempty" maxLength:"256"`
	// IgnoreCase matches letters of either case.
	IgnoreCase bool `json:"ignore_case,omitempty" yaml:"ignore_case,omitempty"`
}

// TranslationEntry maps the values that it matches to To.
type TranslationEntry struct {
	// Match is how Value is compared. Default exact.
	Match TranslationMatch `json:"match,omitempty" yaml:"match,omitempty" enum:"exact,prefix,suffix,contains,regex,range"`
	// Value is a text, an RE2 pattern, or a range of numbers such as [100,200), (0,] or [500,).
	Value string `json:"value" yaml:"value" maxLength:"500"`
	// To is the new value; $1 and ${name} stand for groups of a pattern, $$ for a $.
	To string `json:"to" yaml:"to" maxLength:"256"`
}

// TranslationMatch is how an entry is compared with a value.
type TranslationMatch string

// The ways to compare.
const (
	MatchExact    TranslationMatch = "exact"
	MatchPrefix   TranslationMatch = "prefix"
	MatchSuffix   TranslationMatch = "suffix"
	MatchContains TranslationMatch = "contains"
	MatchRegex    TranslationMatch = "regex"
	MatchRange    TranslationMatch = "range"
)

// TranslationDefault is what becomes of other values.
type TranslationDefault string

// The defaults.
const (
	DefaultKeep     TranslationDefault = "keep"
	DefaultDropLine TranslationDefault = "drop_line"
	DefaultConstant TranslationDefault = "constant"
)

// maxTranslations is how many entries a translation may have.
const maxTranslations = 1000

// Resolved returns the translation as entries, with defaults filled in.
func (t Translation) Resolved() (Translation, error) {
	if t.Script != "" {
		parsed, err := ParseTranslation(t.Script)
		if err != nil {
			return t, err
		}
		parsed.IgnoreCase = t.IgnoreCase
		return parsed, nil
	}
	out := t
	out.Entries = make([]TranslationEntry, len(t.Entries))
	for i, e := range t.Entries {
		if e.Match == "" {
			e.Match = MatchExact
		}
		out.Entries[i] = e
	}
	if out.Default == "" {
		out.Default = DefaultKeep
	}
	return out, nil
}

// arrows are the written forms of the ways to compare.
var arrows = []struct {
	arrow string
	match TranslationMatch
}{{"=>", MatchExact}, {"^>", MatchPrefix}, {"$>", MatchSuffix}, {"*>", MatchContains}, {"~>", MatchRegex}, {"#>", MatchRange}}

// dropWord is what the default's line says to drop lines.
const dropWord = "!drop_line"

// ParseTranslation reads the written form: an entry a line, as value, arrow and
// new value, with spaces around them that do not count. The arrows are => equal,
// ^> begins with, $> ends with, *> contains, ~> regular expression and #> range.
// "* => text" is the default, "* => !drop_line" drops the line. A text with
// spaces at its ends, an arrow in it or a * alone stands in quotes, as Go has
// them. Empty lines, and those that begin with //, say nothing.
func ParseTranslation(script string) (Translation, error) {
	t := Translation{Default: DefaultKeep}
	var es fielderr.Errors
	for n, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		e, kind, err := parseEntry(line)
		switch {
		case err != nil:
			es.Add(fmt.Sprintf("line %d", n+1), "bad_translation", "%q %v", line, err)
		case kind != entryValue && t.Default != DefaultKeep:
			es.Add(fmt.Sprintf("line %d", n+1), "bad_translation", "%q is a second default", line)
		case kind == entryDrop:
			t.Default = DefaultDropLine
		case kind == entryDefault:
			t.Default, t.Constant = DefaultConstant, e.To
		default:
			t.Entries = append(t.Entries, e)
		}
	}
	return t, es.Err()
}

// What a line of a script says.
const (
	entryValue = iota
	entryDefault
	entryDrop
)

// parseEntry reads a line of a script.
func parseEntry(line string) (e TranslationEntry, kind int, err error) {
	value, rest, quoted, err := parseText(line)
	if err != nil {
		return e, 0, err
	}
	if !quoted {
		at := -1
		for _, a := range arrows {
			if i := strings.Index(line, a.arrow); i >= 0 && (at < 0 || i < at) {
				at = i
			}
		}
		if at < 0 {
			return e, 0, fmt.Errorf("has no arrow; write value => new value")
		}
		value, rest = strings.TrimSpace(line[:at]), line[at:]
	}
	rest = strings.TrimSpace(rest)
	for _, a := range arrows {
		if to, ok := strings.CutPrefix(rest, a.arrow); ok {
			e.Match, e.Value = a.match, value
			to = strings.TrimSpace(to)
			text, more, toQuoted, err := parseText(to)
			if err != nil {
				return e, 0, err
			}
			if toQuoted && strings.TrimSpace(more) != "" {
				return e, 0, fmt.Errorf("has %q after the new value", more)
			}
			if !toQuoted {
				text = to
			}
			e.To = text
			switch {
			case quoted || value != "*" || a.match != MatchExact:
				return e, entryValue, nil
			case text == dropWord && !toQuoted:
				return e, entryDrop, nil
			}
			return e, entryDefault, nil
		}
	}
	return e, 0, fmt.Errorf("has no arrow after the value; write value => new value")
}

// parseText reads a text in quotes and returns what follows it.
func parseText(s string) (text, rest string, quoted bool, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false, nil
	}
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false, fmt.Errorf("begins with a quote that does not end; write \\\" for one within quotes")
	}
	text, err = strconv.Unquote(q)
	return text, s[len(q):], true, err
}

// WriteTranslation returns the written form of t, which has entries: what
// ParseTranslation turns into the same.
func WriteTranslation(t Translation) string {
	var b strings.Builder
	for _, e := range t.Entries {
		for _, a := range arrows {
			if a.match == e.Match || e.Match == "" && a.match == MatchExact {
				fmt.Fprintf(&b, "%s %s %s\n", writeText(e.Value, e.Value == "*"), a.arrow, writeText(e.To, false))
			}
		}
	}
	switch t.Default {
	case DefaultDropLine:
		fmt.Fprintf(&b, "* => %s\n", dropWord)
	case DefaultConstant:
		fmt.Fprintf(&b, "* => %s\n", writeText(t.Constant, t.Constant == dropWord))
	}
	return b.String()
}

func writeText(s string, must bool) string {
	for _, a := range arrows {
		must = must || strings.Contains(s, a.arrow)
	}
	if must || s == "" || strings.TrimSpace(s) != s || strings.HasPrefix(s, `"`) || strings.HasPrefix(s, "//") ||
		strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}

// Range is a range of numbers with or without its ends.
type Range struct {
	Low, High         float64
	LowOpen, HighOpen bool
}

// ParseRange reads [a,b], (a,b], [a,b) or (a,b); a missing number is infinite.
func ParseRange(s string) (Range, error) {
	bad := fmt.Errorf("%q is not a range; write it as [100,200), with [ or ] for an end that belongs to it and ( or ) for one that does not", s)
	s = strings.TrimSpace(s)
	if len(s) < 3 || !strings.ContainsAny(s[:1], "[(") || !strings.ContainsAny(s[len(s)-1:], "])") {
		return Range{}, bad
	}
	low, high, ok := strings.Cut(s[1:len(s)-1], ",")
	if !ok {
		return Range{}, bad
	}
	r := Range{Low: math.Inf(-1), High: math.Inf(1), LowOpen: s[0] == '(', HighOpen: s[len(s)-1] == ')'}
	for _, end := range []struct {
		text string
		to   *float64
	}{{low, &r.Low}, {high, &r.High}} {
		if text := strings.TrimSpace(end.text); text != "" {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) {
				return Range{}, bad
			}
			*end.to = v
		}
	}
	if r.Low > r.High || r.Low == r.High && (r.LowOpen || r.HighOpen) {
		return Range{}, fmt.Errorf("%q holds no number; put the smaller one first", s)
	}
	return r, nil
}

// Has reports whether v lies in the range.
func (r Range) Has(v float64) bool {
	return (v > r.Low || v == r.Low && !r.LowOpen) && (v < r.High || v == r.High && !r.HighOpen)
}

// Validate returns what is wrong with the translation as fielderr.Errors, with
// paths below field.
func (t Translation) Validate(field string) error {
	var es fielderr.Errors
	t.validate(&es, field)
	return es.Err()
}

// validate adds what is wrong with the translation to es, below field.
func (t Translation) validate(es *fielderr.Errors, field string) {
	if t.Script != "" && (len(t.Entries) > 0 || t.Default != "" || t.Constant != "") {
		es.Add(field+".script", "bad_translation", "says entries and default itself; remove entries, default and constant, or the script")
		return
	}
	resolved, err := t.Resolved()
	if err != nil {
		es.Add(field+".script", "bad_translation", "%v", err)
		return
	}
	at := func(i int, name string) string {
		if t.Script != "" {
			return field + ".script"
		}
		return fmt.Sprintf("%s.entries[%d].%s", field, i, name)
	}
	if len(resolved.Entries) > maxTranslations {
		es.Add(field+".entries", "too_many", "has %d entries; at most %d", len(resolved.Entries), maxTranslations)
	}
	for i, e := range resolved.Entries {
		if n := utf8.RuneCountInString(e.To); n > 256 {
			es.Add(at(i, "to"), "too_long", "has %d characters; at most 256", n)
		}
		switch e.Match {
		case MatchRegex:
			if _, err := regexp.Compile(e.Value); err != nil {
				es.Add(at(i, "value"), "bad_regex", "%v", err)
			}
		case MatchRange:
			if _, err := ParseRange(e.Value); err != nil {
				es.Add(at(i, "value"), "bad_translation", "%v", err)
			}
		case MatchExact:
		case MatchPrefix, MatchSuffix, MatchContains:
			if e.Value == "" {
				es.Add(at(i, "value"), "bad_translation", "is empty, which every value %s", map[TranslationMatch]string{MatchPrefix: "begins with", MatchSuffix: "ends with", MatchContains: "contains"}[e.Match])
			}
		default:
			es.Add(at(i, "match"), "bad_translation", "%q; use exact, prefix, suffix, contains, regex or range", e.Match)
		}
	}
	switch resolved.Default {
	case DefaultKeep, DefaultDropLine:
		if resolved.Constant != "" {
			es.Add(field+".constant", "not_used", "only default constant uses it; remove %q or set default to constant", resolved.Constant)
		}
	case DefaultConstant:
	default:
		es.Add(field+".default", "bad_translation", "%q; use keep, drop_line or constant", resolved.Default)
	}
}
