package logpipe

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// reference is the slow and obvious reading of a rule over UTF-8 text, by
// strings, time.Parse, regexp and big.Rat. The pipeline has to agree with it.
type reference struct {
	spec    logrule.Spec
	loc     *time.Location
	now     time.Time
	last    time.Time
	windows map[int64]*refWindow
}

type refWindow struct {
	counters Counters
	total    refRow
	rows     map[string]*refRow
}

type refRow struct {
	lines uint64
	nums  map[logrule.Input]*refNum
}

type refNum struct {
	n             uint64
	sum, min, max *big.Rat
	numbers       []float64
	texts         map[string]bool
}

func newReference(s logrule.Spec, loc *time.Location, now time.Time) *reference {
	return &reference{spec: s, loc: loc, now: now, windows: map[int64]*refWindow{}}
}

func (r *reference) window(at time.Time) *refWindow {
	start := at.Unix() - at.Unix()%int64(r.spec.Window.D()/time.Second)
	w := r.windows[start*1000]
	if w == nil {
		w = &refWindow{rows: map[string]*refRow{}}
		r.windows[start*1000] = w
	}
	return w
}

func (r *reference) text(text string) {
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return
	}
	r.lines(strings.Split(text, "\n"))
}

// lines joins lines to records and reads these.
func (r *reference) lines(lines []string) {
	var records []string
	for _, l := range lines {
		l = strings.TrimSuffix(l, "\r")
		if n := len(records); n > 0 && r.spec.MultilineStart != "" && !compiled(r.spec.MultilineStart).MatchString(l) {
			records[n-1] += "\n" + l
			continue
		}
		records = append(records, l)
	}
	for _, l := range records {
		r.line(l)
	}
}

func (r *reference) line(l string) {
	timeText, has := l, true
	if c := r.spec.Time.Column; c != "" {
		timeText, has = r.value(l, c)
	}
	at, ok := time.Time{}, false
	if has {
		at, ok = refTime(r.spec.Time.Format, strings.TrimPrefix(timeText, "["), r.loc, r.now)
	}
	if ok {
		r.last = at
	} else if r.last.IsZero() {
		w := r.window(r.now)
		w.counters.Read++
		w.counters.Bad++
		return
	} else {
		at = r.last
	}
	if at.Before(r.now.Add(-24*time.Hour)) || at.After(r.now.Add(time.Hour)) {
		w := r.window(r.now)
		w.counters.Read++
		w.counters.Late++
		return
	}
	w := r.window(at)
	w.counters.Read++
	if r.dropped(l) {
		w.counters.Filtered++
		return
	}
	for _, f := range r.spec.Filters.White {
		v, ok := r.value(l, f.Column)
		if !ok {
			w.counters.Unmatched++
			return
		}
		if !slices.Contains(f.Values, v) {
			w.counters.Filtered++
			return
		}
	}
	for _, f := range r.spec.Filters.Black {
		if v, ok := r.value(l, f.Column); ok && slices.Contains(f.Values, v) {
			w.counters.Filtered++
			return
		}
	}
	var key []string
	for _, g := range r.spec.GroupBy {
		v, ok := r.value(l, g)
		if !ok {
			w.counters.Unmatched++
			return
		}
		if v == "" {
			v = "-"
		}
		key = append(key, v)
	}
	w.counters.Matched++
	rows := []*refRow{&w.total}
	if len(key) > 0 {
		k := strings.Join(key, "\x1f")
		if w.rows[k] == nil {
			w.rows[k] = &refRow{}
		}
		rows = append(rows, w.rows[k])
	}
	for _, row := range rows {
		row.lines++
	}
	for _, in := range refInputs(r.spec) {
		text, ok := l, true
		if in.Column != "" {
			text, ok = r.value(l, in.Column)
		}
		var num *big.Rat
		good := true
		switch in.Kind {
		case logrule.InputDistinct:
			if num, good = new(big.Rat), ok; !ok {
				num = nil
			}
		case logrule.InputNumber, logrule.InputQuantiles:
			num, good = refNumber(text)
			good = good && ok
		case logrule.InputSuccess:
			num, good = new(big.Rat), ok && (text == "Y" || text == "N")
			if ok && text == "Y" {
				num.SetInt64(1)
			}
		case logrule.InputOccurrences:
			num = new(big.Rat).SetInt64(int64(len(strings.Split(text, in.Text)) - 1))
		}
		if !good {
			w.counters.BadNumbers++
		}
		if num == nil || (in.Kind == logrule.InputNumber || in.Kind == logrule.InputQuantiles) && !good {
			continue
		}
		for _, row := range rows {
			row.add(in, num, text)
		}
	}
}

// refInputs are the numbers that a line contributes, each once.
func refInputs(s logrule.Spec) (out []logrule.Input) {
	for _, st := range s.Statistics {
		kind := logrule.InputNumber
		columns := []string{st.Column}
		switch st.Kind {
		case logrule.Count:
			continue
		case logrule.Success, logrule.Fail, logrule.SuccessRate:
			kind = logrule.InputSuccess
		case logrule.Occurrences:
			kind = logrule.InputOccurrences
		case logrule.Ratio:
			columns = append(columns, st.Divisor)
		case logrule.P50, logrule.P99:
			kind = logrule.InputQuantiles
		case logrule.Distinct:
			kind = logrule.InputDistinct
		}
		for _, c := range columns {
			if in := (logrule.Input{Kind: kind, Column: c, Text: st.Text}); !slices.Contains(out, in) {
				out = append(out, in)
			}
		}
	}
	return out
}

