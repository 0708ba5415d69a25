package query

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// companions are the series that stand beside every monitor's figures.
var companions = []struct{ suffix, help, unit string }{
	{"completeness", "share of the expected agents that reported the window, 0 to 1", ""},
	{"keys_dropped", "keys left out because of the monitor's key limit", ""},
	{"throttled_bytes", "bytes given up because of the monitor's flow limit", "bytes"},
	{"lines_late", "lines that came too late to be counted", ""},
	{"lines_bad", "lines whose time or columns could not be read", ""},
	{"lines_unmatched", "lines that the rule does not match", ""},
	{"bad_numbers", "values that should be numbers and are not", ""},
	{"lost_bytes", "bytes that could not be read before they were gone", "bytes"},
}

// Metadata describes the metrics the scope has had in the last day: figures of monitors from
// their definition, others by their name alone.
func (s *Service) Metadata(ctx context.Context, req *pharosv1.MetadataRequest) (*pharosv1.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	known := map[string]*pharosv1.MetricMetadata{}
	put := func(metric, help, unit string) {
		if req.GetMetric() == "" || req.GetMetric() == metric {
			known[metric] = &pharosv1.MetricMetadata{Metric: metric, Type: "gauge", Help: help, Unit: unit}
		}
	}
	for _, m := range s.live.Monitors() {
		if m.GetWorkspace() == req.GetScope().GetWorkspace() {
			describeMonitor(m, put)
		}
	}
	matchers := []store.Matcher{scopeMatcher(req.GetScope())}
	if req.GetMetric() != "" {
		matchers = append(matchers, store.Matcher{Type: store.MatchEqual, Name: store.MetricName, Value: req.GetMetric()})
	}
	since := time.Now().Add(-24 * time.Hour).UnixMilli()
	names, err := s.store.LabelValues(ctx, store.MetricName, matchers, since, math.MaxInt64)
	if err != nil {
		return nil, storeError(err)
	}
	for _, name := range names {
		if known[name] == nil {
			known[name] = &pharosv1.MetricMetadata{Metric: name, Type: typeByName(name), Unit: unitByName(name)}
		}
	}
	resp := &pharosv1.MetadataResponse{}
	for _, m := range known {
		resp.Metrics = append(resp.Metrics, m)
	}
	slices.SortFunc(resp.Metrics, func(a, b *pharosv1.MetricMetadata) int { return cmp.Compare(a.GetMetric(), b.GetMetric()) })
	return resp, nil
}

// describeMonitor calls put for every metric of a monitor.
func describeMonitor(m *pharosv1.MonitorInfo, put func(metric, help, unit string)) {
	var spec logrule.Spec
	if err := json.Unmarshal(m.GetSpecJson(), &spec); err != nil {
		return // its metrics are still listed by name
	}
	spec = spec.WithDefaults()
	per := "per " + windowName(spec.Window.D())
	for _, st := range spec.Statistics {
		figure := m.GetKey() + ":" + st.Name
		help := fmt.Sprintf("%s: %s %s", spec.Title, st.Name, per)
		put(figure, help, "")
		if len(spec.GroupBy) > 0 {
			put(figure+":total", help+", over all keys", "")
		}
		over, under, _, ok := st.Parts()
		for _, part := range []string{over, under} {
			if !ok {
				break
			}
			of := help + ": " + strings.TrimPrefix(part, "_")
			put(figure+part, of, "")
			if len(spec.GroupBy) > 0 {
				put(figure+part+":total", of+", over all keys", "")
			}
		}
	}
	for _, c := range companions {
		put(m.GetKey()+":"+c.suffix, spec.Title+": "+c.help, c.unit)
	}
}

// windowName writes a window's length as people do: 1m, not 1m0s.
func windowName(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func typeByName(name string) string {
	if strings.HasSuffix(name, "_total") && !strings.Contains(name, ":") {
		return "counter"
	}
	return "gauge"
}

func unitByName(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, unit := range []string{"seconds", "bytes", "ratio"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}
