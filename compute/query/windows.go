package query

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// MonitorWindows tells how complete and exact a monitor's recent windows are.
// Windows of one monitor lie on several computes, so peers are asked too and
// the answers joined; without one of them the answer would be wrong, so it fails.
func (s *Service) MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	if req.GetMonitorId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a monitor id is needed")
	}
	if !s.mayRead(req.GetScope(), req.GetMonitorId()) {
		return nil, status.Errorf(codes.NotFound, "there is no monitor %q in this workspace", req.GetMonitorId())
	}
	resp, err := s.live.MonitorWindows(ctx, req)
	if err != nil || isFromPeer(ctx) {
		return resp, err
	}
	peers := s.peers()
	if len(peers) == 0 {
		return resp, nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	type answer struct {
		resp *pharosv1.MonitorWindowsResponse
		err  error
	}
	answers := make(chan answer, len(peers))
	for _, peer := range peers {
		go func() {
			r, err := peer.MonitorWindows(toPeer(ctx), req)
			answers <- answer{r, err}
		}()
	}
	all := []*pharosv1.MonitorWindowsResponse{resp}
	for range peers {
		a := <-answers
		if a.err != nil {
			return nil, status.Errorf(codes.Unavailable, "cannot ask another compute for windows of monitor %q: %v", req.GetMonitorId(), a.err)
		}
		all = append(all, a.resp)
	}
	return joinWindows(all), nil
}

// mayRead refuses monitors known to be of another workspace.
func (s *Service) mayRead(scope *pharosv1.Scope, monitorID string) bool {
	for _, m := range s.live.Monitors() {
		if m.GetMonitorId() == monitorID {
			return m.GetWorkspace() == scope.GetWorkspace()
		}
	}
	return true
}

// joinWindows makes one answer of those of several computes. A window told of twice (it moved
// from one compute to another) is the one of the higher revision; all has settled only up to where it has on each.
func joinWindows(all []*pharosv1.MonitorWindowsResponse) *pharosv1.MonitorWindowsResponse {
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: all[0].GetSettledUntilMs()}
	windows := map[int64]*pharosv1.WindowState{}
	for _, r := range all {
		out.SettledUntilMs = min(out.SettledUntilMs, r.GetSettledUntilMs())
		out.ExpectedAgents = max(out.ExpectedAgents, r.GetExpectedAgents())
		out.Keys = max(out.Keys, r.GetKeys())
		out.KeyLimit = max(out.KeyLimit, r.GetKeyLimit())
		out.MissingAgents = append(out.MissingAgents, r.GetMissingAgents()...)
		for _, w := range r.GetWindows() {
			if have := windows[w.GetWindowStartMs()]; have == nil || have.GetRevision() < w.GetRevision() {
				windows[w.GetWindowStartMs()] = w
			}
		}
	}
	for _, w := range windows {
		out.Windows = append(out.Windows, w)
	}
	slices.SortFunc(out.Windows, func(a, b *pharosv1.WindowState) int { return cmp.Compare(a.GetWindowStartMs(), b.GetWindowStartMs()) })
	slices.Sort(out.MissingAgents)
	out.MissingAgents = slices.Compact(out.MissingAgents)
	return out
}

// Status tells how this compute is doing.
func (s *Service) Status(context.Context, *pharosv1.StatusRequest) (*pharosv1.StatusResponse, error) {
	return s.live.Status(), nil
}
