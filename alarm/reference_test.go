package alarm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
)

// The reference decides when rules fire, from records in memory, minute by
// minute, as the specification says it and as plainly as possible. It shares
// no code with the alarm tier: no queries, no read-ahead, no state in a database.

// record is what a minute had of a key.
type record struct{ lines, sum, ok, least, most float64 }

func (a record) plus(b record) record {
	if a.lines == 0 {
		return b
	}
	return record{a.lines + b.lines, a.sum + b.sum, a.ok + b.ok, min(a.least, b.least), max(a.most, b.most)}
}

// minutes are records by minute and key, with the completeness of each minute.
type minutes struct {
	records  map[int]map[string]record
	complete map[int]float64
}

type reference struct {
	data minutes
	spec alarmrule.Spec
	t0   time.Time
}

const dayMinutes = 24 * 60

func additiveFigure(figure string) bool { return figure == "count" || figure == "amount" }

// number of one record.
func (r record) figure(name string) float64 {
	switch name {
	case "count":
		return r.lines
	case "amount":
		return r.sum
	case "avg":
		return r.sum / r.lines
	case "rate":
		return 100 * r.ok / r.lines
	case "least":
		return r.least
	}
	return r.most
}

// at is a key's record of a minute; total is over all keys.
func (ref *reference) at(c alarmrule.Condition, key string, minute int) (record, bool) {
	if !c.Total {
		r, ok := ref.data.records[minute][key]
		return r, ok
	}
	var sum record
	for _, r := range ref.data.records[minute] {
		sum = sum.plus(r)
	}
	return sum, sum.lines > 0
}

// value is a figure of a minute: a count is 0 where a complete minute has no line of a key that was seen in the day before.
func (ref *reference) value(c alarmrule.Condition, key string, minute int) (float64, bool) {
	if r, ok := ref.at(c, key, minute); ok {
		return r.figure(c.Figure), true
	}
	if !additiveFigure(c.Figure) {
		return 0, false
	}
	if c.Total {
		return 0, ref.data.complete[minute] > 0
	}
	if ref.data.complete[minute] < 1 {
		return 0, false
	}
	for m := minute - dayMinutes; m < minute; m++ {
		if _, ok := ref.at(c, key, m); ok {
			return 0, true
		}
	}
	return 0, false
}

func (ref *reference) span(c alarmrule.Condition, minute int) []int {
	n := 1
	if strings.Contains(string(c.Method), "_n") || c.Method == alarmrule.BurnRate {
		n = c.N
	}
	var out []int
	for m := minute - n + 1; m <= minute; m++ {
		out = append(out, m)
	}
	return out
}

func (ref *reference) whole(list []int) bool {
	for _, m := range list {
		if ref.data.complete[m] < ref.spec.MinCompleteness {
			return false
		}
	}
	return true
}

func (ref *reference) badShare(c alarmrule.Condition, key string, from, to int) (float64, bool) {
	var all, good float64
	for m := from; m <= to; m++ {
		if r, ok := ref.at(c, key, m); ok {
			all, good = all+r.lines, good+r.ok
		}
	}
	return 1 - good/all, all > 0
}

// reduced is the method's number over the span that ends with minute.
func (ref *reference) reduced(c alarmrule.Condition, key string, minute int) (float64, bool) {
	method := string(c.Method)
	list := ref.span(c, minute)
	var values []float64
	for _, m := range list {
		if v, ok := ref.value(c, key, m); ok {
			values = append(values, v)
		}
	}
	switch {
	case c.Method == alarmrule.AbsentN:
		known := false
		for m := minute - dayMinutes + 1; m <= minute; m++ {
			_, ok := ref.value(c, key, m)
			known = known || ok
		}
		return float64(c.N - len(values)), known
	case c.Method == alarmrule.BurnRate:
		long, ok := ref.badShare(c, key, minute-c.N+1, minute)
		short, some := ref.badShare(c, key, minute-c.ShortN+1, minute)
		if !some {
			short = 0
		}
		return min(long, short) / (1 - c.Objective/100), ok
	case len(values) == 0:
		return 0, false
	case strings.HasPrefix(method, "sum_n"), strings.HasPrefix(method, "avg_n") && additiveFigure(c.Figure):
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		if strings.HasPrefix(method, "avg_n") {
			sum /= float64(c.N)
		}
		return sum, true
	case strings.HasPrefix(method, "avg_n") && (c.Figure == "avg" || c.Figure == "rate"):
		var all record
		for _, m := range list {
			if r, ok := ref.at(c, key, m); ok {
				all = all.plus(r)
			}
		}
		return all.figure(c.Figure), true
	case strings.HasPrefix(method, "avg_n"):
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		return sum / float64(len(values)), true
	case c.Method == alarmrule.MaxN:
		return slices.Max(values), true
	case c.Method == alarmrule.MinN:
		return slices.Min(values), true
	}
	return values[0], true
}

