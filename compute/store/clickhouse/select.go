package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pharos-stack/pharos/compute/store"
)

// where writes matchers as a condition on table series; possible is false when nothing can match.
func where(matchers []store.Matcher) (condition string, filter *store.Filter, possible bool, err error) {
	filter, err = store.NewFilter(matchers)
	if err != nil {
		return "", nil, false, err
	}
	terms := []string{"1"}
	for i, m := range matchers {
		if m.Name == store.WindowLabel || m.Name == store.EpochLabel {
			if !filter.MatchesEmpty(i) {
				return "", filter, false, nil
			}
			continue
		}
		// A missing key of a map reads as the empty string, as a missing label should.
		column := "labels[" + quote(m.Name) + "]"
		if m.Name == store.MetricName {
			column = "name"
		}
		terms = append(terms, matchTerm(column, m))
	}
	return strings.Join(terms, " AND "), filter, true, nil
}

func matchTerm(column string, m store.Matcher) string {
	switch m.Type {
	case store.MatchEqual:
		return column + " = " + quote(m.Value)
	case store.MatchNotEqual:
		return column + " != " + quote(m.Value)
	case store.MatchRegex:
		return "match(" + column + ", " + quote(store.AnchoredRegex(m.Value)) + ")"
	default:
		return "NOT match(" + column + ", " + quote(store.AnchoredRegex(m.Value)) + ")"
	}
}

// days writes the condition that a series has samples on a day of the range.
func days(startMs, endMs int64) string {
	const lastDay = 65_000 // of the type Date, in 2147
	first := min(max(startMs/dayMs, 0), lastDay)
	last := min(max(endMs/dayMs, 0), lastDay)
	return fmt.Sprintf("day BETWEEN toDate(%d) AND toDate(%d)", first, last)
}

type indexed struct {
	labels   store.Labels
	windowMs int64
}

// find reads the index entries of a condition.
func (s *Store) find(ctx context.Context, l store.Level, condition string, limit int) (map[seriesID]indexed, error) {
	rows, err := s.conn.Query(ctx, fmt.Sprintf("SELECT id, any(window_ms), any(labels) FROM %s.series%s WHERE %s GROUP BY id LIMIT %d", s.db, suffix(l), condition, limit+1))
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer rows.Close()
	out := map[seriesID]indexed{}
	for rows.Next() {
		var id string
		var window int64
		var labels map[string]string
		if err := rows.Scan(&id, &window, &labels); err != nil {
			return nil, err
		}
		out[seriesID([]byte(id))] = indexed{store.FromMap(labels), window}
	}
	if err := rows.Err(); err != nil {
		return nil, failure(ctx, err)
	}
	if len(out) > limit {
		return nil, store.TooManySeries(limit)
	}
	return out, nil
}

// failure prefers the context's reason to the driver's wording of it.
func failure(ctx context.Context, err error) error {
	const timeoutExceeded, tooSlow = 159, 160
	var exception *clickhouse.Exception
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exception) && (exception.Code == timeoutExceeded || exception.Code == tooSlow):
		return context.DeadlineExceeded
	}
	return err
}

// Select calls fn with every series that matches and has a value in the range.
func (s *Store) Select(ctx context.Context, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	return s.SelectRollups(ctx, store.Base, matchers, startMs, endMs, limits, fn)
}

