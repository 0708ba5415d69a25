package compute

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/embedded"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	childEnv = "PHAROS_TEST_COMPUTE_DIR"
	// blindEnv makes the child believe that its disk has room.
	blindEnv = "PHAROS_TEST_COMPUTE_BLIND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var crashAgents = []string{"a", "b", "c"}

// second is a monitor of one-second windows with keys.
func second(t testing.TB) *pharosv1.MonitorInfo {
	return monitorInfo(t, "second", logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"kind"}, Window: logrule.Duration(time.Second), DeadlineS: 300,
		Columns:    []logrule.Column{{Name: "kind", Line: true}, {Name: "ms", Line: true}},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "sum", Kind: logrule.Sum, Column: "ms"}}}, crashAgents...)
}

// runChild is a whole compute with the real store. A line on its input asks for
// the values in the store once nothing is open any more.
func runChild(dir string) error {
	s, err := embedded.Open(embedded.Options{Dir: filepath.Join(dir, "store"), MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o := Options{ID: "cmp_1", Dir: dir, Store: s, Tick: 5 * time.Millisecond, Debounce: 20 * time.Millisecond, CommitEvery: 5 * time.Millisecond,
		SyncEvery: 150 * time.Millisecond, Idle: 50 * time.Millisecond, ForgetEvery: 20 * time.Millisecond, RollupWait: 20 * time.Millisecond, Logger: log}
	o.Journal.ReserveBytes, o.Journal.BallastBytes, o.Journal.MemTableBytes = 1<<20, 4<<20, 4<<20
	if os.Getenv(blindEnv) != "" {
		o.Journal.Free = func(string) (uint64, error) { return 1 << 40, nil }
	}
	c, err := New(o)
	if err != nil {
		return err
	}
	c.SetState(cluster([]*pharosv1.MonitorInfo{second(&testing.T{})}, crashAgents...))
	failed := make(chan error, 2)
	go func() { failed <- c.Run(context.Background()) }()
	socket := filepath.Join(dir, "sock")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	c.RegisterServices(g)
	for c.running.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	go func() { failed <- g.Serve(l) }()
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			for c.Status().GetWindowsOpen() > 0 {
				time.Sleep(5 * time.Millisecond)
			}
			values := map[string]float64{}
			for _, l := range []store.Level{store.Base, store.FiveMinutes, store.OneHour} {
				err := s.SelectRollups(context.Background(), l, []store.Matcher{{Type: store.MatchRegex, Name: store.MetricName, Value: "second:.*"}}, 0, time.Now().UnixMilli(), store.Limits{},
					func(x *store.Series) error {
						for i, ms := range x.TimesMs {
							values[valueKey(l, x.Labels.String(), ms)] = x.Values[i]
						}
						return nil
					})
				if err != nil {
					failed <- err
				}
			}
			inside, err := insideBases(c)
			if err != nil {
				failed <- err
			}
			values[insideKey] = float64(inside)
			_ = json.NewEncoder(os.Stdout).Encode(values)
		}
		failed <- nil
	}()
	return <-failed
}

// insideKey tells how many parts have been folded, among the values.
const insideKey = "parts in bases"

func insideBases(c *Compute) (n int, err error) {
	for start := crashBase(); start < time.Now().UnixMilli(); start += 1000 {
		id := journal.WindowID{Monitor: "mon_second", StartMs: start, LengthMs: 1000}
		if err := c.journal.Contents(id, func(b *journal.Base) error { n += len(b.Parts); return nil }, func(*journal.Part) error { return nil }); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func valueKey(l store.Level, series string, startMs int64) string {
	if l == store.Base {
		return fmt.Sprintf("%s@%d", series, startMs)
	}
	return fmt.Sprintf("%s@%d/%d", series, startMs, l.LengthMs())
}

// crashBase is the start of an hour that is over.
func crashBase() int64 {
	now := time.Now().UnixMilli()
	return now - now%3_600_000 - 3_600_000
}

// child is a running compute process and a stream to it.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	conn   *grpc.ClientConn
	stream pharosv1.ComputeService_IngestClient
	gone   chan struct{}

	mu    *sync.Mutex
	acked map[string]uint64
}

func startChild(t *testing.T, dir string, mu *sync.Mutex, acked map[string]uint64) *child {
	t.Helper()
	ch := &child{t: t, cmd: exec.Command(os.Args[0]), mu: mu, acked: acked, gone: make(chan struct{})}
	ch.cmd.Env = append(os.Environ(), childEnv+"="+dir)
	ch.cmd.Stderr = os.Stderr
	var err error
	if ch.in, err = ch.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := ch.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ch.out = bufio.NewReaderSize(out, 1<<20)
	if err := ch.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if ch.conn, err = grpc.NewClient("unix:"+filepath.Join(dir, "sock"), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if ch.stream, err = pharosv1.NewComputeServiceClient(ch.conn).Ingest(context.Background()); err == nil {
			err = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Hello{Hello: &pharosv1.IngestHello{VesselId: "v"}}})
		}
		if err == nil {
			_, err = ch.stream.Recv() // the first credit
		}
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("compute does not start: %v", err)
		}
		ch.conn.ResetConnectBackoff()
		time.Sleep(5 * time.Millisecond)
	}
	go func() {
		defer close(ch.gone)
		for {
			resp, err := ch.stream.Recv()
			if err != nil {
				return
			}
			mu.Lock()
			for _, a := range resp.GetAcks() {
				k := partKey(a.GetAgentId(), a.GetAck().GetTaskId(), a.GetAck().GetWindowStartMs(), a.GetAck().GetPart())
				acked[k] = max(acked[k], a.GetAck().GetRevision())
			}
			mu.Unlock()
		}
	}()
	return ch
}

