package alarm

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// history keeps hours of the past that usual values are learnt from: every
// check of an hour asks for the same ones.
type history struct {
	mu     sync.Mutex
	chunks map[chunkKey]chunk
	order  []chunkKey // oldest first
	size   int        // numbers in chunks
}

type chunkKey struct {
	workspace, expr string
	startMs, stepMs int64
}

// chunk has the values of an hour by object, NaN where there is none.
type chunk map[string][]float64

// historySize bounds the numbers that are kept, 8 bytes each.
const historySize = 4 << 20

func newHistory() *history { return &history{chunks: map[chunkKey]chunk{}} }

func (h *history) get(k chunkKey) (chunk, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.chunks[k]
	return c, ok
}

func (h *history) put(k chunkKey, c chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.chunks[k]; known {
		return
	}
	h.chunks[k], h.order, h.size = c, append(h.order, k), h.size+c.size()
	for h.size > historySize && len(h.order) > 1 {
		oldest := h.order[0]
		h.size -= h.chunks[oldest].size()
		delete(h.chunks, oldest)
		h.order = h.order[1:]
	}
}

func (c chunk) size() int {
	n := 16 // what an empty one takes
	for _, values := range c {
		n += len(values) + 16
	}
	return n
}

const (
	// around is how far before and after the same time of day values are learnt from.
	around = 5 * time.Minute
	// learnDays and learnWeeks are on how many days there must have been values.
	learnDays, learnWeeks = 3, 2
	// deviationOfMAD makes a median absolute deviation comparable with a standard
	// deviation of normally distributed values (Rousseeuw and Croux 1993).
	deviationOfMAD = 1.4826
)

// usual is what is usual at a time of day: for every object the median of the
// values around that time on the days before, and as the scale their robust
// standard deviation, not less than chance or a small share of the median
// makes. Objects with values on too few days have none. m is nil for
// expressions.
func (g *gatherer) usual(ctx context.Context, r *rule, m *monitor, f figureSeries, atMs int64) (median, scale map[string]float64, err error) {
	c := f.condition
	expr, step, lookback := c.Expr, minuteMs, int64(0)
	if m != nil {
		expr, step, lookback = f.expr(), max(minuteMs, m.windowMs()), 1
	}
	every, least := 1, learnDays
	if c.Weekly {
		every, least = 7, learnWeeks
	}
	seen := map[string][]float64{}
	days := map[string]int{}
	reach := around.Milliseconds() / step * step
	for d := every; d <= c.Days; d += every {
		middle := atMs - int64(d)*24*60*minuteMs
		if c.WallClock {
			middle = time.UnixMilli(atMs).In(r.spec.Location()).AddDate(0, 0, -d).UnixMilli()
		}
		today := map[string]int{}
		for at := middle - reach; at <= middle+reach; at += step {
			hour, i, err := g.hour(ctx, r.workspace, expr, at, step, lookback)
			if err != nil {
				return nil, nil, err
			}
			if m != nil {
				whole, j, err := g.hour(ctx, r.workspace, m.key+":"+alarmrule.Completeness, at, step, lookback)
				if err != nil {
					return nil, nil, err
				}
				if share := whole[""]; len(share) <= j || !(share[j] >= r.spec.MinCompleteness) {
					continue
				}
				if len(m.spec.GroupBy) == 0 && f.stat.Kind.Additive() && len(hour) == 0 { // nobody wrote a line
					seen[""], today[""] = append(seen[""], 0), 1
				}
			}
			for key, values := range hour {
				if v := values[i]; !math.IsNaN(v) {
					seen[key], today[key] = append(seen[key], v), 1
				}
			}
		}
		for key := range today {
			days[key]++
		}
	}
	median, scale = map[string]float64{}, map[string]float64{}
	for key, values := range seen {
		if days[key] >= least {
			median[key], scale[key] = robust(values, f.stat.Kind)
		}
	}
	return median, scale, nil
}

// hour is the hour of values that at is in, and its place there.
func (g *gatherer) hour(ctx context.Context, workspace, expr string, at, step, lookback int64) (chunk, int, error) {
	start := at - at%step
	start -= start % hourMs
	start += at % step // of expressions, moments lie just before full minutes
	k := chunkKey{workspace, expr, start, step}
	i := int((at - start) / step)
	if c, ok := g.history.get(k); ok {
		return c, i, nil
	}
	n := int(hourMs / step)
	resp, err := g.query.Query(ctx, &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: workspace}, Expr: expr, StartMs: start,
		EndMs: start + int64(n-1)*step, StepMs: step, LookbackMs: lookback, TimeoutMs: (20 * time.Second).Milliseconds()})
	if err != nil {
		return nil, 0, fmt.Errorf("cannot evaluate %q: %w", expr, err)
	}
	c := chunk{}
	for _, s := range resp.GetSeries() {
		values := slices.Repeat([]float64{math.NaN()}, n)
		for j, ms := range s.GetTimesMs() {
			values[(ms-start)/step] = s.GetValues()[j]
		}
		c[objectKey(objectLabels(s.GetLabels(), lookback > 0))] = values
	}
	g.history.put(k, c)
	return c, i, nil
}

const hourMs = 60 * minuteMs

// robust is the median of values and their robust standard deviation, which is
// at least that of a count's chance (its square root) or a twentieth of the median.
func robust(values []float64, kind logrule.StatKind) (median, deviation float64) {
	median = middle(values)
	off := make([]float64, len(values))
	for i, v := range values {
		off[i] = math.Abs(v - median)
	}
	least := math.Abs(median) / 20
	if kind.Additive() {
		least = max(math.Sqrt(math.Abs(median)), 1)
	}
	if deviation = max(deviationOfMAD*middle(off), least); deviation == 0 {
		deviation = 1
	}
	return median, deviation
}

// middle is the median of values, of which there is at least one.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
