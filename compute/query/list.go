package query

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Series lists the label sets that match any of the selectors.
func (s *Service) Series(ctx context.Context, req *pharosv1.SeriesRequest) (*pharosv1.SeriesResponse, error) {
	if len(req.GetSelectors()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "at least one selector is needed")
	}
	limit := int(req.GetLimit())
	if limit <= 0 || limit > s.limits.ResultSeries {
		limit = s.limits.ResultSeries
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	selections, err := s.selections(req.GetScope(), req.GetSelectors())
	if err != nil {
		return nil, err
	}
	startMs, endMs := rangeOrAll(req.GetStartMs(), req.GetEndMs())
	found := newMerger()
	for _, matchers := range selections {
		sets, err := s.store.SeriesLabels(ctx, matchers, startMs, endMs, s.limits.ReadSeries)
		if err != nil {
			return nil, storeError(err)
		}
		for _, ls := range sets {
			found.add(&store.Series{Labels: ls}, fromStore)
		}
	}
	if err := s.eachLive(selections, startMs, endMs, func(ls store.Labels) { found.add(&store.Series{Labels: ls}, fromLive) }); err != nil {
		return nil, err
	}
	resp := &pharosv1.SeriesResponse{}
	for i, m := range found.sorted() {
		if i == limit {
			resp.Truncated = true
			break
		}
		resp.Series = append(resp.Series, &pharosv1.LabelSet{Labels: m.labels.Map()})
	}
	return resp, nil
}

// LabelNames lists label names.
func (s *Service) LabelNames(ctx context.Context, req *pharosv1.LabelNamesRequest) (*pharosv1.LabelNamesResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	selections, err := s.selections(req.GetScope(), req.GetSelectors())
	if err != nil {
		return nil, err
	}
	startMs, endMs := rangeOrAll(req.GetStartMs(), req.GetEndMs())
	found := map[string]bool{}
	for _, matchers := range selections {
		names, err := s.store.LabelNames(ctx, matchers, startMs, endMs)
		if err != nil {
			return nil, storeError(err)
		}
		for _, n := range names {
			found[n] = true
		}
	}
	err = s.eachLive(selections, startMs, endMs, func(ls store.Labels) {
		for _, l := range ls {
			found[l.Name] = true
		}
	})
	if err != nil {
		return nil, err
	}
	resp := &pharosv1.LabelNamesResponse{}
	for n := range found {
		if !hidden(n) {
			resp.Names = append(resp.Names, n)
		}
	}
	slices.Sort(resp.Names)
	return resp, nil
}

// LabelValues lists the values of one label.
func (s *Service) LabelValues(ctx context.Context, req *pharosv1.LabelValuesRequest) (*pharosv1.LabelValuesResponse, error) {
	name := req.GetName()
	if name == "" {
		return nil, status.Error(codes.InvalidArgument, "a label name is needed")
	}
	resp := &pharosv1.LabelValuesResponse{}
	if hidden(name) {
		return resp, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	selections, err := s.selections(req.GetScope(), req.GetSelectors())
	if err != nil {
		return nil, err
	}
	startMs, endMs := rangeOrAll(req.GetStartMs(), req.GetEndMs())
	found := map[string]bool{}
	for _, matchers := range selections {
		values, err := s.store.LabelValues(ctx, name, matchers, startMs, endMs)
		if err != nil {
			return nil, storeError(err)
		}
		for _, v := range values {
			found[v] = true
		}
	}
	err = s.eachLive(selections, startMs, endMs, func(ls store.Labels) {
		if v := ls.Get(name); v != "" {
			found[v] = true
		}
	})
	if err != nil {
		return nil, err
	}
	for v := range found {
		resp.Values = append(resp.Values, v)
	}
	slices.Sort(resp.Values)
	return resp, nil
}

// selections parses selectors and scopes them; without any, it selects all that the scope has.
func (s *Service) selections(scope *pharosv1.Scope, selectors []string) ([][]store.Matcher, error) {
	if len(selectors) == 0 {
		return [][]store.Matcher{{scopeMatcher(scope)}}, nil
	}
	var out [][]store.Matcher
	for _, text := range selectors {
		matchers, err := s.parser.ParseMetricSelector(text)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "cannot parse selector %q: %v", text, err)
		}
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, status.Errorf(codes.InvalidArgument, "selector %q has no matcher that refuses the empty value", text)
		}
		if selected, ok := scoped(scope, matchers); ok {
			out = append(out, selected)
		}
	}
	return out, nil
}

// eachLive calls fn with the labels of this compute's live series; those of peers are in
// the store within a minute or two, which is soon enough for lists.
func (s *Service) eachLive(selections [][]store.Matcher, startMs, endMs int64, fn func(store.Labels)) error {
	for _, matchers := range selections {
		err := s.live.SelectLive(matchers, startMs, endMs, func(x *store.Series) error {
			fn(x.Labels)
			return nil
		})
		if err != nil {
			return status.Errorf(codes.Unavailable, "cannot read live windows: %v", err)
		}
	}
	return nil
}

// rangeOrAll reads an absent end as no end.
func rangeOrAll(startMs, endMs int64) (int64, int64) {
	if endMs == 0 {
		endMs = math.MaxInt64
	}
	return startMs, endMs
}
