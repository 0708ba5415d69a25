package logpipe

import (
	"encoding/binary"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

var timeFormats = []logrule.TimeFormat{logrule.TimeNormal, logrule.TimeApache, logrule.TimeLong, logrule.TimeShortLong,
	logrule.TimeMonthFirst, logrule.TimeRevert, logrule.TimeMonthFirst2, logrule.TimeISO8601, logrule.TimeReceive}

// civil is a time as written, in seconds since 1970-01-01 00:00:00 of its own
// zone.
type civil struct {
	sec  int64
	size int // bytes it takes
}

// stamp is a parsed time.
type stamp struct {
	ms   int64 // Unix milliseconds
	size int   // bytes it takes, with fraction and offset
}

// timeParser reads the times of one rule. It remembers the text of the last
// one, since most lines are of the same second as the line before.
type timeParser struct {
	format logrule.TimeFormat
	code   timeCode
	zone   zone
	custom *customTime

	// The text of the last time: its first, middle and last eight bytes, which
	// overlap as need be; size is 0 when there is none, else 15 to 24.
	size           int
	mid            int
	first, mids, z uint64
	last           civil
	lastNowMs      int64 // clock by which monthfirst chose the year
}

func newTimeParser(rule logrule.TimeRule, loc *time.Location) *timeParser {
	p := &timeParser{format: rule.Format, zone: zone{loc: loc}}
	switch rule.Format {
	case logrule.TimeCustom:
		var err error
		if p.custom, err = newCustomTime(rule.Layout); err != nil {
			panic(err) // Compile has read it already
		}
		p.code = codeCustom
	case logrule.TimeReceive:
		p.code = codeReceive
	case logrule.TimeLong, logrule.TimeShortLong:
		p.code = codeEpoch
	case logrule.TimeApache, logrule.TimeISO8601:
		p.code = codeOffset
	case logrule.TimeMonthFirst:
		p.code = codeNoYear
	}
	return p
}

// timeCode says what a format needs beside its digits.
type timeCode uint8

const (
	codeText    timeCode = iota // nothing
	codeOffset                  // an offset may follow
	codeNoYear                  // depends on the clock
	codeEpoch                   // is no civil time
	codeReceive                 // is not in the line
	codeCustom                  // has a layout
)

// repeats reports whether b, of at least 24 bytes, begins with the same time
// as was parsed last. Only for formats of codeText.
func (p *timeParser) repeats(b []byte) bool {
	n := p.size
	return p.code == codeText && n >= 16 && n <= 24 && binary.LittleEndian.Uint64(b) == p.first &&
		binary.LittleEndian.Uint64(b[8:]) == p.mids && binary.LittleEndian.Uint64(b[n-8:]) == p.z
}

// sec reads the time at the start of b as Unix milliseconds without the
// fraction, which no window needs. This is what Process uses.
func (p *timeParser) sec(b []byte, nowMs int64) (ms int64, ok bool) {
	switch p.code {
	case codeReceive:
		return nowMs, true
	case codeEpoch:
		return parseEpoch(b, p.format)
	case codeCustom:
		s, ok := p.custom.read(b, &p.zone, nowMs)
		return s.ms - s.ms%1000, ok
	}
	var c civil
	if n := p.size; n != 0 && n <= len(b) && (p.code != codeNoYear || p.lastNowMs == nowMs) &&
		binary.LittleEndian.Uint64(b) == p.first && binary.LittleEndian.Uint64(b[p.mid:]) == p.mids && binary.LittleEndian.Uint64(b[n-8:]) == p.z {
		c = p.last
	} else if c, ok = p.parse(b, nowMs); !ok {
		return 0, false
	}
	if p.code == codeOffset {
		if off, _, ok := parseOffset(b, c.size, p.format); ok {
			return (c.sec - off) * 1000, true
		}
	}
	return p.zone.unix(c.sec) * 1000, true
}

// full reads the time at the start of b with its fraction and says how long
// its text is.
func (p *timeParser) full(b []byte, nowMs int64) (stamp, bool) {
	ms, ok := p.sec(b, nowMs)
	if !ok {
		return stamp{}, false
	}
	switch p.format {
	case logrule.TimeCustom:
		return p.custom.read(b, &p.zone, nowMs)
	case logrule.TimeReceive:
		return stamp{ms: ms}, true
	case logrule.TimeLong:
		return stamp{ms: ms, size: countDigits(b)}, true
	}
	var size int
	if p.format == logrule.TimeShortLong {
		size = countDigits(b)
	} else {
		c, _ := p.parse(b, nowMs)
		size = c.size
	}
	frac, n := parseFraction(b[size:])
	s := stamp{ms: ms + frac, size: size + n}
	if p.code == codeOffset {
		if _, end, ok := parseOffset(b, size, p.format); ok {
			s.size = end
		}
	}
	return s, true
}

// parse reads a textual time that is not remembered, and remembers it.
func (p *timeParser) parse(b []byte, nowMs int64) (c civil, ok bool) {
	switch p.format {
	case logrule.TimeNormal, logrule.TimeISO8601:
		c, ok = parseNormal(b)
	case logrule.TimeApache:
		c, ok = parseApache(b)
	case logrule.TimeRevert:
		c, ok = parseRevert(b)
	case logrule.TimeMonthFirst2:
		c, ok = parseMonthFirst2(b)
	case logrule.TimeMonthFirst:
		c, ok = p.parseMonthFirst(b, nowMs)
		p.lastNowMs = nowMs
	}
	if !ok {
		return c, false
	}
	p.size, p.last, p.mid = c.size, c, 0
	if c.size > 16 {
		p.mid = 8
	}
	p.first = binary.LittleEndian.Uint64(b)
	p.mids = binary.LittleEndian.Uint64(b[p.mid:])
	p.z = binary.LittleEndian.Uint64(b[c.size-8:])
	return c, true
}

// parseEpoch reads seconds or milliseconds since 1970. The number of digits
// has to be that of a time between 1973 and 2286, so that other numbers at the
// start of a line are not taken for a time.
func parseEpoch(b []byte, format logrule.TimeFormat) (ms int64, ok bool) {
	var v int64
	n := 0
	for n < len(b) && n < 14 && b[n]-'0' <= 9 {
		v = v*10 + int64(b[n]-'0')
		n++
	}
	if format == logrule.TimeLong {
		return v, n == 12 || n == 13
	}
	return v * 1000, n == 9 || n == 10
}

func countDigits(b []byte) int {
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// parseFraction reads a fraction of a second. A comma may also be the line's
// delimiter, so after one only 3, 6 or 9 digits count.
func parseFraction(b []byte) (ms int64, size int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' {
		return 0, 0
	}
	n := countDigits(b[1:])
	if n == 0 || b[0] == ',' && n != 3 && n != 6 && n != 9 {
		return 0, 0
	}
	for i := range 3 {
		ms *= 10
		if i < n {
			ms += int64(b[1+i] - '0')
		}
	}
	return ms, n + 1
}

// parseOffset reads the offset that may follow a time that ends at b[at:], in
// seconds east of UTC, and where it ends.
func parseOffset(b []byte, at int, format logrule.TimeFormat) (sec int64, end int, ok bool) {
	_, n := parseFraction(b[at:])
	i := at + n
	if format == logrule.TimeApache {
		if i >= len(b) || b[i] != ' ' {
			return 0, 0, false
		}
		i++
	} else if i < len(b) && (b[i] == 'Z' || b[i] == 'z') {
		return 0, i + 1, true
	}
	if i+5 > len(b) || b[i] != '+' && b[i] != '-' {
		return 0, 0, false
	}
	sign := int64(1)
	if b[i] == '-' {
		sign = -1
	}
	h, okH := two(b, i+1)
	i += 3
	if b[i] == ':' {
		i++
	}
	if i+2 > len(b) {
		return 0, 0, false
	}
	m, okM := two(b, i)
	if !okH || !okM || h > 23 || m > 59 {
		return 0, 0, false
	}
	return sign * int64(h*3600+m*60), i + 2, true
}

// two reads two digits.
func two(b []byte, i int) (int, bool) {
	t, u := b[i]-'0', b[i+1]-'0'
	return int(t)*10 + int(u), t <= 9 && u <= 9
}

// four reads four digits.
func four(b []byte, i int) (int, bool) {
	h, ok1 := two(b, i)
	l, ok2 := two(b, i+2)
	return h*100 + l, ok1 && ok2
}

// clock reads HH:mm:ss at b[i:].
func clock(b []byte, i int) (sec int64, ok bool) {
	if i+8 > len(b) || b[i+2] != ':' || b[i+5] != ':' {
		return 0, false
	}
	h, ok1 := two(b, i)
	m, ok2 := two(b, i+3)
	s, ok3 := two(b, i+6)
	return int64(h*3600 + m*60 + s), ok1 && ok2 && ok3 && h < 24 && m < 60 && s < 60
}

// date returns the seconds since 1970-01-01 of a day, if there is such a day.
func date(year, month, day int) (int64, bool) {
	if month < 1 || month > 12 || day < 1 || day > monthDays(year, month) {
		return 0, false
	}
	// Days since 0000-03-01 in eras of 400 years; March is the first month, so
	// that the leap day is the last of its year.
	y, m := year, month-3
	if m < 0 {
		y--
		m += 12
	}
	era := y / 400
	if y < 0 {
		era = -1 // only the January and February of year 0
	}
	inEra := y - era*400
	days := era*146097 + inEra*365 + inEra/4 - inEra/100 + (153*m+2)/5 + day - 1
	return int64(days-719468) * 86400, true
}

func monthDays(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// month reads an English month of three letters, 0 if it is none.
func month(b []byte, i int) int {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	x, y, z := b[i]|0x20, b[i+1]|0x20, b[i+2]|0x20
	for m := 0; m < 12; m++ {
		if names[m*3] == x && names[m*3+1] == y && names[m*3+2] == z {
			return m + 1
		}
	}
	return 0
}

// parseNormal reads 2016-12-13 10:00:14, also with T or nothing between date
// and time.
func parseNormal(b []byte) (civil, bool) {
	if len(b) < 18 || b[4] != '-' || b[7] != '-' {
		return civil{}, false
	}
	y, ok1 := four(b, 0)
	m, ok2 := two(b, 5)
	d, ok3 := two(b, 8)
	at := 11
	switch b[10] {
	case ' ', 'T', 't':
	default:
		at = 10
	}
	return join(b, y, m, d, at, ok1 && ok2 && ok3)
}

// parseRevert reads 05-25-2017 18:28:42.
func parseRevert(b []byte) (civil, bool) {
	if len(b) < 18 || b[2] != '-' || b[5] != '-' {
		return civil{}, false
	}
	m, ok1 := two(b, 0)
	d, ok2 := two(b, 3)
	y, ok3 := four(b, 6)
	at := 10
	if b[at] == ' ' {
		at++
	}
	return join(b, y, m, d, at, ok1 && ok2 && ok3)
}

// parseApache reads 08/May/2017 01:13:52 or 08/May/2017:01:13:52.
func parseApache(b []byte) (civil, bool) {
	if len(b) < 19 || b[2] != '/' || b[6] != '/' {
		return civil{}, false
	}
	d, ok1 := two(b, 0)
	m := month(b, 3)
	y, ok2 := four(b, 7)
	at := 11
	if b[at] == ' ' || b[at] == ':' {
		at++
	}
	return join(b, y, m, d, at, ok1 && ok2)
}

// parseMonthFirst2 reads May 08 2017 01:13:52.
func parseMonthFirst2(b []byte) (civil, bool) {
	m, d, at, ok := monthDay(b)
	if !ok || at+4 > len(b) {
		return civil{}, false
	}
	y, ok := four(b, at)
	at += 4
	if at < len(b) && b[at] == ' ' {
		at++
	}
	return join(b, y, m, d, at, ok)
}

// parseMonthFirst reads May 08 01:13:52 and takes the year that puts it
// nearest to the clock.
func (p *timeParser) parseMonthFirst(b []byte, nowMs int64) (civil, bool) {
	m, d, at, ok := monthDay(b)
	if !ok {
		return civil{}, false
	}
	sec, ok := clock(b, at)
	if !ok {
		return civil{}, false
	}
	now := nowMs / 1000
	thisYear := time.Unix(now, 0).In(p.zone.loc).Year()
	var best civil
	var distance int64 = -1
	for year := thisYear - 1; year <= thisYear+1; year++ {
		day, ok := date(year, m, d) // 29 February is not in every year
		if !ok {
			continue
		}
		diff := max(day+sec-now, now-day-sec)
		if distance < 0 || diff < distance {
			best, distance = civil{sec: day + sec, size: at + 8}, diff
		}
	}
	return best, distance >= 0
}

// monthDay reads "May 08 ", where the day may have a space or nothing for its
// first digit, and returns where it ends.
func monthDay(b []byte) (m, d, at int, ok bool) {
	if len(b) < 14 || b[3] != ' ' {
		return 0, 0, 0, false
	}
	m = month(b, 0)
	at = 4
	if b[at] == ' ' {
		at++
	}
	for n := 0; n < 2 && b[at]-'0' <= 9; n++ {
		d = d*10 + int(b[at]-'0')
		at++
	}
	if m == 0 || d == 0 || b[at] != ' ' {
		return 0, 0, 0, false
	}
	return m, d, at + 1, true
}

func join(b []byte, y, m, d, at int, ok bool) (civil, bool) {
	if !ok {
		return civil{}, false
	}
	day, ok := date(y, m, d)
	if !ok {
		return civil{}, false
	}
	sec, ok := clock(b, at)
	return civil{sec: day + sec, size: at + 8}, ok
}
