package query

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// zeroForMs is how long after a key was seen its missing values read as zero (spec 05 §3.4).
const zeroForMs = 24 * 60 * 60 * 1000

// errNoZeros warns that keys without lines are absent from an answer.
var errNoZeros = errors.New("too many series to tell which keys had no lines: they are absent instead of zero")

// additiveKey returns the key of the monitor whose figure a selector names, if
// that is a count or sum of a monitor with groups: only those read as zero where a key had no lines.
func (s *Service) additiveKey(scope *pharosv1.Scope, matchers []*labels.Matcher) (key string, ok bool) {
	for _, m := range matchers {
		if m.Name != store.MetricName || m.Type != labels.MatchEqual {
			continue
		}
		key, figure, found := strings.Cut(m.Value, ":")
		return key, found && s.isAdditive(scope, key, figure)
	}
	return "", false
}

func (s *Service) isAdditive(scope *pharosv1.Scope, key, figure string) bool {
	for _, m := range s.live.Monitors() {
		if m.GetKey() != key || m.GetWorkspace() != scope.GetWorkspace() {
			continue
		}
		var spec logrule.Spec
		if err := json.Unmarshal(m.GetSpecJson(), &spec); err != nil {
			return false
		}
		spec = spec.WithDefaults()
		for _, st := range spec.Statistics {
			if st.Name == figure {
				return len(spec.GroupBy) > 0 && st.Kind.Additive()
			}
		}
	}
	return false
}

// readFilled reads as read does, from a day earlier, so that it is known when each
// key was seen last, and returns the windows that are complete too. When that is too
// much it reads what was asked for and returns no windows but a warning.
func (s *Service) readFilled(ctx context.Context, scope *pharosv1.Scope, via *rollups, key string, matchers []store.Matcher, startMs, endMs int64) ([]*merged, points, annotations.Annotations, error) {
	all, warnings, err := s.read(ctx, scope, via, matchers, startMs-zeroForMs, endMs)
	if errors.Is(err, store.ErrLimit) {
		all, warnings, err = s.read(ctx, scope, via, matchers, startMs, endMs)
		if err == nil {
			warnings.Add(errNoZeros)
		}
		return all, points{}, warnings, err
	}
	if err != nil || len(all) == 0 {
		return nil, points{}, warnings, err
	}
	completeness := []store.Matcher{{Type: store.MatchEqual, Name: store.MetricName, Value: key + ":completeness"}, scopeMatcher(scope)}
	found, more, err := s.read(ctx, scope, via.of(store.RollupMin), completeness, startMs, endMs)
	if err != nil {
		return nil, points{}, nil, err
	}
	warnings.Merge(more)
	var complete points
	if len(found) == 1 {
		p := found[0].points()
		for i, t := range p.times {
			if p.values[i] >= 1 && p.windows[i] > 0 {
				complete.times, complete.windows = append(complete.times, t), append(complete.windows, p.windows[i])
			}
		}
	}
	return all, complete, warnings, nil
}

// fill puts zeros where a window was complete, the series has no value, and it
// had one in the 24 h before; then it drops what lies before startMs.
func (p points) fill(complete points, startMs int64) points {
	var out points
	lastSeen := int64(-1)
	put := func(t, window int64, v float64) {
		if t >= startMs {
			out.times, out.windows, out.values = append(out.times, t), append(out.windows, window), append(out.values, v)
		}
	}
	i := 0
	for j, t := range complete.times {
		for ; i < len(p.times) && p.times[i] <= t; i++ {
			put(p.times[i], p.windows[i], p.values[i])
			lastSeen = p.times[i]
		}
		if lastSeen >= 0 && lastSeen < t && t-lastSeen <= zeroForMs {
			put(t, complete.windows[j], 0)
		}
	}
	for ; i < len(p.times); i++ {
		put(p.times[i], p.windows[i], p.values[i])
	}
	return out
}
