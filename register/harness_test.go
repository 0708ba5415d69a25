package register

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
	"google.golang.org/grpc"
)

// patience is for a machine that others keep busy; nothing here takes long.
const patience = time.Minute

// world is an installation with its database; register can be restarted in it.
type world struct {
	t     testing.TB
	db    *bun.DB
	key   rpc.ClusterKey
	local *rpc.Local
	opts  Options
	conn  *grpc.ClientConn // as the agents' process
	admin *grpc.ClientConn // as a server
	stop  func()

	mu       sync.Mutex
	monitors []resource.Object
	masking  []resource.Object
	listErr  error
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	db, err := meta.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	key, err := rpc.ParseClusterKey(strings.Repeat("0123456789", 4))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, key: key, local: rpc.NewLocal()}
	w.opts = Options{DB: db, Resources: w, ClusterKey: key, VesselLinger: 50 * time.Millisecond, Rebalance: 50 * time.Millisecond}
	if change != nil {
		change(&w.opts)
	}
	if err := enroll.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if w.conn, err = w.local.DialAgent("register"); err != nil {
		t.Fatal(err)
	}
	if w.admin, err = w.local.Dial(key, "register"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close(); w.admin.Close() })
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start runs register; w.stop ends it as a crash would be seen from outside.
func (w *world) start() {
	reg := New(w.opts)
	server := grpc.NewServer(w.local.ServerOptions(w.key)...)
	reg.RegisterServices(server)
	lis := w.local.Listen("register")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(lis) })
	wg.Go(func() {
		if err := reg.Run(ctx); !errors.Is(err, context.Canceled) {
			w.t.Errorf("Run ended with %v", err)
		}
	})
	w.stop = sync.OnceFunc(func() { cancel(); server.Stop(); wg.Wait() })
	w.conn.ResetConnectBackoff()
	w.admin.ResetConnectBackoff()
}

// List makes the world a source of resources.
func (w *world) List(_ context.Context, kind, workspace string) ([]resource.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == resource.KindMasking && workspace == "" {
		return w.masking, nil
	}
	if kind != resource.KindLogMonitor || workspace != "" {
		return nil, errors.New("asked for something else")
	}
	return w.monitors, w.listErr
}

// define replaces the monitors and announces it.
func (w *world) define(specs map[string]logrule.Spec) {
	w.t.Helper()
	var objects []resource.Object
	for id, s := range specs {
		raw, err := json.Marshal(s)
		if err != nil {
			w.t.Fatal(err)
		}
		objects = append(objects, resource.Object{Spec: raw, Metadata: resource.Metadata{ID: id, Name: "key_" + id, Workspace: "ws", Version: 1}})
	}
	w.mu.Lock()
	w.monitors = objects
	w.mu.Unlock()
	if err := meta.Changed(w.t.Context(), w.db, resource.Topic); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) joinToken(expires time.Time) string {
	w.t.Helper()
	text, _, err := enroll.CreateToken(w.t.Context(), w.db, enroll.NewToken{Label: "test", Expires: expires}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) client() pharosv1.RegisterServiceClient {
	return pharosv1.NewRegisterServiceClient(w.admin)
}

// fakeAgent is strict: it fails the test on anything an agent should not get.
type fakeAgent struct {
	w          *world
	hello      *pharosv1.AgentHello
	credential string
	skew       time.Duration
	stream     pharosv1.RegisterService_AgentSessionClient
	cancel     context.CancelFunc
	sendMu     sync.Mutex

	mu      sync.Mutex
	plans   []*pharosv1.Plan
	vessels []*pharosv1.VesselAssignment
	probes  int
	tasks   []*pharosv1.TaskRequest
	cancels []string
	err     error
	done    chan struct{}
}

func hello(id, credential, token string) *pharosv1.AgentHello {
	return &pharosv1.AgentHello{AgentId: id, Credential: credential, JoinToken: token, Version: "1.0",
		Host: &pharosv1.HostInfo{Hostname: "host-" + id, Ip: "10.0.0.9", Labels: map[string]string{"az": "az1"}}}
}

// connect says hello and returns when the session has begun; the error is why it did not.
func (w *world) connect(h *pharosv1.AgentHello, skew time.Duration) (*fakeAgent, error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &fakeAgent{w: w, hello: h, credential: h.GetCredential(), skew: skew, cancel: cancel, done: make(chan struct{})}
	var err error
	if a.stream, err = pharosv1.NewRegisterServiceClient(w.conn).AgentSession(ctx, grpc.WaitForReady(true)); err != nil {
		cancel()
		return nil, err
	}
	a.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Hello{Hello: h}})
	first, err := a.stream.Recv()
	if err != nil {
		cancel()
		return nil, err
	}
	if first.GetWelcome().GetHeartbeatIntervalMs() != 10_000 {
		w.t.Errorf("the first message was %v instead of a welcome", first)
	}
	if c := first.GetWelcome().GetCredential(); c != "" {
		a.credential = c
	}
	go a.listen()
	w.t.Cleanup(a.leave)
	return a, nil
}

