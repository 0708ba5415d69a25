package session

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const goodToken = "pj1.abcdefghijklmnopqrstuvwxyz."

// fakeRegister is a strict register: a hello first, then a token or the
// credential it gave.
type fakeRegister struct {
	pharosv1.UnimplementedRegisterServiceServer
	lis    *bufconn.Listener
	hellos chan *pharosv1.AgentHello
	// sessions hands over each admitted session; it lives until end is called.
	sessions   chan *fakeSession
	mu         sync.Mutex
	credential string
	refusals   int
}

type fakeSession struct {
	pharosv1.RegisterService_AgentSessionServer
	received chan *pharosv1.AgentSessionRequest
	end      context.CancelCauseFunc
}

func startRegister(t *testing.T) *fakeRegister {
	t.Helper()
	r := &fakeRegister{lis: bufconn.Listen(1 << 16), hellos: make(chan *pharosv1.AgentHello, 100), sessions: make(chan *fakeSession, 10)}
	s := grpc.NewServer()
	pharosv1.RegisterRegisterServiceServer(s, r)
	done := make(chan error, 1)
	go func() { done <- s.Serve(r.lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return r
}

func (r *fakeRegister) AgentSession(stream pharosv1.RegisterService_AgentSessionServer) error {
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := m.GetHello()
	if hello == nil {
		return status.Error(codes.InvalidArgument, "no hello")
	}
	r.hellos <- hello
	r.mu.Lock()
	known := r.credential != "" && hello.GetCredential() == r.credential
	welcome := &pharosv1.AgentWelcome{HeartbeatIntervalMs: 20}
	if !known {
		if hello.GetJoinToken() != goodToken {
			r.refusals++
			r.mu.Unlock()
			return status.Error(codes.Unauthenticated, "join token is not known here")
		}
		r.credential = "pa1.secret"
		welcome.Credential = r.credential
	}
	r.mu.Unlock()
	if err := stream.Send(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	s := &fakeSession{RegisterService_AgentSessionServer: stream, received: make(chan *pharosv1.AgentSessionRequest, 1000), end: cancel}
	r.sessions <- s
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				cancel(err)
				return
			}
			s.received <- m
		}
	}()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s *fakeSession) push(t *testing.T, m *pharosv1.AgentSessionResponse) {
	t.Helper()
	if err := s.Send(m); err != nil {
		t.Fatal(err)
	}
}

func (s *fakeSession) await(t *testing.T, what string, ok func(*pharosv1.AgentSessionRequest) bool) *pharosv1.AgentSessionRequest {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case m := <-s.received:
			if ok(m) {
				return m
			}
		case <-late:
			t.Fatalf("never came: %s", what)
		}
	}
}

func plan(revision uint64) *pharosv1.Plan {
	return &pharosv1.Plan{Revision: revision, Tasks: []*pharosv1.PlanTask{{TaskId: "t1", MonitorId: "m1"}}}
}

// harness is an agent's session with everything around it recorded.
type harness struct {
	*Session
	state   *State
	plans   chan *pharosv1.Plan
	vessels chan *pharosv1.VesselAssignment
	log     *logBuffer
	stop    func()
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, dir string, lis *bufconn.Listener, change func(*Options)) *harness {
	t.Helper()
	state, err := OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///register", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if lis == nil {
				return nil, errors.New("register is away")
			}
			return lis.DialContext(ctx)
		}))
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{state: state, plans: make(chan *pharosv1.Plan, 10), vessels: make(chan *pharosv1.VesselAssignment, 10), log: &logBuffer{}}
	o := Options{Client: pharosv1.NewRegisterServiceClient(conn), State: state, JoinToken: goodToken,
		Hello: func() *pharosv1.AgentHello { return &pharosv1.AgentHello{Version: "v1", StartedMs: 5} },
		Heartbeat: func() *pharosv1.AgentHeartbeat {
			return &pharosv1.AgentHeartbeat{Vessel: "v:1", Load: &pharosv1.AgentLoad{LinesTotal: 3}, Problems: []string{"p"}, Tasks: []*pharosv1.TaskStatus{{TaskId: "t1", Error: "e"}}}
		},
		OnPlan:   func(p *pharosv1.Plan) { h.plans <- p },
		OnVessel: func(a *pharosv1.VesselAssignment) { h.vessels <- a },
		RunTask:  func(context.Context, *pharosv1.TaskRequest, func(*pharosv1.TaskEvent) error) {},
		Logger:   slog.New(slog.NewTextHandler(h.log, nil)), Retry: 10 * time.Millisecond, RefusedRetry: 10 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	h.Session = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() { cancel(); <-done; conn.Close() })
	t.Cleanup(h.stop)
	return h
}

