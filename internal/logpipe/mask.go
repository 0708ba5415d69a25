package logpipe

import (
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// masker hides what must not leave the host in texts that do. It looks at
// UTF-8, before a text is cut, so that nothing escapes by standing at the end.
type masker struct {
	replace                        []replacement
	mobile, idCard, bankCard, mail bool
}

type replacement struct {
	pattern *regexp.Regexp
	with    []byte
}

func newMasker(m logrule.Masking) (*masker, error) {
	on := func(name logrule.Mask) bool { return !slices.Contains(m.Without, name) }
	out := &masker{mobile: on(logrule.MaskMobile), idCard: on(logrule.MaskIDCard), bankCard: on(logrule.MaskBankCard), mail: on(logrule.MaskEmail)}
	for _, r := range m.Replace {
		re, err := regexp.Compile(r.Pattern)
		if err != nil {
			return nil, err
		}
		out.replace = append(out.replace, replacement{re, []byte(r.With)})
	}
	return out, nil
}

// mask returns text with what it hides starred out. It may change text.
func (m *masker) mask(text []byte) []byte {
	for _, r := range m.replace {
		if r.pattern.Match(text) {
			text = r.pattern.ReplaceAll(text, r.with)
		}
	}
	if m.mobile || m.idCard || m.bankCard {
		m.digits(text)
	}
	if m.mail {
		text = maskMail(text)
	}
	return text
}

func digit(c byte) bool { return c-'0' <= 9 }

// maxNumber is the longest run of digits and single separators that is looked at.
const maxNumber = 40

// digits stars out numbers in place. A number is a run of digits in which single
// spaces or hyphens may stand, as people write them in groups.
func (m *masker) digits(text []byte) {
	var at [maxNumber]int // where the digits of the run stand
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		n, j, long := 0, i, false
		for ; j < len(text); j++ {
			c := text[j]
			if !digit(c) {
				if (c == ' ' || c == '-') && j+1 < len(text) && digit(text[j+1]) {
					continue
				}
				break
			}
			if n == maxNumber {
				long = true
				break
			}
			at[n] = j
			n++
		}
		m.run(text, at[:n])
		if long { // look at what follows with the last digits before it once more
			i = at[n-20]
			continue
		}
		i = j
	}
}

// run looks for numbers to hide in digits that follow each other, of which
// some stand apart by a separator. Numbers begin and end with a group of digits.
func (m *masker) run(text []byte, at []int) {
	starts := func(i int) bool { return at[i] == 0 || !digit(text[at[i]-1]) }
	ends := func(i int) bool { return at[i-1]+1 == len(text) || !digit(text[at[i-1]+1]) } // i is one after the last
	for i := 0; i < len(at); i++ {
		if !starts(i) {
			continue
		}
		if m.idCard && i+17 <= len(at) && m.id(text, at[i:], ends) {
			i += 16
			continue
		}
		if m.mobile {
			if n := mobileDigits(text, at[i:]); n > 0 && ends(i+n) {
				star(text, at[i+n-8:i+n-4])
				i += n - 1
				continue
			}
		}
		if m.bankCard {
			for n := min(19, len(at)-i); n >= 13; n-- {
				if ends(i+n) && cardGroups(at[i:i+n]) && isCard(text, at[i:i+n]) {
					star(text, at[i+6:i+n-4])
					i += n - 1
					break
				}
			}
		}
	}
}

func star(text []byte, at []int) {
	for _, i := range at {
		text[i] = '*'
	}
}

// mobileDigits returns how many digits a mobile number at the beginning has,
// with the country's code if that is there, or 0.
func mobileDigits(text []byte, at []int) int {
	for _, prefix := range []string{"", "86", "0086"} {
		n := len(prefix) + 11
		if len(at) < n {
			break
		}
		same := true
		for k := range prefix {
			same = same && text[at[k]] == prefix[k]
		}
		own := at[len(prefix):n]
		if same && text[own[0]] == '1' && text[own[1]] >= '3' && grouped(own, 3, 7) {
			return n
		}
	}
	return 0
}

// grouped reports whether digits are only apart at the places given.
func grouped(at []int, places ...int) bool {
	for k := 1; k < len(at); k++ {
		if at[k] != at[k-1]+1 && !slices.Contains(places, k) {
			return false
		}
	}
	return true
}

// id hides an ID card of 17 digits and a digit or X: a region, a date of
// birth, a serial number. The check digit is not asked for: one with a mistyped
// digit tells as much.
func (m *masker) id(text []byte, at []int, ends func(int) bool) bool {
	if !grouped(at[:17]) {
		return false
	}
	d := func(k int) int { return int(text[at[k]] - '0') }
	year, month, day := d(6)*1000+d(7)*100+d(8)*10+d(9), d(10)*10+d(11), d(12)*10+d(13)
	if d(0) == 0 || d(0) == 9 || year < 1850 || year > 2100 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	after := at[16] + 1
	switch {
	case after >= len(text):
		return false
	case text[after] == 'X' || text[after] == 'x':
	case !digit(text[after]) || after+1 < len(text) && digit(text[after+1]):
		return false
	}
	star(text, at[3:14])
	return true
}

// cardGroups reports whether digits stand together or in groups of four, as
// on a card; American Express has groups of 4, 6 and 5.
func cardGroups(at []int) bool {
	return grouped(at) || grouped(at, 4, 8, 12, 16) || len(at) == 15 && grouped(at, 4, 10)
}

// isCard tells whether the digits are a card's: of an issuer of cards, and with
// the check digit of Luhn. What begins with 1, 7, 8 or 20 is none, which leaves
// times alone, be they in milliseconds or written out.
func isCard(text []byte, at []int) bool {
	switch first := text[at[0]]; {
	case first == '2':
		if four := string([]byte{first, text[at[1]], text[at[2]], text[at[3]]}); four < "2221" || four > "2720" {
			return false
		}
	case first < '3' || first > '6' && first != '9':
		return false
	}
	sum, twice := 0, false
	for k := len(at) - 1; k >= 0; k-- {
		v := int(text[at[k]] - '0')
		if twice {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum, twice = sum+v, !twice
	}
	return sum%10 == 0
}

func mailByte(c byte) bool {
	return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '_' || c == '-' || c == '+' || c == '%' || c >= utf8.RuneSelf
}

// maskMail leaves the first character of the local part of e-mail addresses.
func maskMail(text []byte) []byte {
	var out []byte // nil until something is hidden
	done := 0
	for i, c := range text {
		if c != '@' || !isDomain(text[i+1:]) {
			continue
		}
		from := i
		for from > done && mailByte(text[from-1]) {
			from--
		}
		if from == i {
			continue
		}
		_, first := utf8.DecodeRune(text[from:i])
		out = append(append(out, text[done:from+first]...), "***"...)
		done = i
	}
	if out == nil {
		return text
	}
	return append(out, text[done:]...)
}

// isDomain reports whether a name with a dot in it stands at the beginning.
func isDomain(b []byte) bool {
	dot := -1
	for i, c := range b {
		switch {
		case c == '.':
			if i == dot+1 {
				return false
			}
			dot = i
		case !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c < utf8.RuneSelf:
			return dot > 0 && i > dot+1
		default:
			if dot > 0 && i > dot {
				return true
			}
		}
	}
	return false
}
