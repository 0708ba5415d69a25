package collect

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// ofSeveralLines makes the world's records end with a line that holds the
// number: one that was taken apart lacks it.
func ofSeveralLines(s *logrule.Spec) {
	s.MultilineStart = `^\d{4}-`
	s.Columns[0] = logrule.Column{Name: "id", Regex: &logrule.RegexRule{Pattern: `^[^,]*,(id-\d+)`, Group: 1}}
	s.Columns[1] = logrule.Column{Name: "n", Regex: &logrule.RegexRule{Pattern: `last=(\d+)$`, Group: 1}}
}

// record returns a record with a stack trace.
func (w *world) record(depth int) string {
	w.written++
	var b strings.Builder
	fmt.Fprintf(&b, "%s,id-%d java.lang.IllegalStateException: no stock\n", w.now.UTC().Format("2006-01-02 15:04:05"), w.written)
	for i := range depth {
		fmt.Fprintf(&b, "\tat com.example.Shop.order(Shop.java:%d)\n", i)
	}
	b.WriteString("Caused by: java.io.IOException: last=1\n")
	return b.String()
}

func (w *world) expectRecords() {
	w.t.Helper()
	if o := w.outcome("m1-1"); o.counted != w.written || o.doubled != 0 || o.lines.GetBadNumbers() != 0 || o.lines.GetRead() != uint64(w.written) {
		w.t.Errorf("%d records were written: %+v, %+v", w.written, o, o.lines)
	}
}

func TestRecordsWaitForTheirLines(t *testing.T) {
	w := newWorld(t, ofSeveralLines)
	w.start()
	first, second := w.record(3), w.record(0)
	cut := strings.Index(first, "\tat")
	w.append("x.log", first[:cut])
	w.look()
	if o := w.outcome("m1-1"); o.counted != 0 {
		t.Errorf("a record was counted before its end: %+v", o)
	}
	w.crash() // what was read of it is in the checkpoint
	w.start()
	w.append("x.log", first[cut:]+second)
	w.look()
	if o := w.outcome("m1-1"); o.counted != 1 || o.lines.GetBadNumbers() != 0 {
		t.Errorf("the first record is not counted once another begins: %+v", o)
	}
	w.look()
	w.look()
	w.look()
	w.expectRecords() // nothing came for a while: the second is whole
}

// TestRecordsStorm writes records in pieces, with crashes between any of them
// and rotations between records.
func TestRecordsStorm(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, ofSeveralLines)
		w.start()
		for range 60 {
			text := ""
			for range 1 + rng.IntN(4) {
				text += w.record(rng.IntN(5))
			}
			for text != "" {
				n := 1 + rng.IntN(len(text))
				w.append("x.log", text[:n])
				text = text[n:]
				if rng.IntN(2) == 0 {
					w.look()
				}
				if rng.IntN(4) == 0 {
					w.crash()
					w.start()
				}
			}
			switch rng.IntN(8) {
			case 0:
				w.look()
				w.rename("x.log", fmt.Sprintf("x.log.%d", w.written))
			case 1:
				w.look()
				w.copy("x.log", fmt.Sprintf("x.log.%d", w.written))
				w.truncate("x.log")
			case 2:
				w.look()
				w.remove("x.log")
			}
		}
		w.start()
		w.settle()
		for range 3 {
			w.look()
		}
		w.expectRecords()
		w.crash()
	}
}
