package alarmrule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Active is an effective time: ranges of the week, days off, and days that are
// worked although they would be off.
type Active struct {
	// Weekly are ranges of days of the week; none: all week.
	Weekly []Weekly `json:"weekly,omitempty" yaml:"weekly,omitempty" maxItems:"30" doc:"Ranges of the week; none: all week"`
	// Off are dates, or ranges of dates, on which nothing is checked, such as holidays.
	Off []string `json:"off,omitempty" yaml:"off,omitempty" maxItems:"200" doc:"Dates (2027-01-01) or ranges of dates (2027-02-05..2027-02-12) on which nothing is checked"`
	// Work are dates that count as a Monday whatever day they are: working days in place of others.
	Work []string `json:"work,omitempty" yaml:"work,omitempty" maxItems:"200" doc:"Dates or ranges of dates that count as Mondays, such as Sundays that are worked"`
}

// Weekly is a range of time on days of the week.
type Weekly struct {
	// Days are mon to sun; none: every day.
	Days []string `json:"days,omitempty" yaml:"days,omitempty" maxItems:"7" doc:"mon to sun; none: every day"`
	// From and To are times of day, 00:00 to 24:00. A range whose To is not after From ends on the next day.
	From string `json:"from" yaml:"from" doc:"Time of day, as 09:00"`
	To   string `json:"to" yaml:"to" doc:"Time of day, as 18:00 or 24:00; not after from: on the next day"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Covers reports whether t, in its time zone, is in the effective time; nil is always.
func (a *Active) Covers(t time.Time) bool {
	if a == nil {
		return true
	}
	minute := t.Hour()*60 + t.Minute()
	yesterday := time.Date(t.Year(), t.Month(), t.Day()-1, 12, 0, 0, 0, t.Location())
	if len(a.Weekly) == 0 {
		_, off := a.day(t)
		return !off
	}
	for _, w := range a.Weekly {
		from, _ := clock(w.From)
		to, _ := clock(w.To)
		if day, off := a.day(t); !off && w.on(day) && minute >= from && (minute < to || to <= from) {
			return true
		}
		if day, off := a.day(yesterday); !off && w.on(day) && to <= from && minute < to {
			return true
		}
	}
	return false
}

// day is the day of the week that t counts as, and whether it is off.
func (a *Active) day(t time.Time) (weekday string, off bool) {
	date := t.Format(time.DateOnly)
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(d string) bool {
			from, to, found := strings.Cut(d, "..")
			return date == from || found && date >= from && date <= to
		})
	}
	if in(a.Work) {
		return "mon", false
	}
	return weekdays[t.Weekday()], in(a.Off)
}

func (w Weekly) on(weekday string) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, weekday)
}

// clock reads a time of day as minutes.
func clock(s string) (minutes int, ok bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && len(s) == 5
}

func (a *Active) validate(prefix string, es *fielderr.Errors) {
	if a == nil {
		return
	}
	at := func(format string, args ...any) string { return prefix + "." + fmt.Sprintf(format, args...) }
	for i, w := range a.Weekly {
		for j, d := range w.Days {
			if !slices.Contains(weekdays, d) {
				es.Add(at("weekly[%d].days[%d]", i, j), "bad_day", "%q; use mon, tue, wed, thu, fri, sat or sun", d)
			}
		}
		for field, s := range map[string]string{"from": w.From, "to": w.To} {
			if _, ok := clock(s); !ok {
				es.Add(at("weekly[%d].%s", i, field), "bad_time", "%q; use a time of day such as 09:00", s)
			}
		}
		if w.From == "24:00" {
			es.Add(at("weekly[%d].from", i), "bad_time", "24:00 is the end of a day; use 00:00")
		}
	}
	for field, list := range map[string][]string{"off": a.Off, "work": a.Work} {
		for i, d := range list {
			from, to, found := strings.Cut(d, "..")
			_, err := time.Parse(time.DateOnly, from)
			if err == nil && found {
				_, err = time.Parse(time.DateOnly, to)
			}
			if err != nil || found && to < from {
				es.Add(at("%s[%d]", field, i), "bad_date", "%q; use a date such as 2027-01-01 or a range such as 2027-02-05..2027-02-12", d)
			}
		}
	}
}

// CheckAt is the latest moment at or before ms when s is checked: minutes of
// its frequency counted from midnight in its time zone (ALM-10).
func (s Spec) CheckAt(ms int64) int64 {
	every := s.Every.D().Milliseconds()
	if every == time.Minute.Milliseconds() {
		return ms / every * every
	}
	midnight, _ := s.day(ms)
	return midnight + (ms-midnight)/every*every
}

// NextCheck is the first moment after ms when s is checked.
func (s Spec) NextCheck(ms int64) int64 {
	every := s.Every.D().Milliseconds()
	if every == time.Minute.Milliseconds() {
		return ms/every*every + every
	}
	midnight, next := s.day(ms)
	return min(midnight+(ms-midnight)/every*every+every, next)
}

// day is midnight before and after ms in the time zone of s.
func (s Spec) day(ms int64) (midnight, next int64) {
	t := time.UnixMilli(ms).In(s.Location())
	at := func(day int) int64 { return time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, t.Location()).UnixMilli() }
	return at(t.Day()), at(t.Day() + 1)
}
