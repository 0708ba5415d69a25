package dashboards

import (
	"context"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/console/api"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// windowStates are the windows of a report's monitors in some time.
type windowStates struct {
	// settledUntil: all windows that end at or before it have settled.
	settledUntil int64
	windows      []*pharosv1.WindowState
}

// row tells how complete and final the windows of [start, end) are.
func (w *windowStates) row(start, end int64) Row {
	out := Row{Settled: w.settledUntil >= end}
	for _, one := range w.windows {
		if s := one.GetWindowStartMs(); s >= start && s < end {
			c := one.GetCompleteness()
			if out.Completeness == nil || c < *out.Completeness {
				out.Completeness = &c
			}
		}
	}
	return out
}

// health asks how complete and exact the report's monitors are on g, and notes
// it in the data. What can't be asked is noted, too: the numbers are shown all the same.
func (r *run) health(ctx context.Context, g grid) *windowStates {
	out := &windowStates{settledUntil: math.MaxInt64}
	r.data.Sources = []SourceState{}
	asked := map[string]*pharosv1.MonitorWindowsResponse{}
	for _, src := range r.report.Sources {
		m, ok := r.monitors[src.Name]
		if !ok {
			continue
		}
		state := SourceState{Name: src.Name, Monitor: src.Monitor, Title: m.spec.Title, App: m.spec.App,
			SinceMs: max(g.start, g.end()-maxWindows*m.spec.Window.D().Milliseconds())}
		answer, again := asked[m.id]
		if !again {
			var err error
			answer, err = r.query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
				Scope: &pharosv1.Scope{Workspace: r.workspace}, MonitorId: m.id, StartMs: state.SinceMs, EndMs: g.end()})
			if err != nil {
				state.Unknown, out.settledUntil = api.FromError(err).Message, 0
				r.data.Sources = append(r.data.Sources, state)
				continue
			}
			asked[m.id] = answer
			out.windows = append(out.windows, answer.GetWindows()...)
			out.settledUntil = min(out.settledUntil, answer.GetSettledUntilMs())
		}
		state.add(answer)
		r.data.Sources = append(r.data.Sources, state)
	}
	r.data.Incomplete = incomplete(out.windows)
	if r.data.OpenFromMs = 0; out.settledUntil < g.end() {
		r.data.OpenFromMs = max(out.settledUntil, g.start)
	}
	return out
}

func (s *SourceState) add(answer *pharosv1.MonitorWindowsResponse) {
	for _, w := range answer.GetWindows() {
		if c := w.GetCompleteness(); w.GetSettled() && (s.Completeness == nil || c < *s.Completeness) {
			s.Completeness = &c
		}
		s.LinesLate += w.GetLinesLate()
		s.LinesBad += w.GetLinesBad()
		s.BadNumbers += w.GetBadNumbers()
		s.LostBytes += w.GetLostBytes()
		s.ThrottledBytes += w.GetThrottledBytes()
		s.KeysDropped += w.GetKeysDropped()
	}
}

// incomplete joins the settled windows that lack agents to stretches.
func incomplete(windows []*pharosv1.WindowState) []Stretch {
	out := []Stretch{}
	lacking := slices.DeleteFunc(slices.Clone(windows), func(w *pharosv1.WindowState) bool { return !w.GetSettled() || w.GetCompleteness() >= 1 })
	slices.SortFunc(lacking, func(a, b *pharosv1.WindowState) int { return int(a.GetWindowStartMs() - b.GetWindowStartMs()) })
	for _, w := range lacking {
		start, end := w.GetWindowStartMs(), w.GetWindowStartMs()+w.GetWindowMs()
		if n := len(out); n > 0 && start <= out[n-1].EndMs {
			out[n-1].EndMs = max(out[n-1].EndMs, end)
			continue
		}
		out = append(out, Stretch{start, end})
	}
	return out
}
