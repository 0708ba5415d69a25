package dashboards

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/dashboard"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		period       dashboard.Period
		zone, at     string
		n            int
		want         string
		lengthsHours string
	}{
		{dashboard.Hour, "Asia/Shanghai", "2026-11-23T10:20:00+08:00", 3, "11-23 10 11-23 09 11-23 08 ", "0 1 1 "},
		{dashboard.Hour, "Europe/Berlin", "2026-10-25T03:30:00+01:00", 4, "10-25 03 10-25 02 10-25 02 10-25 01 ", "0 1 1 1 "}, // 2 o'clock comes twice
		{dashboard.Hour, "Asia/Kolkata", "2026-11-23T10:20:00+05:30", 2, "11-23 10 11-23 09 ", "0 1 "},
		{dashboard.Day, "Europe/Berlin", "2026-10-26T12:00:00+01:00", 3, "10-26 00 10-25 00 10-24 00 ", "12 25 24 "},
		{dashboard.Day, "America/New_York", "2026-03-09T00:00:00-04:00", 2, "03-08 00 03-07 00 ", "23 24 "}, // midnight ends the day before
		{dashboard.Week, "Asia/Shanghai", "2026-11-22T12:00:00+08:00", 2, "11-16 00 11-09 00 ", "156 168 "}, // a Sunday
		{dashboard.Week, "Europe/Berlin", "2026-11-02T12:00:00+01:00", 3, "11-02 00 10-26 00 10-19 00 ", "12 168 169 "},
		{dashboard.Month, "UTC", "2026-03-31T12:00:00Z", 3, "03-01 00 02-01 00 01-01 00 ", "732 672 744 "},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got, lengths := "", ""
		for _, p := range periods(c.period, zone, 0, at.UnixMilli(), c.n) {
			got += time.UnixMilli(p.start).In(zone).Format("01-02 15 ")
			lengths += fmt.Sprintf("%d ", (p.end-p.start)/time.Hour.Milliseconds())
		}
		if got != c.want || lengths != c.lengthsHours {
			t.Errorf("%s in %s: %q %q, want %q %q", c.period, c.zone, got, lengths, c.want, c.lengthsHours)
		}
	}
}

// An archive against a recount of every window, in days of another zone.
func TestArchive(t *testing.T) {
	w := newWorld(t)
	w.monitor("trades", tradesSpec)
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	type sums struct{ count, cost, slow float64 }
	days := map[int64]*sums{}
	var batch []store.WindowSample
	for m := int64(-4 * 1440); m < 0; m += 7 {
		at, count := w.now+m*minute, float64(5+(m%11+11)%11)
		cost, slow := count*float64(20+(m%13+13)%13), float64(100+(m%17+17)%17)
		batch = append(batch, sample("trades:count:total", at, count), sample("trades:cost_sum:total", at, cost), sample("trades:cost_count:total", at, count), sample("trades:slow:total", at, slow))
		complete := 1.0
		if m == -1441 {
			complete = 0.5
		}
		batch = append(batch, sample("trades:completeness", at, complete))
		local := time.UnixMilli(at).In(zone)
		day := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone).UnixMilli()
		if days[day] == nil {
			days[day] = &sums{}
		}
		days[day].count, days[day].cost, days[day].slow = days[day].count+count, days[day].cost+cost, max(days[day].slow, slow)
	}
	w.write(batch)
	d := w.ask(`{"name":"x","type":"archive_table","period":"day","time_zone":"Asia/Shanghai","span_s":259200,"sources":[{"monitor":"trades"}],"columns":[
		{"name":"t","function":"time"},{"name":"n"},{"name":"c","figure":"cost"},{"name":"p","figure":"slow"},{"name":"change","function":"ring_diff"}]}`)
	want := ""
	for _, r := range d.Rows {
		s, before := days[r.StartMs], days[r.StartMs-24*60*minute]
		if s == nil || before == nil {
			t.Fatalf("a row begins at %s", time.UnixMilli(r.StartMs).In(zone))
		}
		want += fmt.Sprintf(" @%d: - %.10g %.10g %.10g %.10g\n", (r.StartMs-w.now)/minute, s.count, s.cost/s.count, s.slow, s.count-before.count)
	}
	w.same("days", w.table(d), want)
	if n := len(d.Rows); n < 3 || n > 4 || d.Rows[0].Settled || !d.Rows[1].Settled || !d.Columns[3].Largest {
		t.Errorf("%d rows, %+v", n, d.Rows[0])
	}
	least := 1.0
	for _, r := range d.Rows {
		if r.Completeness != nil {
			least = min(least, *r.Completeness)
		}
	}
	if least != 0.5 {
		t.Errorf("least complete %v", least)
	}
	// A late revision of a window is in the archive at once.
	late := sample("trades:count:total", w.now-27*minute, 1000)
	late.Revision = 2
	w.write([]store.WindowSample{late})
	again := w.ask(`{"name":"x","type":"archive_table","period":"month","time_zone":"Asia/Shanghai","sources":[{"monitor":"trades","figure":"count"}]}`)
	total, old := 0.0, 0.0
	for _, s := range days {
		total += s.count
	}
	m := int64(-27)
	old = float64(5 + (m%11+11)%11)
	got := 0.0
	for _, r := range again.Rows {
		if v := r.Cells[1].Value; v != nil {
			got += *v
		}
	}
	if got != total-old+1000 {
		t.Errorf("months hold %v, want %v", got, total-old+1000)
	}
	// While the newest day has windows that have not settled, only older days are final.
	w.live.windows["trades"].SettledUntilMs = d.Rows[1].StartMs + 60*minute
	w.live.windows["trades"].Windows = []*pharosv1.WindowState{}
	if d = w.ask(`{"name":"x","type":"archive_table","period":"day","time_zone":"Asia/Shanghai","sources":[{"monitor":"trades"}]}`); d.Rows[1].Settled || !d.Rows[2].Settled {
		t.Errorf("%+v", d.Rows[:3])
	}
}

