package alarm

import (
	"fmt"
	"maps"
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
	more, digest, emergency, open           string
	ops                                     map[string]string
}

var languages = map[string]words{
	"en": {firing: "firing", repeat: "still firing", recovered: "recovered", closed: "closed", acknowledged: "acknowledged", test: "test",
		is: "is", noValue: "has no value", limit: "limit", lines: "lines", since: "since", incomplete: "of the agents reported",
		more: "and %d more", digest: "%d notices", emergency: "What to do", open: "Open in Pharos",
		ops: map[string]string{"gt": "above", "ge": "at or above", "lt": "below", "le": "at or below", "eq": "equal to", "ne": "other than"}},
	"zh": {firing: "告警", repeat: "持续告警", recovered: "已恢复", closed: "已关闭", acknowledged: "已认领", test: "测试",
		is: "为", noValue: "无数据", limit: "阈值", lines: "行", since: "开始于", incomplete: "的采集端已上报",
		more: "另有 %d 条", digest: "%d 条通知", emergency: "应急预案", open: "在 Pharos 中查看",
		ops: map[string]string{"gt": "大于", "ge": "大于等于", "lt": "小于", "le": "小于等于", "eq": "等于", "ne": "不等于"}},
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
func (w words) message(spec alarmrule.Spec, alert alarmstate.Alert, eventType string, nowMs int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s: %s", alert.Level, w.state(eventType), spec.Title)
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

func (w words) condition(c alarmstate.Condition) string {
	text := c.Source
	if c.Value == nil {
		text += " " + w.noValue
	} else {
		text += " " + w.is + " " + formatNumber(*c.Value)
		if c.Unit != "" {
			text += " " + c.Unit
		}
	}
	text += fmt.Sprintf(" (%s: %s %s)", w.limit, w.ops[c.Op], formatNumber(c.Threshold))
	if c.Completeness < 1 {
		text += fmt.Sprintf(" [%.4g %% %s]", c.Completeness*100, w.incomplete)
	}
	return text
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