// SelectRollups is Select among the buckets of a level.
func (s *Store) SelectRollups(ctx context.Context, l store.Level, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	condition, _, possible, err := where(matchers)
	if err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	if !possible || endMs < startMs {
		return nil
	}
	limits = limits.WithDefaults()
	all, err := s.read(ctx, l, condition+" AND "+days(startMs, endMs), startMs, endMs, limits)
	if err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	if len(all) > limits.MaxSeries {
		return fmt.Errorf("cannot select series: %w", store.TooManySeries(limits.MaxSeries))
	}
	slices.SortFunc(all, func(a, b *store.Series) int {
		return cmp.Or(a.Labels.Compare(b.Labels), cmp.Compare(a.WindowMs, b.WindowMs))
	})
	for i, series := range all {
		all[i] = nil
		if err := fn(series); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) read(ctx context.Context, l store.Level, condition string, startMs, endMs int64, limits store.Limits) ([]*store.Series, error) {
	// The index is by day: it may know more series than have values in the range.
	index, err := s.find(ctx, l, condition, 4*limits.MaxSeries+1000)
	if err != nil || len(index) == 0 {
		return nil, err
	}
	rows, err := s.conn.Query(ctx, fmt.Sprintf(`SELECT id, points.1, points.2, points.3 FROM (
	SELECT id, arraySort(groupArray((time_ms, v, r))) AS points FROM (
		SELECT id, time_ms, argMax(value, revision) AS v, max(revision) AS r
		FROM %[1]s.samples%[6]s
		WHERE id GLOBAL IN (SELECT id FROM %[1]s.series%[6]s WHERE %[2]s) AND time_ms BETWEEN %[3]d AND %[4]d
		GROUP BY id, time_ms
		LIMIT %[5]d
	)
	GROUP BY id
)`, s.db, condition, startMs, endMs, limits.MaxSamples+1, suffix(l)))
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer rows.Close()
	var out []*store.Series
	samples := 0
	for rows.Next() {
		var id string
		series := &store.Series{}
		if err := rows.Scan(&id, &series.TimesMs, &series.Values, &series.Revisions); err != nil {
			return nil, err
		}
		entry, known := index[seriesID([]byte(id))]
		if !known {
			continue // written after the index was read
		}
		series.Labels, series.WindowMs = entry.labels, entry.windowMs
		if series.WindowMs == 0 {
			series.Revisions = nil
		}
		if samples += len(series.TimesMs); samples > limits.MaxSamples {
			return nil, store.TooManySamples(limits.MaxSamples)
		}
		out = append(out, series)
	}
	return out, failure(ctx, rows.Err())
}

// SeriesLabels returns the label sets of series that match.
func (s *Store) SeriesLabels(ctx context.Context, matchers []store.Matcher, startMs, endMs int64, limit int) ([]store.Labels, error) {
	if limit <= 0 {
		limit = store.DefaultMaxSeries
	}
	condition, _, possible, err := where(matchers)
	if err != nil {
		return nil, fmt.Errorf("cannot list series: %w", err)
	}
	if !possible {
		return nil, nil
	}
	var out []store.Labels
	for _, l := range s.within(startMs) {
		index, err := s.find(ctx, l, condition+" AND "+days(startMs, endMs), 4*limit+1000)
		if err != nil {
			return nil, fmt.Errorf("cannot list series: %w", err)
		}
		for _, x := range index {
			out = append(out, x.labels)
		}
	}
	slices.SortFunc(out, store.Labels.Compare)
	out = slices.CompactFunc(out, func(a, b store.Labels) bool { return a.Compare(b) == 0 })
	if len(out) > limit {
		return nil, fmt.Errorf("cannot list series: %w", store.TooManySeries(limit))
	}
	return out, nil
}

// LabelNames returns the names of the labels of series that match, sorted.
func (s *Store) LabelNames(ctx context.Context, matchers []store.Matcher, startMs, endMs int64) ([]string, error) {
	names, err := s.texts(ctx, "SELECT DISTINCT toString(arrayJoin(mapKeys(labels))) AS x", "", matchers, startMs, endMs)
	if err != nil {
		return nil, fmt.Errorf("cannot list label names: %w", err)
	}
	return names, nil
}

// LabelValues returns the values of one label of series that match, sorted.
func (s *Store) LabelValues(ctx context.Context, name string, matchers []store.Matcher, startMs, endMs int64) ([]string, error) {
	values, err := s.texts(ctx, "SELECT DISTINCT labels["+quote(name)+"] AS x", " AND x != ''", matchers, startMs, endMs)
	if err != nil {
		return nil, fmt.Errorf("cannot list values of label %q: %w", name, err)
	}
	return values, nil
}

func (s *Store) texts(ctx context.Context, what, and string, matchers []store.Matcher, startMs, endMs int64) ([]string, error) {
	condition, _, possible, err := where(matchers)
	if err != nil || !possible {
		return nil, err
	}
	var out []string
	for _, l := range s.within(startMs) {
		more, err := s.textsOf(ctx, fmt.Sprintf("%s FROM %s.series%s WHERE %s AND %s%s", what, s.db, suffix(l), condition, days(startMs, endMs), and))
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// within returns the levels that may know series of a range from startMs on: Base, and the
// longest kept rollups if the range begins before its retention.
func (s *Store) within(startMs int64) []store.Level {
	if startMs < time.Now().Add(-s.retention.Base).UnixMilli() {
		return []store.Level{store.Base, store.OneHour}
	}
	return []store.Level{store.Base}
}

func (s *Store) textsOf(ctx context.Context, statement string) ([]string, error) {
	rows, err := s.conn.Query(ctx, statement)
	if err != nil {
		return nil, failure(ctx, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var x string
		if err := rows.Scan(&x); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, failure(ctx, rows.Err())
}

// deleteTimeout is given to a deletion whose context has no deadline.
const deleteTimeout = 10 * time.Minute

// Delete removes every series that matches, for all time.
func (s *Store) Delete(ctx context.Context, matchers []store.Matcher) error {
	condition, filter, possible, err := where(matchers)
	if err != nil {
		return fmt.Errorf("cannot delete series: %w", err)
	}
	if !filter.Selective() {
		return fmt.Errorf("cannot delete series: every matcher of %v accepts series without its label", matchers)
	}
	if !possible {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	for _, l := range levels {
		if err := s.deleteOf(ctx, l, condition); err != nil {
			return fmt.Errorf("cannot delete series that match %v: %w", matchers, err)
		}
	}
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	clear(s.known)
	return nil
}

// deleteOf removes the series of a level. The ids are listed, since a
// deletion's own subquery would see one shard only.
func (s *Store) deleteOf(ctx context.Context, l store.Level, condition string) error {
	index, err := s.find(ctx, l, condition, 10_000_000)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(index))
	for id := range index {
		ids = append(ids, "unhex('"+fmt.Sprintf("%x", id[:])+"')")
	}
	slices.Sort(ids)
	onCluster := ""
	if s.cluster != "" {
		onCluster = " ON CLUSTER " + quoteName(s.cluster)
	}
	for chunk := range slices.Chunk(ids, 2000) {
		// Samples first: if the second statement fails, the index still finds the series to delete again.
		for _, table := range []string{"samples" + suffix(l), "series" + suffix(l)} {
			statement := fmt.Sprintf("ALTER TABLE %s.%s%s%s DELETE WHERE id IN (%s) SETTINGS mutations_sync = 2",
				s.db, table, localSuffix(s.cluster), onCluster, strings.Join(chunk, ", "))
			if err := s.conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%d series of table %s: %w", len(ids), table, failure(ctx, err))
			}
		}
	}
	return nil
}
