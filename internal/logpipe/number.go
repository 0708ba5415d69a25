package logpipe

import (
	"math"
	"strconv"

	"github.com/pharos-stack/pharos/internal/partial"
)

// numberKind says how a text is a number.
type numberKind uint8

const (
	noNumber    numberKind = iota
	microNumber            // exactly that many millionths
	floatNumber            // beyond millionths
)

// pow10 holds the powers of ten that a uint64 can hold.
var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// parseNumber reads a trimmed number: sign, digits with or without commas
// between thousands, decimals, exponent.
func parseNumber(b []byte) (micro int64, float float64, kind numberKind) {
	i, n := 0, len(b)
	neg := false
	if n > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		i = 1
	}
	first := i
	var m uint64
	for i < n && b[i]-'0' <= 9 {
		m = m*10 + uint64(b[i]-'0')
		i++
	}
	if i == n && i-first <= 12 && i > first { // the usual: a plain integer
		micro = int64(m * partial.Micro)
		if neg {
			micro = -micro
		}
		return micro, 0, microNumber
	}
	if i < n && b[i] == '.' && i > first && n-first <= 18 { // the next usual: few decimals
		dot := i
		i++
		for i < n && b[i]-'0' <= 9 {
			m = m*10 + uint64(b[i]-'0')
			i++
		}
		if d := i - dot - 1; i == n && d > 0 && d <= 6 && dot-first <= 12 {
			micro = int64(m * pow10[6-d])
			if neg {
				micro = -micro
			}
			return micro, 0, microNumber
		}
	}
	return parseOddNumber(b, first, neg)
}

// parseOddNumber reads what parseNumber leaves: commas, exponents, many
// digits, or no number at all.
func parseOddNumber(b []byte, i int, neg bool) (micro int64, float float64, kind numberKind) {
	const longest = 400
	if len(b) > longest {
		return 0, 0, noNumber
	}
	var plain [longest + 1]byte // without commas, for strconv
	text := plain[:0]
	if neg {
		text = append(text, '-')
	}
	var m uint64 // digits without leading zeros, while they fit
	exact := true
	scale := 0 // decimals
	digit := func(c byte) {
		text = append(text, c)
		if m >= 1e18 {
			exact = false
			return
		}
		m = m*10 + uint64(c-'0')
	}
	start, group, commas := i, 0, false
	for ; i < len(b); i++ {
		c := b[i]
		if c == ',' {
			// 1 to 3 digits before the first comma, 3 before each further one.
			if group == 0 || group > 3 || commas && group != 3 {
				return 0, 0, noNumber
			}
			commas, group = true, 0
			continue
		}
		if c-'0' > 9 {
			break
		}
		group++
		digit(c)
	}
	if commas && group != 3 {
		return 0, 0, noNumber
	}
	digits := i - start
	if i < len(b) && b[i] == '.' {
		text = append(text, '.')
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			digit(b[i])
			scale++
			digits++
		}
	}
	if digits == 0 {
		return 0, 0, noNumber
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		text = append(text, 'e')
		i++
		negExp := false
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			negExp = b[i] == '-'
			text = append(text, b[i])
			i++
		}
		from, exp := i, 0
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			exp = min(exp*10+int(b[i]-'0'), 10_000)
			text = append(text, b[i])
		}
		if i == from {
			return 0, 0, noNumber
		}
		if negExp {
			exp = -exp
		}
		scale -= exp
	}
	if i < len(b) {
		return 0, 0, noNumber
	}
	if exact {
		for m != 0 && scale > 6 && m%10 == 0 {
			m /= 10
			scale--
		}
		if m == 0 {
			return 0, 0, microNumber
		}
		if up := 6 - scale; up >= 0 && up < len(pow10) && m <= math.MaxInt64/pow10[up] {
			micro = int64(m * pow10[up])
			if neg {
				micro = -micro
			}
			return micro, 0, microNumber
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, 0, noNumber
	}
	return 0, v, floatNumber
}
