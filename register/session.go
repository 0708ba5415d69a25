package register

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// helloTimeout is how long a new stream may be silent.
const helloTimeout = 10 * time.Second

// Why sessions end, as the other side sees it.
var (
	errStopping  = status.Error(codes.Unavailable, "register is stopping")
	errReplaced  = status.Error(codes.Aborted, "a newer session with the same id took over; if this repeats, two processes share an id")
	errForgotten = status.Error(codes.Unauthenticated, "the agent was removed from this installation")
	errTooSlow   = status.Error(codes.ResourceExhausted, "the agent does not read what register sends")
)

// agentSession is one connected agent.
type agentSession struct {
	id       string
	admitted time.Time
	out      *outbox
	end      context.CancelCauseFunc
	clock    clock
	tasks    relays
	// revision is the plan's that the agent has or was sent; guarded by Register.mu.
	revision uint64
}

// AgentSession serves an agent until it leaves, is replaced or forgotten.
func (r *Register) AgentSession(stream pharosv1.RegisterService_AgentSessionServer) error {
	if err := r.waitReady(stream.Context()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	incoming := make(chan *pharosv1.AgentSessionRequest)
	defer context.AfterFunc(r.stopping, func() { cancel(errStopping) })()
	if !r.startPump(func() { pump(ctx, cancel, stream.Recv, incoming) }) {
		return errStopping
	}
	first, err := awaitFirst(ctx, incoming)
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return status.Error(codes.InvalidArgument, errNoHello.Error())
	}
	credential, err := r.admit(ctx, hello)
	if err != nil {
		return err
	}
	s := &agentSession{id: hello.GetAgentId(), admitted: time.Now(), out: newOutbox(), end: cancel, revision: hello.GetPlanRevision()}
	welcome := &pharosv1.AgentWelcome{Credential: credential, HeartbeatIntervalMs: r.opts.AgentHeartbeat.Milliseconds()}
	if err := stream.Send(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	r.attach(s, hello, cmp.Or(credential, hello.GetCredential()))
	defer r.detach(s)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case m := <-incoming:
				r.receive(s, m)
			case <-ctx.Done():
				return
			}
		}
	})
	defer reader.Wait()
	err = r.write(ctx, s, stream)
	cancel(err)
	return err
}

// write sends what is due and probes the clock until the session ends.
func (r *Register) write(ctx context.Context, s *agentSession, stream pharosv1.RegisterService_AgentSessionServer) error {
	probe := time.NewTimer(0)
	defer probe.Stop()
	for probes := 0; ; {
		var due []*pharosv1.AgentSessionResponse
		select {
		case <-ctx.Done():
			return cause(ctx)
		case <-s.out.ready:
			var full bool
			if due, full = s.out.take(); full {
				return errTooSlow
			}
		case <-probe.C:
			// A few at once, so that the offset is known soon and well.
			probes++
			next := r.opts.ClockProbe
			if probes < 4 {
				next = min(next, 200*time.Millisecond)
			}
			probe.Reset(next)
			due = append(due, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_ClockProbe{
				ClockProbe: &pharosv1.ClockProbe{ServerMs: s.clock.probe(r.opts.Now())}}})
		}
		for _, m := range due {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}

func (r *Register) admit(ctx context.Context, hello *pharosv1.AgentHello) (string, error) {
	from := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
		if host, _, err := net.SplitHostPort(from); err == nil {
			from = host
		}
	}
	now := time.Now()
	if !r.proven(hello) && r.failures.blocked(from, now) {
		return "", status.Error(codes.ResourceExhausted, "too many refused attempts to join from this address; wait a minute")
	}
	credential, err := enroll.Admit(ctx, r.opts.DB, hello, r.opts.Now())
	if denied, ok := errors.AsType[*enroll.DeniedError](err); ok {
		r.failures.add(from, now)
		r.log.Warn("refused an agent", "agent", hello.GetAgentId(), "from", from, "reason", denied.Reason)
		return "", status.Error(codes.Unauthenticated, denied.Reason)
	}
	if err != nil {
		r.log.Error("cannot admit an agent", "agent", hello.GetAgentId(), "err", err)
		return "", status.Error(codes.Unavailable, "register cannot reach its database; try again")
	}
	return credential, nil
}