// join connects a new agent.
func (w *world) join(id string) *fakeAgent {
	w.t.Helper()
	a, err := w.connect(hello(id, "", w.joinToken(time.Time{})), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// again connects the agent once more, as after a restart.
func (a *fakeAgent) again() *fakeAgent {
	a.w.t.Helper()
	h := hello(a.hello.GetAgentId(), a.credential, "")
	a.mu.Lock()
	if n := len(a.plans); n > 0 {
		h.PlanRevision = a.plans[n-1].GetRevision()
	} else {
		h.PlanRevision = a.hello.GetPlanRevision()
	}
	a.mu.Unlock()
	b, err := a.w.connect(h, a.skew)
	if err != nil {
		a.w.t.Fatal(err)
	}
	return b
}

func (a *fakeAgent) leave() { a.cancel(); <-a.done }

func (a *fakeAgent) send(m *pharosv1.AgentSessionRequest) {
	a.sendMu.Lock()
	defer a.sendMu.Unlock()
	_ = a.stream.Send(m) // a failure is what listen reports
}

func (a *fakeAgent) beat(b *pharosv1.AgentHeartbeat) {
	a.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Heartbeat{Heartbeat: b}})
}

func (a *fakeAgent) event(e *pharosv1.TaskEvent) {
	a.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_TaskEvent{TaskEvent: e}})
}

func (a *fakeAgent) listen() {
	defer close(a.done)
	last := a.hello.GetPlanRevision()
	for {
		m, err := a.stream.Recv()
		a.mu.Lock()
		if err != nil {
			a.err = err
			a.mu.Unlock()
			return
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.AgentSessionResponse_Plan:
			if m.Plan.GetRevision() <= last {
				a.w.t.Errorf("agent %s got plan revision %d after %d", a.hello.GetAgentId(), m.Plan.GetRevision(), last)
			}
			last = m.Plan.GetRevision()
			a.plans = append(a.plans, m.Plan)
		case *pharosv1.AgentSessionResponse_Vessel:
			if err := a.w.key.CheckVesselToken(m.Vessel.GetToken(), a.hello.GetAgentId(), time.Now()); err != nil {
				a.w.t.Error(err)
			}
			a.vessels = append(a.vessels, m.Vessel)
		case *pharosv1.AgentSessionResponse_ClockProbe:
			a.probes++
			go a.send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_ClockEcho{ClockEcho: &pharosv1.ClockEcho{
				ServerMs: m.ClockProbe.GetServerMs(), AgentMs: time.Now().Add(a.skew).UnixMilli()}}})
		case *pharosv1.AgentSessionResponse_Task:
			a.tasks = append(a.tasks, m.Task)
		case *pharosv1.AgentSessionResponse_TaskCancel:
			a.cancels = append(a.cancels, m.TaskCancel.GetRequestId())
		default:
			a.w.t.Errorf("agent %s got %v", a.hello.GetAgentId(), m)
		}
		a.mu.Unlock()
	}
}

// plan waits for a plan with n tasks and returns it.
func (a *fakeAgent) plan(n int) *pharosv1.Plan {
	a.w.t.Helper()
	var got *pharosv1.Plan
	eventually(a.w.t, "a plan", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.plans) > 0 {
			got = a.plans[len(a.plans)-1]
		}
		return got != nil && len(got.GetTasks()) == n
	})
	return got
}

// vessel returns the address last assigned.
func (a *fakeAgent) vessel() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.vessels) == 0 {
		return ""
	}
	return a.vessels[len(a.vessels)-1].GetAddress()
}

// fakeServer is a vessel or compute.
type fakeServer struct {
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	states []*pharosv1.ClusterState
}

func (w *world) server(role pharosv1.ServerRole, id string) *fakeServer {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &fakeServer{cancel: cancel, done: make(chan struct{})}
	session := rpc.ServerSession{Client: w.client(), Hello: &pharosv1.ServerHello{ServerId: id, Role: role, Address: id + ":1"},
		Load: func() *pharosv1.ServerHeartbeat { return &pharosv1.ServerHeartbeat{Sessions: 7} },
		OnState: func(state *pharosv1.ClusterState) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := len(s.states); n > 0 && s.states[n-1].GetRevision() >= state.GetRevision() {
				w.t.Errorf("%s got state revision %d after %d", id, state.GetRevision(), s.states[n-1].GetRevision())
			}
			s.states = append(s.states, state)
		}, Logger: logger()}
	go func() { defer close(s.done); _ = session.Run(ctx) }()
	w.t.Cleanup(s.leave)
	return s
}

func (s *fakeServer) leave() { s.cancel(); <-s.done }

// state waits for a state that fits.
func (s *fakeServer) state(t testing.TB, what string, fits func(*pharosv1.ClusterState) bool) *pharosv1.ClusterState {
	t.Helper()
	var got *pharosv1.ClusterState
	eventually(t, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.states); n > 0 && fits(s.states[n-1]) {
			got = s.states[n-1]
		}
		return got != nil
	})
	return got
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}