func (row *refRow) add(in logrule.Input, v *big.Rat, text string) {
	if row.nums == nil {
		row.nums = map[logrule.Input]*refNum{}
	}
	n := row.nums[in]
	if n == nil {
		n = &refNum{sum: new(big.Rat), min: v, max: v, texts: map[string]bool{}}
		row.nums[in] = n
	}
	f, _ := v.Float64()
	n.numbers = append(n.numbers, f)
	n.texts[text] = true
	n.n++
	n.sum.Add(n.sum, v)
	if v.Cmp(n.min) < 0 {
		n.min = v
	}
	if v.Cmp(n.max) > 0 {
		n.max = v
	}
}

var refNumberForm = regexp.MustCompile(`^[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?([eE][+-]?\d+)?$`)

func refNumber(v string) (*big.Rat, bool) {
	m := refNumberForm.FindStringSubmatch(v)
	if m == nil || m[1] == "" && len(m[3]) < 2 {
		return nil, false
	}
	if _, err := strconv.ParseFloat(strings.ReplaceAll(v, ",", ""), 64); err != nil {
		return nil, false // beyond all numbers
	}
	n, ok := new(big.Rat).SetString(strings.ReplaceAll(v, ",", ""))
	return n, ok
}

// value cuts a column as the manual says it.
func (r *reference) value(l, column string) (string, bool) {
	c := r.spec.Columns[slices.IndexFunc(r.spec.Columns, func(c logrule.Column) bool { return c.Name == column })]
	whole, ok := r.whole(l, c)
	return refTranslate(c, refText(whole)), ok
}

// whole returns what is cut, before it is shortened.
func (r *reference) whole(l string, c logrule.Column) (string, bool) {
	if c.From != "" {
		from := r.spec.Columns[slices.IndexFunc(r.spec.Columns, func(o logrule.Column) bool { return o.Name == c.From })]
		var ok bool
		if l, ok = r.whole(l, from); !ok {
			return "", false
		}
		if t := refTranslate(from, refText(l)); t != refText(l) {
			l = t
		}
	}
	v, ok := refCut(c, l)
	return strings.Trim(v, " \t\r\v\f"), ok
}

// refText is a value as it is used.
func refText(v string) string {
	v = strings.TrimSpace(string([]rune(v))) // each bad byte becomes U+FFFD
	if utf8.RuneCountInString(v) > 256 {
		v = strings.TrimSpace(string([]rune(v)[:256]))
	}
	return v
}

// refTranslate knows entries without groups, and defaults but drop_line.
func refTranslate(c logrule.Column, v string) string {
	if c.Translate == nil {
		return v
	}
	text, fold := v, func(s string) string { return s }
	if c.Translate.IgnoreCase {
		fold = strings.ToLower
		text = fold(v)
	}
	for _, e := range c.Translate.Entries {
		hit := false
		switch e.Match {
		case logrule.MatchExact, "":
			hit = text == fold(e.Value)
		case logrule.MatchPrefix:
			hit = strings.HasPrefix(text, fold(e.Value))
		case logrule.MatchSuffix:
			hit = strings.HasSuffix(text, fold(e.Value))
		case logrule.MatchContains:
			hit = strings.Contains(text, fold(e.Value))
		case logrule.MatchRegex:
			pattern := e.Value
			if c.Translate.IgnoreCase {
				pattern = "(?i)" + pattern
			}
			hit = compiled(pattern).MatchString(v)
		case logrule.MatchRange:
			var low, high float64
			if _, err := fmt.Sscanf(e.Value, "[%f,%f)", &low, &high); err != nil {
				panic(err)
			}
			if n, ok := refNumber(v); ok {
				f, _ := n.Float64()
				hit = f >= low && f < high
			}
		}
		if hit {
			return e.To
		}
	}
	if c.Translate.Default == logrule.DefaultConstant {
		return c.Translate.Constant
	}
	return v
}

// dropped reports whether a translation drops the line.
func (r *reference) dropped(l string) bool {
	for _, c := range r.spec.Columns {
		if c.Translate == nil || c.Translate.Default != logrule.DefaultDropLine {
			continue
		}
		v, ok := r.value(l, c.Name)
		exact := func(e logrule.TranslationEntry) bool { return e.To == v }
		if ok && !slices.ContainsFunc(c.Translate.Entries, exact) {
			return true
		}
	}
	return false
}