func TestJoinPlanVesselHeartbeatClock(t *testing.T) {
	r, dir := startRegister(t), t.TempDir()
	h := start(t, dir, r.lis, nil)
	hello := <-r.hellos
	if !strings.HasPrefix(hello.GetAgentId(), "agt_") || hello.GetJoinToken() != goodToken || hello.GetCredential() != "" || hello.GetVersion() != "v1" {
		t.Fatalf("hello %v", hello)
	}
	s := <-r.sessions
	beat := s.await(t, "a heartbeat", func(m *pharosv1.AgentSessionRequest) bool { return m.GetHeartbeat() != nil }).GetHeartbeat()
	if beat.GetVessel() != "v:1" || beat.GetLoad().GetLinesTotal() != 3 || beat.GetTasks()[0].GetError() != "e" || beat.GetProblems()[0] != "p" || beat.GetTimeMs() == 0 {
		t.Fatalf("heartbeat %v", beat)
	}
	s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_ClockProbe{ClockProbe: &pharosv1.ClockProbe{ServerMs: 42}}})
	echo := s.await(t, "the clock echo", func(m *pharosv1.AgentSessionRequest) bool { return m.GetClockEcho() != nil }).GetClockEcho()
	if now := time.Now().UnixMilli(); echo.GetServerMs() != 42 || echo.GetAgentMs() > now || echo.GetAgentMs() < now-20_000 {
		t.Fatalf("echo %v", echo)
	}
	s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Plan{Plan: plan(9)}})
	if p := <-h.plans; !proto.Equal(p, plan(9)) {
		t.Fatalf("plan %v", p)
	}
	s.await(t, "a heartbeat with the plan's revision", func(m *pharosv1.AgentSessionRequest) bool { return m.GetHeartbeat().GetPlanRevision() == 9 })
	s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Vessel{Vessel: &pharosv1.VesselAssignment{Address: "v:1", Token: "x"}}})
	if a := <-h.vessels; a.GetAddress() != "v:1" || a.GetToken() != "x" {
		t.Fatalf("assignment %v", a)
	}
	if info, err := os.Stat(filepath.Join(dir, credentialFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("credential file: %v %v", info, err)
	}
	if strings.Contains(h.log.String(), "pa1.secret") || strings.Contains(h.log.String(), goodToken) {
		t.Error("a secret is in the log")
	}

	// After a break the agent shows its credential and the plan it has.
	s.end(status.Error(codes.Unavailable, "bye"))
	again := <-r.hellos
	if again.GetAgentId() != hello.GetAgentId() || again.GetCredential() != "pa1.secret" || again.GetPlanRevision() != 9 {
		t.Fatalf("second hello %v", again)
	}
}

func TestPlanOnDiskIsUsedWithoutRegister(t *testing.T) {
	r, dir := startRegister(t), t.TempDir()
	h := start(t, dir, r.lis, nil)
	s := <-r.sessions
	s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Plan{Plan: plan(4)}})
	<-h.plans
	// The heartbeat says that the plan is active, so it must be on disk.
	s.await(t, "the plan's revision", func(m *pharosv1.AgentSessionRequest) bool { return m.GetHeartbeat().GetPlanRevision() == 4 })
	id := h.state.ID()
	h.stop()

	h = start(t, dir, nil, nil)
	if p := <-h.plans; !proto.Equal(p, plan(4)) {
		t.Fatalf("plan %v", p)
	}
	if h.state.ID() != id || h.Connected() {
		t.Errorf("id %s, connected %v", h.state.ID(), h.Connected())
	}
}

func TestDamagedPlanIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, planFile), []byte("\xff\xff garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(dir)
	if err != nil || state.Plan() != nil {
		t.Fatal(state, err)
	}
}

func TestWrongJoinTokenIsSaidAndTriedAgain(t *testing.T) {
	r := startRegister(t)
	h := start(t, t.TempDir(), r.lis, func(o *Options) { o.JoinToken = "pj1.wrongwrongwrongwrongwrong." })
	for range 3 {
		<-r.hellos
	}
	for until := time.Now().Add(10 * time.Second); ; {
		text := h.log.String()
		if strings.Contains(text, "level=ERROR") && strings.Contains(text, "join token is not known here") {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the log says %s", text)
		}
		<-r.hellos
	}
	if strings.Contains(h.log.String(), "wrongwrong") {
		t.Error("the token is in the log")
	}
	if h.Connected() {
		t.Error("connected though refused")
	}
}

func TestRefusalIsTriedSlowly(t *testing.T) {
	o := New(Options{}).opts
	if o.RefusedRetry < 30*time.Second {
		t.Errorf("a refused agent tries again after %s", o.RefusedRetry)
	}
}

func TestTasksRunCancelAndEndWithTheSession(t *testing.T) {
	r := startRegister(t)
	ended := make(chan string, 10)
	start(t, t.TempDir(), r.lis, func(o *Options) {
		o.RunTask = func(ctx context.Context, req *pharosv1.TaskRequest, emit func(*pharosv1.TaskEvent) error) {
			if err := emit(&pharosv1.TaskEvent{RequestId: req.GetRequestId()}); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
			if emit(&pharosv1.TaskEvent{RequestId: req.GetRequestId()}) == nil {
				t.Error("an event of a cancelled task was sent")
			}
			ended <- req.GetRequestId()
		}
	})
	s := <-r.sessions
	for _, id := range []string{"one", "two"} {
		s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Task{Task: &pharosv1.TaskRequest{RequestId: id}}})
		s.await(t, "an event of "+id, func(m *pharosv1.AgentSessionRequest) bool { return m.GetTaskEvent().GetRequestId() == id })
	}
	s.push(t, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_TaskCancel{TaskCancel: &pharosv1.TaskCancel{RequestId: "one"}}})
	if id := <-ended; id != "one" {
		t.Fatalf("%s ended", id)
	}
	s.end(status.Error(codes.Unavailable, "bye"))
	if id := <-ended; id != "two" {
		t.Fatalf("%s ended", id)
	}
	<-r.sessions
}
