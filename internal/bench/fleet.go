package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/internal/partial"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// deliverEvery is how often a simulated agent sends the growing partial of its window.
const deliverEvery = 5 * time.Second

// fleet lets many simulated agents deliver minute windows of many keys and
// watches the server's CPU and whether anything lags more and more.
func (c *commands) fleet(ctx context.Context) error {
	s, err := c.startServer(ctx, "--no-agent")
	if err != nil {
		return err
	}
	defer s.stop()
	var token struct{ Secret string }
	if err := s.call("POST", "/api/v1/join_tokens", map[string]any{"label": "bench"}, &token); err != nil {
		return err
	}
	err = s.call("POST", "/api/v1/workspaces/default/monitors", map[string]any{"name": "fleet", "spec": map[string]any{
		"title": "Fleet", "type": "minute_multi", "paths": []string{"/var/log/fleet.log"}, "time": map[string]any{"format": "normal"},
		"columns":  []map[string]any{{"name": "k", "split": map[string]any{"delimiter": ",", "index": 1}}, {"name": "v", "split": map[string]any{"delimiter": ",", "index": 2}}},
		"group_by": []string{"k"}, "key_limit": c.Keys,
		"statistics": []map[string]any{{"name": "count", "kind": "count"}, {"name": "sum", "kind": "sum", "column": "v"}}}}, nil)
	if err != nil {
		return err
	}
	join, err := rpc.ParseJoinToken(token.Secret)
	if err != nil {
		return err
	}
	options, err := rpc.AgentClientOptions(rpc.Agent{CAFingerprint: join.CAFingerprint, StoredCA: s.dir + "/ca.pem"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conns []*grpc.ClientConn
	for range 20 {
		conn, err := grpc.NewClient(s.grpc, options...)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	f := &fleet{join: token.Secret, keys: c.Keys}
	var agents sync.WaitGroup
	for i := range c.Agents {
		agents.Go(func() {
			a := &simulated{fleet: f, conn: conns[i%len(conns)], id: fmt.Sprintf("agt_bench%05d", i), delay: deliverEvery * time.Duration(i) / time.Duration(c.Agents)}
			if err := a.run(ctx); err != nil && ctx.Err() == nil {
				f.failures.Add(1)
				f.failure.CompareAndSwap(nil, &err)
			}
		})
	}
	defer agents.Wait()
	defer cancel()
	for begin := time.Now(); f.delivering.Load() < int64(c.Agents); time.Sleep(200 * time.Millisecond) {
		if err := f.failure.Load(); err != nil || time.Since(begin) > 3*time.Minute {
			return fmt.Errorf("%d of %d agents deliver: %w", f.delivering.Load(), c.Agents, errors.Join(fmt.Errorf("%d failed", f.failures.Load()), *cmpOr(err)))
		}
	}
	fmt.Printf("%-40s %10s %10s %10s %12s %10s\n", fmt.Sprintf("%d agents × %d keys × 1 min", c.Agents, c.Keys), "cores", "RSS MB", "rev/s", "ack p95", "unacked")
	begin := time.Now()
	for time.Since(begin) < c.Fleet {
		cpu, err := cpuTime(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		sent, at := f.sent.Load(), time.Now()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second):
		}
		after, err := cpuTime(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		now, _, err := residentMB(s.cmd.Process.Pid)
		if err != nil {
			return err
		}
		elapsed := time.Since(at)
		fmt.Printf("%-40s %10.2f %10.0f %10.0f %12s %10d\n", fmt.Sprintf("after %s", time.Since(begin).Round(time.Second)), float64(after-cpu)/float64(elapsed),
			now, float64(f.sent.Load()-sent)/elapsed.Seconds(), round(f.ackP95()), f.sent.Load()-f.acked.Load())
	}
	if n := f.failures.Load(); n > 0 {
		return fmt.Errorf("%d agents failed, the first: %w", n, *f.failure.Load())
	}
	return nil
}

func cmpOr(err *error) *error {
	if err != nil {
		return err
	}
	none := errors.New("no error")
	return &none
}

type fleet struct {
	join       string
	keys       int
	delivering atomic.Int64
	failures   atomic.Int64
	failure    atomic.Pointer[error]
	sent       atomic.Int64
	acked      atomic.Int64

	mu    sync.Mutex
	waits []time.Duration // from sending to acknowledgement, since the last look
}

func (f *fleet) ackP95() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waits) == 0 {
		return 0
	}
	slices.Sort(f.waits)
	p95 := f.waits[len(f.waits)*95/100]
	f.waits = f.waits[:0]
	return p95
}

// simulated is an agent without files: it speaks the real protocol.
type simulated struct {
	*fleet
	conn  *grpc.ClientConn
	id    string
	delay time.Duration

	mu       sync.Mutex
	sentAt   map[uint64]time.Time // by revision
	sealed   int64                // windows up to here are acknowledged
	credit   int64
	refilled chan struct{}
}

func (a *simulated) run(ctx context.Context) error {
	session, err := pharosv1.NewRegisterServiceClient(a.conn).AgentSession(ctx)
	if err != nil {
		return err
	}
	hello := &pharosv1.AgentHello{AgentId: a.id, JoinToken: a.join, Version: "bench", StartedMs: time.Now().UnixMilli(),
		Host: &pharosv1.HostInfo{Hostname: a.id, Ip: "127.0.0.1", Os: "linux", Cpus: 1}}
	if err := session.Send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	var task *pharosv1.PlanTask
	var vessel *pharosv1.VesselAssignment
	var sending sync.Mutex
	send := func(m *pharosv1.AgentSessionRequest) error {
		sending.Lock()
		defer sending.Unlock()
		return session.Send(m)
	}
	var delivery errgroupLike
	defer delivery.wait()
	for {
		m, err := session.Recv()
		if err != nil {
			return err
		}
		switch m := m.Message.(type) {
		case *pharosv1.AgentSessionResponse_ClockProbe:
			echo := &pharosv1.ClockEcho{ServerMs: m.ClockProbe.ServerMs, AgentMs: time.Now().UnixMilli()}
			if err := send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_ClockEcho{ClockEcho: echo}}); err != nil {
				return err
			}
			beat := &pharosv1.AgentHeartbeat{TimeMs: time.Now().UnixMilli()}
			if err := send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Heartbeat{Heartbeat: beat}}); err != nil {
				return err
			}
		case *pharosv1.AgentSessionResponse_Plan:
			for _, t := range m.Plan.Tasks {
				if t.GetLog() != nil {
					task = t
				}
			}
		case *pharosv1.AgentSessionResponse_Vessel:
			vessel = m.Vessel
		}
		if task != nil && vessel != nil {
			t, v := task, vessel
			delivery.start(func() error { return a.deliver(ctx, t, v) })
			if err := delivery.failed(); err != nil {
				return err
			}
		}
	}
}