// kill ends the process at once.
func (ch *child) kill() {
	_ = ch.cmd.Process.Kill()
	_ = ch.cmd.Wait()
	<-ch.gone
	_ = ch.conn.Close()
}

func (ch *child) mark(m *pharosv1.MonitorInfo, ms int64) {
	for _, a := range crashAgents {
		_ = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Watermarks{Watermarks: &pharosv1.AgentWatermarks{AgentId: a,
			Watermarks: &pharosv1.Watermarks{Items: []*pharosv1.Watermark{{TaskId: m.GetTaskId(), MonitorId: m.GetMonitorId(), TimeMs: ms}}}}}})
	}
}

// TestExactAfterKills sends growing, repeated, reordered and late parts to a
// compute that is killed again and again, and compares every value in its store.
func TestExactAfterKills(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	m := second(t)
	base := crashBase() + 294_000 // so that the windows lie in two buckets of five minutes
	type message struct {
		agent string
		rev   *pharosv1.Revision
	}
	var all, last []message
	want := map[string]float64{}
	add := func(series string, start int64, v float64) {
		want[valueKey(store.Base, series, start)] += v
		for _, l := range []store.Level{store.FiveMinutes, store.OneHour} {
			want[valueKey(l, series, start-start%l.LengthMs())] += v
		}
	}
	for w := range int64(12) {
		start := base + w*1000
		for _, agent := range crashAgents {
			for part := range uint64(1 + rng.IntN(3)) {
				kinds := map[string]int{}
				revs := 1 + rng.IntN(4)
				for n := range revs {
					kinds[fmt.Sprint("k", rng.IntN(4))] += 1 + rng.IntN(9)
					r := revision(m, start, part+1, uint64(n+1), n == revs-1, table(1, kinds, 7))
					r.WindowMs = 1000
					all = append(all, message{agent, r})
				}
				last = append(last, all[len(all)-1])
				want[insideKey]++
				for kind, n := range kinds {
					add(fmt.Sprintf(`second:count{app="shop",kind="%s",workspace="w"}`, kind), start, float64(n))
					add(fmt.Sprintf(`second:sum{app="shop",kind="%s",workspace="w"}`, kind), start, float64(7*n))
					add(`second:count:total{app="shop",workspace="w"}`, start, float64(n))
				}
			}
		}
		want[fmt.Sprintf(`second:completeness{app="shop",workspace="w"}@%d`, start)] = 1
	}
	all = append(all, all[:len(all)/3]...)
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	var mu sync.Mutex
	acked := map[string]uint64{}
	ch := startChild(t, dir, &mu, acked)
	defer func() { ch.kill() }()
	const kills = 4
	for i, msg := range all {
		if rng.IntN(len(all)) < kills {
			if rng.IntN(2) == 0 {
				ch.mark(m, base+rng.Int64N(30_000))
			}
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond) // at any point of its work
			ch.kill()
			ch = startChild(t, dir, &mu, acked)
		}
		if i == len(all)/2 {
			ch.mark(m, base+60_000)
		}
		_ = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: msg.agent, Revision: msg.rev}}})
	}
	// As agents do: send again what isn't acknowledged, then report.
	for round := 0; ; round++ {
		open := 0
		mu.Lock()
		for _, msg := range last {
			if acked[partKey(msg.agent, msg.rev.GetTaskId(), msg.rev.GetWindowStartMs(), msg.rev.GetPart())] < msg.rev.GetRevision() {
				open++
				_ = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: msg.agent, Revision: msg.rev}}})
			}
		}
		mu.Unlock()
		if open == 0 {
			break
		}
		if round > 500 {
			t.Fatalf("%d parts are not acknowledged", open)
		}
		time.Sleep(20 * time.Millisecond)
	}
	ch.kill() // everything is acknowledged: nothing may be missing after this
	ch = startChild(t, dir, &mu, acked)
	ch.mark(m, base+60_000)
	compare := func() {
		t.Helper()
		compareWithStore(t, ch, want)
	}
	compare()
	// All parts are in bases by now. They come again, in all their revisions, and one more kill.
	for i, msg := range all {
		if i == len(all)/2 {
			ch.kill()
			ch = startChild(t, dir, &mu, acked)
			ch.mark(m, base+60_000)
		}
		_ = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: msg.agent, Revision: msg.rev}}})
	}
	late := revision(m, base, 77, 1, true, table(1, map[string]int{"k0": 5}, 7))
	late.WindowMs = 1000
	_ = ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: "a", Revision: late}}})
	add(`second:count{app="shop",kind="k0",workspace="w"}`, base, 5)
	add(`second:sum{app="shop",kind="k0",workspace="w"}`, base, 35)
	add(`second:count:total{app="shop",workspace="w"}`, base, 5)
	want[insideKey]++
	compare()
}

// compareWithStore waits until the process has in its store what is wanted.
func compareWithStore(t *testing.T, ch *child, want map[string]float64) {
	t.Helper()
	var wrong []string
	for range 500 {
		if _, err := io.WriteString(ch.in, "dump\n"); err != nil {
			t.Fatal(err)
		}
		line, err := ch.out.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		wrong = nil
		for k, v := range want {
			if got[k] != v {
				wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", k, got[k], v))
			}
		}
		if len(wrong) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d of %d values are wrong, such as %s", len(wrong), len(want), wrong[0])
}
