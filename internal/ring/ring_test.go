package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestOwnerDependsOnlyOnMembers(t *testing.T) {
	a := New([]Member{{ID: "c1"}, {ID: "c2"}, {ID: "c3"}})
	b := New([]Member{{ID: "c3"}, {ID: "c1"}, {ID: "c2"}})
	for i := range int64(1000) {
		if x, y := a.Owner("m", i*60000), b.Owner("m", i*60000); x != y {
			t.Fatalf("window %d: %s or %s, depending on the order of members", i, x, y)
		}
	}
	if got := New(nil).Owner("m", 1); got != "" {
		t.Fatalf("owner %q of an empty ring", got)
	}
}

// A member that joins changes nothing for windows before its time, and takes
// its share, and no more than that, of the windows after.
func TestJoiningMemberLeavesEarlierWindows(t *testing.T) {
	const from = 1_000_000 * 60_000
	before := New([]Member{{ID: "c1"}, {ID: "c2"}})
	after := New([]Member{{ID: "c1"}, {ID: "c2"}, {ID: "c3", From: from}})
	taken := 0
	for range 20_000 {
		key, start := fmt.Sprintf("mon_%d", rand.IntN(50)), from+(rand.Int64N(20_000)-10_000)*60_000
		old, now := before.Owner(key, start), after.Owner(key, start)
		switch {
		case start < from && old != now:
			t.Fatalf("window before the join moved from %s to %s", old, now)
		case now == "c3":
			taken++
		case old != now:
			t.Fatalf("window moved between old members %s and %s", old, now)
		}
	}
	if taken < 2800 || taken > 3900 { // a third of the half after the join
		t.Fatalf("new member got %d of about 3333 windows", taken)
	}
}

// Windows from before the cluster belong to its founders.
func TestWindowsBeforeAllMembers(t *testing.T) {
	r := New([]Member{{ID: "c1", From: 100}, {ID: "c2", From: 200}})
	if got := r.Owner("m", 50); got != "c1" {
		t.Fatal(got)
	}
}

func BenchmarkOwner(b *testing.B) {
	r := New([]Member{{ID: "c1"}, {ID: "c2"}, {ID: "c3"}, {ID: "c4", From: 1000}})
	for i := range b.N {
		r.Owner("mon_0123456789abcdef", int64(i)*60000)
	}
}
