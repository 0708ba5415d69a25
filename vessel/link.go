package vessel

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxGrant is what a compute can grant at once, maxCredit over the life of a
// connection: more than anyone will.
const (
	maxGrant  = 1 << 40
	maxCredit = 1 << 62
)

// outQueue revisions wait for the connection's writer at most.
const outQueue = 64

// link is the way to one compute. While the compute is away, revisions for it
// are let fall: the agents still have them and send them when it is back.
type link struct {
	vessel  *Vessel
	id      string
	address string
	cancel  context.CancelFunc
	log     *slog.Logger
	hurried chan struct{} // asks to connect now

	mu   sync.Mutex
	conn *conn // nil while the compute is away
	// owed are the streams of which a revision was let fall.
	owed map[*agentStream]bool
}

// conn is one connection to the compute. Its context ends with it.
type conn struct {
	ctx    context.Context
	cancel context.CancelFunc
	out    chan *pharosv1.IngestRequest
	credit *semaphore.Weighted
	first  int64 // the first grant
	// used are the streams that sent something over this connection; guarded by link.mu.
	used map[*agentStream]bool

	marked chan struct{} // holds one when marks are to be sent
	mu     sync.Mutex
	marks  map[string]map[string]*pharosv1.Watermark // by agent and task
}

// keep connects again and again until ctx ends.
func (l *link) keep(ctx context.Context) {
	defer l.cancel()
	delay := rpc.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	var cc *grpc.ClientConn
	defer func() {
		if cc != nil {
			_ = cc.Close() // there is nothing left to lose
		}
	}()
	for {
		var err error
		if cc == nil {
			cc, err = l.vessel.opts.Dial(l.address)
		}
		if err == nil {
			err = l.once(ctx, cc, &delay)
		}
		if ctx.Err() != nil {
			return
		}
		l.log.Warn("no connection to compute; its data waits at the agents", "address", l.address, "err", err)
		timer := time.NewTimer(delay.Next())
		select {
		case <-timer.C:
		case <-l.hurried:
		case <-ctx.Done():
		}
		timer.Stop()
		if cc != nil {
			cc.ResetConnectBackoff()
		}
	}
}

// hurry ends a pause between two attempts.
func (l *link) hurry() { wake(l.hurried) }

// once serves one connection until it ends.
func (l *link) once(ctx context.Context, cc *grpc.ClientConn, delay *rpc.Backoff) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pharosv1.NewComputeServiceClient(cc).Ingest(ctx)
	if err != nil {
		return err
	}
	// A failed Send is explained by Recv.
	_ = stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Hello{Hello: &pharosv1.IngestHello{VesselId: l.vessel.opts.ID}}})
	var c *conn
	var writer sync.WaitGroup
	defer func() {
		cancel()
		writer.Wait()
		l.down(c)
	}()
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		if n := min(resp.GetCreditBytes(), maxGrant); n > 0 {
			if c == nil {
				delay.Reset()
				c = newConn(ctx, cancel, n)
				writer.Go(func() {
					defer cancel()
					c.write(stream)
				})
				l.up(c)
			} else {
				c.credit.Release(n)
			}
		}
		l.vessel.routeAcks(resp.GetAcks())
	}
}

func newConn(ctx context.Context, cancel context.CancelFunc, grant int64) *conn {
	c := &conn{ctx: ctx, cancel: cancel, out: make(chan *pharosv1.IngestRequest, outQueue), credit: semaphore.NewWeighted(maxCredit), first: grant,
		used: map[*agentStream]bool{}, marked: make(chan struct{}, 1), marks: map[string]map[string]*pharosv1.Watermark{}}
	c.credit.TryAcquire(maxCredit - grant) // all of it is free: can't fail
	return c
}

// up begins to use a connection. Streams of which something was let fall
// meanwhile end, so that their agents send it again.
func (l *link) up(c *conn) {
	l.mu.Lock()
	l.conn = c
	owed := l.owed
	l.owed = map[*agentStream]bool{}
	l.mu.Unlock()
	for s := range owed {
		s.end(status.Errorf(codes.Unavailable, "compute %s is back; send again what it has not acknowledged", l.id))
	}
	l.log.Info("connected to compute", "address", l.address, "agents_to_resend", len(owed))
	l.vessel.mu.Lock()
	l.vessel.announce()
	l.vessel.mu.Unlock()
}