// back is how many minutes before the base lies.
func back(c alarmrule.Condition) int {
	switch c.Method {
	case alarmrule.Ring:
		return 1
	case alarmrule.Hour:
		return 60
	case alarmrule.SumNRing, alarmrule.AvgNRing:
		return c.N
	case alarmrule.Day, alarmrule.SumNDay, alarmrule.AvgNDay:
		return dayMinutes
	case alarmrule.Week, alarmrule.SumNWeek, alarmrule.AvgNWeek:
		return 7 * dayMinutes
	}
	return 0
}

// usual is the median and the robust deviation of the same time of the days before.
func (ref *reference) usual(c alarmrule.Condition, key string, minute int) (median, deviation float64, ok bool) {
	var values []float64
	days := 0
	for d := 1; d <= c.Days; d++ {
		if c.Weekly && d%7 != 0 {
			continue
		}
		before := len(values)
		for m := minute - d*dayMinutes - 5; m <= minute-d*dayMinutes+5; m++ {
			if v, has := ref.value(c, key, m); has && ref.data.complete[m] >= ref.spec.MinCompleteness {
				values = append(values, v)
			}
		}
		if len(values) > before {
			days++
		}
	}
	if days < 3 && !(c.Weekly && days == 2) {
		return 0, 0, false
	}
	half := func(list []float64) float64 {
		slices.Sort(list)
		if n := len(list); n%2 == 0 {
			return (list[n/2-1] + list[n/2]) / 2
		}
		return list[len(list)/2]
	}
	median = half(values)
	var off []float64
	for _, v := range values {
		off = append(off, math.Abs(v-median))
	}
	deviation = 1.4826 * half(off)
	if additiveFigure(c.Figure) {
		deviation = max(deviation, math.Sqrt(math.Abs(median)), 1)
	} else {
		deviation = max(deviation, math.Abs(median)*0.05)
	}
	if deviation == 0 {
		deviation = 1
	}
	return median, deviation, true
}

// silent is for how many minutes there has been no line.
func (ref *reference) silent(minute int) float64 {
	n := 0
	for ; n < 2000; n++ {
		if len(ref.data.records[minute-n]) > 0 {
			break
		}
	}
	return float64(n)
}

