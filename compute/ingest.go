package compute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// A commit takes at most this much.
const (
	maxCommitItems = 4096
	maxCommitBytes = 8 << 20
)

// intake is a revision on its way into the journal.
type intake struct {
	from  *vesselStream
	agent string
	rev   *pharosv1.Revision
	cost  int64
}

// vesselStream is what waits to be sent to a vessel.
type vesselStream struct {
	ready chan struct{} // holds one when there is something to send

	mu     sync.Mutex
	acks   []*pharosv1.AgentAck
	credit int64
}

// Ingest serves one vessel.
func (c *Compute) Ingest(stream pharosv1.ComputeService_IngestServer) error {
	run := c.running.Load()
	if run == nil || (*run).Err() != nil {
		return status.Error(codes.Unavailable, "compute is starting or stopping")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello() == nil {
		return status.Error(codes.InvalidArgument, "the first message was not a hello")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer context.AfterFunc(*run, func() { cancel(status.Error(codes.Unavailable, "compute is stopping")) })()
	s := &vesselStream{ready: make(chan struct{}, 1), credit: c.opts.CreditBytes}
	wake(s.ready)
	// The reader ends when this function has returned, since that ends the stream.
	go func() { cancel(c.read(ctx, s, stream)) }()
	for {
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		case <-s.ready:
		}
		s.mu.Lock()
		resp := &pharosv1.IngestResponse{Acks: s.acks, CreditBytes: s.credit}
		s.acks, s.credit = nil, 0
		s.mu.Unlock()
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

func (c *Compute) read(ctx context.Context, s *vesselStream, stream pharosv1.ComputeService_IngestServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.IngestRequest_Revision:
			it := intake{from: s, agent: m.Revision.GetAgentId(), rev: m.Revision.GetRevision(), cost: rpc.RevisionCredit(m.Revision.GetRevision())}
			select {
			case c.in <- it:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case *pharosv1.IngestRequest_Watermarks:
			c.takeMarks(m.Watermarks.GetAgentId(), m.Watermarks.GetWatermarks().GetItems())
		default:
			return status.Error(codes.InvalidArgument, "a message that is neither revision nor watermarks")
		}
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runIntake takes revisions into the journal, many with one commit.
func (c *Compute) runIntake(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var items []intake
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C: // what comes meanwhile goes with the next commit
		}
		items = items[:0]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case it := <-c.in:
			items = append(items, it)
		}
		began := time.Now()
		size := items[0].cost
	more:
		for len(items) < maxCommitItems && size < maxCommitBytes {
			select {
			case it := <-c.in:
				items = append(items, it)
				size += it.cost
			default:
				break more
			}
		}
		if err := c.awaitRoom(ctx); err != nil {
			return err
		}
		if err := c.take(items); err != nil {
			return err
		}
		clear(items)
		pause.Reset(c.opts.CommitEvery - time.Since(began))
	}
}

// awaitRoom waits while the disk is too full. Vessels get no credit back
// meanwhile, so agents keep their data.
func (c *Compute) awaitRoom(ctx context.Context) error {
	for told := false; ; told = true {
		err := c.journal.Room()
		c.stats.noRoom.set(err)
		if err == nil {
			if told {
				c.log.Info("there is room again, going on")
			}
			return nil
		}
		if !told {
			c.log.Error("nothing is taken in", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.opts.Tick):
		}
	}
}

// take decides which revisions are news, makes them durable and acknowledges
// all of them.
func (c *Compute) take(items []intake) error {
	c.commit.Lock()
	defer c.commit.Unlock()
	b := c.journal.NewBatch()
	touched := map[*win]bool{}
	samples := false
	c.mu.Lock()
	for i := range items {
		it := &items[i]
		if it.rev.GetSamples() != nil {
			c.samplesPut++
			b.PutSamples(c.samplesPut, it.agent, it.rev.GetSamples())
			samples = true
			continue
		}
		if err := c.check(it); err != nil {
			c.stats.refused.Add(1)
			c.log.Warn("a revision can't be used", "agent", it.agent, "task", it.rev.GetTaskId(), "err", err)
			continue
		}
		w, err := c.put(b, it)
		if err != nil {
			c.mu.Unlock()
			b.Discard()
			return err
		}
		if w != nil {
			touched[w] = true
		}
	}
	c.mu.Unlock()
	if b.Empty() {
		b.Discard()
	} else if err := c.journal.Commit(b); err != nil {
		return err
	}
	now := c.nowMs()
	c.mu.Lock()
	for w := range touched {
		w.version++
		w.touch(now)
	}
	c.mu.Unlock()
	if samples {
		wake(c.samples)
	}
	c.acknowledge(items, now)
	return nil
}

// put puts a part if it is news; then it returns the window. c.mu is held.
func (c *Compute) put(b *journal.Batch, it *intake) (*win, error) {
	r := it.rev
	id := journal.WindowID{Monitor: r.GetMonitorId(), StartMs: r.GetWindowStartMs(), LengthMs: r.GetWindowMs()}
	w, err := c.load(id)
	if err != nil {
		return nil, err
	}
	part := journal.PartID{Task: r.GetTaskId(), Agent: it.agent, Part: r.GetPart()}
	if have, ok := w.parts[part]; ok && have >= r.GetRevision() {
		c.stats.repeated.Add(1)
		return nil, nil
	}
	w.parts[part] = r.GetRevision()
	w.loose++
	b.PutPart(id, it.agent, r)
	if !w.marked {
		b.Mark(id)
		w.marked = true
	}
	return w, nil
}

// check says why a revision can never be used. c.mu is held.
func (c *Compute) check(it *intake) error {
	r := it.rev
	switch {
	case it.agent == "" || r.GetTaskId() == "" || r.GetMonitorId() == "":
		return errors.New("an id is missing")
	case len(it.agent)+len(r.GetTaskId())+len(r.GetMonitorId()) > 4096:
		return errors.New("its ids are too long")
	case r.GetWindowMs() <= 0 || r.GetWindowMs() > 3_600_000 || r.GetWindowStartMs() <= 0 || r.GetWindowStartMs()%r.GetWindowMs() != 0:
		return fmt.Errorf("there is no window of %d ms at %d", r.GetWindowMs(), r.GetWindowStartMs())
	case r.GetWindowStartMs() < c.nowMs()-c.opts.Keep.Milliseconds():
		return errors.New("its window is older than what is remembered")
	}
	return nil
}

// acknowledge tells vessels what is durable, and gives the credit back.
func (c *Compute) acknowledge(items []intake, nowMs int64) {
	for i := range items {
		it := &items[i]
		c.stats.revisions.Add(1)
		c.stats.bytes.Add(uint64(it.cost))
		if read := it.rev.GetReadMs(); read > 0 {
			c.stats.freshness.add(nowMs, nowMs-read)
		}
		if it.from == nil {
			continue
		}
		it.from.mu.Lock()
		it.from.acks = append(it.from.acks, &pharosv1.AgentAck{AgentId: it.agent, Ack: &pharosv1.Ack{TaskId: it.rev.GetTaskId(),
			WindowStartMs: it.rev.GetWindowStartMs(), Part: it.rev.GetPart(), Revision: it.rev.GetRevision()}})
		it.from.credit += it.cost
		it.from.mu.Unlock()
		wake(it.from.ready)
	}
}
