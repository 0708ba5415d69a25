// Package ring says which compute owns a window of a monitor.
//
// The owner follows from the monitor, the window's start and the list of
// members alone: not from who is connected, nor from when one asks. A member
// that joins later owns only windows that start at or after its From, so that
// windows already begun stay where their parts are. See docs/decisions/routing.md.
package ring

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/consistenthash"
	"github.com/cespare/xxhash/v2"
)

// Member is a compute.
type Member struct {
	ID string
	// From is the first window start in Unix milliseconds it can own; 0: from the beginning.
	From int64
}

// Ring is immutable and safe for concurrent use.
type Ring struct {
	epochs []epoch // by from, ascending; the first also covers everything before it
}

// epoch is a time between two changes of the membership.
type epoch struct {
	from  int64
	ids   []string
	nodes *consistenthash.ConsistentHash
}

// New returns the ring of members, in whatever order they are given.
func New(members []Member) *Ring {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	starts := make([]int64, 0, len(members))
	for _, m := range members {
		starts = append(starts, m.From)
	}
	slices.Sort(starts)
	r := &Ring{}
	for _, from := range slices.Compact(starts) {
		e := epoch{from: from}
		for _, m := range members {
			if m.From <= from {
				e.ids = append(e.ids, m.ID)
			}
		}
		e.nodes = consistenthash.NewConsistentHash(e.ids, 0)
		r.epochs = append(r.epochs, e)
	}
	return r
}

// Owner returns the member that owns key at a window's start; empty without members.
func (r *Ring) Owner(key string, windowStartMs int64) string {
	if len(r.epochs) == 0 {
		return ""
	}
	e := &r.epochs[0]
	for i := range r.epochs {
		if r.epochs[i].from <= windowStartMs {
			e = &r.epochs[i]
		}
	}
	var start [8]byte
	binary.LittleEndian.PutUint64(start[:], uint64(windowStartMs))
	h := xxhash.New()
	_, _ = h.WriteString(key)
	_, _ = h.Write(start[:])
	return e.ids[e.nodes.GetNodeIdx(h.Sum64(), nil)]
}
