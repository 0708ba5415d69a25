package vessel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// patience is for a machine that others keep busy; nothing here takes long.
const patience = time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}

// world is a vessel between a fake register, fake computes and fake agents.
type world struct {
	pharosv1.UnimplementedRegisterServiceServer
	t     testing.TB
	key   rpc.ClusterKey
	local *rpc.Local
	conn  *grpc.ClientConn
	stop  func()
	// stopRegister ends register, as a crash would.
	stopRegister func()

	mu     sync.Mutex
	state  *pharosv1.ClusterState
	pushed chan struct{}
	hellos []*pharosv1.ServerHello
	beats  []*pharosv1.ServerHeartbeat
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	key, err := rpc.ParseClusterKey(strings.Repeat("0123456789", 4))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, key: key, local: rpc.NewLocal(), pushed: make(chan struct{}), state: &pharosv1.ClusterState{}}
	w.startRegister()
	reg, err := w.local.Dial(key, "register")
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{ID: "v1", Address: "vessel", Register: reg, ClusterKey: key,
		Dial: func(address string) (*grpc.ClientConn, error) { return w.local.Dial(key, address) }}
	if change != nil {
		change(&opts)
	}
	v := New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := v.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	stopServer := w.serve("vessel", func(s *grpc.Server) { v.RegisterServices(s) })
	if w.conn, err = w.local.DialAgent("vessel"); err != nil {
		t.Fatal(err)
	}
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); stopServer(); reg.Close() })
	t.Cleanup(func() { w.stop(); w.conn.Close() })
	return w
}

// serve runs a gRPC server until the returned function or the test ends it.
func (w *world) serve(name string, add func(*grpc.Server)) func() {
	s := grpc.NewServer(w.local.ServerOptions(w.key)...)
	add(s)
	lis := w.local.Listen(name)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(lis) }()
	stop := sync.OnceFunc(func() { s.Stop(); <-done })
	w.t.Cleanup(stop)
	return stop
}

func (w *world) startRegister() {
	w.stopRegister = w.serve("register", func(s *grpc.Server) { pharosv1.RegisterRegisterServiceServer(s, w) })
}

