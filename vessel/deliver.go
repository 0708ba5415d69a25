package vessel

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// helloTimeout is how long a new stream may be silent.
	helloTimeout = 10 * time.Second
	// knownWithin is how soon register's list of agents has a new one.
	knownWithin = 5 * time.Second
	// maxPendingAcks wait for an agent at most; beyond that it doesn't read.
	maxPendingAcks = 200_000
)

// Why streams end, as agents see it. After each of the codes Unavailable and
// Aborted the agent comes back and sends again what isn't acknowledged.
var (
	errStopping  = status.Error(codes.Unavailable, "vessel is starting or stopping")
	errReplaced  = status.Error(codes.Aborted, "a newer stream of the same agent took over")
	errForgotten = status.Error(codes.Unauthenticated, "the agent was removed from this installation")
	errTooSlow   = status.Error(codes.ResourceExhausted, "the agent does not read acknowledgements")
)

// agentStream is one agent's delivery stream.
type agentStream struct {
	id    string
	ctx   context.Context
	end   context.CancelCauseFunc
	ready chan struct{} // holds one when there is something to send

	mu     sync.Mutex
	acks   []*pharosv1.Ack
	credit int64 // to be granted

	// batch is the amount of credit that is worth a message of its own.
	batch int64
}

// Deliver serves one agent.
func (v *Vessel) Deliver(stream pharosv1.VesselService_DeliverServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	s := &agentStream{ctx: ctx, end: cancel, ready: make(chan struct{}, 1), batch: min(64<<10, v.opts.Window/4)}
	hello := make(chan *pharosv1.DeliverHello, 1)
	admitted := make(chan struct{})
	reader := func() {
		cancel(v.read(s, stream, hello, admitted))
		for _, l := range v.allLinks() {
			l.drop(s)
		}
	}
	v.mu.Lock()
	if v.run == nil || v.run.Err() != nil {
		v.mu.Unlock()
		return errStopping
	}
	if len(v.streams) >= v.opts.MaxStreams {
		v.mu.Unlock()
		return status.Errorf(codes.ResourceExhausted, "the vessel serves %d agents already", v.opts.MaxStreams)
	}
	v.pumps.Go(reader)
	defer context.AfterFunc(v.run, func() { cancel(errStopping) })()
	v.mu.Unlock()
	if err := v.admit(s, hello); err != nil {
		return err
	}
	v.attach(s)
	defer v.detach(s)
	close(admitted)
	return v.write(s, stream)
}

// admit waits for the hello and checks it.
func (v *Vessel) admit(s *agentStream, hello <-chan *pharosv1.DeliverHello) error {
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	select {
	case h := <-hello:
		if err := v.opts.ClusterKey.CheckVesselToken(h.GetToken(), h.GetAgentId(), v.opts.Now()); err != nil {
			return status.Error(codes.Unauthenticated, err.Error())
		}
		s.id = h.GetAgentId()
		return v.awaitKnown(s)
	case <-timer.C:
		return status.Errorf(codes.DeadlineExceeded, "no hello within %s", helloTimeout)
	case <-s.ctx.Done():
		return cause(s.ctx)
	}
}

// awaitKnown refuses agents that register no longer lists, though their token
// is still good. A new agent may be here before the list that has it. Without
// any list, since register is away, the token is enough.
func (v *Vessel) awaitKnown(s *agentStream) error {
	timer := time.NewTimer(knownWithin)
	defer timer.Stop()
	for {
		v.mu.RLock()
		known, changed := v.agents == nil || v.agents[s.id], v.changed
		v.mu.RUnlock()
		if known {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return errForgotten
		case <-s.ctx.Done():
			return cause(s.ctx)
		}
	}
}

func (v *Vessel) attach(s *agentStream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.streams[s.id]; old != nil {
		old.end(errReplaced)
	}
	v.streams[s.id] = s
}

func (v *Vessel) detach(s *agentStream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.streams[s.id] == s {
		delete(v.streams, s.id)
	}
}

// write grants credit and passes acknowledgements until the stream ends.
func (v *Vessel) write(s *agentStream, stream pharosv1.VesselService_DeliverServer) error {
	if err := v.awaitCompute(s); err != nil {
		return err
	}
	s.grant(v.opts.Window)
	wake(s.ready)
	flush := time.NewTicker(time.Second) // small amounts of credit wait for it
	defer flush.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return cause(s.ctx)
		case <-s.ready:
		case <-flush.C:
		}
		resp := s.take()
		if len(resp.GetAcks()) == 0 && resp.GetCreditBytes() == 0 {
			continue
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// awaitCompute keeps agents from sending while nobody could take it.
func (v *Vessel) awaitCompute(s *agentStream) error {
	for {
		v.mu.RLock()
		changed, up := v.changed, false
		for _, l := range v.links {
			up = up || l.isUp()
		}
		v.mu.RUnlock()
		if up {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return cause(s.ctx)
		}
	}
}

// read handles what the agent sends until the stream ends, and says why it did.
func (v *Vessel) read(s *agentStream, stream pharosv1.VesselService_DeliverServer, hello chan<- *pharosv1.DeliverHello, admitted <-chan struct{}) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello() == nil {
		return status.Error(codes.InvalidArgument, "the first message was not a hello")
	}
	hello <- first.GetHello()
	select {
	case <-admitted:
	case <-s.ctx.Done():
		return cause(s.ctx)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.DeliverRequest_Revision:
			err = v.pass(s, m.Revision)
		case *pharosv1.DeliverRequest_Watermarks:
			for _, l := range v.allLinks() {
				l.mark(s.id, m.Watermarks.GetItems())
			}
		default:
			err = status.Error(codes.InvalidArgument, "a message that is neither revision nor watermarks")
		}
		if err != nil {
			return err
		}
	}
}

// pass hands a revision to its compute and returns its credit to the agent. It
// takes as long as the compute makes it wait; meanwhile nothing else is read
// from the stream, so that an agent that cares for no credit gains nothing by it.
func (v *Vessel) pass(s *agentStream, r *pharosv1.Revision) error {
	cost := rpc.RevisionCredit(r)
	v.revisions.Add(1)
	v.bytes.Add(uint64(cost - rpc.HeaderCredit))
	l := v.owner(s.id, r)
	if l == nil {
		return status.Error(codes.Unavailable, "no compute is known; send again later")
	}
	if err := l.forward(s, r, cost); err != nil {
		return err
	}
	s.grant(cost)
	return nil
}

// grant lets the agent send n bytes more.
func (s *agentStream) grant(n int64) {
	s.mu.Lock()
	s.credit += n
	due := s.credit >= s.batch
	s.mu.Unlock()
	if due {
		wake(s.ready)
	}
}

// acknowledge passes acknowledgements to the agent.
func (s *agentStream) acknowledge(acks []*pharosv1.Ack) {
	s.mu.Lock()
	s.acks = append(s.acks, acks...)
	full := len(s.acks) > maxPendingAcks
	s.mu.Unlock()
	if full {
		s.end(errTooSlow)
	}
	wake(s.ready)
}

func (s *agentStream) take() *pharosv1.DeliverResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pharosv1.DeliverResponse{Acks: s.acks, CreditBytes: s.credit}
	s.acks, s.credit = nil, 0
	return resp
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// cause returns why ctx ended; nil when the agent closed in good order.
func cause(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
