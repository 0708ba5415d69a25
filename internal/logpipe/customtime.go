package logpipe

import (
	"bytes"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// customTime reads times of a layout of one's own.
type customTime struct {
	parts            []logrule.TimePart
	hasDate, hasYear bool
}

func newCustomTime(layout string) (*customTime, error) {
	parts, err := logrule.ParseTimeLayout(layout)
	if err != nil {
		return nil, err
	}
	c := &customTime{parts: parts}
	for _, p := range parts {
		c.hasDate = c.hasDate || p.Field == 'd'
		c.hasYear = c.hasYear || p.Field == 'y'
	}
	return c, nil
}

// written is a time as it stands in a line.
type written struct {
	year, month, day int
	sec              int64 // of the day
	ms               int64
	offset           int64 // seconds east of UTC
	hasOffset        bool
	size             int
}

// parse reads the time at the start of b.
func (c *customTime) parse(b []byte) (w written, ok bool) {
	at, pm := 0, -1
	number := func(p logrule.TimePart, most int) (n int, ok bool) {
		size := 0
		for size < most && at+size < len(b) && b[at+size]-'0' <= 9 {
			n = n*10 + int(b[at+size]-'0')
			size++
		}
		// A field of one letter takes one or two digits, others as many as they have letters.
		ok = size == most || p.Width == 1 && size > 0
		at += size
		return n, ok
	}
	for _, p := range c.parts {
		n, ok := 0, true
		switch p.Field {
		case 0:
			if !bytes.HasPrefix(b[min(at, len(b)):], []byte(p.Text)) {
				return w, false
			}
			at += len(p.Text)
		case 'y':
			if n, ok = number(p, p.Width); p.Width == 2 {
				n += 2000
			}
			w.year = n
		case 'M':
			if p.Width < 3 {
				n, ok = number(p, 2)
			} else if ok = at+3 <= len(b); ok {
				n = month(b, at)
				at += 3
			}
			w.month, ok = n, ok && n >= 1 && n <= 12
		case 'd':
			w.day, ok = number(p, 2)
		case 'H', 'h':
			n, ok = number(p, 2)
			if p.Field == 'h' {
				ok = ok && n >= 1 && n <= 12
				n %= 12
			}
			w.sec += int64(n) * 3600
			ok = ok && n < 24
		case 'm':
			n, ok = number(p, 2)
			w.sec += int64(n) * 60
			ok = ok && n < 60
		case 's':
			n, ok = number(p, 2)
			w.sec += int64(n)
			ok = ok && n < 60
		case 'S':
			digits := countDigits(b[min(at, len(b)):])
			for i := range 3 {
				w.ms *= 10
				if i < digits {
					w.ms += int64(b[at+i] - '0')
				}
			}
			at += digits
			ok = digits > 0
		case 'a':
			if ok = at+2 <= len(b) && b[at+1]|0x20 == 'm'; ok {
				switch b[at] | 0x20 {
				case 'a':
					pm = 0
				case 'p':
					pm = 1
				default:
					ok = false
				}
				at += 2
			}
		case 'Z':
			var end int
			if w.offset, end, ok = parseOffset(b, min(at, len(b)), logrule.TimeISO8601); ok {
				w.hasOffset, at = true, end
			}
		}
		if !ok {
			return w, false
		}
	}
	if pm == 1 {
		w.sec += 12 * 3600
	}
	w.size = at
	return w, true
}

// read returns the time at the start of b in Unix milliseconds, with its
// fraction, and how long its text is.
func (c *customTime) read(b []byte, zone *zone, nowMs int64) (s stamp, ok bool) {
	w, ok := c.parse(b)
	if !ok {
		return s, false
	}
	unix := func(day int64) int64 {
		if w.hasOffset {
			return day + w.sec - w.offset
		}
		return zone.unix(day + w.sec)
	}
	now := nowMs / 1000
	here := time.Unix(now, 0).In(zone.loc)
	var candidates []int64 // days
	add := func(y, m, d int) {
		if day, ok := date(y, m, d); ok {
			candidates = append(candidates, day)
		}
	}
	switch {
	case c.hasYear:
		add(w.year, w.month, w.day)
	case c.hasDate: // 29 February is not in every year
		for y := here.Year() - 1; y <= here.Year()+1; y++ {
			add(y, w.month, w.day)
		}
	default:
		for d := -1; d <= 1; d++ {
			at := here.AddDate(0, 0, d)
			add(at.Year(), int(at.Month()), at.Day())
		}
	}
	best := int64(-1)
	for _, day := range candidates {
		at := unix(day)
		if diff := max(at-now, now-at); best < 0 || diff < best {
			best, s = diff, stamp{ms: at*1000 + w.ms, size: w.size}
		}
	}
	return s, best >= 0
}
