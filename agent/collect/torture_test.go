package collect

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

var update = flag.Bool("update", false, "write docs/torture.md")

const torturePage = "../../docs/torture.md"

// tortureRow is something that is done to a log. what is called with the log
// x.log of 20 lines, all read when the agent is up, of which 10 are read when
// it is behind or down.
type tortureRow struct {
	name string
	what func(w *world)
	rule func(*logrule.Spec)
	// before prepares the directory before the first line is written.
	before func(w *world)
	// lost is what can't be read any more, by mode; nothing else may be lost.
	lost map[string]int
	note string
}

// The agent's state meanwhile.
const (
	up     = "up"     // looks between all steps
	behind = "behind" // is up and has not read half of the log; looks only afterwards
	down   = "down"   // was killed with half of the log read, is started afterwards
)

var tortureModes = []string{up, behind, down}

var tortureRows = []tortureRow{
	{name: "written on", what: func(w *world) { w.write("x.log", 5); w.look(); w.write("x.log", 5) }},
	{name: "renamed, new file", what: func(w *world) { w.rename("x.log", "x.log.1"); w.look(); w.write("x.log", 10) }},
	{name: "renamed, writer goes on in the old file for a while", what: func(w *world) {
		w.rename("x.log", "x.log.1")
		w.look()
		w.write("x.log.1", 5)
		w.look()
		w.write("x.log", 5)
		w.look()
		w.write("x.log.1", 5)
	}},
	{name: "renamed, no new file", what: func(w *world) { w.rename("x.log", "x.log.1"); w.look(); w.write("x.log.1", 5) }},
	{name: "renamed with a date", what: func(w *world) { w.rename("x.log", "x-20261123.log"); w.look(); w.write("x.log", 10) }},
	{name: "renamed over three generations", what: func(w *world) {
		for range 3 {
			for _, n := range []int{2, 1} {
				if exists(w.path(fmt.Sprintf("x.log.%d", n))) {
					w.rename(fmt.Sprintf("x.log.%d", n), fmt.Sprintf("x.log.%d", n+1))
				}
			}
			w.rename("x.log", "x.log.1")
			w.look()
			w.write("x.log", 10)
			w.look()
		}
	}},
	{name: "renamed, partial last line ended in the old file", what: func(w *world) {
		l := w.lines(1)
		w.append("x.log", l[:30])
		w.look()
		w.rename("x.log", "x.log.1")
		w.look()
		w.append("x.log.1", l[30:])
		w.look()
		w.write("x.log", 5)
	}},
	{name: "renamed, last line never ended", what: func(w *world) {
		l := w.lines(1)
		w.append("x.log", l[:len(l)-1])
		w.look()
		w.rename("x.log", "x.log.1")
		w.look()
		w.write("x.log", 5)
	}},
	{name: "renamed to another name that is read, too (glob *.log)", rule: func(s *logrule.Spec) { s.Paths[0] = s.Paths[0][:len(s.Paths[0])-5] + "*.log" },
		what: func(w *world) { w.rename("x.log", "a-old.log"); w.look(); w.write("x.log", 10) }},
	{name: "renamed, the rotated file is read, too (glob x.log*)", rule: func(s *logrule.Spec) { s.Paths[0] += "*" },
		what: func(w *world) {
			w.rename("x.log", "x.log.1")
			w.look()
			w.write("x.log", 5)
			w.look()
			w.rename("x.log.1", "x.log.2")
			w.rename("x.log", "x.log.1")
			w.write("x.log", 5)
		}},
	{name: "renamed away and back", what: func(w *world) {
		w.rename("x.log", "x.log.1")
		w.look()
		w.rename("x.log.1", "x.log")
		w.look()
		w.write("x.log", 5)
	}},
	{name: "renamed away for hours and back", what: func(w *world) {
		w.rename("x.log", "x.log.1")
		w.look()
		w.now = w.now.Add(2 * time.Hour)
		w.look()
		w.look()
		w.rename("x.log.1", "x.log")
		w.look()
		w.write("x.log", 5)
	}},
	{name: "renamed, then the old file is packed",
		what: func(w *world) {
			w.rename("x.log", "x.log.1")
			w.look()
			w.copy("x.log.1", "x.log.1.gz")
			w.remove("x.log.1")
			w.write("x.log", 5)
		}, lost: map[string]int{down: 10}, note: "packed before it was read: counted as lost bytes"},
	{name: "copied and truncated", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.look()
		w.truncate("x.log")
		w.look()
		w.write("x.log", 10)
	}},
	{name: "copied and truncated, longer than before", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.write("x.log", 40)
	}},
	{name: "copied and truncated twice", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.write("x.log", 7)
		w.look()
		w.rename("x.log.1", "x.log.2")
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.look()
		w.write("x.log", 40)
	}},
	{name: "copied over the last copy and truncated, twice", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.look()
		w.write("x.log", 7)
		w.look()
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.look()
		w.write("x.log", 5)
	}, lost: map[string]int{behind: 10, down: 10}, note: "the first copy went before it was read: counted as lost bytes"},
	{name: "copied over the last copy and truncated while the new lines are not read", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.look()
		w.write("x.log", 7)
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.write("x.log", 30)
	}, lost: map[string]int{behind: 10, down: 10}, note: "as above"},
	{name: "renamed twice, no new file", what: func(w *world) {
		w.rename("x.log", "x.log.1")
		w.write("x.log", 5)
		w.rename("x.log.1", "x.log.2")
		w.rename("x.log", "x.log.1")
	}},
	{name: "copied and truncated, again before the new lines are read", what: func(w *world) {
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.look()
		w.rename("x.log.1", "x.log.2")
		w.write("x.log", 7)
		w.copy("x.log", "x.log.1")
		w.truncate("x.log")
		w.write("x.log", 30)
	}},
	{name: "copied slowly and truncated, the copy is read, too (glob x.log*)", rule: func(s *logrule.Spec) { s.Paths[0] += "*" },
		what: func(w *world) {
			b, err := os.ReadFile(w.path("x.log"))
			w.must(err)
			for _, part := range [][]byte{nil, b[:100], b[100:500], b[500:]} {
				w.append("x.log.1", string(part))
				w.look()
			}
			w.truncate("x.log")
			w.look()
			w.write("x.log", 5)
		}},
	{name: "copied aside, later renamed", what: func(w *world) {
		w.copy("x.log", "x.log.bak")
		w.look()
		w.rename("x.log", "x.log.1")
		w.look()
		w.write("x.log", 5)
	}},
	{name: "truncated (> x.log, cp /dev/null x.log)", what: func(w *world) { w.truncate("x.log"); w.look(); w.write("x.log", 5) },
		lost: map[string]int{behind: 10, down: 10}, note: "truncated before it was read: counted as lost bytes"},
	{name: "truncated and written on past the old place", what: func(w *world) { w.truncate("x.log"); w.write("x.log", 40) },
		lost: map[string]int{behind: 10, down: 10}, note: "as above"},
	{name: "deleted", what: func(w *world) { w.remove("x.log"); w.look() },
		lost: map[string]int{down: 10}, note: "up: read to its end through the open file"},
	{name: "deleted, new file", what: func(w *world) { w.remove("x.log"); w.look(); w.write("x.log", 10) },
		lost: map[string]int{down: 10}, note: "also when the inode is used again"},
	{name: "deleted, new files until the inode is used again", what: func(w *world) {
		info, err := os.Stat(w.path("x.log"))
		w.must(err)
		w.remove("x.log")
		for i := range 50 {
			f, err := os.Create(w.path("x.log"))
			w.must(err)
			now, err := f.Stat()
			w.must(err)
			w.must(f.Close())
			if os.SameFile(info, now) || i == 49 {
				break
			}
			w.remove("x.log")
		}
		w.write("x.log", 40)
	}, lost: map[string]int{down: 10}},
	{name: "replaced by a rename (mv new x.log)", what: func(w *world) { w.write("new", 10); w.rename("new", "x.log") },
		lost: map[string]int{down: 10}},
	{name: "replaced by a copy of itself and written on (sed -i, editors)", what: func(w *world) {
		w.copy("x.log", "tmp")
		w.rename("tmp", "x.log")
		w.look()
		w.write("x.log", 5)
	}},
	{name: "linked a second time (hard link, glob *.log)", rule: func(s *logrule.Spec) { s.Paths[0] = s.Paths[0][:len(s.Paths[0])-5] + "*.log" },
		what: func(w *world) {
			w.must(os.Link(w.path("x.log"), w.path("y.log")))
			w.look()
			w.write("y.log", 5)
		}},
	{name: "declared link turned to another file", rule: func(s *logrule.Spec) { s.SymlinkPart = s.Paths[0] },
		before: func(w *world) { w.must(os.Symlink("day-1", w.path("x.log"))) },
		what: func(w *world) {
			w.write("day-2", 5)
			w.must(os.Symlink("day-2", w.path("next")))
			w.rename("next", "x.log")
			w.look()
			w.write("day-2", 5)
		}},
	{name: "line written in three pieces", what: func(w *world) {
		l := w.lines(1)
		w.append("x.log", l[:10])
		w.look()
		w.append("x.log", l[10:60])
		w.look()
		w.append("x.log", l[60:])
	}},
}

