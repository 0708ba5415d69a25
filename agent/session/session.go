// Package session is the agent's side of the stream to register: it proves the
// agent, takes plans and vessel assignments, reports, and runs tasks asked for.
//
// It promises: the plan is on disk before it is reported as the active one,
// and the one on disk is in force before register can be reached; losing
// register stops nothing but the session; a refusal is logged clearly and
// tried again slowly; tasks end with the session that asked for them.
package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// welcomeTimeout is how long register may take to admit the agent.
	welcomeTimeout = 20 * time.Second
	// defaultHeartbeat is used when register names no interval.
	defaultHeartbeat = 10 * time.Second
	// renewPause is the least time between two sessions begun for a new vessel.
	renewPause = 15 * time.Second
)

// Options of a Session. All but the last three are required.
type Options struct {
	Client pharosv1.RegisterServiceClient
	State  *State
	// Hello has what the agent says of itself; ids, proofs and the plan's
	// revision are filled in.
	Hello func() *pharosv1.AgentHello
	// Heartbeat has the agent's report; time and plan revision are filled in.
	Heartbeat func() *pharosv1.AgentHeartbeat
	// OnPlan puts a plan in force. It is also called with the plan on disk.
	OnPlan func(*pharosv1.Plan)
	// OnVessel says where to deliver.
	OnVessel func(*pharosv1.VesselAssignment)
	// RunTask runs a task until it has emitted its last event or ctx ends.
	RunTask func(ctx context.Context, req *pharosv1.TaskRequest, emit func(*pharosv1.TaskEvent) error)
	Logger  *slog.Logger
	// JoinToken admits the agent when it has no credential. Default none.
	JoinToken string
	// Retry is the longest pause between attempts. Default 10 s.
	Retry time.Duration
	// RefusedRetry is the pause after a refusal. Default 1 min.
	RefusedRetry time.Duration
}

// Session keeps the agent connected to register.
type Session struct {
	opts  Options
	renew chan struct{}
	beat  chan struct{}

	mu        sync.Mutex
	connected bool
	problem   string
	revision  uint64 // of the plan in force
}

// New returns a session that connects in Run.
func New(o Options) *Session {
	if o.Retry <= 0 {
		o.Retry = 10 * time.Second
	}
	if o.RefusedRetry <= 0 {
		o.RefusedRetry = time.Minute
	}
	return &Session{opts: o, renew: make(chan struct{}, 1), beat: make(chan struct{}, 1)}
}

// Connected tells whether register has admitted this agent and still hears it.
func (s *Session) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

// Renew begins a new session soon, upon which register says again where to
// deliver, with a new token.
func (s *Session) Renew() { wake(s.renew) }

// Run puts the plan on disk in force and stays connected until ctx ends.
func (s *Session) Run(ctx context.Context) error {
	if p := s.opts.State.Plan(); p != nil {
		s.opts.Logger.Info("working by the plan on disk", "revision", p.GetRevision(), "tasks", len(p.GetTasks()))
		s.apply(p)
	}
	delay := rpc.Backoff{Min: 200 * time.Millisecond, Max: s.opts.Retry}
	refused := rpc.Backoff{Min: s.opts.RefusedRetry, Max: s.opts.RefusedRetry}
	said, saidAt := "", time.Time{}
	for {
		err := s.once(ctx, &delay)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errRenew) {
			delay.Reset()
			continue
		}
		pause := &delay
		text := err.Error()
		switch status.Code(err) {
		case codes.Unauthenticated, codes.PermissionDenied:
			pause = &refused
			s.opts.Logger.Error("register refuses this agent; what it collects waits on disk", "agent", s.opts.State.ID(),
				"reason", status.Convert(err).Message(), "next_try_within", s.opts.RefusedRetry)
		default:
			// The same trouble is said once a minute.
			if text != said || time.Since(saidAt) > time.Minute {
				s.opts.Logger.Warn("no session with register; collection goes on", "err", err)
				said, saidAt = text, time.Now()
			}
		}
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
}

var errRenew = errors.New("a new session was asked for")

// stream is one session: gRPC allows one sender at a time.
type stream struct {
	pharosv1.RegisterService_AgentSessionClient
	mu sync.Mutex
}

func (s *stream) send(m *pharosv1.AgentSessionRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Send(m)
}