// condition is 't', 'f' or 'u' for a limit.
func (ref *reference) condition(c alarmrule.Condition, limit float64, key string, minute int) (truth byte, has bool) {
	verdict := func(holds, whole bool) byte {
		if !whole {
			return 'u'
		}
		if holds {
			return 't'
		}
		return 'f'
	}
	op := string(c.Op)
	if c.Method == alarmrule.Silence {
		return verdict(c.Op.Holds(ref.silent(minute), limit, c.UpperLimit()), true), true
	}
	list := ref.span(c, minute)
	whole := ref.whole(list)
	if c.Method == alarmrule.BurnRate {
		mean := 0.0
		for _, m := range list {
			mean += ref.data.complete[m] / float64(len(list))
		}
		whole = mean >= ref.spec.MinCompleteness
	}
	now, has := ref.reduced(c, key, minute)
	if !has {
		switch {
		case !whole:
			return 'u', false
		case c.Method == alarmrule.AbsentN:
			now = float64(c.N)
		case !additiveFigure(c.Figure) && c.Method != alarmrule.BurnRate:
			return 'u', false
		}
	}
	if c.MinCurrent != nil && now < *c.MinCurrent {
		return verdict(false, whole), has
	}
	additive := additiveFigure(c.Figure)
	onlyUp := additive && !slices.Contains([]alarmrule.Method{alarmrule.MinN, alarmrule.AbsentN, alarmrule.BurnRate}, c.Method) || c.Figure == "most" && (c.Method == alarmrule.Current || c.Method == alarmrule.MaxN || c.Method.Compares() && !c.Method.Averages())
	onlyDown := c.Figure == "least" && (c.Method == alarmrule.Current || c.Method == alarmrule.MinN)
	if !c.Method.Compares() {
		holds := false
		switch op {
		case "gt":
			holds = now > limit
		case "ge":
			holds = now >= limit
		case "lt":
			holds = now < limit
		case "le":
			holds = now <= limit
		case "eq":
			holds = now == limit
		case "ne":
			holds = now != limit
		case "between":
			holds = limit <= now && now <= *c.Upper
		case "outside":
			holds = now < limit || now > *c.Upper
		}
		if holds && (onlyUp && (op == "gt" || op == "ge") || onlyDown && (op == "lt" || op == "le")) {
			return 't', has
		}
		return verdict(holds, whole), has
	}
	base, unit := 0.0, 1.0
	if c.Method == alarmrule.Deviation {
		var ok bool
		if base, unit, ok = ref.usual(c, key, minute); !ok {
			return 'u', has
		}
	} else {
		if !ref.whole(ref.span(c, minute-back(c))) {
			return 'u', has
		}
		var ok bool
		if base, ok = ref.reduced(c, key, minute-back(c)); !ok && !additive {
			return 'u', has
		}
	}
	if c.MinBase != nil && base < *c.MinBase {
		return 'f', has
	}
	change := now - base
	if strings.HasPrefix(op, "fall") {
		change = base - now
	} else if strings.HasPrefix(op, "change") {
		change = math.Abs(now - base)
	}
	if strings.Contains(op, "pct") {
		if base == 0 && now != 0 {
			if c.ZeroBase == "fire" && !strings.HasPrefix(op, "fall") && (whole || onlyUp) {
				return 't', has
			}
			return 'u', has
		}
		if base != 0 {
			change = change / math.Abs(base) * 100
		}
	} else {
		change /= unit
	}
	holds := change > limit || strings.HasSuffix(op, "ge") && change == limit
	if holds && onlyUp && strings.HasPrefix(op, "rise") {
		return 't', has
	}
	return verdict(holds, whole), has
}

func combine(join alarmrule.Join, truths string) byte {
	switch {
	case join == alarmrule.Any && strings.Contains(truths, "t"):
		return 't'
	case join == alarmrule.All && strings.Contains(truths, "f"):
		return 'f'
	case strings.Contains(truths, "u"):
		return 'u'
	case join == alarmrule.Any:
		return 'f'
	}
	return 't'
}

// named reports whether text is one of patterns, in which * is any text.
func named(patterns []string, text string) bool {
	var match func(p, s string) bool
	match = func(p, s string) bool {
		if p == "" {
			return s == ""
		}
		if p[0] == '*' {
			return match(p[1:], s) || s != "" && match(p, s[1:])
		}
		if strings.HasPrefix(p, `\*`) {
			return s != "" && s[0] == '*' && match(p[2:], s[1:])
		}
		return s != "" && s[0] == p[0] && match(p[1:], s[1:])
	}
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, text) })
}

func filtered(c alarmrule.Condition, key string) bool {
	return (c.Keys == nil || named(c.Keys["goods"], key)) && (c.ExcludeKeys == nil || !named(c.ExcludeKeys["goods"], key))
}

// run tells when rules fire, from the check of minute 0 on, as "food 3-7 chat".
func (ref *reference) run(count int) []string {
	var out []string
	for _, r := range ref.rules() {
		out = append(out, ref.runRule(r, count)...)
	}
	slices.Sort(out)
	return out
}

func (ref *reference) rules() []alarmrule.Rule {
	if len(ref.spec.Rules) > 0 {
		return ref.spec.Rules
	}
	return []alarmrule.Rule{{Join: ref.spec.Join, Conditions: ref.spec.Conditions, For: ref.spec.For, Of: ref.spec.Of}}
}

