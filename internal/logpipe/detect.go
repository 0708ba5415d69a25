package logpipe

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// detectOrder are the formats that can be told from a text. A text may fit
// several; the one named first explains it best.
var detectOrder = []logrule.TimeFormat{logrule.TimeISO8601, logrule.TimeNormal, logrule.TimeApache, logrule.TimeRevert,
	logrule.TimeMonthFirst2, logrule.TimeMonthFirst, logrule.TimeLong, logrule.TimeShortLong}

// DetectTime returns the format in which the lines of a sample begin with
// their time, or "" if less than half of them have one. Lines without a time
// may be continuations of others.
func DetectTime(lines []string) logrule.TimeFormat {
	best, most, seen := logrule.TimeFormat(""), 0, 0
	for _, l := range lines {
		if strings.TrimSpace(l) != "" {
			seen++
		}
	}
	for _, f := range detectOrder {
		n := 0
		for _, l := range lines {
			if begins(f, l) {
				n++
			}
		}
		if n > most {
			best, most = f, n
		}
	}
	if 2*most < seen {
		return ""
	}
	return best
}

// maxTimeBrackets is how many pairs of brackets DetectBracketedTime looks into.
const maxTimeBrackets = 3

// DetectBracketedTime returns the format of the time that lines of a sample
// have within square brackets, as access logs do, and the rule that cuts it
// out; "" and nil if less than half of them have one at the same place. A time
// at the start of the line is what DetectTime finds.
func DetectBracketedTime(lines []string) (logrule.TimeFormat, *logrule.BetweenRule) {
	for n := 1; n <= maxTimeBrackets; n++ {
		within := make([]string, len(lines))
		for i, l := range lines {
			within[i] = bracketed(l, n)
			if within[i] == "" && strings.TrimSpace(l) != "" {
				within[i] = "-" // counts as a line without a time
			}
		}
		// A bare number in brackets is a process or a thread, hardly ever a time.
		if f := DetectTime(within); f != "" && f != logrule.TimeLong && f != logrule.TimeShortLong {
			return f, &logrule.BetweenRule{Left: "[", LeftIndex: n, Right: "]"}
		}
	}
	return "", nil
}

// bracketed returns what stands after the n-th opening bracket of a line, up to
// the next closing one; "" if there is no such pair.
func bracketed(line string, n int) string {
	for ; n > 0; n-- {
		var ok bool
		if _, line, ok = strings.Cut(line, "["); !ok {
			return ""
		}
	}
	text, _, ok := strings.Cut(line, "]")
	if !ok {
		return ""
	}
	return text
}

// begins reports whether a line begins with a time of the format.
func begins(f logrule.TimeFormat, line string) bool {
	b := []byte(strings.TrimPrefix(line, "["))
	s, ok := newTimeParser(logrule.TimeRule{Format: f}, time.UTC).full(b, time.Now().UnixMilli())
	if !ok {
		return false
	}
	if f == logrule.TimeISO8601 { // else normal says it all
		last := b[s.size-1]
		return b[10] != ' ' && (last == 'Z' || last == 'z' || s.size >= 24 && strings.ContainsAny(string(b[19:s.size]), "+-"))
	}
	return true
}

// DetectDelimiter returns the written form of the delimiter that cuts the
// lines of a sample into the same number of fields most reliably, or "" if
// none does.
func DetectDelimiter(lines []string) string {
	order := []struct{ text, written string }{{"\t", `\t`}, {"||", "||"}, {"|", "|"}, {",", ","}, {";", ";"},
		{"\x01", "char(1)"}, {"^", "^"}, {"#", "#"}, {" ", " "}}
	best, bestScore := "", 0.0
	for _, d := range order {
		counts := map[int]int{}
		total := 0
		for _, l := range lines {
			if strings.TrimSpace(l) == "" {
				continue
			}
			total++
			counts[strings.Count(l, d.text)]++
		}
		for n, lines := range counts {
			if n == 0 {
				continue
			}
			// The share of lines that agree matters most; more fields are better,
			// but a space is also found within fields.
			score := float64(lines) / float64(total) * (1 + min(float64(n), 10)/20)
			if d.text == " " {
				score /= 2
			}
			if score > bestScore {
				best, bestScore = d.written, score
			}
		}
	}
	if bestScore < 0.3 {
		return ""
	}
	return best
}

// DetectEncoding returns utf-8 or gb18030 for the beginning of a file. The
// sample may end within a character.
func DetectEncoding(sample []byte) logrule.Encoding {
	for cut := 0; cut <= 3 && cut <= len(sample); cut++ {
		if s := sample[:len(sample)-cut]; utf8.Valid(s) {
			if !isASCII(s) && looksGB(s) {
				return logrule.EncodingGB18030
			}
			return logrule.EncodingUTF8
		}
	}
	// Count what each reading can't decode: a file may have a damaged line.
	badUTF8, badGB := 0, 0
	for b := sample; len(b) > 0; {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			badUTF8++
		}
		b = b[n:]
	}
	for b := sample; len(b) > 0; {
		n := gbLen(b)
		if n == 0 {
			badGB++
			n = 1
		}
		b = b[n:]
	}
	if badGB < badUTF8 {
		return logrule.EncodingGB18030
	}
	return logrule.EncodingUTF8
}