// errgroupLike runs one function once and remembers its error.
type errgroupLike struct {
	once sync.Once
	done chan struct{}
	mu   sync.Mutex
	err  error
}

func (g *errgroupLike) start(fn func() error) {
	g.once.Do(func() {
		g.done = make(chan struct{})
		go func() {
			defer close(g.done)
			err := fn()
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
		}()
	})
}

func (g *errgroupLike) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *errgroupLike) wait() {
	if g.done != nil {
		<-g.done
	}
}

// deliver sends the current minute's partial every few seconds and seals it when it is over.
func (a *simulated) deliver(ctx context.Context, task *pharosv1.PlanTask, v *pharosv1.VesselAssignment) error {
	stream, err := pharosv1.NewVesselServiceClient(a.conn).Deliver(ctx)
	if err != nil {
		return err
	}
	hello := &pharosv1.DeliverHello{AgentId: a.id, Token: v.Token}
	if err := stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	a.sentAt, a.refilled = map[uint64]time.Time{}, make(chan struct{}, 1)
	received := make(chan error, 1)
	go func() { received <- a.receive(stream) }()
	a.delivering.Add(1)
	revision := uint64(time.Now().UnixNano())
	tick := time.NewTicker(deliverEvery)
	defer tick.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(a.delay): // agents are not in step
	}
	lines := uint64(0)
	open := time.Now().Truncate(time.Minute)
	for {
		now := time.Now()
		window := open
		over := now.Add(-time.Second).Truncate(time.Minute).After(open)
		lines += 10
		revision++
		rev := &pharosv1.Revision{TaskId: task.TaskId, MonitorId: task.MonitorId, WindowStartMs: window.UnixMilli(), WindowMs: 60_000,
			Part: uint64(window.UnixMilli()), Revision: revision, Sealed: over, ReadMs: now.UnixMilli(),
			Payload: &pharosv1.Revision_Table{Table: a.table(lines)}, Lines: &pharosv1.LineCounters{Read: lines * uint64(a.keys), Matched: lines * uint64(a.keys)}}
		if err := a.send(ctx, stream, rev, received); err != nil {
			return err
		}
		if over {
			open, lines = now.Truncate(time.Minute), 0
		}
		a.mu.Lock()
		sealed := a.sealed
		a.mu.Unlock()
		mark := &pharosv1.Watermark{TaskId: task.TaskId, MonitorId: task.MonitorId, TimeMs: sealed}
		if sealed > 0 {
			err := stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Watermarks{Watermarks: &pharosv1.Watermarks{Items: []*pharosv1.Watermark{mark}}}})
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-received:
			return err
		case <-tick.C:
		}
	}
}

