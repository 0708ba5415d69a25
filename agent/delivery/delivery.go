// Package delivery is the agent's side of the stream to a vessel.
//
// It promises: only what the vessel gave credit for is sent; after a break, or
// on another vessel, everything that isn't acknowledged is sent again; the
// stream to one vessel has ended before the next begins; nothing here holds
// data of its own.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pharos-stack/pharos/agent/outbox"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of a Delivery. All but Refused and the times are required.
type Options struct {
	AgentID string
	// Outbox has what is to be sent, and takes acknowledgements.
	Outbox *outbox.Outbox
	// Dial connects to a vessel. It may return before the connection stands.
	Dial func(ctx context.Context, address string) (grpc.ClientConnInterface, io.Closer, error)
	// Refused is told that the vessel doesn't accept the token. Default: nothing.
	Refused func()
	Logger  *slog.Logger
	// Watermark is the least time between two messages of watermarks. Default 1 s.
	Watermark time.Duration
	// Retry is the longest pause between attempts. Default 5 s.
	Retry time.Duration
}

// Delivery delivers to the assigned vessel.
type Delivery struct {
	opts    Options
	changed chan struct{}

	mu        sync.Mutex
	assigned  *pharosv1.VesselAssignment
	delivers  string // address delivered to now
	problem   string
	leave     context.CancelCauseFunc // ends the current stream
	leaveFrom string
}

// New returns a delivery without a vessel.
func New(o Options) *Delivery {
	if o.Refused == nil {
		o.Refused = func() {}
	}
	if o.Watermark <= 0 {
		o.Watermark = time.Second
	}
	if o.Retry <= 0 {
		o.Retry = 5 * time.Second
	}
	return &Delivery{opts: o, changed: make(chan struct{}, 1)}
}

var errMoved = errors.New("register assigned another vessel")

// SetVessel says where to deliver. A new token for the same vessel is used
// when the stream has to be opened again.
func (d *Delivery) SetVessel(a *pharosv1.VesselAssignment) {
	d.mu.Lock()
	d.assigned = a
	if d.leave != nil && d.leaveFrom != a.GetAddress() {
		d.leave(errMoved)
	}
	d.mu.Unlock()
	wake(d.changed)
}

// Vessel is the address delivered to now, empty while there is no stream.
func (d *Delivery) Vessel() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.delivers
}

// Problem says what keeps data from being delivered, empty if nothing does.
func (d *Delivery) Problem() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

func (d *Delivery) setProblem(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problem = text
}

// Run delivers until ctx ends.
func (d *Delivery) Run(ctx context.Context) error {
	delay := rpc.Backoff{Min: 100 * time.Millisecond, Max: d.opts.Retry}
	said, saidAt := "", time.Time{}
	for {
		d.mu.Lock()
		a := d.assigned
		d.mu.Unlock()
		if a.GetAddress() == "" {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-d.changed:
			}
			continue
		}
		err := d.once(ctx, a, &delay)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errMoved):
			delay.Reset()
			continue
		case status.Code(err) == codes.Unauthenticated:
			d.opts.Refused()
		}
		if text := err.Error(); text != said || time.Since(saidAt) > time.Minute {
			d.opts.Logger.Warn("delivery to vessel broke off; what isn't acknowledged is sent again", "vessel", a.GetAddress(), "err", err)
			said, saidAt = text, time.Now()
		}
		timer := time.NewTimer(delay.Next())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-d.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// connection is one stream to a vessel.
type connection struct {
	stream  pharosv1.VesselService_DeliverClient
	sending sync.Mutex // gRPC allows one sender at a time
	credit  credit
}

func (c *connection) send(m *pharosv1.DeliverRequest) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(m)
}