func (s *Session) once(parent context.Context, delay *rpc.Backoff) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel(nil)
	defer func() {
		if why := context.Cause(ctx); why != nil && parent.Err() == nil {
			err = why
		}
	}()
	grpcStream, err := s.opts.Client.AgentSession(ctx)
	if err != nil {
		return err
	}
	st := &stream{RegisterService_AgentSessionClient: grpcStream}
	welcome, err := s.hello(cancel, st)
	if err != nil {
		return err
	}
	started := time.Now()
	delay.Reset()
	s.setConnected(true)
	defer s.setConnected(false)
	interval := time.Duration(welcome.GetHeartbeatIntervalMs()) * time.Millisecond
	if interval <= 0 {
		interval = defaultHeartbeat
	}
	children.Go(func() {
		if err := s.report(ctx, st, interval, started); err != nil {
			cancel(err)
		}
	})
	tasks := taskSet{cancels: map[string]context.CancelFunc{}}
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("register closed the session")
		}
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.AgentSessionResponse_Plan:
			s.takePlan(m.Plan)
		case *pharosv1.AgentSessionResponse_Vessel:
			s.opts.OnVessel(m.Vessel)
		case *pharosv1.AgentSessionResponse_ClockProbe:
			echo := &pharosv1.ClockEcho{ServerMs: m.ClockProbe.GetServerMs(), AgentMs: time.Now().UnixMilli()}
			if err := st.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_ClockEcho{ClockEcho: echo}}); err != nil {
				return s.why(st, err)
			}
		case *pharosv1.AgentSessionResponse_Task:
			req := m.Task
			taskCtx, done := tasks.begin(ctx, req.GetRequestId())
			children.Go(func() {
				defer done()
				s.opts.RunTask(taskCtx, req, func(e *pharosv1.TaskEvent) error {
					if err := taskCtx.Err(); err != nil {
						return err
					}
					return st.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_TaskEvent{TaskEvent: e}})
				})
			})
		case *pharosv1.AgentSessionResponse_TaskCancel:
			tasks.cancel(m.TaskCancel.GetRequestId())
		}
	}
}

// hello introduces the agent and waits until it is admitted.
func (s *Session) hello(cancel context.CancelCauseFunc, st *stream) (*pharosv1.AgentWelcome, error) {
	hello := s.opts.Hello()
	hello.AgentId = s.opts.State.id
	hello.Credential = s.opts.State.credential
	hello.JoinToken = s.opts.JoinToken
	hello.PlanRevision = s.opts.State.plan.GetRevision()
	late := time.AfterFunc(welcomeTimeout, func() {
		cancel(status.Errorf(codes.DeadlineExceeded, "register did not answer within %s", welcomeTimeout))
	})
	defer late.Stop()
	if err := st.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Hello{Hello: hello}}); err != nil {
		return nil, s.why(st, err)
	}
	m, err := st.Recv()
	if err != nil {
		return nil, err
	}
	welcome := m.GetWelcome()
	if welcome == nil {
		return nil, status.Error(codes.Internal, "register's first message was no welcome")
	}
	if c := welcome.GetCredential(); c != "" {
		if err := s.opts.State.setCredential(c); err != nil {
			s.setProblem("cannot keep the agent's credential: it has to join again after a restart")
			s.opts.Logger.Error("the credential is lost at the next restart", "err", err)
		}
	}
	s.opts.Logger.Info("register admitted this agent", "agent", hello.AgentId, "joined", welcome.GetCredential() != "")
	return welcome, nil
}

// why returns what register said when sending failed.
func (s *Session) why(st *stream, err error) error {
	if _, rerr := st.Recv(); rerr != nil {
		return rerr
	}
	return err
}

func (s *Session) takePlan(p *pharosv1.Plan) {
	if err := s.opts.State.setPlan(p); err != nil {
		s.setProblem("cannot keep the plan: after a restart the agent waits for register")
		s.opts.Logger.Error("the plan is in force but not on disk", "err", err)
	} else {
		s.setProblem("")
	}
	s.opts.Logger.Info("new plan", "revision", p.GetRevision(), "tasks", len(p.GetTasks()))
	s.apply(p)
	wake(s.beat)
}

func (s *Session) apply(p *pharosv1.Plan) {
	s.opts.OnPlan(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = p.GetRevision()
}

// report sends heartbeats until the session ends.
func (s *Session) report(ctx context.Context, st *stream, interval time.Duration, started time.Time) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var renew <-chan time.Time
	for {
		beat := s.opts.Heartbeat()
		beat.TimeMs = time.Now().UnixMilli()
		s.mu.Lock()
		beat.PlanRevision = s.revision
		if s.problem != "" {
			beat.Problems = append(beat.Problems, s.problem)
		}
		s.mu.Unlock()
		if err := st.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Heartbeat{Heartbeat: beat}}); err != nil {
			return nil // Recv says why
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.beat:
		case <-s.renew:
			timer := time.NewTimer(time.Until(started.Add(renewPause)))
			defer timer.Stop()
			renew = timer.C
		case <-renew:
			return errRenew
		}
	}
}

func (s *Session) setConnected(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = yes
}

func (s *Session) setProblem(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = text
}

// taskSet knows the tasks under way so that they can be cancelled.
type taskSet struct {
	mu      sync.Mutex
	cancels map[string]context.CancelFunc
}

func (t *taskSet) begin(ctx context.Context, id string) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	t.mu.Lock()
	t.cancels[id] = cancel
	t.mu.Unlock()
	return ctx, func() {
		t.mu.Lock()
		delete(t.cancels, id)
		t.mu.Unlock()
		cancel()
	}
}

func (t *taskSet) cancel(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel := t.cancels[id]; cancel != nil {
		cancel()
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
