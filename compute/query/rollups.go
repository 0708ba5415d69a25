package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// rollups says how one selector may be read from rollups instead of windows;
// nil: not at all. See docs/decisions/rollups.md.
type rollups struct {
	key      string // of the monitor
	kind     store.RollupKind
	windowMs int64 // of the monitor's windows
	// ranged is set for a range selector: a bucket then stands at the start of its last window, where
	// it is within a range just when all its windows are.
	ranged bool
	// whole is set when sums over time are asked for; otherwise a bucket of sums reads as their mean per
	// window, which is what single windows of that time would show.
	whole bool
	// exact is the level whose buckets that begin in [fromMs, toMs) give the same result as their
	// windows; Base: none.
	exact        store.Level
	fromMs, toMs int64
	// Windows are kept from keptMs on, five-minute buckets from kept5mMs on. Buckets before settledMs
	// don't change any more.
	keptMs, kept5mMs, settledMs int64
}

// span is a time in which windows or buckets of one level are read.
type span struct {
	level        store.Level
	fromMs, toMs int64 // of starts, toMs not included
}

// The least length of a range at a single moment for which its inner part is read from buckets.
const (
	worth5m = 2 * 60 * 60_000
	worth1h = 24 * 60 * 60_000
)

const hourMs = 60 * 60_000

// hasSubquery tells whether an expression has a subquery: its selectors are
// evaluated at moments that their hints don't tell.
func hasSubquery(expr parser.Expr) bool {
	found := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		_, is := n.(*parser.SubqueryExpr)
		found = found || is
		return nil
	})
	return found
}

// rollupsFor says how a selector may be read from rollups.
func (s *Service) rollupsFor(scope *pharosv1.Scope, hints *storage.SelectHints, matchers []*labels.Matcher) *rollups {
	name := ""
	for _, m := range matchers {
		if m.Name == store.MetricName && m.Type == labels.MatchEqual {
			name = m.Value
		}
	}
	key, _, found := strings.Cut(name, ":")
	if !found || hints == nil {
		return nil
	}
	now := s.now().UnixMilli()
	if hints.Start >= now-s.limits.LateBy.Milliseconds() {
		return nil // the usual case: nothing is old
	}
	for _, info := range s.live.Monitors() {
		if info.GetKey() != key || info.GetWorkspace() != scope.GetWorkspace() {
			continue
		}
		plan, err := window.NewPlan(info)
		if err != nil {
			return nil
		}
		rollup, ok := plan.Rollup(name)
		if !ok || !store.OneHour.Suits(plan.LengthMs) {
			return nil
		}
		r := &rollups{key: key, kind: rollup.Kind, windowMs: plan.LengthMs, ranged: hints.Range > 0, whole: hints.Func == "sum_over_time",
			keptMs:    roundUp(now-s.store.Retention(store.Base).Milliseconds(), hourMs),
			kept5mMs:  roundUp(now-s.store.Retention(store.FiveMinutes).Milliseconds(), hourMs),
			settledMs: roundDown(min(now-s.limits.LateBy.Milliseconds(), s.live.PendingRollup(info.GetMonitorId())), hourMs)}
		r.findExact(hints)
		return r
	}
	return nil
}

// findExact finds the level that gives the same result as the windows.
func (r *rollups) findExact(hints *storage.SelectHints) {
	switch {
	case hints.Func == "sum_over_time" && r.kind == store.RollupSum,
		hints.Func == "min_over_time" && r.kind == store.RollupMin,
		hints.Func == "max_over_time" && r.kind == store.RollupMax:
	default:
		return
	}
	if hints.Range <= 0 {
		return
	}
	// The windows that a range selector sees at t begin in (t-range, t].
	first := hints.Start + hints.Range - 1
	r.fromMs = roundDown(first-hints.Range, r.windowMs) + r.windowMs
	if hints.End == first || hints.Step <= 0 { // one moment: buckets inside, windows at the ends
		for _, l := range []struct {
			level store.Level
			worth int64
		}{{store.OneHour, worth1h}, {store.FiveMinutes, worth5m}} {
			if hints.Range >= l.worth && l.level.Suits(r.windowMs) {
				r.exact, r.fromMs = l.level, roundUp(r.fromMs, l.level.LengthMs())
				r.toMs = roundDown(roundDown(hints.End, r.windowMs)+r.windowMs, l.level.LengthMs())
				return
			}
		}
		return
	}
	// Many moments: each has to see whole buckets only.
	last := first + (hints.End-first)/hints.Step*hints.Step
	for _, l := range []store.Level{store.OneHour, store.FiveMinutes} {
		length := l.LengthMs()
		if l.Suits(r.windowMs) && hints.Step%length == 0 && hints.Range%length == 0 && r.fromMs%length == 0 {
			r.exact, r.toMs = l, roundDown(last, r.windowMs)+r.windowMs
			return
		}
	}
}

