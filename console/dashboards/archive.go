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
	var labels []string
	if r.report.Top > 0 {
		var titles []string
		titles, labels = r.keyed()
		r.data.Keys = append(r.data.Keys, titles...)
	}
	for _, c := range r.report.Columns {
		r.data.Columns = append(r.data.Columns, r.head(c))
	}
	for i, p := range all {
		// The first row may be of a period that goes on.
		row := Row{StartMs: p.start, Settled: i > 0 && windows.settledUntil >= p.end && r.question.End >= p.end+archiveFinalAfter.Milliseconds()}
		if row.Completeness, err = r.leastComplete(ctx, p); err != nil {
			return err
		}
		last := before
		if i+1 < len(all) {
			last = all[i+1]
		}
		if err := r.rowsOfPeriod(ctx, row, labels, p, last); err != nil {
			return err
		}
	}
	return nil
}

// rowsOfPeriod adds the period's row, or those of its largest keys. last is the
// period before, with which comparisons are made.
func (r *run) rowsOfPeriod(ctx context.Context, row Row, labels []string, p, last stretch) error {
	frames := make([]*frame, len(r.report.Columns))
	var err error
	for i, c := range r.report.Columns {
		if c.Function == dashboard.Time {
			continue
		}
		choose := r.totals(c)
		if len(labels) > 0 {
			choose = r.byKey(c, labels)
		}
		if frames[i], err = r.ofPeriod(ctx, c, choose, p, last); err != nil {
			return err
		}
	}
	keys := [][]string{nil}
	if len(labels) > 0 {
		var total int
		keys, total = largest(frames, min(r.report.Top, max(1, maxRows-len(r.data.Rows))))
		r.data.KeysTotal = max(r.data.KeysTotal, total)
	}
	for _, key := range keys {
		own := row
		own.Key, own.Cells = key, nil
		for i, c := range r.report.Columns {
			switch {
			case frames[i] == nil:
				own.Cells = append(own.Cells, Cell{})
			case len(labels) > 0:
				own.Cells = append(own.Cells, cellAt(c, frames[i], key, 0))
			default:
				own.Cells = append(own.Cells, cell(c, at(frames[i].only(), 0)))
			}
		}
		r.data.Rows = append(r.data.Rows, own)
	}
	return nil
}

// ofPeriod are a column's values of a period.
func (r *run) ofPeriod(ctx context.Context, c dashboard.Column, choose func(operand) selection, p, last stretch) (*frame, error) {
	value := func(p stretch, f dashboard.Function) (*frame, error) {
		c.Function = f
		return r.column(ctx, c, choose, grid{p.start, p.end - p.start, 1})
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
		return nil, err
	}
	base, err := value(last, dashboard.Value)
	if err != nil {
		return nil, err
	}
	out := &frame{rows: map[string]*values{}, alone: now.alone}
	for id, v := range now.rows {
		out.rows[id] = &values{key: v.key, at: []float64{compare(at(v.at, 0), at(base.of(id), 0))}}
	}
	return out, nil
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
