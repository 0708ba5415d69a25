package alarmrule

import (
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestActive(t *testing.T) {
	office := &Active{Weekly: []Weekly{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "09:00", To: "18:00"}},
		Off: []string{"2026-10-01..2026-10-07", "2026-12-25"}, Work: []string{"2026-10-10"}}
	night := &Active{Weekly: []Weekly{{Days: []string{"fri"}, From: "22:00", To: "06:00"}}}
	for _, c := range []struct {
		name   string
		active *Active
		zone   string
		at     string
		want   bool
	}{
		{"no effective time is always", nil, "UTC", "2026-11-21 03:00", true},
		{"a working day", office, "Asia/Shanghai", "2026-11-23 09:00", true},
		{"the minute before", office, "Asia/Shanghai", "2026-11-23 08:59", false},
		{"its last minute", office, "Asia/Shanghai", "2026-11-23 17:59", true},
		{"its end", office, "Asia/Shanghai", "2026-11-23 18:00", false},
		{"a Sunday", office, "Asia/Shanghai", "2026-11-22 12:00", false},
		{"the first day of a holiday", office, "Asia/Shanghai", "2026-10-01 12:00", false},
		{"the last day of a holiday", office, "Asia/Shanghai", "2026-10-07 12:00", false},
		{"the day after a holiday", office, "Asia/Shanghai", "2026-10-08 12:00", true},
		{"a Saturday that is worked", office, "Asia/Shanghai", "2026-10-10 12:00", true},
		{"a single day off", office, "Asia/Shanghai", "2026-12-25 12:00", false},
		{"Friday night", night, "Europe/Berlin", "2026-11-20 23:00", true},
		{"the night after Friday", night, "Europe/Berlin", "2026-11-21 05:59", true},
		{"Saturday morning", night, "Europe/Berlin", "2026-11-21 06:00", false},
		{"the night after Saturday", night, "Europe/Berlin", "2026-11-22 05:00", false},
		{"Friday before dawn is Thursday's night", night, "Europe/Berlin", "2026-11-20 05:00", false},
		{"only days off", &Active{Off: []string{"2026-12-25"}}, "UTC", "2026-12-24 23:59", true},
		{"only days off, on one", &Active{Off: []string{"2026-12-25"}}, "UTC", "2026-12-25 00:00", false},
		{"up to midnight", &Active{Weekly: []Weekly{{From: "20:00", To: "24:00"}}}, "UTC", "2026-12-25 23:59", true},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, loc)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.active.Covers(at); got != c.want {
			t.Errorf("%s: %v at %s", c.name, got, c.at)
		}
	}
}

// TestChecks follows the checks of a day by the clock, and over days of 23 and 25 hours.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		every int // minutes
		zone  string
		from  string
		want  string
	}{
		{1, "UTC", "2026-11-23 10:00", "10:01 10:02 10:03"},
		{5, "UTC", "2026-11-23 10:01", "10:05 10:10 10:15"},
		{60, "Asia/Kolkata", "2026-11-23 10:20", "11:00 12:00 13:00"}, // UTC+05:30
		{7, "UTC", "2026-11-23 23:50", "23:55 00:00 00:07"},           // begins anew at midnight
		{1440, "Asia/Shanghai", "2026-11-23 10:00", "00:00 00:00 00:00"},
		{360, "Europe/Berlin", "2026-10-25 00:00", "05:00 11:00 17:00"}, // 25 hours
		{360, "Europe/Berlin", "2026-03-29 00:00", "07:00 13:00 19:00"}, // 23 hours
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.ParseInLocation("2006-01-02 15:04", c.from, loc)
		if err != nil {
			t.Fatal(err)
		}
		spec := Spec{Every: minutes(c.every), Timezone: c.zone}.WithDefaults()
		ms, got := from.UnixMilli(), []string{}
		for range 3 {
			next := spec.NextCheck(ms)
			if at := spec.CheckAt(next); at != next {
				t.Errorf("every %d: %d is a check, and the check at or before it is %d", c.every, next, at)
			}
			if at := spec.CheckAt(next - 1); at > ms && at != next && at > from.UnixMilli() {
				t.Errorf("every %d: %d is skipped", c.every, at)
			}
			ms = next
			got = append(got, time.UnixMilli(next).In(loc).Format("15:04"))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("every %d min from %s: %s, want %s", c.every, c.from, s, c.want)
		}
	}
}

func minutes(n int) logrule.Duration { return logrule.Duration(time.Duration(n) * time.Minute) }
