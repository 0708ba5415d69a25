package dashboards

import (
	"context"
	"math"
	"time"

	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/dashboard"
)

// archivePeriods is how many periods an archive shows unless its report says how long.
const archivePeriods = 10

// archiveFinalAfter is how long after its last window has settled a period is
// called final (spec 05 MON-9). Later corrections change it all the same.
const archiveFinalAfter = 5 * time.Minute

// stretch is one period of an archive, in ms.
type stretch struct{ start, end int64 }

// periods returns the calendar periods that lie in [from, to), the newest
// first; the first may not be over yet. Days may have 23 or 25 hours.
func periods(p dashboard.Period, zone *time.Location, from, to int64, most int) []stretch {
	t := time.UnixMilli(to - 1).In(zone)
	var begin, next func(time.Time) time.Time
	date := func(t time.Time, months, days int) time.Time {
		return time.Date(t.Year(), t.Month()+time.Month(months), t.Day()+days, 0, 0, 0, 0, zone)
	}
	switch p {
	case dashboard.Hour:
		// Where clocks are put back, the hour that comes twice makes two periods.
		begin = func(t time.Time) time.Time {
			return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
		}
		next = func(t time.Time) time.Time { return t.Add(-time.Hour) }
	case dashboard.Week: // of ISO 8601: from Monday
		begin = func(t time.Time) time.Time { return date(t, 0, -(int(t.Weekday())+6)%7) }
		next = func(t time.Time) time.Time { return date(t, 0, -7) }
	case dashboard.Month:
		begin = func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, zone) }
		next = func(t time.Time) time.Time { return date(t, -1, 0) }
	default:
		begin = func(t time.Time) time.Time { return date(t, 0, 0) }
		next = func(t time.Time) time.Time { return date(t, 0, -1) }
	}
	var out []stretch
	start, end := begin(t), to
	for len(out) < most && end > from {
		out = append(out, stretch{start.UnixMilli(), end})
		end = start.UnixMilli()
		start = next(start)
	}
	return out
}

// archive has a row per hour, day, week or month, the newest first. It is made
// of the windows, or of their hourly buckets where those are all that is kept.
func (r *run) archive(ctx context.Context) error {
	zone, err := time.LoadLocation(r.report.TimeZone)
	if err != nil {
		return err
	}
	unit := r.windowMs()
	to := roundDown(r.question.End, unit)
	from, most := int64(0), archivePeriods
	if own := int64(r.report.SpanS) * 1000; own > 0 {
		from, most = to-own, maxAcross
	}
	all := periods(r.report.Period, zone, from, to, most)
	before := periods(r.report.Period, zone, 0, all[len(all)-1].start, 1)[0]
	r.cover(grid{all[len(all)-1].start, 0, 0})
	r.data.EndMs, r.data.StepMs = to, all[0].end-all[0].start
	windows := r.health(ctx, grid{max(all[len(all)-1].start, to-maxWindows*unit), unit, int(min(maxWindows, (to-all[len(all)-1].start)/unit))})
	r.data.Rows = make([]Row, len(all))
	for i, p := range all {
		row := &r.data.Rows[i]
		// The last row may be of a period that goes on.
		row.StartMs, row.Settled = p.start, i > 0 && windows.settledUntil >= p.end && r.question.End >= p.end+archiveFinalAfter.Milliseconds()
		if row.Completeness, err = r.leastComplete(ctx, p); err != nil {
			return err
		}
	}
	for _, c := range r.report.Columns {
		r.data.Columns = append(r.data.Columns, r.head(c))
		for i, p := range all {
			row := &r.data.Rows[i]
			if c.Function == dashboard.Time {
				row.Cells = append(row.Cells, Cell{})
				continue
			}
			last := before
			if i+1 < len(all) {
				last = all[i+1]
			}
			v, err := r.ofPeriod(ctx, c, p, last)
			if err != nil {
				return err
			}
			row.Cells = append(row.Cells, cell(c, v))
		}
	}
	return nil
}

// ofPeriod is a column's value of a period; last is the one before, with which
// comparisons are made.
func (r *run) ofPeriod(ctx context.Context, c dashboard.Column, p, last stretch) (float64, error) {
	value := func(p stretch, f dashboard.Function) (float64, error) {
		c.Function = f
		frame, err := r.column(ctx, c, r.totals(c), grid{p.start, p.end - p.start, 1})
		if err != nil {
			return 0, err
		}
		return at(frame.only(), 0), nil
	}
	compare := difference
	switch c.Function {
	case dashboard.RingDiff:
	case dashboard.RingPct:
		compare = percentage
	default:
		return value(p, c.Function)
	}
	now, err := value(p, dashboard.Value)
	if err != nil {
		return 0, err
	}
	base, err := value(last, dashboard.Value)
	return compare(now, base), err
}

// leastComplete is the least completeness of the windows of a period, nil where
// none has settled.
func (r *run) leastComplete(ctx context.Context, p stretch) (*float64, error) {
	var least *float64
	for _, src := range r.report.Sources {
		m, ok := r.monitors[src.Name]
		if !ok {
			continue
		}
		first := p.end - m.spec.Window.D().Milliseconds()
		series, err := r.ask(ctx, figures.LeastComplete(src.Monitor, p.end-p.start), first, grid{first, 1, 1})
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			if v := s.GetValues()[len(s.GetValues())-1]; !math.IsNaN(v) && (least == nil || v < *least) {
				least = &v
			}
		}
	}
	return least, nil
}
