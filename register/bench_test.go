package register

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// BenchmarkThousandSessions measures how long a change of the monitors takes to
// reach 1,000 connected agents, from the announcement in the database on.
func BenchmarkThousandSessions(b *testing.B) {
	w := newWorld(b, nil)
	w.server(roleVessel, "v1")
	tok := w.joinToken(time.Time{})
	agents := make([]*fakeAgent, 1000)
	started := time.Now()
	var wg sync.WaitGroup
	for part := range 10 {
		wg.Go(func() {
			for i := part * 100; i < (part+1)*100; i++ {
				a, err := w.connect(hello(fmt.Sprintf("a%04d", i), "", tok), 0)
				if err != nil {
					b.Error(err)
					return
				}
				agents[i] = a
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		return
	}
	for _, a := range agents {
		a.plan(1)
		eventually(b, "vessel", func() bool { return a.vessel() != "" })
	}
	b.Logf("1,000 agents joined, with plan and vessel, in %s", time.Since(started).Round(time.Millisecond))
	for _, a := range agents {
		a.beat(&pharosv1.AgentHeartbeat{})
	}
	b.ResetTimer()
	for i := range b.N {
		specs := map[string]logrule.Spec{}
		for m := range 20 {
			specs[fmt.Sprintf("m%d", m)] = spec(func(s *logrule.Spec) { s.Title = fmt.Sprint(i) })
		}
		want := i % 2 // plans differ in length, so that they can be told apart
		if want == 1 {
			delete(specs, "m0")
		}
		w.define(specs)
		for _, a := range agents {
			a.plan(21 - want)
		}
	}
}