// run does what the row says and returns what became of the lines.
func (row *tortureRow) run(t *testing.T, mode string) outcome {
	var w *world
	if row.rule != nil {
		w = newWorld(t, row.rule)
	} else {
		w = newWorld(t)
	}
	if row.before != nil {
		row.before(w)
	}
	w.write("x.log", 10)
	w.start()
	if mode == down {
		w.write("x.log", 10)
		w.now = w.now.Add(1)
		// The size is known, the bytes are not read: as after a crash in between.
		for _, p := range w.c.paths {
			w.c.look(p)
		}
		w.c.dirty = true
		w.c.checkpoint()
		w.crash()
	} else {
		w.write("x.log", 10)
		if mode == up {
			w.look()
		}
	}
	if mode == behind {
		for _, p := range w.c.paths {
			w.c.look(p)
		}
		c := w.c
		w.c = nil // look does nothing
		row.what(w)
		w.c = c
	} else {
		row.what(w)
	}
	w.settle()
	o := w.outcome("m1-1")
	w.crash()
	return o
}

func TestTorture(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(tortureIntro)
	for _, row := range tortureRows {
		for _, mode := range tortureModes {
			var o outcome
			var written int
			ok := t.Run(row.name+"/"+mode, func(t *testing.T) {
				o = row.run(t, mode)
				written = o.counted + o.lost
				if o.lost != row.lost[mode] || o.doubled != 0 {
					t.Errorf("written %d, counted %d, lost %d (expected %d), doubled %d", written, o.counted, o.lost, row.lost[mode], o.doubled)
				}
				if lostBytes := o.lostBytes > 0; lostBytes != (row.lost[mode] > 0) {
					t.Errorf("lost %d lines, receipts say %d bytes", o.lost, o.lostBytes)
				}
			})
			if !ok {
				continue
			}
			note := ""
			if row.lost[mode] > 0 || mode == up {
				note = row.note
			}
			fmt.Fprintf(&page, "| %s | %s | %d | %d | %d | %d | %d | %s |\n", row.name, mode, written, o.counted, o.lost, o.lostBytes, o.doubled, note)
		}
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(torturePage, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(torturePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, page.Bytes()) {
		t.Errorf("%s is not what the rows give; run go test ./agent/collect -run TestTorture -update", torturePage)
	}
}

const tortureIntro = `# What can be done to a log, and what becomes of its lines

Written by ` + "`go test ./agent/collect -run TestTorture -update`" + `; each row is a test, with real files. The log has 20 lines before.
*up*: the agent looks between all steps. *behind*: the agent runs, has read 10 of the 20 lines, and looks again only when all is
over. *down*: it was killed with 10 lines read and starts again when all is over. Lost is only what could not be read any more.

A rotated file is followed until a minute after it last grew, once the new one has lines, and for an hour at most while it has none:
what its writer adds later than that is not read. ` + "`TestRotationStorm`" + ` rotates in both ways as fast as it can while the agent
reads as fast as it can, so that a rotation falls between any two steps of it.

| what happens to the log | agent | lines written | counted | lost | bytes counted as lost | doubled | |
|---|---|---:|---:|---:|---:|---:|---|
`