// TestArchiveByKeys has the largest keys of each period, compared with the same key of the period before.
func TestArchiveByKeys(t *testing.T) {
	w := trades(t)
	d := w.ask(`{"name":"x","type":"archive_table","period":"hour","span_s":7200,"top":2,"hidden_keys":[1],"key_titles":["Goods"],"sources":[{"monitor":"trades"}],"columns":[
		{"name":"t","function":"time"},{"name":"n"},{"name":"change","function":"ring_diff"},{"name":"c","figure":"cost"}]}`)
	type sums struct{ count, cost float64 }
	hours := map[int64]map[string]*sums{}
	for m := int64(-61); m < 0; m++ {
		hour := int64(-1)
		if m < -60 {
			hour = -2
		}
		if hours[hour] == nil {
			hours[hour] = map[string]*sums{}
		}
		for g, gn := range goods {
			for c := range clouds {
				x := tradesAt(g, c, m)
				if hours[hour][gn] == nil {
					hours[hour][gn] = &sums{}
				}
				hours[hour][gn].count += x.count
				hours[hour][gn].cost += x.cost
			}
		}
	}
	var got, want []string
	for _, r := range d.Rows {
		hour := (r.StartMs - w.now) / (60 * minute)
		got = append(got, fmt.Sprintf("%d %v %.10g %.8g", hour, r.Key, *r.Cells[1].Value, *r.Cells[3].Value))
		if change := r.Cells[2].Value; hour == -1 && (change == nil || math.Abs(*change-(hours[-1][r.Key[0]].count-hours[-2][r.Key[0]].count)) > 1e-6) {
			t.Errorf("%v changed by %v", r.Key, change)
		}
	}
	for _, hour := range []int64{-1, -2} {
		for _, gn := range []string{"plum", "pear"} { // the largest two
			s := hours[hour][gn]
			want = append(want, fmt.Sprintf("%d [%s] %.10g %.8g", hour, gn, s.count, s.cost/s.count))
		}
	}
	if g, x := strings.Join(got, "; "), strings.Join(want, "; "); g != x || d.KeysTotal != 3 || d.Keys[0] != "Goods" {
		t.Errorf("got  %s\nwant %s\n%d keys, %v", g, x, d.KeysTotal, d.Keys)
	}
}
