package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// servers is a register that hands out one plan and vessel, and a vessel that
// keeps what it gets.
type servers struct {
	pharosv1.UnimplementedRegisterServiceServer
	pharosv1.UnimplementedVesselServiceServer
	lis  *bufconn.Listener
	plan *pharosv1.Plan
	acks bool

	mu      sync.Mutex
	changed chan struct{}
	parts   map[string]*pharosv1.Revision // newest of each part
	marks   map[string]int64
	beats   int
	task    *pharosv1.TaskRequest // sent after the first heartbeat
	events  []*pharosv1.TaskEvent
}

func startServers(t *testing.T, plan *pharosv1.Plan) *servers {
	t.Helper()
	s := &servers{lis: bufconn.Listen(1 << 16), plan: plan, acks: true, changed: make(chan struct{}), parts: map[string]*pharosv1.Revision{}, marks: map[string]int64{}}
	g := grpc.NewServer()
	pharosv1.RegisterRegisterServiceServer(g, s)
	pharosv1.RegisterVesselServiceServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(s.lis) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return s
}

func (s *servers) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *servers) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		yes, changed := ok(), s.changed
		s.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func (s *servers) AgentSession(stream pharosv1.RegisterService_AgentSessionServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	for _, m := range []*pharosv1.AgentSessionResponse{
		{Message: &pharosv1.AgentSessionResponse_Welcome{Welcome: &pharosv1.AgentWelcome{Credential: "c", HeartbeatIntervalMs: 50}}},
		{Message: &pharosv1.AgentSessionResponse_Plan{Plan: s.plan}},
		{Message: &pharosv1.AgentSessionResponse_Vessel{Vessel: &pharosv1.VesselAssignment{Address: "vessel", Token: "x"}}},
	} {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		var task *pharosv1.TaskRequest
		s.change(func() {
			if m.GetHeartbeat().GetPlanRevision() == s.plan.GetRevision() {
				s.beats++
				task, s.task = s.task, nil
			}
			if e := m.GetTaskEvent(); e != nil {
				s.events = append(s.events, e)
			}
		})
		if task != nil {
			if err := stream.Send(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Task{Task: task}}); err != nil {
				return err
			}
		}
	}
}

func (s *servers) Deliver(stream pharosv1.VesselService_DeliverServer) error {
	if err := stream.Send(&pharosv1.DeliverResponse{CreditBytes: 1 << 20}); err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		var acks []*pharosv1.Ack
		s.change(func() {
			for _, w := range m.GetWatermarks().GetItems() {
				s.marks[w.GetTaskId()] = w.GetTimeMs()
			}
			if r := m.GetRevision(); r != nil {
				key := fmt.Sprint(r.GetTaskId(), r.GetWindowStartMs(), r.GetPart())
				if old := s.parts[key]; old == nil || old.GetRevision() < r.GetRevision() {
					s.parts[key] = r
				}
				if s.acks {
					acks = append(acks, &pharosv1.Ack{TaskId: r.GetTaskId(), WindowStartMs: r.GetWindowStartMs(), Part: r.GetPart(), Revision: r.GetRevision()})
				}
			}
		})
		if len(acks) > 0 {
			if err := stream.Send(&pharosv1.DeliverResponse{Acks: acks, CreditBytes: 1000}); err != nil {
				return err
			}
		}
	}
}

// lines is what all parts of a task have.
func (s *servers) lines(task string) (n uint64) {
	for _, r := range s.parts {
		if r.GetTaskId() != task || r.GetTable() == nil {
			continue
		}
		if table, err := partial.Decode(r.GetTable()); err == nil {
			n += table.Total.Lines
		}
	}
	return n
}

func (s *servers) samples() map[string]bool {
	names := map[string]bool{}
	for _, r := range s.parts {
		for _, series := range r.GetSamples().GetSeries() {
			names[series.GetName()] = true
		}
	}
	return names
}

func startAgent(t *testing.T, dir, root string, s *servers, away bool) (stop func()) {
	t.Helper()
	dial := func() (grpc.ClientConnInterface, io.Closer, error) {
		conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.lis.DialContext(ctx) }))
		return conn, conn, err
	}
	register := dial
	if away {
		register = func() (grpc.ClientConnInterface, io.Closer, error) {
			conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("away") }))
			return conn, conn, err
		}
	}
	a, err := New(Options{DataDir: dir, Roots: []string{root}, Register: register, Location: time.UTC, Logger: slog.New(slog.DiscardHandler),
		Vessel: func(context.Context, string) (grpc.ClientConnInterface, io.Closer, error) { return dial() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the agent ended with %v", err)
		}
	})
	t.Cleanup(stop)
	if away {
		a.delivery.SetVessel(&pharosv1.VesselAssignment{Address: "vessel", Token: "x"})
	}
	return stop
}

func planFor(t *testing.T, pattern string) *pharosv1.Plan {
	t.Helper()
	spec := logrule.Spec{Title: "Lines", Type: logrule.Minute, Paths: []string{pattern}, StartAt: logrule.StartBeginning,
		Time: logrule.TimeRule{Format: logrule.TimeNormal}}.WithDefaults()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &pharosv1.Plan{Revision: 3, Tasks: []*pharosv1.PlanTask{
		{TaskId: "lines", MonitorId: "m", DefinitionRevision: 1, Kind: &pharosv1.PlanTask_Log{Log: &pharosv1.LogTask{SpecJson: b}}},
		{TaskId: "host", MonitorId: "host", DefinitionRevision: 1, Kind: &pharosv1.PlanTask_Host{Host: &pharosv1.HostTask{IntervalMs: 1000}}}}}
}

func appendLines(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := time.Now().UTC().Format("2006-01-02 15:04:05") + " hello\n"
	if _, err := f.WriteString(strings.Repeat(line, n)); err != nil {
		t.Fatal(err)
	}
}

func TestFromLogLineToVessel(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	log := filepath.Join(root, "x.log")
	appendLines(t, log, 5)
	s := startServers(t, planFor(t, root+"/*.log"))
	s.task = &pharosv1.TaskRequest{RequestId: "b", Task: &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Browse{Browse: &pharosv1.BrowseTask{Path: root}}}}
	stop := startAgent(t, dir, root, s, false)
	s.await(t, "five lines", func() bool { return s.lines("lines") == 5 })
	appendLines(t, log, 7)
	s.await(t, "twelve lines", func() bool { return s.lines("lines") == 12 })
	s.await(t, "host and self figures", func() bool {
		names := s.samples()
		return names["sys_mem_used"] && names["sys_cpu_util"] && names["self_agent_rss_bytes"]
	})
	s.await(t, "a watermark", func() bool { return s.marks["lines"] > time.Now().Add(-time.Minute).UnixMilli() })
	s.await(t, "the task's answer", func() bool { return len(s.events) == 1 && s.events[0].GetBrowse().GetEntries()[0].GetName() == "x.log" })
	if _, err := New(Options{DataDir: dir, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent in the data directory: %v", err)
	}
	stop()

	// While it is down and while register is away, nothing is lost or doubled.
	appendLines(t, log, 4)
	startAgent(t, dir, root, s, true)
	s.await(t, "sixteen lines", func() bool { return s.lines("lines") == 16 })
	appendLines(t, log, 4)
	s.await(t, "twenty lines", func() bool { return s.lines("lines") == 20 })
}

func TestRootsMustBeAbsolute(t *testing.T) {
	if _, err := New(Options{DataDir: t.TempDir(), Roots: []string{"logs"}, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("a relative root was taken")
	}
}
