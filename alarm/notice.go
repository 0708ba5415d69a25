package alarm

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
)

// maxKeys is how many keys a message to people names; the others are a number.
const maxKeys = 10

// notice is what a message tells people, without any markup: the events of one
// delivery, which are of one rule and type, or of several as a digest.
type notice struct {
	title string
	level string
	// calm notices tell that something is over, or are tests.
	calm  bool
	items []item
	more  int // events that are not among items
	since time.Time

	emergencyText, emergencyLink string
	// link leads to the alert in the console; empty when its address is not known.
	link  string
	words words
}

// item is one event in a notice.
type item struct {
	object, text string
	lines        []string
}

// newNotice tells the events of deliveries; there is at least one event in each.
func (a *Alarm) newNotice(groups ...[]alarmstate.Event) notice {
	w := a.words
	first := groups[0][0]
	if len(groups) > 1 {
		n := notice{level: first.Level, calm: true, words: w, link: a.page(first.Workspace, "")}
		for _, events := range groups {
			e := events[0]
			n.level = min(n.level, e.Level) // P0 is the worst
			n.calm = n.calm && calm(e.Type)
			text := e.Message
			if len(events) > 1 {
				text += ", " + fmt.Sprintf(w.more, len(events)-1)
			}
			n.items = append(n.items, item{text: text})
		}
		n.title = fmt.Sprintf("[%s] "+w.digest, n.level, len(groups))
		return n
	}
	n := notice{title: fmt.Sprintf("[%s] %s: %s", first.Level, w.state(first.Type), first.Title), level: first.Level, calm: calm(first.Type),
		since: time.UnixMilli(first.StartedMs), emergencyText: first.EmergencyText, words: w, link: a.link(first)}
	if strings.HasPrefix(first.EmergencyLink, "http") {
		n.emergencyLink = first.EmergencyLink
	}
	for i, e := range groups[0] {
		if i == maxKeys {
			n.more = len(groups[0]) - maxKeys
			break
		}
		it := item{text: e.Message}
		if len(e.Conditions) > 0 {
			var parts []string
			for _, c := range e.Conditions {
				parts = append(parts, w.condition(c))
			}
			if e.HeldBack > 0 {
				parts = append(parts, fmt.Sprintf(w.heldBack, e.HeldBack))
			}
			it = item{object: formatObject(e.Labels), text: strings.Join(parts, "; "), lines: linesOf(e)}
		}
		n.items = append(n.items, it)
	}
	return n
}

func calm(eventType string) bool {
	return eventType != alarmstate.EventFiring && eventType != alarmstate.EventRepeat
}

// link leads to the alert in the console; empty when its address is not known.
func (a *Alarm) link(e alarmstate.Event) string {
	if e.AlertID == "" {
		return ""
	}
	return a.page(e.Workspace, "?alert="+url.QueryEscape(e.AlertID))
}

func (a *Alarm) page(workspace, query string) string {
	if a.o.ConsoleURL == "" {
		return ""
	}
	return strings.TrimRight(a.o.ConsoleURL, "/") + "/w/" + url.PathEscape(workspace) + "/alerts" + query
}

// markup is how a provider writes what people read.
type markup struct {
	escape func(string) string
	bold   func(escaped string) string
	link   func(escaped, url string) string
	item   string // begins an item
	line   string // begins a log line of an item
	gap    string // between paragraphs
}

// text writes n below its title in at most limit bytes. What does not fit is
// taken from the items, so that links and markup stay whole.
func (n notice) text(m markup, limit int) string {
	var tail strings.Builder
	if n.more > 0 {
		tail.WriteString(m.item + fmt.Sprintf(n.words.more, n.more))
	}
	if !n.since.IsZero() {
		tail.WriteString(m.gap + n.words.since + " " + n.since.Format("2006-01-02 15:04"))
	}
	if n.emergencyText != "" {
		tail.WriteString(m.gap + m.bold(n.words.emergency) + ": " + m.escape(n.emergencyText))
	}
	if n.emergencyLink != "" {
		tail.WriteString(m.gap + m.link(n.words.emergency, n.emergencyLink))
	}
	if n.link != "" {
		tail.WriteString(m.gap + m.link(n.words.open, n.link))
	}
	var b strings.Builder
	add := func(s string) { // whole, or cut with a mark where it does not fit
		room := limit - tail.Len() - b.Len()
		if len(s) > room {
			s = cut(s, max(0, room-len("…")))
			if s != "" {
				s += "…"
			}
		}
		b.WriteString(s)
	}
	for _, it := range n.items {
		add(m.item)
		if it.object != "" {
			if object := m.bold(m.escape(it.object)) + " "; b.Len()+len(object) <= limit-tail.Len() {
				b.WriteString(object)
			}
		}
		add(m.escape(it.text))
		for _, line := range it.lines {
			add(m.line + m.escape(line))
		}
	}
	return strings.Trim(cut(b.String()+tail.String(), limit), "\n")
}
