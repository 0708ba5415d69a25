package host

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// TestAgainstThisMachine compares with readings of procfs by other code, taken around ours.
func TestAgainstThisMachine(t *testing.T) {
	s := New(Options{Proc: "/proc", Sys: "/sys", Logger: slog.New(slog.DiscardHandler)})
	cpu0 := cpuTicks(t)
	before := s.read()
	cpu1 := cpuTicks(t)
	spent := burn(t, 300*time.Millisecond)
	cpu2 := cpuTicks(t)
	now := s.read()
	cpu3 := cpuTicks(t)
	e := emitter{}
	e.host(before, now)
	got := byName(e.series)

	// What the loop used must show in the machine's time.
	inner, outer := cpu2.sub(cpu1), cpu3.sub(cpu0)
	all := got["sys_cpu_util"] / 100
	if lo, hi := inner.busy/outer.all, outer.busy/inner.all; all < lo-0.01 || all > hi+0.01 {
		t.Errorf("sys_cpu_util is %.2f %%; ticks read around it say %.2f to %.2f", 100*all, 100*lo, 100*hi)
	}
	// By use without the kernel's: where the test itself runs niced, its loop is not in user time.
	if user := (got["sys_cpu_util"] - got["sys_cpu_sys"]) / 100 * outer.all / 100; user < 0.8*spent.Seconds()-0.02 {
		t.Errorf("a loop used %s, the machine's time outside of the kernel grew by %.2f s only", spent, user)
	}

	mem := meminfo(t)
	if got["sys_mem_total"] != mem["MemTotal"] {
		t.Errorf("sys_mem_total is %v, want %v", got["sys_mem_total"], mem["MemTotal"])
	}
	used := mem["MemTotal"] - mem["MemFree"] - mem["Buffers"] - mem["Cached"] - mem["SReclaimable"]
	if math.Abs(got["sys_mem_used"]-used) > 0.05*mem["MemTotal"] {
		t.Errorf("sys_mem_used is %v, meminfo says %v", got["sys_mem_used"], used)
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		t.Fatal(err)
	}
	if free := float64(st.Bavail) * float64(st.Bsize); math.Abs(got["sys_partition_bfree mount=/"]-free) > 0.05*float64(st.Blocks)*float64(st.Bsize) {
		t.Errorf("sys_partition_bfree is %v, statfs says %v", got["sys_partition_bfree mount=/"], free)
	}
	var uptime float64
	if _, err := fmt.Sscan(readText(t, "/proc/uptime"), &uptime); err != nil || math.Abs(got["sys_uptime_s"]-uptime) > 60 {
		t.Errorf("sys_uptime_s is %v, want %v", got["sys_uptime_s"], uptime)
	}
	for name, v := range got {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestSamplesAtAlignedTimesByThePlan(t *testing.T) {
	type put struct {
		task, monitor string
		samples       *pharosv1.Samples
		at, window    int64
	}
	puts := make(chan put, 16)
	dir := t.TempDir()
	firstMoment.write(t, dir)
	s := fixtureSampler(dir)
	s.opts.Put = func(task, monitor string, samples *pharosv1.Samples, at, window int64) {
		puts <- put{task, monitor, samples, at, window}
	}
	s.opts.Self = func() *pharosv1.AgentLoad { return &pharosv1.AgentLoad{LinesTotal: 7, RssBytes: 8} }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.SetPlan(&pharosv1.Plan{Tasks: []*pharosv1.PlanTask{{TaskId: "host", MonitorId: "h", Kind: &pharosv1.PlanTask_Host{Host: &pharosv1.HostTask{IntervalMs: 1000}}}}})
	a, b := <-puts, <-puts
	cancel()
	<-done
	for _, p := range []put{a, b} {
		if p.task != "host" || p.monitor != "h" || p.window != 1000 || p.at%1000 != 0 {
			t.Errorf("put for %s/%s at %d, window %d", p.task, p.monitor, p.at, p.window)
		}
		for _, series := range p.samples.GetSeries() {
			if series.GetTimeMs() != p.at {
				t.Fatalf("%s has time %d in samples of %d", series.GetName(), series.GetTimeMs(), p.at)
			}
		}
	}
	if b.at <= a.at {
		t.Errorf("samples of %d follow those of %d", b.at, a.at)
	}
	first, second := byName(a.samples.GetSeries()), byName(b.samples.GetSeries())
	if _, ok := first["sys_traffic_bytin"]; ok {
		t.Error("the first samples have rates")
	}
	if _, ok := second["sys_traffic_bytin"]; !ok {
		t.Error("the second samples have no rates")
	}
	if first["self_agent_lines_total"] != 7 || first["self_agent_rss_bytes"] != 8 {
		t.Error("the agent's own figures are missing")
	}
}

func TestAlignedForgivesEarlyTimers(t *testing.T) {
	base := time.UnixMilli(1_700_000_000_000)
	for _, c := range []struct {
		at   time.Duration
		want int64
	}{{0, 0}, {-5 * time.Millisecond, 0}, {80 * time.Millisecond, 0}, {9800 * time.Millisecond, 0}, {12 * time.Second, 10_000}} {
		if got := aligned(base.Add(c.at), 10*time.Second) - base.UnixMilli(); got != c.want {
			t.Errorf("a reading at %s belongs to %d, want %d", c.at, got, c.want)
		}
	}
}

// BenchmarkReading keeps a reading far below what 0.5 % of a core allows every ten seconds.
func BenchmarkReading(b *testing.B) {
	s := New(Options{Proc: "/proc", Sys: "/sys", Logger: slog.New(slog.DiscardHandler)})
	before := s.read()
	b.ReportAllocs()
	for b.Loop() {
		now := s.read()
		e := emitter{}
		e.host(before, now)
		before = now
	}
}

type ticks struct{ busy, all float64 }

func (a ticks) sub(b ticks) ticks { return ticks{a.busy - b.busy, a.all - b.all} }

// cpuTicks counts hundredths of a second.
func cpuTicks(t *testing.T) ticks {
	t.Helper()
	var name string
	var n [8]float64
	line, _, _ := strings.Cut(readText(t, "/proc/stat"), "\n")
	if _, err := fmt.Sscan(line, &name, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]); err != nil {
		t.Fatal(err)
	}
	sum := ticks{busy: n[0] + n[1] + n[2] + n[5] + n[6]}
	for _, v := range n {
		sum.all += v
	}
	return sum
}

// burn uses CPU for about d and returns how much it got.
func burn(t *testing.T, d time.Duration) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano())
	}
	start := used()
	x := uint64(1)
	for used()-start < d {
		for range 1_000_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	if x == 0 {
		t.Log("unlikely")
	}
	return used() - start
}

func meminfo(t *testing.T) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(readText(t, "/proc/meminfo"))); lines.Scan(); {
		var name string
		var kb float64
		if _, err := fmt.Sscan(lines.Text(), &name, &kb); err == nil {
			out[strings.TrimSuffix(name, ":")] = kb * 1024
		}
	}
	return out
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
