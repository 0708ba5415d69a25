package logpipe

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
)

// maxKnown is how many values a slot remembers the translation of.
const maxKnown = 4096

// translator maps values to others. It is immutable.
type translator struct {
	id        string // equal for equal translations
	entries   []translation
	exact     map[string]int // entries of that kind by value, the first of each
	others    []int          // entries of other kinds
	otherwise logrule.TranslationDefault
	constant  string
	fold      bool
}

type translation struct {
	match logrule.TranslationMatch
	value string
	to    string
	re    *regexp.Regexp
	in    logrule.Range
}

// translated is what a value becomes.
type translated struct {
	text string
	kept bool // it stays as it is
	drop bool // the line is dropped
}

func newTranslator(t logrule.Translation) (*translator, error) {
	t, err := t.Resolved()
	if err != nil {
		return nil, err
	}
	id, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	out := &translator{id: string(id), exact: map[string]int{}, otherwise: t.Default, constant: t.Constant, fold: t.IgnoreCase}
	for i, e := range t.Entries {
		x := translation{match: e.Match, value: e.Value, to: e.To}
		switch e.Match {
		case logrule.MatchRegex:
			pattern := e.Value
			if t.IgnoreCase {
				pattern = "(?i)" + pattern
			}
			if x.re, err = regexp.Compile(pattern); err != nil {
				return nil, err
			}
		case logrule.MatchRange:
			if x.in, err = logrule.ParseRange(e.Value); err != nil {
				return nil, err
			}
		default:
			if t.IgnoreCase {
				x.value = strings.ToLower(x.value)
			}
		}
		out.entries = append(out.entries, x)
		if e.Match != logrule.MatchExact {
			out.others = append(out.others, i)
		} else if _, taken := out.exact[x.value]; !taken {
			out.exact[x.value] = i
		}
	}
	return out, nil
}

// same reports whether two translators do the same; nil is one that does nothing.
func (t *translator) same(o *translator) bool {
	return t == o || t != nil && o != nil && t.id == o.id
}

// of returns what the first entry that matches makes of a value.
func (t *translator) of(value string) translated {
	text := value
	if t.fold {
		text = strings.ToLower(value)
	}
	exact, isExact := t.exact[text]
	for _, i := range t.others {
		if isExact && i > exact {
			break
		}
		if to, ok := t.entries[i].apply(value, text); ok {
			return translated{text: to}
		}
	}
	if isExact {
		return translated{text: t.entries[exact].to}
	}
	switch t.otherwise {
	case logrule.DefaultDropLine:
		return translated{kept: true, drop: true}
	case logrule.DefaultConstant:
		return translated{text: t.constant}
	}
	return translated{kept: true}
}

// apply returns the new value if the entry matches; text is the value in lower
// case where case does not count.
func (e *translation) apply(value, text string) (to string, ok bool) {
	switch e.match {
	case logrule.MatchPrefix:
		return e.to, strings.HasPrefix(text, e.value)
	case logrule.MatchSuffix:
		return e.to, strings.HasSuffix(text, e.value)
	case logrule.MatchContains:
		return e.to, strings.Contains(text, e.value)
	case logrule.MatchRange:
		v, ok := floatOf(value)
		return e.to, ok && e.in.Has(v)
	}
	m := e.re.FindStringSubmatchIndex(value)
	if m == nil {
		return "", false
	}
	out, _ := cutText(e.re.ExpandString(nil, e.to, value, m))
	return string(out), true
}

// floatOf reads a number as figures do.
func floatOf(value string) (float64, bool) {
	micro, float, kind := parseNumber([]byte(value))
	switch kind {
	case microNumber:
		return float64(micro) / partial.Micro, true
	case floatNumber:
		return float, true
	}
	return 0, false
}