// proven tells, without a look into the database, whether the agent's credential is right.
func (r *Register) proven(hello *pharosv1.AgentHello) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agents[hello.GetAgentId()]
	return a != nil && hello.GetCredential() != "" && equal(a.stored.CredentialHash, rpc.HashSecret(hello.GetCredential()))
}

// attach makes s the session of the agent with the credential.
func (r *Register) attach(s *agentSession, hello *pharosv1.AgentHello, credential string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agents[s.id]
	if a == nil {
		a = &agent{stored: enroll.Agent{ID: s.id}}
		r.agents[s.id] = a
	}
	if a.session != nil {
		a.session.end(errReplaced)
		r.log.Info("a newer session of an agent took over", "agent", s.id)
	}
	a.stored.Host, a.stored.Version, a.stored.StartedMs = enroll.HostOf(hello.GetHost()), hello.GetVersion(), hello.GetStartedMs()
	a.stored.CredentialHash = rpc.HashSecret(credential)
	a.session, a.lastSeen = s, r.opts.Now()
	a.claimed = hello.GetPlanRevision()
	a.ahead = a.claimed > a.revision
	a.sent = assignment{}
	a.rate.restart()
	if !a.ahead {
		r.offerPlan(a)
	}
	ask(r.replan)
	ask(r.reassign)
}

func (r *Register) detach(s *agentSession) {
	s.tasks.closeAll()
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.agents[s.id]; a != nil && a.session == s {
		a.session = nil
	}
}

// receive handles a message of an agent. It never waits for anything.
func (r *Register) receive(s *agentSession, m *pharosv1.AgentSessionRequest) {
	now := r.opts.Now()
	r.mu.Lock()
	a := r.agents[s.id]
	current := a != nil && a.session == s
	if beat := m.GetHeartbeat(); beat != nil && current {
		a.lastSeen, a.heartbeat = now, beat
		a.rate.update(beat.GetLoad(), now)
	}
	r.mu.Unlock()
	switch m := m.GetMessage().(type) {
	case *pharosv1.AgentSessionRequest_ClockEcho:
		s.clock.echo(m.ClockEcho, now)
	case *pharosv1.AgentSessionRequest_TaskEvent:
		if !s.tasks.deliver(m.TaskEvent) {
			s.out.push(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_TaskCancel{
				TaskCancel: &pharosv1.TaskCancel{RequestId: m.TaskEvent.GetRequestId()}}})
		}
	}
}

// startPump runs a stream's reader, which Run waits for; false when register is stopping.
func (r *Register) startPump(read func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping.Err() != nil {
		return false
	}
	r.pumps.Go(read)
	return true
}

// pump reads a stream into a channel until one of them ends. gRPC ends Recv
// when the handler has returned.
func pump[M any](ctx context.Context, cancel context.CancelCauseFunc, recv func() (M, error), into chan<- M) {
	for {
		m, err := recv()
		if err != nil {
			cancel(err)
			return
		}
		select {
		case into <- m:
		case <-ctx.Done():
			return
		}
	}
}

// awaitFirst returns the first message of a stream.
func awaitFirst[M any](ctx context.Context, incoming <-chan M) (M, error) {
	var none M
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	select {
	case m := <-incoming:
		return m, nil
	case <-timer.C:
		return none, status.Errorf(codes.DeadlineExceeded, "no hello within %s", helloTimeout)
	case <-ctx.Done():
		return none, cause(ctx)
	}
}

// cause returns why ctx ended; nil when the other side closed in good order.
func cause(ctx context.Context) error {
	err := context.Cause(ctx)
	if isEOF(err) {
		return nil
	}
	return err
}