// ServerSession makes the world a register.
func (w *world) ServerSession(stream pharosv1.RegisterService_ServerSessionServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.hellos = append(w.hellos, first.GetHello())
	w.mu.Unlock()
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.beats = append(w.beats, m.GetHeartbeat())
			w.mu.Unlock()
		}
	}()
	for sent := uint64(0); ; {
		w.mu.Lock()
		state, pushed := w.state, w.pushed
		w.mu.Unlock()
		if state.GetRevision() > sent {
			sent = state.GetRevision()
			if err := stream.Send(&pharosv1.ServerSessionResponse{State: state}); err != nil {
				return err
			}
		}
		select {
		case <-pushed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// push tells the vessel of computes and agents.
func (w *world) push(computes []*pharosv1.ServerInfo, agents ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := &pharosv1.ClusterState{Revision: w.state.GetRevision() + 1, Computes: computes}
	for _, id := range agents {
		next.Agents = append(next.Agents, &pharosv1.AgentInfo{AgentId: id})
	}
	w.state = next
	close(w.pushed)
	w.pushed = make(chan struct{})
}

func info(ids ...string) []*pharosv1.ServerInfo {
	var infos []*pharosv1.ServerInfo
	for _, id := range ids {
		infos = append(infos, &pharosv1.ServerInfo{ServerId: id, Role: pharosv1.ServerRole_SERVER_ROLE_COMPUTE, Address: id, Live: true})
	}
	return infos
}

// fakeCompute is strict about credit. What it has acknowledged survives its restarts.
type fakeCompute struct {
	pharosv1.UnimplementedComputeServiceServer
	w     *world
	id    string
	grant int64
	stop  func()

	mu       sync.Mutex
	hold     bool // takes in, but neither acknowledges nor grants
	released chan struct{}
	got      []*pharosv1.AgentRevision
	durable  map[string]uint64 // highest acknowledged revision by agent, window and part
	marks    map[string]int64  // by agent and task
}

func (w *world) compute(id string, grant int64) *fakeCompute {
	c := &fakeCompute{w: w, id: id, grant: grant, durable: map[string]uint64{}, marks: map[string]int64{}, released: make(chan struct{})}
	c.start()
	return c
}

func (c *fakeCompute) start() {
	c.stop = c.w.serve(c.id, func(s *grpc.Server) { pharosv1.RegisterComputeServiceServer(s, c) })
}

func (c *fakeCompute) setHold(hold bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = hold
	if !hold {
		close(c.released)
		c.released = make(chan struct{})
	}
}

func keyOf(agent string, r *pharosv1.Revision) string {
	return fmt.Sprint(agent, " ", r.GetMonitorId(), " ", r.GetWindowStartMs(), " ", r.GetPart())
}

func (c *fakeCompute) Ingest(stream pharosv1.ComputeService_IngestServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello().GetVesselId() != "v1" {
		c.w.t.Errorf("the first message was %v instead of a hello", first)
	}
	if err := stream.Send(&pharosv1.IngestResponse{CreditBytes: c.grant}); err != nil {
		return err
	}
	var mu sync.Mutex
	credit := c.grant
	taken := make(chan *pharosv1.AgentRevision, 10_000)
	answered := make(chan struct{})
	defer func() { close(taken); <-answered }()
	go func() {
		defer close(answered)
		for r := range taken {
			if !c.store(stream.Context(), r) {
				continue
			}
			cost := rpc.RevisionCredit(r.GetRevision())
			mu.Lock()
			credit += cost
			mu.Unlock()
			_ = stream.Send(&pharosv1.IngestResponse{CreditBytes: cost, Acks: []*pharosv1.AgentAck{{AgentId: r.GetAgentId(), Ack: &pharosv1.Ack{
				TaskId: r.GetRevision().GetTaskId(), WindowStartMs: r.GetRevision().GetWindowStartMs(), Part: r.GetRevision().GetPart(),
				Revision: r.GetRevision().GetRevision()}}}})
		}
	}()
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.IngestRequest_Watermarks:
			c.mu.Lock()
			for _, x := range m.Watermarks.GetWatermarks().GetItems() {
				key := m.Watermarks.GetAgentId() + " " + x.GetTaskId()
				if x.GetTimeMs() < c.marks[key] {
					c.w.t.Errorf("watermark of %s went back", key)
				}
				c.marks[key] = x.GetTimeMs()
			}
			c.mu.Unlock()
		case *pharosv1.IngestRequest_Revision:
			cost := rpc.RevisionCredit(m.Revision.GetRevision())
			mu.Lock()
			if credit -= cost; credit < 0 && (cost <= c.grant || credit+cost < c.grant) {
				c.w.t.Errorf("the vessel exceeded its credit by %d bytes", -credit)
			}
			mu.Unlock()
			c.mu.Lock()
			c.got = append(c.got, m.Revision)
			c.mu.Unlock()
			taken <- m.Revision
		default:
			c.w.t.Errorf("compute got %v", m)
		}
	}
}

// store makes a revision durable when the compute is not on hold; false if the
// connection ended before.
func (c *fakeCompute) store(ctx context.Context, r *pharosv1.AgentRevision) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.hold {
		released := c.released
		c.mu.Unlock()
		select {
		case <-released:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return false
		}
	}
	k := keyOf(r.GetAgentId(), r.GetRevision())
	c.durable[k] = max(c.durable[k], r.GetRevision().GetRevision())
	return true
}

func (c *fakeCompute) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

// fakeAgent keeps what isn't acknowledged and sends it again over the next stream.
type fakeAgent struct {
	w      *world
	id     string
	stream pharosv1.VesselService_DeliverClient
	cancel context.CancelFunc

	mu      sync.Mutex
	credit  int64
	granted int64
	acks    []*pharosv1.Ack
	unacked map[string]*pharosv1.Revision
	err     error
	done    chan struct{}
}

