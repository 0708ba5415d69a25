package register

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// apply puts changes into seats and reports the loads.
func apply(live []string, seats []seat, changes []seat) map[string]float64 {
	load := map[string]float64{}
	for _, v := range live {
		load[v] = 0
	}
	for i := range seats {
		for _, c := range changes {
			if c.agent == seats[i].agent {
				seats[i].vessel = c.vessel
			}
		}
		load[seats[i].vessel] += seats[i].weight
	}
	return load
}

func randomSeats(n int) []seat {
	seats := make([]seat, n)
	for i := range seats {
		seats[i] = seat{agent: fmt.Sprintf("a%04d", i), weight: 1 + rand.Float64()*100}
	}
	return seats
}

func TestAssignProperties(t *testing.T) {
	for range 200 {
		var live []string
		for v := range 1 + rand.IntN(6) {
			live = append(live, fmt.Sprintf("v%d", v))
		}
		seats := randomSeats(1 + rand.IntN(300))
		for i := range seats {
			if rand.IntN(2) == 0 {
				seats[i].vessel = append(live, "dead")[rand.IntN(len(live)+1)]
			}
			seats[i].fixed = rand.IntN(5) == 0
		}
		before, moves := slices.Clone(seats), rand.IntN(20)
		changes := assign(live, seats, moves)

		shuffled := slices.Clone(before)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := assign(live, shuffled, moves); !slices.Equal(again, changes) {
			t.Fatal("the result depends on the order of seats")
		}
		moved := 0
		for _, c := range changes {
			i := slices.IndexFunc(before, func(s seat) bool { return s.agent == c.agent })
			if slices.Contains(live, before[i].vessel) {
				moved++
				if before[i].fixed {
					t.Fatalf("fixed agent %s was moved", c.agent)
				}
			}
		}
		if moved > moves {
			t.Fatalf("%d agents moved, %d allowed", moved, moves)
		}
		load := apply(live, seats, changes)
		if len(load) != len(live) {
			t.Fatalf("agents sit on vessels that are not there: %v of %v", load, live)
		}
	}
}

func TestAssignLeavesBalancedVesselsAlone(t *testing.T) {
	live, seats := []string{"v1", "v2", "v3"}, randomSeats(300)
	apply(live, seats, assign(live, seats, 0))
	if changes := assign(live, seats, 100); len(changes) != 0 {
		t.Fatalf("%d agents moved for nothing", len(changes))
	}
	// Three equal agents on two vessels can't be even: no reason to move.
	odd := []seat{{agent: "a", vessel: "v1", weight: 1}, {agent: "b", vessel: "v1", weight: 1}, {agent: "c", vessel: "v2", weight: 1}}
	if changes := assign([]string{"v1", "v2"}, odd, 10); len(changes) != 0 {
		t.Fatal(changes)
	}
	// Neither is one that outweighs all others.
	heavy := []seat{{agent: "a", vessel: "v1", weight: 100}, {agent: "b", vessel: "v2", weight: 1}}
	if changes := assign([]string{"v1", "v2"}, heavy, 10); len(changes) != 0 {
		t.Fatal(changes)
	}
}

// PIPE-10: after a vessel is added the spread falls to 30 % within a few rounds
// of a twentieth of the agents each; a round takes Options.Rebalance.
func TestAssignSpreadsToNewVessel(t *testing.T) {
	for _, n := range []int{20, 200, 1000} {
		seats := randomSeats(n)
		apply([]string{"v1"}, seats, assign([]string{"v1"}, seats, 0))
		live := []string{"v1", "v2"}
		load := map[string]float64{}
		rounds := 0
		for ; rounds < 24; rounds++ { // two minutes
			load = apply(live, seats, assign(live, seats, max(2, n/20)))
			if spread(load) <= 0.3 {
				break
			}
		}
		if spread(load) > 0.3 {
			t.Fatalf("%d agents: spread %.2f after %d rounds", n, spread(load), rounds)
		}
		t.Logf("%d agents: spread %.2f after %d rounds", n, spread(load), rounds+1)
	}
}

func TestAssignReplacesLostVesselAtOnce(t *testing.T) {
	seats := randomSeats(300)
	apply([]string{"v1", "v2", "v3"}, seats, assign([]string{"v1", "v2", "v3"}, seats, 0))
	live := []string{"v1", "v3"}
	load := apply(live, seats, assign(live, seats, 0))
	if len(load) != 2 || spread(load) > spreadStart {
		t.Fatal(load)
	}
	if changes := assign(nil, seats, 10); changes != nil {
		t.Fatal("agents were moved though there is no vessel")
	}
}
