package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"google.golang.org/grpc/metadata"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// queryable is what one query reads: everything within its scope.
type queryable struct {
	service  *Service
	scope    *pharosv1.Scope
	lookback time.Duration
	rollups  bool // may be read
	zeros    bool // for keys that had no lines
}

// Querier returns a reader. The time range of each selector comes with its hints.
func (q *queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{queryable: q, mint: mint, maxt: maxt}, nil
}

type querier struct {
	*queryable
	mint, maxt int64
}

var _ storage.Querier = (*querier)(nil)

// Select returns the series of one selector.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	startMs, endMs := q.mint, q.maxt
	ranged, repeat := false, true
	if hints != nil {
		startMs, endMs = hints.Start, hints.End
		ranged = hints.Range > 0
		// timestamp() tells when a value was taken, so it must not see it repeated.
		repeat = hints.Func != "timestamp"
	}
	selected, ok := scoped(q.scope, matchers)
	if !ok {
		return storage.EmptySeriesSet()
	}
	if !ranged && mayBeWindows(matchers) {
		startMs -= q.service.limits.MaxWindow.Milliseconds()
	}
	var via *rollups
	if q.rollups {
		via = q.service.rollupsFor(q.scope, hints, matchers)
	}
	var (
		all      []*merged
		complete points
		warnings annotations.Annotations
		err      error
	)
	key, zeros := q.service.additiveKey(q.scope, matchers)
	if zeros = zeros && q.zeros; zeros {
		all, complete, warnings, err = q.service.readFilled(ctx, q.scope, via, key, selected, startMs, endMs)
	} else {
		all, warnings, err = q.service.read(ctx, q.scope, via, selected, startMs, endMs)
	}
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	set := &seriesSet{warnings: warnings, series: make([]storage.Series, 0, len(all))}
	builder := labels.NewScratchBuilder(8)
	for _, m := range all {
		p := m.points()
		if zeros {
			p = p.fill(complete, startMs)
		}
		if len(p.times) == 0 {
			continue
		}
		if !ranged {
			p = p.hold(q.lookback.Milliseconds(), endMs, repeat)
		}
		builder.Reset()
		for _, l := range m.labels {
			builder.Add(l.Name, l.Value)
		}
		set.series = append(set.series, p.entry(builder.Labels()))
	}
	return set
}

// mayBeWindows tells whether a selector can match window series: their names
// have a colon, so the name of a host metric rules them out.
func mayBeWindows(matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if m.Name == store.MetricName && m.Type == labels.MatchEqual {
			return strings.Contains(m.Value, ":")
		}
	}
	return true
}

// read merges what live windows, peers and the store have, and buckets of rollups where via says so. Live
// windows are read first, since a window that settles meanwhile leaves them only once the store has it.
func (s *Service) read(ctx context.Context, scope *pharosv1.Scope, via *rollups, matchers []store.Matcher, startMs, endMs int64) ([]*merged, annotations.Annotations, error) {
	m := newMerger()
	samples := 0
	from := func(source int) func(*store.Series) error {
		return func(x *store.Series) error {
			if samples += len(x.TimesMs); samples > s.limits.Samples {
				return store.TooManySamples(s.limits.Samples)
			}
			m.add(x, source)
			if len(m.byKey) > s.limits.ReadSeries {
				return store.TooManySeries(s.limits.ReadSeries)
			}
			return ctx.Err()
		}
	}
	spans, err := s.withoutHoles(ctx, scope, via, via.spans(startMs, endMs))
	if err != nil || len(spans) == 0 {
		return nil, nil, err
	}
	var warnings annotations.Annotations
	if last := spans[len(spans)-1]; last.level == store.Base { // the only one that may have live windows
		if err := s.live.SelectLive(matchers, last.fromMs, last.toMs-1, from(fromLive)); err != nil {
			return nil, nil, fmt.Errorf("cannot read live windows: %w", err)
		}
		if warnings, err = s.readPeers(ctx, scope, matchers, last.fromMs, last.toMs-1, from(fromPeer)); err != nil {
			return nil, nil, err
		}
	}
	limits := store.Limits{MaxSeries: s.limits.ReadSeries, MaxSamples: s.limits.Samples}
	for _, sp := range spans {
		take := from(fromStore)
		if sp.level != store.Base {
			take = func(x *store.Series) error {
				via.present(x)
				return from(fromStore)(x)
			}
		}
		if err := s.store.SelectRollups(ctx, sp.level, matchers, sp.fromMs, sp.toMs-1, limits, take); err != nil {
			return nil, nil, err
		}
	}
	return m.sorted(), warnings, nil
}

// peerTimeout bounds how long one peer may keep a query waiting.
const peerTimeout = 5 * time.Second

// readPeers reads the peers' live windows. A peer that does not answer is a warning: the rest of the answer stands.
func (s *Service) readPeers(ctx context.Context, scope *pharosv1.Scope, matchers []store.Matcher, startMs, endMs int64, fn func(*store.Series) error) (annotations.Annotations, error) {
	peers := s.peers()
	if len(peers) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	req := &pharosv1.SelectRequest{Scope: scope, StartMs: startMs, EndMs: endMs, LiveOnly: true}
	for _, m := range matchers {
		req.Matchers = append(req.Matchers, &pharosv1.Matcher{Type: protoMatchTypes[m.Type], Name: m.Name, Value: m.Value})
	}
	type answer struct {
		series []*store.Series
		err    error
	}
	answers := make(chan answer, len(peers))
	for _, peer := range peers {
		go func() {
			series, err := readPeer(ctx, peer, req)
			answers <- answer{series, err}
		}()
	}
	var warnings annotations.Annotations
	var failed error
	for range peers {
		a := <-answers
		if a.err != nil {
			s.log.Warn("a peer did not answer a query", "error", a.err)
			warnings.Add(fmt.Errorf("unsettled windows of one compute are missing: %w", a.err))
			continue
		}
		for _, x := range a.series {
			if failed == nil {
				failed = fn(x)
			}
		}
	}
	return warnings, failed
}

func readPeer(ctx context.Context, peer pharosv1.QueryServiceClient, req *pharosv1.SelectRequest) ([]*store.Series, error) {
	stream, err := peer.Select(toPeer(ctx), req)
	if err != nil {
		return nil, err
	}
	var out []*store.Series
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for _, x := range resp.GetSeries() {
			series, err := fromProto(x)
			if err != nil {
				return nil, err
			}
			out = append(out, series)
		}
	}
}

// fromPeerKey marks calls among computes, which must not be passed on to further peers.
const fromPeerKey = "pharos-from-peer"

func toPeer(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, fromPeerKey, "1")
}

func isFromPeer(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, fromPeerKey)) > 0
}

// LabelNames is not used by the engine.
func (q *querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("cannot list label names through the engine")
}

// LabelValues is not used by the engine.
func (q *querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("cannot list label values through the engine")
}

// Close has nothing to release.
func (q *querier) Close() error { return nil }