func (ref *reference) runRule(r alarmrule.Rule, count int) []string {
	taken := func(key string) bool {
		for _, before := range ref.spec.Rules {
			if before.Name == r.Name {
				return false
			}
			for _, c := range before.Conditions {
				if before.Exclusive && filtered(c, key) {
					return true
				}
			}
		}
		return false
	}
	keys := map[string]bool{}
	single := true
	for _, c := range r.Conditions {
		if !c.Total && c.Method != alarmrule.Silence {
			single = false
		}
	}
	if single {
		keys[""] = true
	} else {
		for _, m := range ref.data.records {
			for key := range m {
				if !taken(key) {
					keys[key] = true
				}
			}
		}
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, ref.runKey(r, key, count)...)
	}
	return out
}

func (ref *reference) inTime(r alarmrule.Rule, minute int) bool {
	t := ref.t0.Add(time.Duration(minute) * time.Minute)
	for _, a := range []*alarmrule.Active{ref.spec.Active, r.Active} {
		if a == nil {
			continue
		}
		in := false
		for _, w := range a.Weekly {
			clock := t.Format("15:04")
			in = in || clock >= w.From && clock < w.To
		}
		if !in {
			return false
		}
	}
	return true
}

func (ref *reference) runKey(r alarmrule.Rule, key string, count int) []string {
	var out []string
	history := map[alarmrule.Class]string{} // t and f of each class
	reached := map[alarmrule.Class]bool{}
	firedAt, calm := -1, 0
	end := func(minute string) {
		var names []string
		for _, c := range alarmrule.Classes() {
			if reached[c] {
				names = append(names, string(c))
			}
		}
		text := fmt.Sprintf("%s %d-%s", key, firedAt, minute)
		if r.Name != "" {
			text = r.Name + ":" + text
		}
		if len(names) > 0 {
			text += " " + strings.Join(names, "+")
		}
		out = append(out, strings.TrimSpace(text))
		firedAt, calm = -1, 0
		clear(history)
		clear(reached)
	}
	every := int(ref.spec.Every.D() / time.Minute)
	for minute := range count {
		since := int(ref.t0.Sub(ref.t0.Truncate(24*time.Hour)) / time.Minute)
		if (since+minute+1)%every != 0 {
			continue
		}
		if !ref.inTime(r, minute) {
			if firedAt >= 0 {
				end(fmt.Sprint(minute))
			}
			clear(history)
			calm = 0
			continue
		}
		classes := []alarmrule.Class{""}
		for _, c := range r.Conditions {
			if c.Thresholds != nil {
				classes = alarmrule.Classes()
			}
		}
		truths := map[alarmrule.Class]byte{}
		any := false
		for _, class := range classes {
			text := ""
			for _, c := range r.Conditions {
				limit, ok := c.Limit(class)
				if !ok && (r.Join == alarmrule.All || class == "") {
					text = ""
					break
				}
				if !ok {
					continue
				}
				truth, has := byte('f'), false // of keys that it does not look at
				if c.Total || c.Method == alarmrule.Silence || filtered(c, key) {
					truth, has = ref.condition(c, limit, key, minute)
				}
				any = any || has
				text += string(truth)
			}
			if text != "" {
				truths[class] = combine(r.Join, text)
			}
		}
		remembered := firedAt >= 0
		for _, h := range history {
			remembered = remembered || strings.HasSuffix(h, "t") || r.Of > 0 && strings.Contains(h[max(0, len(h)-r.Of):], "t")
		}
		if !any && !remembered {
			clear(history)
			continue
		}
		overall := byte('f')
		for class, truth := range truths {
			if truth == 't' || truth == 'u' && overall == 'f' {
				overall = truth
			}
			if truth == 'u' {
				continue
			}
			history[class] += string(truth)
			h := history[class]
			enough := strings.HasSuffix(h, strings.Repeat("t", r.For))
			if r.Of > 0 {
				enough = strings.Count(h[max(0, len(h)-r.Of):], "t") >= r.For
			}
			if truth == 't' && enough {
				reached[class] = true
				if firedAt < 0 {
					firedAt = minute
				}
			}
		}
		switch overall {
		case 't':
			calm = 0
		case 'f':
			if calm++; firedAt >= 0 && calm >= ref.spec.RecoverAfter {
				end(fmt.Sprint(minute))
			}
		}
	}
	if firedAt >= 0 {
		end("")
	}
	return out
}
