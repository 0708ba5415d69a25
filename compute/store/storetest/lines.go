package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/partial"
)

// testLines writes revisions of windows' lines and reads what they are at last.
func testLines(t *testing.T, s *rowSubject) {
	minute := time.Minute.Milliseconds()
	t0 := s.now / 1e6
	window := func(monitor string, at int64, revision uint64, texts ...string) store.LineWindow {
		w := store.LineWindow{Workspace: "w", Monitor: monitor, StartMs: at, WindowMs: minute, Revision: revision, Count: uint64(len(texts)) * 10,
			Completeness: 0.5, Kept: len(texts)}
		for i, text := range texts {
			w.Lines = append(w.Lines, partial.Line{Value: float64(len(texts)-i) / 8, TimeMs: at + int64(i), Instance: "host-1", File: "/var/log/a b.log",
				Key: []string{"", "east", fmt.Sprint(i)}, Text: text, Cut: i == 1})
		}
		return w
	}
	write := func(windows ...store.LineWindow) {
		t.Helper()
		if err := store.WriteLines(context.Background(), s.Rows, windows); err != nil {
			t.Fatal(err)
		}
	}
	read := func(monitor string, startMs, endMs int64) []store.LineWindow {
		t.Helper()
		heads, err := store.ReadLineWindows(context.Background(), s.Rows, "w", monitor, startMs, endMs)
		if err == nil {
			err = store.ReadLines(context.Background(), s.Rows, heads)
		}
		if err != nil {
			t.Fatal(err)
		}
		return heads
	}
	same := func(what string, got []store.LineWindow, want ...store.LineWindow) {
		t.Helper()
		text := func(ws []store.LineWindow) string {
			var out []string
			for _, w := range ws {
				lines := fmt.Sprintf("%+v", w.Lines)
				w.Lines = nil
				out = append(out, fmt.Sprintf("%+v %s", w, lines))
			}
			return strings.Join(out, "\n")
		}
		if g, w := text(got), text(want); g != w {
			t.Errorf("%s: got\n%.3000s\nwant\n%.3000s", what, g, w)
		}
	}
	same("nothing yet", read("m", 0, t0+minute))

	long := strings.Repeat("食", 1365)
	first := window("m", t0, 1, "a \"line\"\n\twith=all, {kinds} \\of\\ _time:5m", "", long)
	second := window("m", t0+minute, 1, "x", "y")
	write(first, second, window("other", t0, 1, "of another monitor"))
	same("as written", read("m", t0, t0+minute), second, first)
	same("a range of one window", read("m", t0, t0), first)

	// A late line settles the first window again; the rest stays.
	again := window("m", t0, 2, "late", "b")
	write(again)
	same("a later revision replaces", read("m", t0, t0+minute), second, again)
	write(first)
	same("an earlier one that comes late changes nothing", read("m", t0, t0+minute), second, again)
	write(again)
	same("nor one that comes twice", read("m", t0, t0+minute), second, again)
	none := window("m", t0+minute, 3)
	none.Count = 0
	write(none)
	same("a window may come to have none", read("m", t0, t0+minute), none, again)

	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	same("after Sync", read("m", t0, t0+minute), none, again)

	// As many as there may be, of the greatest length.
	var most []string
	for i := range 200 {
		most = append(most, fmt.Sprintf("%03d %s", i, strings.Repeat("\x01", 4092)))
	}
	full := window("m", t0+2*minute, 1, most...)
	write(full)
	same("200 lines of 4 KiB", read("m", t0+2*minute, t0+2*minute), full)

	day := (24 * time.Hour).Milliseconds()
	old := t0 - store.DefaultRetention.Milliseconds()
	kept := window("m", (old+day)/minute*minute, 1, "kept")
	write(window("m", (old-day)/minute*minute, 1, "gone"), kept)
	if got := read("m", 0, t0-minute); len(got) != 1 || !slices.EqualFunc(got[0].Lines, kept.Lines, func(a, b partial.Line) bool { return a.Text == b.Text }) {
		t.Errorf("of two old windows there are %+v", got)
	}
	if got := read("m", t0+day, t0); len(got) != 0 {
		t.Errorf("a reversed range has %v", got)
	}
}
