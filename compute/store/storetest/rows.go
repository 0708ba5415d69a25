package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

// OpenRows opens an empty store of rows and has it closed at the end of the test.
type OpenRows func(t *testing.T, retention time.Duration) store.Rows

// RunRows runs the suite for rows.
func RunRows(t *testing.T, open OpenRows) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *rowSubject)
	}{
		{"contents", testRowContents},
		{"filters", testRowFilters},
		{"order and limit", testRowOrder},
		{"wrong rows", testWrongRows},
		{"retention", testRowRetention},
		{"lines of windows", testLines},
		{"concurrent", testRowsConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, &rowSubject{Rows: open(t, store.DefaultRetention), t: t, now: time.Now().Truncate(time.Hour).UnixNano()})
		})
	}
}

type rowSubject struct {
	store.Rows
	t   *testing.T
	now int64
}

func (s *rowSubject) write(rows ...store.Row) {
	s.t.Helper()
	if err := s.WriteRows(context.Background(), rows); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rowSubject) query(q store.RowQuery) []store.Row {
	s.t.Helper()
	if q.StartNs == 0 {
		q.StartNs, q.EndNs = s.now-int64(time.Hour), s.now+int64(time.Hour)
	}
	var out []store.Row
	if err := s.QueryRows(context.Background(), q, func(r *store.Row) error { out = append(out, *r); return nil }); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func fields(pairs ...string) []store.Label { return store.FromStrings(pairs...) }

func rowText(r store.Row) string {
	sorted := slices.Clone(r.Fields)
	store.Labels(sorted).Sort()
	return fmt.Sprintf("%s %d %s", r.Stream, r.TimeNs, store.Labels(sorted))
}

func testRowContents(t *testing.T, s *rowSubject) {
	rows := []store.Row{
		{Stream: store.FromStrings("kind", "span", "app", "shop"), TimeNs: s.now + 1, Fields: fields("trace_id", "abc", "name", "GET /")},
		{Stream: store.FromStrings("kind", "line", "app", "shop"), TimeNs: s.now + 2, Fields: fields("line", "2026-01-01 a,\"b\" \\ \n食品 {x=\"y\"} _time:5m | delete *", "_time", "mine", "_msg", "m", "_stream", "z", "with space", "1", "kind", "field of the same name")},
		{Stream: store.FromStrings("kind", "line"), TimeNs: s.now + 3, Fields: fields("long", strings.Repeat("word ", 100_000))},
		{Stream: store.FromStrings("kind", "event"), TimeNs: s.now + 4},
	}
	s.write(rows...)
	got := s.query(store.RowQuery{})
	if len(got) != len(rows) {
		t.Fatalf("%d rows: %v", len(got), got)
	}
	for i, want := range rows {
		if g, w := rowText(got[len(rows)-1-i]), rowText(want); g != w {
			t.Errorf("got %.300s, want %.300s", g, w)
		}
	}
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.query(store.RowQuery{}); len(got) != len(rows) {
		t.Errorf("%d rows after Sync", len(got))
	}
	if st := s.Stats(); st.Rows != 4 || st.DiskBytes == 0 {
		t.Errorf("stats %+v", st)
	}
}

func testRowFilters(t *testing.T, s *rowSubject) {
	s.write(
		store.Row{Stream: store.FromStrings("app", "a"), TimeNs: s.now, Fields: fields("id", "1", "text", "hello world")},
		store.Row{Stream: store.FromStrings("app", "a", "env", "prod"), TimeNs: s.now, Fields: fields("id", "2", "text", "line\nbreak")},
		store.Row{Stream: store.FromStrings("app", "b.c"), TimeNs: s.now, Fields: fields("id", "3", "code", "500")},
		store.Row{Stream: store.FromStrings("app", `b"c`), TimeNs: s.now, Fields: fields("id", "4", "code", "200")})
	m := func(kind store.MatchType, name, value string) []store.Matcher {
		return []store.Matcher{{Type: kind, Name: name, Value: value}}
	}
	for _, c := range []struct {
		stream, fields []store.Matcher
		want           string
	}{
		{nil, nil, "1 2 3 4"},
		{m(store.MatchEqual, "app", "a"), nil, "1 2"},
		{m(store.MatchEqual, "app", "b.c"), nil, "3"},
		{m(store.MatchEqual, "app", `b"c`), nil, "4"},
		{m(store.MatchEqual, "env", ""), nil, "1 3 4"},
		{m(store.MatchNotEqual, "env", ""), nil, "2"},
		{m(store.MatchNotEqual, "app", "a"), nil, "3 4"},
		{m(store.MatchRegex, "app", "b.c"), nil, "3 4"},
		{m(store.MatchRegex, "app", "b"), nil, ""},
		{m(store.MatchNotRegex, "app", "b.+"), nil, "1 2"},
		{m(store.MatchRegex, "env", "prod|"), nil, "1 2 3 4"},
		{nil, m(store.MatchEqual, "text", "hello world"), "1"},
		{nil, m(store.MatchEqual, "text", "hello"), ""},
		{nil, m(store.MatchEqual, "code", ""), "1 2"},
		{nil, m(store.MatchNotEqual, "code", "500"), "1 2 4"},
		{nil, m(store.MatchRegex, "code", "5.."), "3"},
		{nil, m(store.MatchNotRegex, "code", "5.."), "1 2 4"},
		{nil, m(store.MatchRegex, "text", "line.break"), "2"},
		{nil, m(store.MatchRegex, "text", ".*WORLD"), ""},
		{nil, m(store.MatchRegex, "text", "(?i).*WORLD"), "1"},
		{nil, m(store.MatchEqual, "app", "a"), ""}, // a stream's label is not a field
		{m(store.MatchEqual, "app", "a"), m(store.MatchNotEqual, "id", "1"), "2"},
	} {
		var ids []string
		for _, r := range s.query(store.RowQuery{Stream: c.stream, Fields: c.fields}) {
			ids = append(ids, store.Labels(r.Fields).Get("id"))
		}
		slices.Sort(ids)
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%v %v: got %q, want %q", c.stream, c.fields, got, c.want)
		}
	}
	err := s.QueryRows(context.Background(), store.RowQuery{Fields: m(store.MatchRegex, "x", "(")}, func(*store.Row) error { return nil })
	if err == nil {
		t.Error("a wrong regex was accepted")
	}
}

