package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func rev(startMs int64, part, revision uint64, sealed bool, bytes int) *pharosv1.Revision {
	return &pharosv1.Revision{TaskId: "t", MonitorId: "m", WindowStartMs: startMs, WindowMs: 1000, Part: part, Revision: revision, Sealed: sealed,
		Payload: &pharosv1.Revision_Table{Table: make([]byte, bytes)}}
}

func ack(r *pharosv1.Revision) []*pharosv1.Ack {
	return []*pharosv1.Ack{{TaskId: r.TaskId, WindowStartMs: r.WindowStartMs, Part: r.Part, Revision: r.Revision}}
}

// drain returns what a cursor has at once, as start/part/revision.
func drain(t *testing.T, c *Cursor) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out []string
	for {
		r, err := c.Next(ctx)
		if err != nil {
			return strings.Join(out, " ")
		}
		out = append(out, fmt.Sprintf("%d/%d/%d", r.WindowStartMs, r.Part, r.Revision))
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestStreamSendsOldestFirstAndOnlyWhatIsNew(t *testing.T) {
	b := New(Options{})
	b.Put([]*pharosv1.Revision{rev(2000, 1, 1, false, 0), rev(1000, 1, 1, true, 0)}, nil)
	c := b.Stream()
	expect(t, "at first", drain(t, c), "1000/1/1 2000/1/1")
	expect(t, "again", drain(t, c), "")
	b.Put([]*pharosv1.Revision{rev(2000, 1, 2, false, 0)}, nil)
	b.Put([]*pharosv1.Revision{rev(2000, 1, 3, false, 0)}, nil)
	expect(t, "the newest revision only", drain(t, c), "2000/1/3")
	b.Ack(ack(rev(2000, 1, 2, false, 0)))
	again := b.Stream()
	expect(t, "a new stream", drain(t, again), "1000/1/1 2000/1/3")
	if _, err := c.Next(context.Background()); !errors.Is(err, ErrReplaced) {
		t.Errorf("the old stream: %v", err)
	}
	b.Ack(ack(rev(2000, 1, 3, false, 0)))
	expect(t, "without what is acknowledged", drain(t, b.Stream()), "1000/1/1")
}

func TestNextWaits(t *testing.T) {
	b := New(Options{})
	c := b.Stream()
	got := make(chan *pharosv1.Revision)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		r, err := c.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	b.Put([]*pharosv1.Revision{rev(1000, 1, 1, false, 0)}, nil)
	if r := <-got; r.GetRevision() != 1 {
		t.Errorf("got %v", r)
	}
}

func TestSealedPartsAreForgottenWhenAcknowledged(t *testing.T) {
	var done []PartKey
	b := New(Options{Done: func(k PartKey) { done = append(done, k) }})
	open, sealed := rev(2000, 1, 1, false, 10), rev(1000, 1, 1, true, 10)
	b.Put([]*pharosv1.Revision{open, sealed}, nil)
	b.Ack(ack(open))
	b.Ack(ack(sealed))
	b.Ack(ack(sealed)) // twice changes nothing
	if len(done) != 1 || done[0] != KeyOf(sealed) || len(b.entries) != 1 {
		t.Errorf("done %v, %d kept", done, len(b.entries))
	}
	if s := b.Stats(); s.Unacked != 0 || s.UnackedBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWatermarkStaysBeforeWhatIsNotAcknowledged(t *testing.T) {
	b := New(Options{})
	mark := func() int64 {
		t.Helper()
		all := b.Watermarks()
		if len(all) != 1 {
			t.Fatalf("watermarks %v", all)
		}
		return all[0].TimeMs
	}
	consumed := func(ms int64) []*pharosv1.Watermark {
		return []*pharosv1.Watermark{{TaskId: "t", MonitorId: "m", TimeMs: ms}}
	}
	r := rev(5000, 1, 1, false, 0)
	changed := b.Changed()
	b.Put([]*pharosv1.Revision{r}, consumed(7000))
	<-changed
	if got := mark(); got != 5000 {
		t.Errorf("with an unacknowledged window the watermark is %d", got)
	}
	changed = b.Changed()
	b.Ack(ack(r))
	<-changed
	if got := mark(); got != 7000 {
		t.Errorf("after the acknowledgement it is %d", got)
	}
	b.Put(nil, consumed(6000))
	if got := mark(); got != 7000 {
		t.Errorf("it went back to %d", got)
	}
	b.ForgetTask("t")
	if all := b.Watermarks(); len(all) != 0 {
		t.Errorf("a forgotten task has %v", all)
	}
}

func TestOldestWindowsGoWhenThereIsTooMuch(t *testing.T) {
	dropped := 0
	b := New(Options{MaxBytes: 10_000, Done: func(PartKey) { dropped++ }})
	for i := range 20 {
		b.Put([]*pharosv1.Revision{rev(int64(i)*1000, 1, 1, true, 1000)}, nil)
	}
	s := b.Stats()
	if s.UnackedBytes > 10_000 || s.Dropped == 0 || uint64(dropped) != s.Dropped || s.Unacked+s.Dropped != 20 {
		t.Errorf("stats %+v, told of %d", s, dropped)
	}
	if got := drain(t, b.Stream()); strings.HasPrefix(got, "0/") || !strings.HasSuffix(got, "19000/1/1") {
		t.Errorf("kept %s", got)
	}
}

func TestSamplesBecomeSealedRevisions(t *testing.T) {
	b := New(Options{})
	for i := range maxSamples + 1 {
		b.PutSamples("host", "sys", &pharosv1.Samples{}, int64(10_000*i+5), 10_000)
	}
	got := b.TakeSamples(512)
	if len(got) != maxSamples || b.Stats().Dropped != 1 {
		t.Fatalf("%d revisions, stats %+v", len(got), b.Stats())
	}
	if r := got[0]; !r.Sealed || r.WindowStartMs != 10_000 || r.Part != 512 || r.Revision != 512 {
		t.Errorf("got %v", r)
	}
	if again := b.TakeSamples(1024); len(again) != 0 {
		t.Errorf("%d samples twice", len(again))
	}
}
