package collect

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pharos-stack/pharos/agent/outbox"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// childEnv makes the test binary an agent: data directory, plan, and the file
// that it delivers to, separated by colons.
const childEnv = "PHAROS_TEST_COLLECT"

func TestMain(m *testing.M) {
	if v := os.Getenv(childEnv); v != "" {
		p := strings.Split(v, ":")
		if err := child(p[0], p[1], p[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(data, planFile, delivered string) error {
	body, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	plan := &pharosv1.Plan{}
	if err := proto.Unmarshal(body, plan); err != nil {
		return err
	}
	logged, err := os.OpenFile(delivered+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c, err := New(Options{DataDir: data, Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Location: time.UTC, CheckpointInterval: 20 * time.Millisecond, SweepInterval: 200 * time.Millisecond, Grace: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	c.SetPlan(plan)
	out, err := os.OpenFile(delivered, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err == nil {
		err = mend(out)
	}
	if err != nil {
		return err
	}
	go func() {
		cur := c.Outbox().Stream()
		for {
			r, err := cur.Next(context.Background())
			if err != nil {
				panic(err)
			}
			b, err := proto.Marshal(r)
			if err != nil {
				panic(err)
			}
			if _, err := out.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
				panic(err)
			}
			c.Outbox().Ack([]*pharosv1.Ack{{TaskId: r.TaskId, WindowStartMs: r.WindowStartMs, Part: r.Part, Revision: r.Revision}})
		}
	}()
	return c.Run(context.Background())
}

// take reads what was delivered, as compute would.
func (w *world) take(delivered string) {
	w.t.Helper()
	body, err := os.ReadFile(delivered)
	if os.IsNotExist(err) {
		return
	}
	w.must(err)
	clear(w.parts)
	for r := bytes.NewReader(body); ; {
		var n uint32
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		rev := &pharosv1.Revision{}
		w.must(proto.Unmarshal(b, rev))
		k := outbox.KeyOf(rev)
		have := w.parts[k]
		if have != nil && have.Revision > rev.Revision {
			continue
		}
		if have != nil && have.Sealed && !proto.Equal(have, rev) {
			w.t.Fatalf("part %v was sealed and has changed", k)
		}
		w.parts[k] = rev
	}
}

// TestKill kills the agent again and again while logs are written and rotated
// in both ways, and counts every line.
func TestKill(t *testing.T) {
	kills, lines := 12, 40_000
	if testing.Short() {
		kills, lines = 4, 8_000
	}
	w := newWorld(t, func(s *logrule.Spec) {
		s.Paths[0] = filepath.Join(filepath.Dir(s.Paths[0]), "*.log")
		s.Window = logrule.Duration(time.Second)
	})
	plan, err := proto.Marshal(w.plan)
	w.must(err)
	planFile, delivered, data := filepath.Join(w.data, "plan"), filepath.Join(w.data, "delivered"), filepath.Join(w.data, "agent")
	w.must(os.WriteFile(planFile, plan, 0o600))
	self, err := os.Executable()
	w.must(err)
	t.Cleanup(func() {
		if log, err := os.ReadFile(delivered + ".log"); t.Failed() && err == nil {
			t.Logf("the agents said:\n%s", log)
		}
	})
	start := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+data+":"+planFile+":"+delivered)
		cmd.Stderr = os.Stderr
		w.must(cmd.Start())
		return cmd
	}
	// The agent must have seen the logs: rotated files that it never had open are not its business.
	for _, name := range []string{"a.log", "b.log", "c.log"} {
		w.must(os.WriteFile(w.path(name), []byte(time.Now().UTC().Format("2006-01-02 15:04:05")+",id-"+name+",1\n"), 0o644))
	}
	first := start()
	w.until("the first lines are there", func() bool { w.take(delivered); return w.outcome("m1-1").counted == 3 })
	w.must(first.Process.Kill())
	first.Wait()
	written := make(chan error, 1)
	go func() { written <- writeAndRotate(w.dir, lines) }()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range kills {
		cmd := start()
		time.Sleep(time.Duration(20+rng.IntN(300)) * time.Millisecond) // when it is killed is up to chance
		w.must(cmd.Process.Kill())
		cmd.Wait()
	}
	w.must(<-written)
	w.written = lines + 3
	cmd := start()
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	w.until("all lines are there", func() bool { w.take(delivered); return w.outcome("m1-1").lost == 0 })
	if o := w.outcome("m1-1"); o.doubled != 0 || o.lostBytes != 0 {
		t.Errorf("after %d kills: %+v", kills, o)
	}
}

// until waits for something that takes a while.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited for 30 s until %s; written %d, %+v", what, w.written, w.outcome("m1-1"))
		}
	}
}

// mend cuts off what a kill left half written: compute would not have acknowledged it.
func mend(f *os.File) error {
	body, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	at := 0
	for len(body)-at >= 4 {
		n := int(binary.LittleEndian.Uint32(body[at:]))
		if len(body)-at-4 < n {
			break
		}
		at += 4 + n
	}
	return f.Truncate(int64(at))
}

// writeAndRotate writes numbered lines into three logs, one rotated by rename,
// one by copy and truncation, one not.
func writeAndRotate(dir string, lines int) error {
	for n := 0; n < lines; {
		for i, name := range []string{"a.log", "b.log", "c.log"} {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			for range min(50, lines-n) {
				n++
				line := fmt.Sprintf("%s,id-%d,1,%s\n", time.Now().UTC().Format("2006-01-02 15:04:05"), n, strings.Repeat("x", n%100))
				cut := n % len(line)
				if _, err := f.WriteString(line[:cut]); err != nil { // in two pieces
					return err
				}
				if _, err := f.WriteString(line[cut:]); err != nil {
					return err
				}
			}
			if err := f.Close(); err != nil {
				return err
			}
			if i < 2 && n/150%7 == i {
				if err := rotate(filepath.Join(dir, name), i == 1); err != nil {
					return err
				}
			}
		}
		time.Sleep(5 * time.Millisecond) // as a program writes
	}
	return nil
}

// rotate keeps so many generations that none goes before it is read.
func rotate(name string, byCopy bool) error {
	for n := 200; n > 0; n-- {
		err := os.Rename(fmt.Sprintf("%s.%d", name, n), fmt.Sprintf("%s.%d", name, n+1))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if !byCopy {
		return os.Rename(name, name+".1")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".1", b, 0o644); err != nil {
		return err
	}
	return os.Truncate(name, 0)
}
