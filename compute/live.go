package compute

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// SelectLive calls fn with the series of windows that the store does not have
// as they are now: those that have not settled, or have changed since. Values
// are computed from the parts taken in so far. It stops at fn's first error and returns it.
func (c *Compute) SelectLive(matchers []store.Matcher, startMs, endMs int64, fn func(*store.Series) error) error {
	filter, err := store.NewFilter(matchers)
	if err != nil {
		return err
	}
	var byName []store.Matcher
	for _, m := range matchers {
		if m.Name == store.MetricName {
			byName = append(byName, m)
		}
	}
	names, err := store.NewFilter(byName)
	if err != nil {
		return err
	}
	want := func(name string) bool { return names.Match(store.Labels{{Name: store.MetricName, Value: name}}) }
	found := map[string]*store.Series{}
	var key []byte
	var values []store.WindowSample
	for _, l := range c.liveWindows(startMs, endMs, want) {
		x, state, dropped, err := c.look(l)
		if err != nil {
			return err
		}
		values = l.plan.Samples(values[:0], x.merged, state, func(key string) bool { return !dropped[key] }, want)
		if state.GetWindowStartMs()+state.GetWindowMs() <= c.nowMs() {
			values = l.plan.Companions(values, state, want)
		}
		for i := range values {
			v := &values[i]
			if !filter.Match(v.Labels) {
				continue
			}
			key = v.Labels.AppendKey(key[:0])
			s := found[string(key)]
			if s == nil || s.WindowMs != v.WindowMs {
				s = &store.Series{Labels: v.Labels, WindowMs: v.WindowMs}
				found[string(key)] = s
			}
			s.TimesMs, s.Values = append(s.TimesMs, v.StartMs), append(s.Values, v.Value)
		}
	}
	series := make([]*store.Series, 0, len(found))
	for _, s := range found {
		series = append(series, s)
	}
	slices.SortFunc(series, func(a, b *store.Series) int { return a.Labels.Compare(b.Labels) })
	for _, s := range series {
		if err := fn(s); err != nil {
			return err
		}
	}
	return nil
}

// liveWindow is a window to look at.
type liveWindow struct {
	w       *win
	mon     *monitor
	plan    *window.Plan
	meta    *metadata
	version uint64
	cache   *contents
}

// liveWindows returns the windows that have a wanted series, in the order of time.
func (c *Compute) liveWindows(startMs, endMs int64, want func(name string) bool) []liveWindow {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[*window.Plan]bool{}
	var out []liveWindow
	for id, w := range c.windows {
		m := c.monitors[id.Monitor]
		if m == nil || !w.dirty() || id.StartMs < startMs || id.StartMs > endMs {
			continue
		}
		plan := c.meta.planOf(m.plan, id, w.tasks)
		if plan == nil {
			continue
		}
		is, known := wanted[plan]
		if !known {
			is = slices.ContainsFunc(plan.Names(), want)
			wanted[plan] = is
		}
		if is {
			out = append(out, liveWindow{w: w, mon: m, plan: plan, meta: c.meta, version: w.version, cache: w.cache})
		}
	}
	slices.SortFunc(out, func(a, b liveWindow) int { return cmp.Compare(a.w.id.StartMs, b.w.id.StartMs) })
	return out
}

// lookShare bounds what queries cost: a window that changes all the time is merged
// again only after so many times as long as the last merge took.
const lookShare = 10

