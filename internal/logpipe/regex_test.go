package logpipe

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// walked are patterns of the kind that the walker must take, others ones that
// it must leave to package regexp.
var (
	walked = []string{`^[^,]*,[^,]*,([^,]*),[^,]*,([^,]*),(\d+),`, `^(\S+) (\S+) \[([^\]]+)\] "(GET|POST|PUT|DELETE) ([^ "]+)[^"]*" (\d{3}) (\d+|-)`,
		`cost=(\d+)ms`, `(\d+)ms`, `user:(\w+)`, `^(\d{4})-(\d{2})-(\d{2})`, `status=([0-9]{3})$`, `(?:id|name)=(\w+)`, `a(b)?c`, `\[(\w*)\]`, `([^=&]+)=([^=&]*)`,
		`^.*$`, `^\s*(\w+)\s*:\s*(.*)`, `￥(\d+)`, `x(yz)?w`, `(a)|(b)`, `()`, `[a-c]+$`, `(\d+)(\D+)`, `a{2,3}b`, `ab*`, `^a|b`[:2], `(?s)a.*`, `=([^,]*?),`, `(a|ab)c`, `(x|)y`, `([a-b]+)[a-c]*,`, `(\w+)\S* `}
	others = []string{`(.*),(.*)`, `(?i)error`, `\bfoo\b`, `(a+)+b`, `(\w+)\s+\w*x`, `[一-龥]+`, `a.c`, `(?m)^a`, `a*?`, `(,[a-z]+)*$`, `^`, `ab?b`, `a*a`, `(a?)a`}
)

func TestWalkerTakesTheUsualPatterns(t *testing.T) {
	for _, p := range walked {
		m, err := compileMatcher(p)
		if err != nil || m.walk == nil {
			t.Errorf("%s: no walker (%v)", p, err)
		}
	}
	for _, p := range others {
		m, err := compileMatcher(p)
		if err != nil || m.walk != nil {
			t.Errorf("%s: has a walker (%v)", p, err)
		}
	}
}

func TestMatcherAgreesWithRegexp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "b", "c", "aa", "ab", "abc", ",", ",", "=", "&", " ", "x", "yz", "w", "12", "345", "7ms", "cost=", "user:", "[", "]", "\"", "GET", "POST ", "/p", "2026-11-23", "status=", "id=", "￥", "食", "\xff", "-", ":", "id", "é"}
	for _, p := range append(slices.Clone(walked), others...) {
		m, err := compileMatcher(p)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(p)
		for range 3000 {
			var b strings.Builder
			for range rng.IntN(12) {
				b.WriteString(parts[rng.IntN(len(parts))])
			}
			checkMatch(t, m, re, []byte(b.String()))
		}
	}
}

func checkMatch(t *testing.T, m *matcher, re *regexp.Regexp, line []byte) {
	t.Helper()
	got, want := m.match(line), re.FindSubmatchIndex(line)
	if !slices.Equal(got, want) {
		t.Fatalf("%s on %q: %v, want %v", re, line, got, want)
	}
}

// TestExplodingPattern gives patterns that take exponential or quadratic time
// elsewhere, on a line of the greatest length.
func TestExplodingPattern(t *testing.T) {
	line := []byte(strings.Repeat("a", 256<<10))
	for _, p := range []string{`(a+)+$b`, `a[a-z]*;`, `([a-z]+);`, `(a|a)*b`, `(x+x+)+y`, `a*a*a*a*a*b`, `^(a?){100}a{100}$`} {
		m, err := compileMatcher(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.match(line); got != nil {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func FuzzMatcher(f *testing.F) {
	for i, p := range append(slices.Clone(walked), others...) {
		f.Add(p, fmt.Sprintf("a,b,c%d,cost=12ms aab [x] id=7&b=", i))
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		if len(pattern) > 60 || len(line) > 200 || strings.Contains(line, "\n") {
			return
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		m, err := compileMatcher(pattern)
		if err != nil {
			t.Fatal(err)
		}
		checkMatch(t, m, re, []byte(line))
	})
}
