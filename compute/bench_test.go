package compute

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/journal"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// benchAgents revisions of so many agents, of 100 keys each.
const benchAgents = 1000

func benchRig(b *testing.B) (*rig, *pharosv1.MonitorInfo, []byte) {
	r := newRig(b, func(o *Options) { o.Tick = time.Hour })
	ids := make([]string, benchAgents)
	for i := range ids {
		ids[i] = fmt.Sprintf("agt_%04d", i)
	}
	m := goods(b, 1000, ids...)
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, ids...))
	kinds := map[string]int{}
	for i := range 100 {
		kinds[fmt.Sprintf("kind-%03d", i)] = i + 1
	}
	return r, m, table(1, kinds, 12)
}

// BenchmarkIngest takes revisions of 100 keys into the journal, in commits of 500.
func BenchmarkIngest(b *testing.B) {
	r, m, body := benchRig(b)
	items := make([]intake, 500)
	b.SetBytes(int64(len(body)))
	cpu := cpuTime(b)
	b.ResetTimer()
	for n := 0; n < b.N; {
		batch := items[:min(len(items), b.N-n)]
		for i := range batch {
			rev := revision(m, t0, 1, uint64(n/benchAgents+1), false, body)
			batch[i] = intake{agent: r.c.known.GetAgents()[(n+i)%benchAgents].GetAgentId(), rev: rev, cost: int64(len(body))}
		}
		if err := r.c.take(batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "revisions/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/revision")
}

// BenchmarkMerge merges a window of 1,000 agents with 100 keys each.
func BenchmarkMerge(b *testing.B) {
	r, m, body := benchRig(b)
	items := make([]intake, benchAgents)
	for i := range items {
		items[i] = intake{agent: fmt.Sprintf("agt_%04d", i), rev: revision(m, t0, 1, 1, true, body)}
	}
	if err := r.c.take(items); err != nil {
		b.Fatal(err)
	}
	id := journal.WindowID{Monitor: m.GetMonitorId(), StartMs: t0, LengthMs: minute}
	for b.Loop() {
		if x, err := r.c.merge(id, r.c.monitors[m.GetMonitorId()].plan, r.c.meta); err != nil || len(x.merged.Rows) != 200 {
			b.Fatal(err)
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