// down ends the streams that used a connection: what they sent may be lost.
func (l *link) down(c *conn) {
	if c == nil {
		return
	}
	l.mu.Lock()
	l.conn = nil
	used := c.used
	l.mu.Unlock()
	for s := range used {
		s.end(status.Errorf(codes.Unavailable, "the connection to compute %s was lost; send again what it has not acknowledged", l.id))
	}
}

func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil
}

// drop forgets a stream that has ended.
func (l *link) drop(s *agentStream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.owed, s)
	if l.conn != nil {
		delete(l.conn.used, s)
	}
}

// forward sends a revision as soon as the compute's credit allows, or lets it
// fall while the compute is away. An error ends the agent's stream.
func (l *link) forward(s *agentStream, r *pharosv1.Revision, cost int64) error {
	l.mu.Lock()
	c := l.conn
	if c == nil {
		l.owed[s] = true
		l.mu.Unlock()
		return nil
	}
	c.used[s] = true
	l.mu.Unlock()
	// A message greater than the compute's whole credit goes when nothing else is under way.
	cost = min(cost, c.first)
	if !c.credit.TryAcquire(cost) {
		ctx, cancel := context.WithCancel(s.ctx)
		stop := context.AfterFunc(c.ctx, cancel)
		err := c.credit.Acquire(ctx, cost)
		stop()
		cancel()
		if err != nil {
			return l.interrupted(s)
		}
	}
	m := &pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: s.id, Revision: r}}}
	select {
	case c.out <- m:
		return nil
	case <-c.ctx.Done():
		return l.interrupted(s)
	case <-s.ctx.Done():
		return cause(s.ctx)
	}
}

func (l *link) interrupted(s *agentStream) error {
	if s.ctx.Err() != nil {
		return cause(s.ctx)
	}
	return status.Errorf(codes.Unavailable, "the connection to compute %s was lost; send again what it has not acknowledged", l.id)
}

// mark passes watermarks on. Only the newest of each task is kept, so nobody
// waits; while the compute is away they are let fall, as newer ones follow.
func (l *link) mark(agentID string, items []*pharosv1.Watermark) {
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	tasks := c.marks[agentID]
	if tasks == nil {
		tasks = make(map[string]*pharosv1.Watermark, len(items))
		c.marks[agentID] = tasks
	}
	for _, w := range items {
		tasks[w.GetTaskId()] = w
	}
	c.mu.Unlock()
	wake(c.marked)
}

// write sends what waits until the connection ends.
func (c *conn) write(stream pharosv1.ComputeService_IngestClient) {
	for {
		select {
		case <-c.ctx.Done():
			return
		case m := <-c.out:
			if stream.Send(m) != nil {
				return // Recv says why
			}
		case <-c.marked:
			c.mu.Lock()
			marks := c.marks
			c.marks = make(map[string]map[string]*pharosv1.Watermark, len(marks))
			c.mu.Unlock()
			for agentID, tasks := range marks {
				w := &pharosv1.Watermarks{Items: make([]*pharosv1.Watermark, 0, len(tasks))}
				for _, item := range tasks {
					w.Items = append(w.Items, item)
				}
				if stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Watermarks{
					Watermarks: &pharosv1.AgentWatermarks{AgentId: agentID, Watermarks: w}}}) != nil {
					return
				}
			}
		}
	}
}

// routeAcks hands acknowledgements to the streams of their agents. Those of an
// agent that has left are dropped: it sends again, and hears it again.
func (v *Vessel) routeAcks(acks []*pharosv1.AgentAck) {
	for len(acks) > 0 {
		id := acks[0].GetAgentId()
		var batch []*pharosv1.Ack
		for len(acks) > 0 && acks[0].GetAgentId() == id {
			batch = append(batch, acks[0].GetAck())
			acks = acks[1:]
		}
		v.mu.RLock()
		s := v.streams[id]
		v.mu.RUnlock()
		if s != nil {
			s.acknowledge(batch)
		}
	}
}
