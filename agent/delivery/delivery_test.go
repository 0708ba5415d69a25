package delivery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pharos-stack/pharos/agent/outbox"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// fakeVessel is a strict vessel: it ends streams that begin without a hello, a
// good token, or that overdraw their credit.
type fakeVessel struct {
	pharosv1.UnimplementedVesselServiceServer
	name  string
	token string
	lends int64
	lis   *bufconn.Listener
	log   *events

	mu      sync.Mutex
	streams map[*fakeStream]bool
	refused int
}

type fakeStream struct {
	pharosv1.VesselService_DeliverServer
	v    *fakeVessel
	end  context.CancelCauseFunc
	mu   sync.Mutex
	open int64
	held int64 // spent and not returned yet
}

// events is what vessels saw, in one order over all of them.
type events struct {
	mu      sync.Mutex
	changed chan struct{}
	list    []event
}

type event struct {
	vessel, what string
	rev          *pharosv1.Revision
	marks        []*pharosv1.Watermark
}

func newEvents() *events { return &events{changed: make(chan struct{})} }

func (e *events) add(ev event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until ok holds for what has happened so far.
func (e *events) await(t *testing.T, what string, ok func([]event) bool) []event {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		e.mu.Lock()
		list, changed := append([]event(nil), e.list...), e.changed
		e.mu.Unlock()
		if ok(list) {
			return list
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("never happened: %s; seen %s", what, describe(list))
		}
	}
}

func describe(list []event) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s:%s ", e.vessel, e.what)
	}
	return b.String()
}

func count(list []event, vessel, what string) int {
	n := 0
	for _, e := range list {
		if e.vessel == vessel && strings.HasPrefix(e.what, what) {
			n++
		}
	}
	return n
}

func startVessel(t *testing.T, name string, log *events, lends int64) *fakeVessel {
	t.Helper()
	v := &fakeVessel{name: name, token: "good", lends: lends, lis: bufconn.Listen(1 << 16), log: log, streams: map[*fakeStream]bool{}}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(rpc.MaxMessage))
	pharosv1.RegisterVesselServiceServer(s, v)
	done := make(chan error, 1)
	go func() { done <- s.Serve(v.lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return v
}

func (v *fakeVessel) Deliver(stream pharosv1.VesselService_DeliverServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	if m.GetHello().GetAgentId() != "agt_x" {
		return status.Errorf(codes.InvalidArgument, "hello is %v", m)
	}
	v.mu.Lock()
	if m.GetHello().GetToken() != v.token {
		v.refused++
		v.mu.Unlock()
		return status.Error(codes.Unauthenticated, "token is not good")
	}
	s := &fakeStream{VesselService_DeliverServer: stream, v: v, end: cancel, open: v.lends}
	v.streams[s] = true
	v.mu.Unlock()
	v.log.add(event{vessel: v.name, what: "hello"})
	defer func() {
		v.mu.Lock()
		delete(v.streams, s)
		v.mu.Unlock()
		v.log.add(event{vessel: v.name, what: "bye"})
	}()
	if err := stream.Send(&pharosv1.DeliverResponse{CreditBytes: v.lends}); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.read() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *fakeStream) read() error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *pharosv1.DeliverRequest_Revision:
			cost := rpc.RevisionCredit(m.Revision)
			s.mu.Lock()
			overdrawn := cost > s.open && s.held > 0 // a message larger than all that is lent may go alone
			s.open -= cost
			s.held += cost
			s.mu.Unlock()
			if overdrawn {
				s.v.log.add(event{vessel: s.v.name, what: "overdrawn"})
				return status.Error(codes.ResourceExhausted, "overdrawn")
			}
			s.v.log.add(event{vessel: s.v.name, what: fmt.Sprintf("rev %d.%d", m.Revision.GetPart(), m.Revision.GetRevision()), rev: m.Revision})
		case *pharosv1.DeliverRequest_Watermarks:
			s.v.log.add(event{vessel: s.v.name, what: "marks", marks: m.Watermarks.GetItems()})
		default:
			return status.Error(codes.InvalidArgument, "unexpected message")
		}
	}
}

// each acts on the vessel's streams.
func (v *fakeVessel) each(do func(*fakeStream)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s := range v.streams {
		do(s)
	}
}

func (v *fakeVessel) cut() {
	v.each(func(s *fakeStream) { s.end(status.Error(codes.Unavailable, "cut")) })
}

func (v *fakeVessel) ack(t *testing.T, revs ...*pharosv1.Revision) {
	var acks []*pharosv1.Ack
	for _, r := range revs {
		acks = append(acks, &pharosv1.Ack{TaskId: r.GetTaskId(), WindowStartMs: r.GetWindowStartMs(), Part: r.GetPart(), Revision: r.GetRevision()})
	}
	v.each(func(s *fakeStream) {
		if err := s.Send(&pharosv1.DeliverResponse{Acks: acks}); err != nil {
			t.Error(err)
		}
	})
}

func (v *fakeVessel) giveBack(t *testing.T) {
	v.each(func(s *fakeStream) {
		s.mu.Lock()
		n := s.held
		s.open, s.held = s.open+n, 0
		s.mu.Unlock()
		if err := s.Send(&pharosv1.DeliverResponse{CreditBytes: n}); err != nil {
			t.Error(err)
		}
	})
}

// setup runs a delivery that can dial the vessels by name.
func setup(t *testing.T, change func(*Options), vessels ...*fakeVessel) (*Delivery, *outbox.Outbox) {
	t.Helper()
	box := outbox.New(outbox.Options{})
	o := Options{AgentID: "agt_x", Outbox: box, Logger: slog.New(slog.DiscardHandler), Watermark: 5 * time.Millisecond, Retry: 20 * time.Millisecond,
		Dial: func(_ context.Context, address string) (grpc.ClientConnInterface, io.Closer, error) {
			for _, v := range vessels {
				if v.name == address {
					conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
						grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(rpc.MaxMessage)),
						grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return v.lis.DialContext(ctx) }))
					return conn, conn, err
				}
			}
			return nil, nil, fmt.Errorf("no vessel %q", address)
		}}
	if change != nil {
		change(&o)
	}
	d := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return d, box
}

func revision(part, rev uint64, size int) *pharosv1.Revision {
	return &pharosv1.Revision{TaskId: "t", MonitorId: "m", WindowStartMs: 60_000 * int64(part), WindowMs: 60_000, Part: part, Revision: rev, Sealed: true,
		Payload: &pharosv1.Revision_Table{Table: make([]byte, size)}}
}

func assignment(address string) *pharosv1.VesselAssignment {
	return &pharosv1.VesselAssignment{Address: address, Token: "good"}
}

func TestUnackedIsSentAgainAfterABreak(t *testing.T) {
	log := newEvents()
	v := startVessel(t, "a", log, 1<<20)
	d, box := setup(t, nil, v)
	box.Put([]*pharosv1.Revision{revision(1, 1, 10), revision(2, 1, 10), revision(3, 1, 10)}, nil)
	d.SetVessel(assignment("a"))
	list := log.await(t, "three revisions", func(l []event) bool { return count(l, "a", "rev") == 3 })
	for _, e := range list {
		if e.what == "rev 2.1" {
			v.ack(t, e.rev)
		}
	}
	for changed := box.Changed(); box.Stats().Unacked != 2; changed = box.Changed() {
		if box.Stats().Unacked == 2 {
			break
		}
		<-changed
	}
	before := len(list)
	v.cut()
	list = log.await(t, "two revisions again", func(l []event) bool { return count(l[before:], "a", "rev") >= 2 })
	if count(list[before:], "a", "rev 1.1") != 1 || count(list[before:], "a", "rev 3.1") != 1 || count(list[before:], "a", "rev 2.1") != 0 {
		t.Fatalf("after the break: %s", describe(list[before:]))
	}
	// A newer revision follows without a break.
	box.Put([]*pharosv1.Revision{revision(3, 2, 10)}, nil)
	log.await(t, "the newer revision", func(l []event) bool { return count(l, "a", "rev 3.2") == 1 })
	if d.Vessel() != "a" {
		t.Errorf("delivers to %q", d.Vessel())
	}
}

func TestCreditIsRespected(t *testing.T) {
	log := newEvents()
	const size = 1000
	v := startVessel(t, "a", log, 3*(size+rpc.HeaderCredit))
	d, box := setup(t, nil, v)
	var revs []*pharosv1.Revision
	for i := range 7 {
		revs = append(revs, revision(uint64(i+1), 1, size))
	}
	box.Put(revs, []*pharosv1.Watermark{{TaskId: "t", MonitorId: "m", TimeMs: 1}})
	d.SetVessel(assignment("a"))
	for _, n := range []int{3, 6, 7} {
		list := log.await(t, fmt.Sprintf("%d revisions", n), func(l []event) bool { return count(l, "a", "rev") >= n })
		// The vessel ends a stream that goes on without credit, which would show as bye.
		if count(list, "a", "overdrawn") > 0 || count(list, "a", "bye") > 0 || count(list, "a", "rev") > n {
			t.Fatalf("sent beyond its credit: %s", describe(list))
		}
		v.giveBack(t)
	}
}

func TestMessageBeyondAllCreditGoesAlone(t *testing.T) {
	log := newEvents()
	v := startVessel(t, "a", log, 5000)
	d, box := setup(t, nil, v)
	box.Put([]*pharosv1.Revision{revision(1, 1, 100), revision(2, 1, 50_000), revision(3, 1, 100)}, nil)
	d.SetVessel(assignment("a"))
	log.await(t, "the small one", func(l []event) bool { return count(l, "a", "rev 1.") == 1 })
	v.giveBack(t)
	log.await(t, "the large one", func(l []event) bool { return count(l, "a", "rev 2.") == 1 })
	v.giveBack(t)
	list := log.await(t, "the last one", func(l []event) bool { return count(l, "a", "rev 3.") == 1 })
	if count(list, "a", "overdrawn") > 0 {
		t.Fatal(describe(list))
	}
}

func TestCreditMath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := credit{changed: make(chan struct{}, 1)}
		var spent int64
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for c.spend(ctx, 40) == nil {
				spent += 40
			}
		}()
		for _, step := range []struct{ grant, want int64 }{{0, 0}, {100, 80}, {19, 80}, {1, 120}, {200, 320}} {
			c.grant(step.grant)
			synctest.Wait()
			if spent != step.want {
				t.Errorf("after %d more: spent %d, want %d", step.grant, spent, step.want)
			}
		}
		cancel()
	})
}

func TestMoveEndsTheOldStreamFirst(t *testing.T) {
	log := newEvents()
	a, b := startVessel(t, "a", log, 1<<20), startVessel(t, "b", log, 1<<20)
	d, box := setup(t, nil, a, b)
	box.Put([]*pharosv1.Revision{revision(1, 1, 10), revision(2, 1, 10)}, nil)
	d.SetVessel(assignment("a"))
	log.await(t, "two revisions at a", func(l []event) bool { return count(l, "a", "rev") == 2 })
	// A new token for the same vessel changes nothing.
	d.SetVessel(assignment("a"))
	d.SetVessel(assignment("b"))
	list := log.await(t, "both at b", func(l []event) bool { return count(l, "b", "rev") == 2 && count(l, "a", "bye") == 1 })
	if count(list, "a", "hello") != 1 {
		t.Errorf("a new token broke the stream: %s", describe(list))
	}
	if d.Vessel() != "b" {
		t.Errorf("delivers to %q, want b", d.Vessel())
	}
	a.each(func(*fakeStream) { t.Error("the old stream is still open") })
}

func TestRefusedTokenAsksForAnother(t *testing.T) {
	log := newEvents()
	v := startVessel(t, "a", log, 1<<20)
	refused := make(chan struct{}, 100)
	d, box := setup(t, func(o *Options) { o.Refused = func() { wake(refused) } }, v)
	box.Put([]*pharosv1.Revision{revision(1, 1, 10)}, nil)
	d.SetVessel(&pharosv1.VesselAssignment{Address: "a", Token: "old"})
	<-refused
	d.SetVessel(assignment("a"))
	log.await(t, "the revision", func(l []event) bool { return count(l, "a", "rev") == 1 })
}

func TestWatermarksOnlyWhenTheyChange(t *testing.T) {
	log := newEvents()
	v := startVessel(t, "a", log, 1<<20)
	d, box := setup(t, nil, v)
	mark := func(task string, ms int64) *pharosv1.Watermark {
		return &pharosv1.Watermark{TaskId: task, MonitorId: "m", TimeMs: ms}
	}
	box.Put(nil, []*pharosv1.Watermark{mark("t", 5), mark("u", 7)})
	d.SetVessel(assignment("a"))
	log.await(t, "first marks", func(l []event) bool { return count(l, "a", "marks") >= 1 })
	box.Put(nil, []*pharosv1.Watermark{mark("t", 6)})
	list := log.await(t, "second marks", func(l []event) bool { return count(l, "a", "marks") >= 2 })
	var got []string
	for _, e := range list {
		for _, w := range e.marks {
			got = append(got, fmt.Sprintf("%s=%d", w.GetTaskId(), w.GetTimeMs()))
		}
	}
	if len(got) != 3 || got[2] != "t=6" {
		t.Fatalf("marks sent: %v", got)
	}
	// A new stream begins with all of them.
	v.cut()
	log.await(t, "marks again", func(l []event) bool {
		return count(l, "a", "hello") == 2 && count(l, "a", "marks") >= 3 && len(l[len(l)-1].marks) == 2
	})
}

func TestTooLargeRevisionIsReportedAndSkipped(t *testing.T) {
	log := newEvents()
	v := startVessel(t, "a", log, 1<<30)
	d, box := setup(t, nil, v)
	box.Put([]*pharosv1.Revision{revision(1, 1, rpc.MaxMessage+1), revision(2, 1, 10)}, nil)
	d.SetVessel(assignment("a"))
	log.await(t, "the small one", func(l []event) bool { return count(l, "a", "rev 2.1") == 1 })
	if !strings.Contains(d.Problem(), "more than can be sent") {
		t.Errorf("problem is %q", d.Problem())
	}
}
