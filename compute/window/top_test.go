package window

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// topClock is the clock of the agents, 2026-11-23 10:05 UTC.
const topClock = 1795428300_000

func topMonitor(t *testing.T, limit int, st logrule.Statistic) (*Plan, *logpipe.Program) {
	split := func(name string, i int) logrule.Column {
		return logrule.Column{Name: name, Split: &logrule.SplitRule{Delimiter: ",", Index: i}}
	}
	spec := logrule.Spec{Title: "plates", Type: logrule.MinuteTop, TopN: 10, KeyLimit: limit, GroupBy: []string{"plate", "az"}, Paths: []string{"/x"},
		Statistics: []logrule.Statistic{st}, Time: logrule.TimeRule{Format: logrule.TimeNormal},
		Columns: []logrule.Column{split("plate", 1), split("fee", 2), split("state", 3)}}.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(&pharosv1.MonitorInfo{MonitorId: "m", TaskId: string(st.Kind), Key: "plates", Workspace: "w", App: "a", SpecJson: body})
	if err != nil {
		t.Fatal(err)
	}
	program, err := logpipe.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return plan, program
}

// plate is what was written of a plate in a zone.
type plate struct {
	lines, fails uint64
	sum, max     float64
}

func (p plate) figure(kind logrule.StatKind) float64 {
	switch kind {
	case logrule.Sum:
		return p.sum
	case logrule.Max:
		return p.max
	case logrule.Fail:
		return float64(p.fails)
	case logrule.Avg:
		return p.sum / float64(p.lines)
	}
	return float64(p.lines)
}

// TestTopOfAMillion runs a million lines of three agents in two zones through
// their pipelines, with crashes, and merges what they send; the lists are
// compared with a plain sort of all keys.
func TestTopOfAMillion(t *testing.T) {
	all := []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "fee"}, {Kind: logrule.Max, Column: "fee"},
		{Kind: logrule.Fail, Column: "state"}, {Kind: logrule.Avg, Column: "fee"}}
	for _, c := range []struct {
		name                string
		plates, hold, lines int
		kinds               []logrule.Statistic
	}{
		{"all keys have room", 400, 1000, 100_000, all},
		{"few of the keys have", 30_000, 1000, 1_000_000, all[:2]},
		{"few of the keys have, the other figures", 30_000, 1000, 200_000, all[2:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, uint64(c.plates)))
			zipf := rand.NewZipf(rng, 1.1, 4, uint64(c.plates-1))
			zones := []string{"east", "west", "east"}
			// Texts are made once: a million lines take their time under the race detector.
			var names, fees []string
			for i := range c.plates {
				names = append(names, fmt.Sprint("plate-", i))
			}
			for i := range 4000 {
				fees = append(fees, fmt.Sprint(float64(i)/8))
			}
			seen := make([][2]plate, c.plates) // by zone
			var plans []*Plan
			var programs []*logpipe.Program
			for _, st := range c.kinds {
				plan, program := topMonitor(t, c.hold, st)
				plans, programs = append(plans, plan), append(programs, program)
			}
			agents := make([][]*logpipe.Task, len(zones))
			fresh := func(a int) {
				before := agents[a]
				agents[a] = nil
				for i, p := range programs {
					task := logpipe.NewTask(p, logpipe.TaskOptions{})
					if before != nil { // what the checkpoint has
						for _, w := range before[i].Windows() {
							if _, err := task.Restore(w.StartMs, w.AppendTable(nil), w.Counters); err != nil {
								t.Fatal(err)
							}
						}
					}
					agents[a] = append(agents[a], task)
				}
			}
			for a := range agents {
				fresh(a)
			}
			for left := c.lines; left > 0; {
				a := rng.IntN(len(agents))
				if rng.IntN(100) == 0 {
					fresh(a)
				}
				n := min(left, 1+rng.IntN(3000))
				left -= n
				var block []byte
				for range n {
					key, fee, state := int(zipf.Uint64()), rng.IntN(len(fees)), "Y"
					p := &seen[key][a%2]
					if rng.IntN(5) == 0 {
						state = "N"
						p.fails++
					}
					p.lines, p.sum, p.max = p.lines+1, p.sum+float64(fee)/8, max(p.max, float64(fee)/8)
					block = append(append(append(block, "2026-11-23 10:04:05,"...), names[key]...), ',')
					block = append(append(append(append(block, fees[fee]...), ','), state...), '\n')
				}
				fs := logpipe.FileState{Path: "/x"}
				logpipe.NewGroup(agents[a]).Process(&fs, block, topClock)
				for i, task := range agents[a] {
					if n := task.Windows()[0].Keys(); n > 2*c.hold {
						t.Fatalf("%s: an agent has %d keys after a block, at most twice %d are kept", c.kinds[i].Kind, n, c.hold)
					}
				}
			}
			truth := map[string]plate{}
			for i, of := range seen {
				for z, p := range of {
					if p.lines > 0 {
						truth[names[i]+" "+zones[z]] = p
					}
				}
			}
			for i, plan := range plans {
				t.Run(string(c.kinds[i].Kind), func(t *testing.T) {
					merge := NewMerge(plan)
					for _, a := range rng.Perm(len(agents)) {
						if err := merge.Add(plan, map[string]string{"az": zones[a]}, agents[a][i].Windows()[0].AppendTable(nil)); err != nil {
							t.Fatal(err)
						}
					}
					compareTop(t, plan, c.kinds[i].Kind, merge.Result(), truth, uint64(c.lines))
				})
			}
		})
	}
}

