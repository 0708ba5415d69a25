package logrule

import (
	"fmt"
	"strings"
)

// TimePart is a part of a time layout.
type TimePart struct {
	// Field is the letter of the field: y M d H h m s S a Z, or 0 for Text.
	Field byte
	// Width is how often the letter stands there.
	Width int
	Text  string
}

// timeFields are the widths that each field may have; 0 ends them.
var timeFields = map[byte]string{'y': "\x02\x04", 'M': "\x01\x02\x03", 'd': "\x01\x02", 'H': "\x01\x02", 'h': "\x01\x02", 'm': "\x01\x02", 's': "\x01\x02",
	'S': "\x01\x02\x03\x04\x05\x06\x07\x08\x09", 'a': "\x01", 'Z': "\x01"}

// ParseTimeLayout reads a layout as Java's SimpleDateFormat writes them: yyyy or
// yy, MM, M or MMM (Jan), dd or d, HH or H, hh or h with a (AM, PM), mm, ss, S for
// each digit of a fraction (any number of digits is read), Z for an offset or Z.
// Other letters stand in single quotes; two of them are one. A layout without a year,
// or without a date, means the one nearest to the time of reading.
func ParseTimeLayout(layout string) ([]TimePart, error) {
	var parts []TimePart
	text := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].Field == 0 {
			parts[n-1].Text += s
			return
		}
		parts = append(parts, TimePart{Text: s})
	}
	seen := map[byte]bool{}
	for i := 0; i < len(layout); {
		c := layout[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(layout[i+1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("%q has a quote that does not end", layout)
			}
			text(layout[i+1 : i+1+end])
			if i += end + 2; end == 0 || i < len(layout) && layout[i] == '\'' {
				text("'")
				if end > 0 {
					continue // the quotes are two, and the second begins more text
				}
			}
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(layout) && layout[i+n] == c {
				n++
			}
			widths, ok := timeFields[c]
			if !ok || strings.IndexByte(widths, byte(n)) < 0 {
				return nil, fmt.Errorf("%q has %q, which is no field; use yyyy MM dd HH mm ss SSS Z and their like, and put other letters in single quotes", layout, layout[i:i+n])
			}
			if seen[c] {
				return nil, fmt.Errorf("%q has %c twice", layout, c)
			}
			seen[c] = true
			parts = append(parts, TimePart{Field: c, Width: n})
			i += n
		default:
			text(layout[i : i+1])
			i++
		}
	}
	switch {
	case !seen['H'] && !seen['h'] || !seen['m']:
		return nil, fmt.Errorf("%q lacks hours or minutes; give HH and mm", layout)
	case seen['h'] != seen['a'] || seen['H'] && seen['h']:
		return nil, fmt.Errorf("%q: hh goes with a (AM, PM), HH without", layout)
	case seen['M'] != seen['d'] || seen['y'] && !seen['M']:
		return nil, fmt.Errorf("%q has a part of a date; give month and day, with or without the year, or none", layout)
	}
	return parts, nil
}