// look merges a live window, or takes it from the last time if nothing has
// changed, and returns its state and the keys that have no place.
func (c *Compute) look(l liveWindow) (*contents, *pharosv1.WindowState, map[string]bool, error) {
	x := l.cache
	if x == nil || x.meta != l.meta || x.plan != l.plan || x.version != l.version && time.Since(x.at) > lookShare*x.took {
		began := time.Now()
		var err error
		if x, err = c.merge(l.w.id, l.plan, l.meta); err != nil {
			return nil, nil, nil, err
		}
		x.version, x.at = l.version, time.Now()
		x.took = x.at.Sub(began)
	}
	before, err := c.journal.Settled(l.w.id)
	if err != nil {
		return nil, nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.w.dirty() {
		l.w.cache = x
	}
	admitted := l.mon.keys.Admit(x.merged.Rows, l.w.id.StartMs, c.nowMs(), l.plan.KeyLimit, true)
	state := x.state(l.w.id, len(admitted.Dropped))
	expected, missing := l.mon.reported(l.w.id.EndMs(), before)
	state.Completeness = window.Completeness(expected, len(missing))
	state.Settled, state.Revision = before != nil, before.GetRevision()
	return x, state, admitted.Dropped, nil
}

// LiveLines returns the windows of a monitor, with their lines, that the store
// does not have as they are now, in the order of time.
func (c *Compute) LiveLines(monitorID string, startMs, endMs int64) ([]store.LineWindow, error) {
	var out []store.LineWindow
	for _, l := range c.liveWindows(startMs, endMs, func(string) bool { return true }) {
		if l.w.id.Monitor != monitorID || !l.plan.HasList() {
			continue
		}
		x, state, _, err := c.look(l)
		if err != nil {
			return nil, err
		}
		out = append(out, lineWindow(l.plan, x, state))
	}
	return out, nil
}

// reported returns how many agents are expected in a window, and those that
// have not reported it. Compute.mu is held.
func (m *monitor) reported(endMs int64, before *journal.Settled) (int, []string) {
	if before != nil {
		return int(before.Expected), window.StillMissing(endMs, before.Missing, m.markOf)
	}
	return len(m.expected), window.StillMissing(endMs, m.expected, m.markOf)
}

// maxWindows bounds an answer of MonitorWindows.
const maxWindows = 5000

// MonitorWindows tells of the windows of a monitor that this compute has,
// with their completeness and losses. At most the 5,000 newest are told.
func (c *Compute) MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	c.mu.Lock()
	m := c.monitors[req.GetMonitorId()]
	if m == nil || m.plan == nil {
		c.mu.Unlock()
		return nil, status.Errorf(codes.NotFound, "monitor %q is not known", req.GetMonitorId())
	}
	now := c.nowMs()
	plan := m.plan
	resp := &pharosv1.MonitorWindowsResponse{SettledUntilMs: m.cursor, ExpectedAgents: uint32(len(m.expected)),
		Keys: uint32(m.keys.Len(now)), KeyLimit: uint32(plan.KeyLimit)}
	if over := plan.Floor(now); over > 0 {
		resp.MissingAgents = window.StillMissing(over, m.expected, m.markOf)
	}
	c.mu.Unlock()

	live := map[int64]bool{}
	for _, l := range c.liveWindows(req.GetStartMs(), req.GetEndMs(), func(string) bool { return true }) {
		if l.mon != m || l.plan.LengthMs != plan.LengthMs {
			continue
		}
		_, state, _, err := c.look(l)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "cannot read windows: %v", err)
		}
		live[state.GetWindowStartMs()] = true
		resp.Windows = append(resp.Windows, state)
	}
	last := min(req.GetEndMs(), now)
	first := max(req.GetStartMs(), now-c.opts.Keep.Milliseconds(), last-maxWindows*plan.LengthMs)
	for start := plan.Floor(max(first, 0) + plan.LengthMs - 1); start <= last; start += plan.LengthMs {
		if live[start] {
			continue
		}
		if ctx.Err() != nil {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		s, err := c.journal.Settled(journal.WindowID{Monitor: req.GetMonitorId(), StartMs: start, LengthMs: plan.LengthMs})
		if err != nil {
			return nil, status.Errorf(codes.Internal, "cannot read windows: %v", err)
		}
		if s != nil {
			resp.Windows = append(resp.Windows, s.State)
		}
	}
	slices.SortFunc(resp.Windows, func(a, b *pharosv1.WindowState) int { return cmp.Compare(a.GetWindowStartMs(), b.GetWindowStartMs()) })
	return resp, nil
}