func testRowOrder(t *testing.T, s *rowSubject) {
	var rows []store.Row
	for _, i := range []int64{5, 3, 9, 1, 7, 0, 8, 2, 6, 4} {
		rows = append(rows, store.Row{Stream: store.FromStrings("n", fmt.Sprint(i%3)), TimeNs: s.now + i, Fields: fields("i", fmt.Sprint(i))})
	}
	s.write(rows...)
	times := func(q store.RowQuery) (out []int64) {
		for _, r := range s.query(q) {
			out = append(out, r.TimeNs-s.now)
		}
		return out
	}
	if got := times(store.RowQuery{Limit: 3}); !slices.Equal(got, []int64{9, 8, 7}) {
		t.Errorf("newest three: %v", got)
	}
	if got := times(store.RowQuery{StartNs: s.now + 2, EndNs: s.now + 5}); !slices.Equal(got, []int64{5, 4, 3, 2}) {
		t.Errorf("range: %v", got)
	}
	if got := times(store.RowQuery{StartNs: s.now + 5, EndNs: s.now + 2}); got != nil {
		t.Errorf("reversed range: %v", got)
	}
	stop, calls := errors.New("stop"), 0
	err := s.QueryRows(context.Background(), store.RowQuery{EndNs: math.MaxInt64}, func(*store.Row) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func testWrongRows(t *testing.T, s *rowSubject) {
	good := store.Row{Stream: store.FromStrings("kind", "x"), TimeNs: s.now}
	for name, r := range map[string]store.Row{
		"stream name":    {Stream: store.Labels{{Name: "a b", Value: "x"}}},
		"stream order":   {Stream: store.Labels{{Name: "b", Value: "x"}, {Name: "a", Value: "x"}}},
		"stream value":   {Stream: store.Labels{{Name: "b", Value: ""}}},
		"field name":     {Fields: []store.Label{{Name: "", Value: "x"}}},
		"long name":      {Fields: []store.Label{{Name: strings.Repeat("n", 101), Value: "x"}}},
		"field twice":    {Fields: []store.Label{{Name: "a", Value: "x"}, {Name: "a", Value: "y"}}},
		"too long":       {Fields: []store.Label{{Name: "a", Value: strings.Repeat("x", store.MaxRowBytes)}}},
		"too many field": {Fields: make([]store.Label, store.MaxRowFields+1)},
	} {
		r.TimeNs = s.now
		if err := s.WriteRows(context.Background(), []store.Row{good, r}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := s.query(store.RowQuery{}); len(got) != 0 {
		t.Errorf("left by refused writes: %v", got)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.WriteRows(gone, []store.Row{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	if err := s.QueryRows(gone, store.RowQuery{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("query: %v", err)
	}
}

func testRowRetention(t *testing.T, s *rowSubject) {
	day := int64(24 * time.Hour)
	stream := store.FromStrings("kind", "x")
	s.write(
		store.Row{Stream: stream, TimeNs: s.now - int64(store.DefaultRetention) - day},
		store.Row{Stream: stream, TimeNs: s.now - int64(store.DefaultRetention) + day, Fields: fields("i", "old")},
		store.Row{Stream: stream, TimeNs: s.now, Fields: fields("i", "new")},
		store.Row{Stream: stream, TimeNs: s.now + 5*day})
	if got := s.query(store.RowQuery{StartNs: 1, EndNs: s.now + 10*day}); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if d := s.Stats().Dropped; d != 2 {
		t.Errorf("%d rows counted as dropped, want 2", d)
	}
}

func testRowsConcurrent(t *testing.T, s *rowSubject) {
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			stream := store.FromStrings("writer", fmt.Sprint(w))
			for i := range int64(8) {
				if err := s.WriteRows(context.Background(), []store.Row{{Stream: stream, TimeNs: s.now + i}}); err != nil {
					t.Error(err)
				}
				n := int64(0)
				err := s.QueryRows(context.Background(), store.RowQuery{Stream: []store.Matcher{eq("writer", fmt.Sprint(w))}, StartNs: s.now, EndNs: s.now + 100}, func(*store.Row) error { n++; return nil })
				if err != nil || n != i+1 {
					t.Errorf("writer %d sees %d rows after writing %d, %v", w, n, i+1, err)
				}
			}
		})
	}
	wg.Wait()
}
