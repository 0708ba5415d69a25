package alarm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
)

// words of a notice in one language.
type words struct {
	firing, repeat, recovered, closed, test string
	acknowledged                            string
	is, noValue, limit, since, incomplete   string
	lines                                   string
	more, heldBack, digest, emergency, open string
	noData, over, usual, deviations, to     string
	ops                                     map[string]string
	// methods of one number, %d minutes in them, and bases of those that compare.
	methods, bases map[string]string
	// changed has a format for a rise, a fall and either: how far, and from what.
	rise, fall, change string
}

var languages = map[string]words{
	"en": {firing: "firing", repeat: "still firing", recovered: "recovered", closed: "closed", acknowledged: "acknowledged", test: "test",
		is: "is", noValue: "has no value", limit: "limit", lines: "lines", since: "since", incomplete: "of the agents reported",
		more: "and %d more", heldBack: "%d held back", digest: "%d notices", emergency: "What to do", open: "Open in Pharos",
		noData: "no data", over: "over %d min", usual: "usual", deviations: "deviations", to: "to",
		rise: "%s above %s", fall: "%s below %s", change: "%s off %s",
		ops: map[string]string{"gt": "above", "ge": "at or above", "lt": "below", "le": "at or below", "eq": "equal to", "ne": "other than", "between": "between", "outside": "outside"},
		methods: map[string]string{"sum_n": "sum of %d min", "avg_n": "average of %d min", "max_n": "largest of %d min", "min_n": "least of %d min", "absent_n": "of %d min without value",
			"burn_rate": "times the budget, over %d min", "items": "items above the value", "silence": "without lines"},
		bases: map[string]string{"ring": "the minute before", "hour": "an hour before", "day": "yesterday", "week": "last week", "deviation": "the usual"}},
	"zh": {firing: "告警", repeat: "持续告警", recovered: "已恢复", closed: "已关闭", acknowledged: "已认领", test: "测试",
		is: "为", noValue: "无数据", limit: "阈值", lines: "行", since: "开始于", incomplete: "的采集端已上报",
		more: "另有 %d 条", heldBack: "之前降频 %d 次", digest: "%d 条通知", emergency: "应急预案", open: "在 Pharos 中查看",
		noData: "无数据", over: "近 %d 分钟", usual: "通常", deviations: "倍标准差", to: "至",
		rise: "高出 %[2]s %[1]s", fall: "低于 %[2]s %[1]s", change: "偏离 %[2]s %[1]s",
		ops: map[string]string{"gt": "大于", "ge": "大于等于", "lt": "小于", "le": "小于等于", "eq": "等于", "ne": "不等于", "between": "介于", "outside": "超出"},
		methods: map[string]string{"sum_n": "近 %d 分钟求和", "avg_n": "近 %d 分钟平均", "max_n": "近 %d 分钟最大", "min_n": "近 %d 分钟最小", "absent_n": "近 %d 分钟无值分钟数",
			"burn_rate": "近 %d 分钟错误预算消耗倍数", "items": "超过排序值的条数", "silence": "无日志"},
		bases: map[string]string{"ring": "前一分钟", "hour": "一小时前", "day": "昨日同期", "week": "上周同期", "deviation": "通常值"}},
}

func wordsOf(language string) words {
	if w, ok := languages[language]; ok {
		return w
	}
	return languages["en"]
}

func (w words) state(eventType string) string {
	switch eventType {
	case alarmstate.EventFiring:
		return w.firing
	case alarmstate.EventRepeat:
		return w.repeat
	case alarmstate.EventRecovered:
		return w.recovered
	case alarmstate.EventClosed:
		return w.closed
	case alarmstate.EventAcknowledged:
		return w.acknowledged
	}
	return w.test
}