func (w *world) agent(id string) *fakeAgent {
	a := &fakeAgent{w: w, id: id, unacked: map[string]*pharosv1.Revision{}}
	a.connect(w.key.SignVesselToken(id, time.Now().Add(time.Minute)))
	w.t.Cleanup(func() { a.cancel(); <-a.done })
	return a
}

func (a *fakeAgent) connect(token string) {
	a.w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := pharosv1.NewVesselServiceClient(a.w.conn).Deliver(ctx, grpc.WaitForReady(true))
	if err != nil {
		a.w.t.Fatal(err)
	}
	a.mu.Lock()
	a.stream, a.cancel, a.credit, a.err, a.done = stream, cancel, 0, nil, make(chan struct{})
	a.mu.Unlock()
	_ = stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Hello{Hello: &pharosv1.DeliverHello{AgentId: a.id, Token: token}}})
	go func() {
		defer close(a.done)
		for {
			m, err := stream.Recv()
			a.mu.Lock()
			if err != nil {
				a.err = err
				a.mu.Unlock()
				return
			}
			a.credit += m.GetCreditBytes()
			a.granted += m.GetCreditBytes()
			a.acks = append(a.acks, m.GetAcks()...)
			for _, ack := range m.GetAcks() {
				for k, r := range a.unacked {
					if r.GetTaskId() == ack.GetTaskId() && r.GetWindowStartMs() == ack.GetWindowStartMs() && r.GetPart() == ack.GetPart() && r.GetRevision() <= ack.GetRevision() {
						delete(a.unacked, k)
					}
				}
			}
			a.mu.Unlock()
		}
	}()
}

// awaitCredit waits until n bytes may be sent.
func (a *fakeAgent) awaitCredit(n int64) {
	a.w.t.Helper()
	eventually(a.w.t, "credit", func() bool {
		a.comeBack()
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.credit >= n
	})
}

// comeBack resends if the vessel asked for it, as it does when a compute
// connects that something was meant for.
func (a *fakeAgent) comeBack() {
	select {
	case <-a.done:
		if status.Code(a.err) == codes.Unavailable {
			a.resend()
		}
	default:
	}
}

// send sends within the credit.
func (a *fakeAgent) send(r *pharosv1.Revision) {
	a.w.t.Helper()
	cost := rpc.RevisionCredit(r)
	a.awaitCredit(cost)
	a.mu.Lock()
	a.credit -= cost
	a.unacked[keyOf(a.id, r)] = r
	a.mu.Unlock()
	_ = a.stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Revision{Revision: r}})
}

func (a *fakeAgent) mark(task string, ms int64) {
	_ = a.stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Watermarks{
		Watermarks: &pharosv1.Watermarks{Items: []*pharosv1.Watermark{{TaskId: task, MonitorId: task, TimeMs: ms}}}}})
}

// resend sends what isn't acknowledged over a new stream.
func (a *fakeAgent) resend() {
	a.w.t.Helper()
	<-a.done
	a.connect(a.w.key.SignVesselToken(a.id, time.Now().Add(time.Minute)))
	a.mu.Lock()
	var again []*pharosv1.Revision
	for _, r := range a.unacked {
		again = append(again, r)
	}
	a.mu.Unlock()
	for _, r := range again {
		a.send(r)
	}
}

func (a *fakeAgent) allAcked() {
	a.w.t.Helper()
	eventually(a.w.t, "acknowledgement of all", func() bool {
		a.comeBack()
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.unacked) == 0
	})
}

func revision(monitor string, window int64, size int) *pharosv1.Revision {
	return &pharosv1.Revision{TaskId: monitor + "/t", MonitorId: monitor, WindowStartMs: window, WindowMs: 60_000, Part: 1, Revision: 1,
		Payload: &pharosv1.Revision_Table{Table: make([]byte, size)}}
}