func compareTop(t *testing.T, plan *Plan, kind logrule.StatKind, m *Merged, truth map[string]plate, lines uint64) {
	type known struct {
		id    string
		value float64
	}
	var all []known
	var sum float64
	for id, p := range truth {
		all = append(all, known{id, p.figure(kind)})
		sum += p.figure(kind)
	}
	slices.SortFunc(all, func(a, b known) int {
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.id, b.id))
	})
	if m.Total.Lines != lines || len(m.Lines) != 10 {
		t.Fatalf("%d lines, %d keys listed", m.Total.Lines, len(m.Lines))
	}
	if math.Abs(float64(m.Top.Keys)-float64(len(all))) > 0.03*float64(len(all)) {
		t.Errorf("%d keys, there were %d", m.Top.Keys, len(all))
	}
	listed := map[string]bool{}
	for i, l := range m.Lines {
		id := strings.Join(l.Key, " ")
		listed[id] = true
		if m.Top.Exact || kind == logrule.Max {
			if l.Value != all[i].value || l.More != 0 || kind != logrule.Max && id != all[i].id {
				t.Errorf("rank %d is %s with %v and %v more, want %+v", i+1, id, l.Value, l.More, all[i])
			}
			continue
		}
		p := truth[id]
		if kind == logrule.Avg { // of all but so many lines, which are bounded
			if rest := float64(p.lines) * l.Value; l.More < 0 || l.More > m.Top.Missed || math.Abs(rest-p.sum) > 500*(l.More+1) {
				t.Errorf("%s has %v lacking %v lines, want %v of %d", id, l.Value, l.More, p.figure(kind), p.lines)
			}
			continue
		}
		if want := p.figure(kind); want < l.Value || want > l.Value+l.More {
			t.Errorf("%s is %v and at most %v more, want %v", id, l.Value, l.More, want)
		}
	}
	if m.Top.Exact != (len(truth) < 2000) {
		t.Errorf("exact is %t of %d keys", m.Top.Exact, len(truth))
	}
	if m.Top.Exact || kind == logrule.Max || kind == logrule.Avg {
		return
	}
	if m.Top.Missed > sum/1000 {
		t.Errorf("missed is %v, more than %v/1000", m.Top.Missed, sum)
	}
	for _, k := range all[:10] { // who isn't there is not much larger than who is
		if last := m.Lines[9]; !listed[k.id] && k.value > last.Value+last.More && k.value > m.Top.Missed {
			t.Errorf("%s with %v is not listed, the last is %v and %v more, missed is %v", k.id, k.value, last.Value, last.More, m.Top.Missed)
		}
	}
	if plan.layout.Weight == partial.ByLines && all[0].id != strings.Join(m.Lines[0].Key, " ") {
		t.Errorf("the first is %v, want %s", m.Lines[0].Key, all[0].id)
	}
}