// spans divides [startMs, endMs] by what is to be read where.
func (r *rollups) spans(startMs, endMs int64) []span {
	if r == nil {
		return []span{{store.Base, startMs, endMs + 1}}
	}
	end := endMs + 1
	var out []span
	put := func(l store.Level, from, to int64) {
		if to = min(to, end); from < to {
			out = append(out, span{l, from, to})
		}
	}
	at := startMs
	if at < r.keptMs { // the windows are gone: buckets are all there is
		middle := max(r.exact, store.FiveMinutes)
		if !middle.Suits(r.windowMs) {
			middle = store.OneHour
		}
		at = roundDown(at, hourMs)
		old := min(r.kept5mMs, r.keptMs)
		put(store.OneHour, at, old)
		put(middle, max(at, old), r.keptMs)
		at = r.keptMs
	}
	from, to := max(at, r.fromMs), min(r.toMs, r.settledMs)
	if r.exact != store.Base {
		from, to = roundUp(from, r.exact.LengthMs()), roundDown(to, r.exact.LengthMs())
	}
	if r.exact == store.Base || from >= to {
		put(store.Base, at, end)
		return out
	}
	put(store.Base, at, from)
	put(r.exact, from, to)
	put(store.Base, to, end)
	return out
}

// of returns r for a series of the same monitor that has another kind.
func (r *rollups) of(kind store.RollupKind) *rollups {
	if r == nil {
		return nil
	}
	other := *r
	other.kind = kind
	return &other
}

// present makes of buckets what a selector shows.
func (r *rollups) present(x *store.Series) {
	if r.ranged {
		for i := range x.TimesMs {
			x.TimesMs[i] += x.WindowMs - r.windowMs
		}
	}
	if r.kind == store.RollupSum && !r.whole {
		n := float64(x.WindowMs / r.windowMs)
		for i := range x.Values {
			x.Values[i] /= n
		}
	}
}

// maxHoles bounds in how many pieces a span is read that lacks buckets.
const maxHoles = 16

// withoutHoles replaces buckets that are not there, though windows may be, by
// windows: those of a time when nothing was rolled up yet. A bucket is there if its completeness is.
func (s *Service) withoutHoles(ctx context.Context, scope *pharosv1.Scope, r *rollups, all []span) ([]span, error) {
	if r == nil {
		return all, nil
	}
	var out []span
	for _, sp := range all {
		if sp.level == store.Base || sp.fromMs < r.keptMs {
			out = append(out, sp)
			continue
		}
		there := map[int64]bool{}
		matchers := []store.Matcher{{Type: store.MatchEqual, Name: store.MetricName, Value: r.key + ":completeness"}, scopeMatcher(scope)}
		if err := s.store.SelectRollups(ctx, sp.level, matchers, sp.fromMs, sp.toMs-1, store.Limits{}, func(x *store.Series) error {
			for _, t := range x.TimesMs {
				there[t] = true
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("cannot read which rollups there are: %w", err)
		}
		pieces := []span{}
		length := sp.level.LengthMs()
		for t := sp.fromMs; t < sp.toMs; t += length {
			l := store.Base
			if there[t] {
				l = sp.level
			}
			if n := len(pieces); n > 0 && pieces[n-1].level == l {
				pieces[n-1].toMs = t + length
				continue
			}
			pieces = append(pieces, span{l, t, t + length})
		}
		if len(pieces) > maxHoles {
			pieces = []span{{store.Base, sp.fromMs, sp.toMs}}
		}
		out = append(out, pieces...)
	}
	return out, nil
}

func roundDown(ms, to int64) int64 { return ms - mod(ms, to) }

func roundUp(ms, to int64) int64 { return ms + mod(-ms, to) }

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }
