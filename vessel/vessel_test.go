package vessel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func mustCode(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.Contains(fmt.Sprint(err), text) {
		t.Fatalf("got %v, want %s with %q", err, want, text)
	}
}

func TestRevisionsGoToOneOwnerAndAcksComeBack(t *testing.T) {
	w := newWorld(t, nil)
	c1, c2 := w.compute("c1", 1<<20), w.compute("c2", 1<<20)
	w.push(info("c1", "c2"), "a", "b")
	a, b := w.agent("a"), w.agent("b")
	for i := range int64(100) {
		a.send(revision("m", i*60_000, 10))
		b.send(revision("m", i*60_000, 10))
	}
	a.allAcked()
	b.allAcked()
	owner := map[int64]string{}
	for _, c := range []*fakeCompute{c1, c2} {
		for _, r := range c.got {
			start := r.GetRevision().GetWindowStartMs()
			if o := owner[start]; o != "" && o != c.id {
				t.Fatalf("window %d went to two computes", start)
			}
			owner[start] = c.id
		}
		if len(c.durable) < 40 {
			t.Errorf("%s has only %d of 200 windows", c.id, len(c.durable))
		}
	}
	if n := len(c1.durable) + len(c2.durable); n != 200 {
		t.Errorf("computes have %d windows instead of 200", n)
	}
	// Both links are up now, so nothing is let fall.
	a.mark("t", 5)
	a.mark("t", 6)
	for _, c := range []*fakeCompute{c1, c2} {
		eventually(t, "watermark at "+c.id, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.marks["a t"] == 6 })
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t, nil)
	w.compute("c1", 1<<20)
	w.push(info("c1"), "a")
	for _, c := range []struct{ token, text string }{
		{"", "malformed"},
		{w.key.SignVesselToken("b", time.Now().Add(time.Minute)), "not for this agent"},
		{w.key.SignVesselToken("a", time.Now().Add(-time.Second)), "expired"},
	} {
		a := &fakeAgent{w: w, id: "a", unacked: map[string]*pharosv1.Revision{}}
		a.connect(c.token)
		<-a.done
		mustCode(t, a.err, codes.Unauthenticated, c.text)
	}
	a := w.agent("a")
	a.awaitCredit(1)
	// A second stream takes over; removal ends it.
	b := w.agent("a")
	<-a.done
	mustCode(t, a.err, codes.Aborted, "took over")
	b.awaitCredit(1)
	w.push(info("c1"), "other")
	<-b.done
	mustCode(t, b.err, codes.Unauthenticated, "removed")
	// One that is not listed yet waits for the list.
	c := w.agent("new")
	w.push(info("c1"), "other", "new")
	c.awaitCredit(1)
}

func TestAgentsCreditIsKept(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Window = 10_000 })
	c := w.compute("c1", 1<<20)
	w.push(info("c1"), "a")
	a := w.agent("a")
	a.awaitCredit(10_000)
	if a.granted != 10_000 {
		t.Fatalf("granted %d at once", a.granted)
	}
	for i := range int64(100) { // ten times the window, so credit must come back
		a.send(revision("m", i, 1000-rpc.HeaderCredit))
	}
	a.allAcked()
	if c.received() != 100 {
		t.Fatal(c.received())
	}
	// No more is granted than was sent on: the sum of grants tells.
	eventually(t, "all credit back", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.credit == 10_000 })
}

func TestComputesCreditIsKept(t *testing.T) {
	w := newWorld(t, nil)
	c := w.compute("c1", 5000)
	w.push(info("c1"), "a")
	a := w.agent("a")
	c.setHold(true)
	for i := range int64(50) {
		a.send(revision("m", i, 1000-rpc.HeaderCredit))
	}
	// The strict compute fails the test if more than five are under way.
	eventually(t, "five revisions", func() bool { return c.received() == 5 })
	c.setHold(false)
	a.allAcked()
	// One that is larger than the whole credit passes too, alone.
	a.send(revision("m", 99, 8000))
	a.allAcked()
}

func TestLostComputeEndsStreamsAndResendWorks(t *testing.T) {
	w := newWorld(t, nil)
	c := w.compute("c1", 1<<20)
	w.push(info("c1"), "a")
	a := w.agent("a")
	a.send(revision("m", 1, 10))
	a.allAcked()
	c.setHold(true)
	for i := range int64(20) {
		a.send(revision("m", 100+i, 10))
	}
	eventually(t, "a revision under way", func() bool { return c.received() > 1 })
	c.stop()
	<-a.done
	mustCode(t, a.err, codes.Unavailable, "send again")
	// While no compute is there, no credit is granted.
	c.setHold(false)
	b := w.agent("b2")
	w.push(info("c1"), "a", "b2")
	a.connect(w.key.SignVesselToken("a", time.Now().Add(time.Minute)))
	time.AfterFunc(50*time.Millisecond, c.start)
	a.mu.Lock()
	again := slices.Collect(maps.Values(a.unacked))
	a.mu.Unlock()
	for _, r := range again {
		a.send(r)
	}
	a.allAcked()
	b.awaitCredit(1)
	if len(c.durable) != 21 {
		t.Fatalf("compute has %d windows instead of 21", len(c.durable))
	}
}

// With one of two computes away the other goes on; what belongs to the one that
// is away is not given to the other, and arrives once it is back.
func TestDisconnectedComputeKeepsItsPlace(t *testing.T) {
	w := newWorld(t, nil)
	c1, c2 := w.compute("c1", 1<<20), w.compute("c2", 1<<20)
	w.push(info("c1", "c2"), "a")
	c2.stop()
	a := w.agent("a")
	for i := range int64(100) {
		a.send(revision("m", i*60_000, 10))
	}
	n := 0
	eventually(t, "acknowledgements of c1", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		n = 100 - len(a.unacked)
		return n > 20 && c1.received() == n
	})
	away := info("c1", "c2")
	away[1].Live = false
	w.push(away, "a")
	c2.start()
	<-a.done
	mustCode(t, a.err, codes.Unavailable, "c2 is back")
	a.resend()
	a.allAcked()
	c1.mu.Lock()
	defer c1.mu.Unlock()
	if len(c1.durable)+len(c2.durable) != 100 || len(c2.durable) < 20 {
		t.Fatalf("computes have %d and %d windows", len(c1.durable), len(c2.durable))
	}
}

// A compute that joins later gets only windows from its time on.
func TestJoiningComputeTakesLaterWindows(t *testing.T) {
	w := newWorld(t, nil)
	w.compute("c1", 1<<20)
	c2 := w.compute("c2", 1<<20)
	w.push(info("c1"), "a")
	a := w.agent("a")
	a.send(revision("m", 0, 10))
	a.allAcked()
	both := info("c1", "c2")
	both[1].MemberFromMs = 50
	w.push(both, "a")
	// Until the vessel knows c2, later windows go to c1 as well: wait for one at c2.
	eventually(t, "a revision at c2", func() bool {
		for i := range int64(8) {
			a.send(revision("m", 1000+i, 10))
		}
		a.allAcked()
		return c2.received() > 0
	})
	for i := range int64(100) {
		a.send(revision("m", i, 10))
	}
	a.allAcked()
	for _, r := range c2.got {
		if r.GetRevision().GetWindowStartMs() < 50 {
			t.Fatalf("c2 got window %d", r.GetRevision().GetWindowStartMs())
		}
	}
}

func TestRegisterHearsOfLoadAndAbsenceOfRegisterChangesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.compute("c1", 1<<20)
	w.push(info("c1"), "a")
	a := w.agent("a")
	a.send(revision("m", 1, 10))
	a.allAcked()
	eventually(t, "hello and heartbeat", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.beats) > 0 })
	w.mu.Lock()
	if h := w.hellos[0]; h.GetServerId() != "v1" || h.GetAddress() != "vessel" || h.GetRole() != pharosv1.ServerRole_SERVER_ROLE_VESSEL {
		t.Error(h)
	}
	w.mu.Unlock()
	w.stopRegister()
	a.send(revision("m", 2, 10))
	a.allAcked()
	b := w.agent("a") // streams begin as before, too
	b.send(revision("m", 3, 10))
	b.allAcked()
	w.startRegister()
	eventually(t, "second hello", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.hellos) == 2 })
}

func TestManyAgents(t *testing.T) {
	manyAgents(t, 50)
}

// BenchmarkThousandAgents is the time for 20 revisions of each of 1,000 agents, acknowledged.
func BenchmarkThousandAgents(b *testing.B) {
	for b.Loop() {
		manyAgents(b, 1000)
	}
}

func manyAgents(t testing.TB, n int) {
	w := newWorld(t, nil)
	c := w.compute("c1", 4<<20)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("a%04d", i)
	}
	w.push(info("c1"), ids...)
	agents := make([]*fakeAgent, len(ids))
	for i, id := range ids {
		agents[i] = w.agent(id)
	}
	var wg sync.WaitGroup
	for _, a := range agents {
		wg.Go(func() {
			for i := range int64(20) {
				a.send(revision("m", i*60_000, 500))
			}
			a.allAcked()
		})
	}
	wg.Wait()
	if len(c.durable) != 20*n {
		t.Fatalf("compute has %d windows instead of %d", len(c.durable), 20*n)
	}
}