// message is the one line that says what happened (spec 05 §11.8).
func (w words) message(alert alarmstate.Alert, eventType string, nowMs int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s: %s", alert.Level, w.state(eventType), alert.Title)
	if object := formatObject(alert.Labels); object != "" {
		b.WriteString(" {" + object + "}")
	}
	for i, c := range alert.Conditions {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(w.condition(c))
	}
	started := time.UnixMilli(alert.StartedMs)
	fmt.Fprintf(&b, ", %s %s", w.since, started.Format("15:04"))
	if minutes := (nowMs - alert.StartedMs) / 60000; minutes > 0 {
		fmt.Fprintf(&b, ", %d min", minutes)
	}
	return b.String()
}

// condition says what a condition found: "count is 38, 61.2 % below yesterday 98 (limit: 30 %)".
func (w words) condition(c alarmstate.Condition) string {
	op := alarmrule.Op(c.Op)
	text := c.Source
	if name, ok := w.methods[c.Method]; ok {
		if strings.Contains(name, "%d") {
			name = fmt.Sprintf(name, c.N)
		}
		text += " (" + name + ")"
	} else if c.N > 0 {
		text += " (" + fmt.Sprintf(w.over, c.N) + ")"
	}
	now := c.Value
	if op.OfChange() {
		now = c.Current
	}
	if now == nil {
		text += " " + w.noValue
	} else {
		text += " " + w.is + " " + withUnit(formatNumber(*now), c.Unit)
	}
	if op.OfChange() && now != nil {
		text += ", " + w.changed(c, op)
	}
	text += fmt.Sprintf(" (%s: %s)", w.limit, w.limits(c, op))
	if c.Low != nil || c.High != nil {
		text += fmt.Sprintf(" [%s: %s %s %s]", w.usual, boundText(c.Low), w.to, boundText(c.High))
	}
	if c.Completeness < 1 {
		text += fmt.Sprintf(" [%.4g %% %s]", c.Completeness*100, w.incomplete)
	}
	return text
}

// changed says how far a value is from its base.
func (w words) changed(c alarmstate.Condition, op alarmrule.Op) string {
	base := w.base(c.Method)
	if c.Base == nil {
		return base + " " + w.noValue
	}
	base += " " + formatNumber(*c.Base)
	if c.Value == nil { // a percentage of nothing
		return base
	}
	format := w.change
	switch {
	case op.Rises():
		format = w.rise
	case op.Falls():
		format = w.fall
	}
	return fmt.Sprintf(format, withUnit(formatShort(*c.Value), w.changeUnit(c, op)), base)
}

// base names what a method compares with.
func (w words) base(method string) string {
	for suffix, name := range w.bases {
		if method == suffix || strings.HasSuffix(method, "_n_"+suffix) {
			return name
		}
	}
	return method
}

// changeUnit is the unit of a change.
func (w words) changeUnit(c alarmstate.Condition, op alarmrule.Op) string {
	switch {
	case op.Percent():
		return "%"
	case c.Method == string(alarmrule.Deviation):
		return w.deviations
	}
	return c.Unit
}

// limits are the threshold, or those of the classes.
func (w words) limits(c alarmstate.Condition, op alarmrule.Op) string {
	unit := ""
	if op.OfChange() {
		unit = w.changeUnit(c, op)
	}
	name := w.ops[c.Op]
	if name != "" {
		name += " "
	}
	switch {
	case c.Upper != nil:
		return name + formatNumber(c.Threshold) + " " + w.to + " " + formatNumber(*c.Upper)
	case len(c.Thresholds) > 0:
		var parts []string
		for _, class := range alarmrule.Classes() {
			if v, ok := c.Thresholds[string(class)]; ok {
				parts = append(parts, string(class)+" "+withUnit(formatNumber(v), unit))
			}
		}
		return name + strings.Join(parts, ", ")
	}
	return name + withUnit(formatNumber(c.Threshold), unit)
}

func boundText(v *float64) string {
	if v == nil {
		return "…"
	}
	return formatShort(*v)
}

func withUnit(text, unit string) string {
	if unit == "" {
		return text
	}
	return text + " " + unit
}

// formatShort writes a number that was computed, with three digits.
func formatShort(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }

func formatObject(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "app" {
			parts = append(parts, name+"="+labels[name])
		}
	}
	// Values come from logs: control characters would break a message, and NUL the database.
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.Join(parts, ", "))
}