func (a *simulated) table(lines uint64) []byte {
	cells := make([]partial.Cell, 1)
	cells[0] = partial.Cell{N: lines, SumLo: lines * 7_500_000, Min: 7.5, Max: 7.5}
	total := []partial.Cell{{N: lines * uint64(a.keys), SumLo: lines * uint64(a.keys) * 7_500_000, Min: 7.5, Max: 7.5}}
	w := partial.NewWriter(nil, partial.Layout{Groups: 1, Columns: 1}, 0, nil, a.keys, lines*uint64(a.keys), total)
	var key []byte
	for i := range a.keys {
		key = fmt.Appendf(key[:0], "key-%04d", i)
		w.Row(key, []int{len(key)}, lines, cells, 0)
	}
	return w.Bytes()
}

// send waits for credit before it sends.
func (a *simulated) send(ctx context.Context, stream pharosv1.VesselService_DeliverClient, rev *pharosv1.Revision, received <-chan error) error {
	cost := rpc.RevisionCredit(rev)
	for {
		a.mu.Lock()
		if a.credit >= cost {
			a.credit -= cost
			a.sentAt[rev.Revision] = time.Now()
			a.mu.Unlock()
			a.sent.Add(1)
			return stream.Send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Revision{Revision: rev}})
		}
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-received:
			return err
		case <-a.refilled:
		}
	}
}

func (a *simulated) receive(stream pharosv1.VesselService_DeliverClient) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the vessel ended the stream")
		}
		if err != nil {
			return err
		}
		now := time.Now()
		a.mu.Lock()
		a.credit += m.CreditBytes
		for _, ack := range m.Acks {
			at, ok := a.sentAt[ack.Revision]
			if !ok {
				continue
			}
			delete(a.sentAt, ack.Revision)
			a.acked.Add(1)
			a.fleet.mu.Lock()
			a.waits = append(a.waits, now.Sub(at))
			a.fleet.mu.Unlock()
			a.sealed = max(a.sealed, ack.WindowStartMs)
		}
		a.mu.Unlock()
		select {
		case a.refilled <- struct{}{}:
		default:
		}
	}
}
