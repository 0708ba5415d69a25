package logpipe

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// matcher finds a pattern in a line. All ways to do so take time linear in
// the line.
type matcher struct {
	re   *regexp.Regexp
	walk *walker // nil if the pattern has none
	// literal is in every match, so that most lines without one are passed at
	// the speed of bytes.Index; empty: none is known.
	literal []byte
}

func compileMatcher(pattern string) (*matcher, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return &matcher{re: re, walk: newWalker(parsed), literal: []byte(requiredLiteral(parsed))}, nil
}

func (m *matcher) groups() int { return m.re.NumSubexp() }

// match returns the bounds of the match and its groups as two numbers each,
// -1 for groups that took no part; nil if there is none.
func (m *matcher) match(line []byte) []int {
	if m.walk != nil && bytes.IndexByte(line, '\n') < 0 {
		if caps, found, ok := m.walk.match(line); ok {
			if !found {
				return nil
			}
			return caps
		}
	}
	if len(m.literal) > 0 && !bytes.Contains(line, m.literal) {
		return nil
	}
	return m.re.FindSubmatchIndex(line)
}

// requiredLiteral returns the longest text that every match must contain.
func requiredLiteral(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD in a pattern also matches bytes that are no UTF-8.
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			return string(re.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredLiteral(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return requiredLiteral(re.Sub[0])
		}
	case syntax.OpConcat:
		best := ""
		for _, sub := range re.Sub {
			if l := requiredLiteral(sub); len(l) > len(best) {
				best = l
			}
		}
		return best
	}
	return ""
}
