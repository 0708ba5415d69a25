package logrule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

func TestPathsAt(t *testing.T) {
	shanghai := time.FixedZone("", 8*3600)
	for _, c := range []struct {
		path, zone, at string
		want           []string
	}{
		{"/a/x.log", "", "2026-11-23T12:00:00Z", []string{"/a/x.log"}},
		{"/a/{app}/x-{date:yyyy-MM-dd}.log", "", "2026-11-23T12:00:00Z", []string{"/a/shop/x-2026-11-23.log"}},
		{"/a/{date:yyyyMM}/{date:dd}/*.log", "", "2026-12-01T00:09:59+08:00", []string{"/a/202612/01/*.log", "/a/202611/30/*.log"}},
		{"/a/{date:yyyy.MM.dd}.log", "", "2026-12-01T00:10:00+08:00", []string{"/a/2026.12.01.log"}},
		{"/a/{date:yyyy_MM_dd_HH}.log", "", "2026-11-23T09:05:00+08:00", []string{"/a/2026_11_23_09.log", "/a/2026_11_23_08.log"}},
		{"/a/{date:yyyy-MM-dd}.log", "America/New_York", "2026-11-23T12:00:00+08:00", []string{"/a/2026-11-22.log"}}, // 23:00 there
		{"/a/{other}/{date}.log", "", "2026-11-23T12:00:00Z", []string{"/a/{other}/{date}.log"}},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		s := logrule.Spec{App: "shop", Paths: []string{c.path}, Time: logrule.TimeRule{Timezone: c.zone}}
		if got := s.PathsAt(at, shanghai); !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: %q, want %q", c.path, c.at, got, c.want)
		}
	}
}

func TestMatchesPath(t *testing.T) {
	s := logrule.Spec{App: "shop", Paths: []string{"/a/{app}-{date:yyyy-MM-dd}.log", "/b/*.log"}}
	for name, want := range map[string]bool{"/a/shop-2020-01-31.log": true, "/a/shop-20-01-31.log": false, "/a/bank-2020-01-31.log": false, "/b/x.log": true, "/b/c/x.log": false} {
		if s.MatchesPath(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestPlaceholdersAreChecked(t *testing.T) {
	for path, want := range map[string]string{
		"/a/{date:yyyy-MM-dd}.log": "", "/a/{date:HH}/x.log": "", "/a/{date:yyyy/MM}.log": "each segment its own", "/a/{date:yyyy.log": "not closed", "/a/{date:yyyy-mm-dd}.log": `"yyyy-mm-dd"`, "/a/{date:}.log": `""`, "/a/{date:-}.log": `"-"`,
		"/a/{app}/x.log": "the monitor is of no app", "/a/{literal}.log": "",
	} {
		s := logrule.Spec{Title: "x", Type: logrule.Minute, Paths: []string{path}, Time: logrule.TimeRule{Format: logrule.TimeNormal}}.WithDefaults()
		got := ""
		if err := s.Validate("spec"); err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