func refCut(c logrule.Column, l string) (string, bool) {
	switch {
	case c.Split != nil:
		d, _ := logrule.Unescape(c.Split.Delimiter)
		fields := strings.Split(l, d)
		i := c.Split.Index
		if i < 0 {
			i += len(fields)
		}
		if i < 0 || i >= len(fields) {
			return "", false
		}
		return fields[i], true
	case c.Between != nil:
		left, _ := logrule.Unescape(c.Between.Left)
		right, _ := logrule.Unescape(c.Between.Right)
		if left != "" {
			parts := strings.SplitN(l, left, max(1, c.Between.LeftIndex)+1)
			if len(parts) <= max(1, c.Between.LeftIndex) {
				return "", false
			}
			l = parts[len(parts)-1]
		}
		if right != "" {
			n := max(1, c.Between.RightIndex)
			parts := strings.Split(l, right)
			if len(parts) <= n {
				return "", false
			}
			l = strings.Join(parts[:n], right)
		}
		return l, true
	case c.Regex != nil:
		m := compiled(c.Regex.Pattern).FindStringSubmatchIndex(l)
		if m == nil || m[2*c.Regex.Group] < 0 {
			return "", false
		}
		return l[m[2*c.Regex.Group]:m[2*c.Regex.Group+1]], true
	case c.Fixed != nil:
		runes := []rune(l)
		if len(runes) <= c.Fixed.Offset {
			return "", false
		}
		return string(runes[c.Fixed.Offset:min(len(runes), c.Fixed.Offset+c.Fixed.Length)]), true
	}
	return l, true
}

// refTime tries the layouts of a format at the start of the text.
func refTime(f logrule.TimeFormat, text string, loc *time.Location, now time.Time) (time.Time, bool) {
	form := map[logrule.TimeFormat]string{
		logrule.TimeNormal:      `^(\d{4}-\d\d-\d\d)[ Tt]?(\d\d:\d\d:\d\d)`,
		logrule.TimeRevert:      `^(\d\d-\d\d-\d{4}) ?(\d\d:\d\d:\d\d)`,
		logrule.TimeApache:      `^(\d\d/[A-Za-z]{3}/\d{4})[ :]?(\d\d:\d\d:\d\d)(?:[.,]\d+)?(?: ([+-]\d\d):?(\d\d))?`,
		logrule.TimeISO8601:     `^(\d{4}-\d\d-\d\d)[ Tt]?(\d\d:\d\d:\d\d)(?:\.\d+|,(?:\d{9}|\d{6}|\d{3}))?(?:([Zz])|([+-]\d\d):?(\d\d))?`,
		logrule.TimeMonthFirst2: `^([A-Za-z]{3}) +(\d\d?) (\d{4}) ?(\d\d:\d\d:\d\d)`,
		logrule.TimeMonthFirst:  `^([A-Za-z]{3}) +(\d\d?) (\d\d:\d\d:\d\d)`,
		logrule.TimeLong:        `^(\d{12,13})(\D|$)`,
		logrule.TimeShortLong:   `^(\d{9,10})(\D|$)`,
	}
	m := compiled(form[f]).FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	parse := func(layout, text string) (time.Time, bool) {
		t, err := time.ParseInLocation(layout, text, loc)
		return t, err == nil
	}
	switch f {
	case logrule.TimeNormal:
		return parse("2006-01-02 15:04:05", m[1]+" "+m[2])
	case logrule.TimeRevert:
		return parse("01-02-2006 15:04:05", m[1]+" "+m[2])
	case logrule.TimeApache:
		if m[3] != "" && m[3][1:] < "24" && m[4] < "60" {
			return parse("02/Jan/2006 15:04:05 -0700", m[1]+" "+m[2]+" "+m[3]+m[4])
		}
		return parse("02/Jan/2006 15:04:05", m[1]+" "+m[2])
	case logrule.TimeISO8601:
		if m[3] != "" {
			return parse("2006-01-02 15:04:05 -0700", m[1]+" "+m[2]+" +0000")
		}
		if m[4] != "" && m[4][1:] < "24" && m[5] < "60" {
			return parse("2006-01-02 15:04:05 -0700", m[1]+" "+m[2]+" "+m[4]+m[5])
		}
		return parse("2006-01-02 15:04:05", m[1]+" "+m[2])
	case logrule.TimeMonthFirst2:
		return parse("Jan 2 2006 15:04:05", m[1]+" "+m[2]+" "+m[3]+" "+m[4])
	case logrule.TimeMonthFirst:
		var best time.Time
		for y := now.Year() - 1; y <= now.Year()+1; y++ {
			t, ok := parse("2006 Jan 2 15:04:05", fmt.Sprintf("%d %s %s %s", y, m[1], m[2], m[3]))
			if ok && (best.IsZero() || t.Sub(now).Abs() < best.Sub(now).Abs()) {
				best = t
			}
		}
		return best, !best.IsZero()
	}
	n, _ := new(big.Int).SetString(m[1], 10)
	if f == logrule.TimeLong {
		return time.UnixMilli(n.Int64()), true
	}
	return time.Unix(n.Int64(), 0), true
}

// compiled keeps the patterns of the reference, which is slow enough.
func compiled(pattern string) *regexp.Regexp {
	re, ok := patterns.Load(pattern)
	if !ok {
		re, _ = patterns.LoadOrStore(pattern, regexp.MustCompile(pattern))
	}
	return re.(*regexp.Regexp)
}

var patterns sync.Map