// once opens a stream and serves it until it ends, for the reason returned.
func (d *Delivery) once(parent context.Context, a *pharosv1.VesselAssignment, delay *rpc.Backoff) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	if !d.begin(a, cancel) {
		return errMoved
	}
	defer d.end()
	conn, closer, err := d.opts.Dial(ctx, a.GetAddress())
	if err != nil {
		return fmt.Errorf("cannot dial vessel %q: %w", a.GetAddress(), err)
	}
	defer closer.Close()
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel(nil)
	defer func() {
		if why := context.Cause(ctx); why != nil {
			err = why
		}
	}()
	stream, err := pharosv1.NewVesselServiceClient(conn).Deliver(ctx)
	if err != nil {
		return err
	}
	c := &connection{stream: stream, credit: credit{changed: make(chan struct{}, 1)}}
	hello := &pharosv1.DeliverHello{AgentId: d.opts.AgentID, Token: a.GetToken()}
	if err := c.send(&pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Hello{Hello: hello}}); err != nil {
		if _, rerr := stream.Recv(); rerr != nil {
			return rerr // says why
		}
		return err
	}
	// A failed send is left to Recv, which knows the vessel's reason.
	children.Go(func() { d.sendRevisions(ctx, c) })
	children.Go(func() { d.sendWatermarks(ctx, c) })
	for first := true; ; first = false {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the vessel ended the stream")
		}
		if err != nil {
			return err
		}
		if first {
			delay.Reset()
			d.mu.Lock()
			d.delivers = a.GetAddress()
			d.mu.Unlock()
			d.opts.Logger.Info("delivering", "vessel", a.GetAddress())
		}
		if len(resp.GetAcks()) > 0 {
			d.opts.Outbox.Ack(resp.GetAcks())
		}
		c.credit.grant(resp.GetCreditBytes())
	}
}

// begin makes the stream one that SetVessel ends; false if it is for a vessel
// that isn't the assigned one any more.
func (d *Delivery) begin(a *pharosv1.VesselAssignment, cancel context.CancelCauseFunc) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.assigned.GetAddress() != a.GetAddress() {
		return false
	}
	d.leave, d.leaveFrom = cancel, a.GetAddress()
	return true
}

func (d *Delivery) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leave, d.delivers = nil, ""
}

func (d *Delivery) sendRevisions(ctx context.Context, c *connection) {
	cursor := d.opts.Outbox.Stream()
	for {
		// Credit first: a revision taken early might be outdated by the time it may be sent.
		if c.credit.waitAny(ctx) != nil {
			return
		}
		rev, err := cursor.Next(ctx)
		if err != nil {
			return
		}
		m := &pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Revision{Revision: rev}}
		if n := proto.Size(m); n > rpc.MaxMessage {
			d.setProblem(fmt.Sprintf("a window of task %s has %d MB, more than can be sent: group by less", rev.GetTaskId(), n>>20))
			d.opts.Logger.Error("cannot send a revision: it is too large", "task", rev.GetTaskId(), "window_ms", rev.GetWindowStartMs(), "bytes", n)
			continue
		}
		if c.credit.spend(ctx, rpc.RevisionCredit(rev)) != nil {
			return
		}
		if c.send(m) != nil {
			return
		}
	}
}

// sendWatermarks sends those that changed.
func (d *Delivery) sendWatermarks(ctx context.Context, c *connection) {
	tick := time.NewTicker(d.opts.Watermark)
	defer tick.Stop()
	sent := map[string]int64{}
	for {
		var due []*pharosv1.Watermark
		for _, w := range d.opts.Outbox.Watermarks() {
			if before, ok := sent[w.GetTaskId()]; !ok || before != w.GetTimeMs() {
				due = append(due, w)
				sent[w.GetTaskId()] = w.GetTimeMs()
			}
		}
		if len(due) > 0 {
			m := &pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Watermarks{Watermarks: &pharosv1.Watermarks{Items: due}}}
			if c.send(m) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// credit is what may be sent.
type credit struct {
	changed chan struct{}
	mu      sync.Mutex
	bytes   int64
	most    int64 // bytes at their highest: what a vessel lends at all
}

func (c *credit) grant(n int64) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	c.bytes += n
	c.most = max(c.most, c.bytes)
	c.mu.Unlock()
	wake(c.changed)
}

// waitAny waits until there is some credit.
func (c *credit) waitAny(ctx context.Context) error {
	return c.wait(ctx, func() bool { return c.bytes > 0 })
}

// spend waits until cost bytes may be sent. A message that is larger than all
// the vessel lends may go when nothing else is under way, since it would wait
// for ever otherwise.
func (c *credit) spend(ctx context.Context, cost int64) error {
	return c.wait(ctx, func() bool {
		if c.bytes < cost && c.bytes < c.most {
			return false
		}
		c.bytes -= cost
		return true
	})
}

func (c *credit) wait(ctx context.Context, try func() bool) error {
	for {
		c.mu.Lock()
		ok := c.most > 0 && try()
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.changed:
		}
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
