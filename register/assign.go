package register

import (
	"cmp"
	"slices"
)

// Two vessels are left alone while the idlest has at least 1-spreadStart of
// what the busiest has; once moving has begun it goes on until 1-spreadEnd.
const (
	spreadStart = 0.20
	spreadEnd   = 0.10
)

// seat is an agent's place.
type seat struct {
	agent string
	// vessel is empty for an agent without one.
	vessel string
	// weight is the agent's load.
	weight float64
	// fixed seats count but are not moved between live vessels.
	fixed bool
}

// assign returns the seats that change: all without a live vessel get one, and
// at most moves others go from the busiest to the idlest. It depends on
// nothing but its arguments, and not on their order.
func assign(live []string, seats []seat, moves int) []seat {
	if len(live) == 0 {
		return nil
	}
	seats = slices.Clone(seats)
	// Heaviest first, so that the light ones even out.
	slices.SortFunc(seats, func(a, b seat) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.agent, b.agent))
	})
	load := make(map[string]float64, len(live))
	for _, v := range live {
		load[v] = 0
	}
	for _, s := range seats {
		if _, ok := load[s.vessel]; ok {
			load[s.vessel] += s.weight
		}
	}
	var changed []seat
	for i := range seats {
		s := &seats[i]
		if _, ok := load[s.vessel]; ok {
			continue
		}
		s.vessel, _ = extremes(load)
		load[s.vessel] += s.weight
		s.fixed = true // it just got its place
		changed = append(changed, *s)
	}
	if spread(load) <= spreadStart {
		return changed
	}
	for ; moves > 0 && spread(load) > spreadEnd; moves-- {
		idlest, busiest := extremes(load)
		i := bestMove(seats, busiest, load[busiest]-load[idlest])
		if i < 0 {
			break
		}
		s := &seats[i]
		load[busiest] -= s.weight
		load[idlest] += s.weight
		s.vessel, s.fixed = idlest, true
		changed = append(changed, *s)
	}
	return changed
}

// bestMove finds the seat of the busiest vessel whose weight is nearest to half
// of the gap; -1 when each would only carry the peak to the other vessel.
func bestMove(seats []seat, busiest string, gap float64) int {
	best := -1
	distance := func(w float64) float64 { return max(w-gap/2, gap/2-w) }
	for i, s := range seats {
		if s.vessel != busiest || s.fixed || s.weight >= gap {
			continue
		}
		if best < 0 || distance(s.weight) < distance(seats[best].weight) {
			best = i
		}
	}
	return best
}

// extremes returns the idlest and the busiest vessel, the first by name among equals.
func extremes(load map[string]float64) (idlest, busiest string) {
	for v, l := range load {
		if idlest == "" || l < load[idlest] || l == load[idlest] && v < idlest {
			idlest = v
		}
		if busiest == "" || l > load[busiest] || l == load[busiest] && v < busiest {
			busiest = v
		}
	}
	return idlest, busiest
}

// spread is how much less than the busiest vessel the idlest has, 0 to 1.
func spread(load map[string]float64) float64 {
	idlest, busiest := extremes(load)
	if load[busiest] <= 0 {
		return 0
	}
	return (load[busiest] - load[idlest]) / load[busiest]
}
