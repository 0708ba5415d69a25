package query

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// maxLines is how far into the lines of a range one can ask.
	maxLines = 1000
	// maxLineWindows is how many windows an answer tells of.
	maxLineWindows = 1000
	// linesPerRead is about how many lines are in memory at a time.
	linesPerRead = 2000
)

// MonitorLines returns the lines that windows of a monitor keep: of the store,
// and in place of the store's those of windows that have changed since, here
// and on the other computes.
func (s *Service) MonitorLines(ctx context.Context, req *pharosv1.MonitorLinesRequest) (*pharosv1.MonitorLinesResponse, error) {
	offset, limit := int(req.GetOffset()), int(req.GetLimit())
	switch {
	case req.GetMonitorId() == "":
		return nil, status.Error(codes.InvalidArgument, "a monitor id is needed")
	case !s.mayRead(req.GetScope(), req.GetMonitorId()):
		return nil, status.Errorf(codes.NotFound, "there is no monitor %q in this workspace", req.GetMonitorId())
	case offset < 0 || limit < 0 || offset+limit > maxLines:
		return nil, status.Errorf(codes.InvalidArgument, "offset %d and limit %d; together at most %d, narrow the time range", offset, limit, maxLines)
	}
	live, err := s.live.LiveLines(req.GetMonitorId(), req.GetStartMs(), req.GetEndMs())
	if err != nil {
		return nil, status.Errorf(codes.Internal, "cannot read lines: %v", err)
	}
	// Of a window that two computes have, since it moved, the one of the higher revision counts.
	newest := map[int64]portion{}
	for _, w := range live {
		newest[w.StartMs] = portionOf(w, true)
	}
	if !isFromPeer(ctx) {
		if err := s.linesOfPeers(ctx, req, newest); err != nil {
			return nil, err
		}
	}
	found := newLines(req.GetOrder(), offset+limit)
	for _, p := range newest {
		found.add(p)
	}
	if s.rows != nil && !isFromPeer(ctx) {
		if err := s.linesOfStore(ctx, req, found); err != nil {
			if errors.Is(err, store.ErrLimit) {
				return nil, status.Errorf(codes.ResourceExhausted, "cannot read lines: %v", err)
			}
			return nil, status.Errorf(codes.Unavailable, "cannot read lines: %v", err)
		}
	}
	return found.answer(offset), nil
}

// linesOfPeers adds what other computes have that has not settled.
func (s *Service) linesOfPeers(ctx context.Context, req *pharosv1.MonitorLinesRequest, to map[int64]portion) error {
	ctx, cancel := context.WithTimeout(toPeer(ctx), peerTimeout)
	defer cancel()
	type answer struct {
		resp *pharosv1.MonitorLinesResponse
		err  error
	}
	peers := s.peers()
	answers := make(chan answer, len(peers))
	ask := &pharosv1.MonitorLinesRequest{Scope: req.GetScope(), MonitorId: req.GetMonitorId(), StartMs: req.GetStartMs(), EndMs: req.GetEndMs(),
		Order: req.GetOrder(), Limit: req.GetOffset() + req.GetLimit()}
	for _, peer := range peers {
		go func() {
			r, err := peer.MonitorLines(ctx, ask)
			answers <- answer{r, err}
		}()
	}
	for range peers {
		a := <-answers
		if a.err != nil {
			return status.Errorf(codes.Unavailable, "cannot ask another compute for lines of monitor %q: %v", req.GetMonitorId(), a.err)
		}
		lines := map[int64][]*pharosv1.KeptLine{}
		for _, k := range a.resp.GetLines() {
			lines[k.GetWindowStartMs()] = append(lines[k.GetWindowStartMs()], k)
		}
		for _, w := range a.resp.GetWindows() {
			if have, ok := to[w.GetWindowStartMs()]; !ok || have.window.GetRevision() < w.GetRevision() {
				to[w.GetWindowStartMs()] = portion{w, lines[w.GetWindowStartMs()]}
			}
		}
	}
	return nil
}

