package store

import (
	"fmt"
	"regexp"
)

// MatchType is how a matcher compares.
type MatchType int

const (
	MatchEqual MatchType = iota
	MatchNotEqual
	MatchRegex
	MatchNotRegex
)

// String returns the operator as PromQL writes it.
func (t MatchType) String() string {
	switch t {
	case MatchEqual:
		return "="
	case MatchNotEqual:
		return "!="
	case MatchRegex:
		return "=~"
	case MatchNotRegex:
		return "!~"
	}
	return fmt.Sprintf("MatchType(%d)", int(t))
}

// Matcher selects series by one label. A missing label has the empty value.
// A regex is anchored at both ends and its dot matches newlines, as in Prometheus.
type Matcher struct {
	Type        MatchType
	Name, Value string
}

// String returns m as PromQL writes it.
func (m Matcher) String() string { return fmt.Sprintf("%s%s%q", m.Name, m.Type, m.Value) }

// AnchoredRegex returns a matcher's regex as Go and ClickHouse understand it.
func AnchoredRegex(re string) string { return "^(?s:" + re + ")$" }

// Filter is a compiled set of matchers, all of which must match.
type Filter struct {
	matchers []Matcher
	regexes  []*regexp.Regexp
}

// NewFilter compiles matchers. It fails on a wrong regex or an unknown type.
func NewFilter(matchers []Matcher) (*Filter, error) {
	f := &Filter{matchers: matchers, regexes: make([]*regexp.Regexp, len(matchers))}
	for i, m := range matchers {
		switch m.Type {
		case MatchEqual, MatchNotEqual:
		case MatchRegex, MatchNotRegex:
			re, err := regexp.Compile(AnchoredRegex(m.Value))
			if err != nil {
				return nil, fmt.Errorf("cannot compile matcher %s: %w", m, err)
			}
			f.regexes[i] = re
		default:
			return nil, fmt.Errorf("cannot compile matcher %s: unknown type", m)
		}
	}
	return f, nil
}

// Match tells whether ls matches all matchers.
func (f *Filter) Match(ls Labels) bool {
	for i := range f.matchers {
		if !f.matchValue(i, ls.Get(f.matchers[i].Name)) {
			return false
		}
	}
	return true
}

// MatchesEmpty tells whether matcher i accepts series without its label.
func (f *Filter) MatchesEmpty(i int) bool { return f.matchValue(i, "") }

// Selective tells whether some matcher refuses the empty value, so that
// the filter can't match everything.
func (f *Filter) Selective() bool {
	for i := range f.matchers {
		if !f.MatchesEmpty(i) {
			return true
		}
	}
	return false
}

func (f *Filter) matchValue(i int, value string) bool {
	m := f.matchers[i]
	switch m.Type {
	case MatchEqual:
		return value == m.Value
	case MatchNotEqual:
		return value != m.Value
	case MatchRegex:
		return f.regexes[i].MatchString(value)
	default:
		return !f.regexes[i].MatchString(value)
	}
}
