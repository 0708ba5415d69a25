package collect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Files with their date in the name are read on their day and ten minutes more;
// what was open then is read to its end, over a crash too, and given up after.
func TestDatedFiles(t *testing.T) {
	w := newWorld(t, func(s *logrule.Spec) { s.Paths[0] = strings.Replace(s.Paths[0], "x.log", "x-{date:yyyy-MM-dd}.log", 1) })
	following := func(want ...string) {
		t.Helper()
		var names []string
		for name := range w.c.paths {
			names = append(names, name[len(w.dir)+1:])
		}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("at %s the agent follows %q, want %q", w.now.Format("15:04"), names, want)
		}
	}
	w.now = time.Date(2026, 11, 23, 23, 55, 0, 0, time.UTC)
	w.append("x-2026-11-22.log", "2026-11-22 23:00:00,id-old,1\n")
	w.write("x-2026-11-23.log", 10)
	w.start()
	following("x-2026-11-23.log")
	w.now = time.Date(2026, 11, 24, 0, 5, 0, 0, time.UTC)
	w.write("x-2026-11-23.log", 5)
	w.write("x-2026-11-24.log", 4)
	w.look()
	following("x-2026-11-23.log", "x-2026-11-24.log")
	w.crash()
	w.append("x-2026-11-23.log", strings.TrimSuffix(w.lines(2), "\n")) // the last line has no end
	w.now = time.Date(2026, 11, 24, 0, 12, 0, 0, time.UTC)
	w.start()
	w.look()
	w.look()
	following("x-2026-11-24.log")
	w.write("x-2026-11-24.log", 3)
	w.settle()
	if o := w.outcome("m1-1"); o.counted != 24 || o.lost != 0 || o.doubled != 0 {
		t.Errorf("%+v of %d lines", o, w.written)
	}
}

func TestHourlyFilesOfAnApp(t *testing.T) {
	w := newWorld(t, func(s *logrule.Spec) {
		s.App, s.Paths[0] = "shop", strings.Replace(s.Paths[0], "x.log", "{app}.{date:yyyyMMdd_HH}.log", 1)
	})
	w.now = time.Date(2026, 11, 23, 7, 58, 0, 0, time.UTC)
	w.start()
	w.write("shop.20261123_07.log", 6)
	w.append("bank.20261123_07.log", "2026-11-23 07:00:00,id-bank,1\n")
	w.look()
	w.now = time.Date(2026, 11, 23, 8, 1, 0, 0, time.UTC)
	w.write("shop.20261123_08.log", 3)
	w.settle()
	if o := w.outcome("m1-1"); o.counted != 9 || o.doubled != 0 {
		t.Errorf("%+v of %d lines", o, w.written)
	}
}