// linesOfStore adds the windows that are not there yet. The lines are read in
// portions, and only those that may be told are held.
func (s *Service) linesOfStore(ctx context.Context, req *pharosv1.MonitorLinesRequest, to *lines) error {
	all, err := store.ReadLineWindows(ctx, s.rows, req.GetScope().GetWorkspace(), req.GetMonitorId(), req.GetStartMs(), req.GetEndMs())
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(w store.LineWindow) bool { return to.has(w.StartMs) || w.Count == 0 })
	for len(all) > 0 {
		n, kept := 0, 0
		for n < len(all) && kept < linesPerRead {
			kept += all[n].Kept
			n++
		}
		if to.wants(all[0].StartMs) {
			if err := store.ReadLines(ctx, s.rows, all[:n]); err != nil {
				return err
			}
		}
		for i := range all[:n] {
			to.add(portionOf(all[i], false))
			all[i].Lines = nil
		}
		all = all[n:]
	}
	return nil
}

// portion is a window with its lines.
type portion struct {
	window *pharosv1.LineWindow
	lines  []*pharosv1.KeptLine
}

func portionOf(w store.LineWindow, live bool) portion {
	p := portion{window: &pharosv1.LineWindow{WindowStartMs: w.StartMs, WindowMs: w.WindowMs, Count: w.Count, Kept: uint32(w.Kept),
		Live: live, Completeness: w.Completeness, Revision: w.Revision, Keys: w.Keys, Missed: w.Missed}}
	for rank, l := range w.Lines {
		p.lines = append(p.lines, &pharosv1.KeptLine{WindowStartMs: w.StartMs, Rank: uint32(rank + 1), Value: l.Value, TimeMs: l.TimeMs,
			Instance: l.Instance, File: l.File, Key: l.Key, Text: l.Text, Cut: l.Cut, More: l.More})
	}
	return p
}

// lines collects the first lines in an order, and the windows they are of.
type lines struct {
	compare func(a, b *pharosv1.KeptLine) int
	most    int
	first   []*pharosv1.KeptLine
	windows map[int64]*pharosv1.LineWindow
}

func newLines(order pharosv1.LineOrder, most int) *lines {
	l := &lines{most: most, windows: map[int64]*pharosv1.LineWindow{}, compare: compareByWindow}
	if order != pharosv1.LineOrder_LINE_ORDER_WINDOW {
		l.compare = compareByValue
	}
	return l
}

func compareByWindow(a, b *pharosv1.KeptLine) int {
	return cmp.Or(cmp.Compare(b.GetWindowStartMs(), a.GetWindowStartMs()), cmp.Compare(a.GetRank(), b.GetRank()))
}

// compareByValue is the order of partial.Line over windows: equal values by time.
func compareByValue(a, b *pharosv1.KeptLine) int {
	return cmp.Or(cmp.Compare(b.GetValue(), a.GetValue()), cmp.Compare(a.GetTimeMs(), b.GetTimeMs()),
		cmp.Compare(a.GetWindowStartMs(), b.GetWindowStartMs()), cmp.Compare(a.GetRank(), b.GetRank()))
}

func (l *lines) has(startMs int64) bool { return l.windows[startMs] != nil }

// wants reports whether lines of windows that begin at the time or before may be among the first.
func (l *lines) wants(startMs int64) bool {
	return len(l.first) < l.most || l.most > 0 && l.compare(&pharosv1.KeptLine{WindowStartMs: startMs, Value: math.Inf(1)}, l.first[l.most-1]) < 0
}

func (l *lines) add(p portion) {
	l.windows[p.window.GetWindowStartMs()] = p.window
	for _, k := range p.lines {
		l.put(k)
	}
}

func (l *lines) put(k *pharosv1.KeptLine) {
	at, _ := slices.BinarySearchFunc(l.first, k, l.compare)
	if at >= l.most {
		return
	}
	l.first = slices.Insert(l.first, at, k)
	l.first = l.first[:min(len(l.first), l.most)]
}

func (l *lines) answer(offset int) *pharosv1.MonitorLinesResponse {
	out := &pharosv1.MonitorLinesResponse{Lines: l.first[min(offset, len(l.first)):]}
	for _, w := range l.windows {
		if w.GetCount() > 0 {
			out.Windows = append(out.Windows, w)
		}
		out.Total += uint64(w.GetKept())
	}
	slices.SortFunc(out.Windows, func(a, b *pharosv1.LineWindow) int { return cmp.Compare(b.GetWindowStartMs(), a.GetWindowStartMs()) })
	out.Windows = out.Windows[:min(len(out.Windows), maxLineWindows)]
	return out
}
