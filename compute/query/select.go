package query

import (
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

var protoMatchTypes = map[store.MatchType]pharosv1.MatchType{
	store.MatchEqual:    pharosv1.MatchType_MATCH_TYPE_EQUAL,
	store.MatchNotEqual: pharosv1.MatchType_MATCH_TYPE_NOT_EQUAL,
	store.MatchRegex:    pharosv1.MatchType_MATCH_TYPE_REGEX,
	store.MatchNotRegex: pharosv1.MatchType_MATCH_TYPE_NOT_REGEX,
}

func matcherOf(m *pharosv1.Matcher) (store.Matcher, error) {
	for ours, theirs := range protoMatchTypes {
		if theirs == m.GetType() {
			return store.Matcher{Type: ours, Name: m.GetName(), Value: m.GetValue()}, nil
		}
	}
	return store.Matcher{}, status.Errorf(codes.InvalidArgument, "matcher of label %q has no type", m.GetName())
}

// messageSamples is about how many samples one message of a Select stream holds.
const messageSamples = 50_000

// Select streams raw series: the windows this compute holds and, unless live_only, what the
// store has. A window series carries its window length in ms as the label __window__.
func (s *Service) Select(req *pharosv1.SelectRequest, stream pharosv1.QueryService_SelectServer) error {
	matchers := []store.Matcher{scopeMatcher(req.GetScope())}
	for _, m := range req.GetMatchers() {
		matcher, err := matcherOf(m)
		if err != nil {
			return err
		}
		matchers = append(matchers, matcher)
	}
	var found []sourced
	if err := s.live.SelectLive(matchers, req.GetStartMs(), req.GetEndMs(), func(x *store.Series) error {
		found = append(found, sourced{x, fromLive})
		return stream.Context().Err()
	}); err != nil {
		return status.Errorf(codes.Unavailable, "cannot read live windows: %v", err)
	}
	if !req.GetLiveOnly() {
		limits := store.Limits{MaxSeries: s.limits.ReadSeries, MaxSamples: s.limits.Samples}
		if err := s.store.Select(stream.Context(), matchers, req.GetStartMs(), req.GetEndMs(), limits, func(x *store.Series) error {
			found = append(found, sourced{x, fromStore})
			return nil
		}); err != nil {
			return storeError(err)
		}
	}
	// Series are joined with their window length as a label, so different lengths stay apart.
	m := newMerger()
	for _, f := range found {
		m.addAs(windowed(f.series), f.series, f.source)
	}
	resp, size := &pharosv1.SelectResponse{}, 0
	for _, x := range m.sorted() {
		p := x.points()
		resp.Series = append(resp.Series, &pharosv1.QuerySeries{Labels: x.labels.Map(), TimesMs: p.times, Values: p.values})
		if size += len(p.times) + len(x.labels); size >= messageSamples {
			if err := stream.Send(resp); err != nil {
				return err
			}
			resp, size = &pharosv1.SelectResponse{}, 0
		}
	}
	if len(resp.Series) == 0 {
		return nil
	}
	return stream.Send(resp)
}

// windowed returns a series' labels with its window length among them.
func windowed(x *store.Series) store.Labels {
	ls := visible(x.Labels)
	if x.WindowMs == 0 {
		return ls
	}
	out := append(append(make(store.Labels, 0, len(ls)+1), ls...), store.Label{Name: store.WindowLabel, Value: strconv.FormatInt(x.WindowMs, 10)})
	out.Sort()
	return out
}

// fromProto reads a series of a Select answer.
func fromProto(x *pharosv1.QuerySeries) (*store.Series, error) {
	if len(x.GetTimesMs()) != len(x.GetValues()) {
		return nil, fmt.Errorf("series %v has %d times and %d values", x.GetLabels(), len(x.GetTimesMs()), len(x.GetValues()))
	}
	out := &store.Series{Labels: make(store.Labels, 0, len(x.GetLabels())), TimesMs: x.GetTimesMs(), Values: x.GetValues()}
	for name, value := range x.GetLabels() {
		if name != store.WindowLabel {
			out.Labels = append(out.Labels, store.Label{Name: name, Value: value})
			continue
		}
		window, err := strconv.ParseInt(value, 10, 64)
		if err != nil || window <= 0 {
			return nil, fmt.Errorf("series %v has the window length %q", x.GetLabels(), value)
		}
		out.WindowMs = window
	}
	out.Labels.Sort()
	return out, nil
}
