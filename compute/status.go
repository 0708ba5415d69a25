package compute

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// stats count since start.
type stats struct {
	revisions, bytes, lines     atomic.Uint64
	repeated, refused           atomic.Uint64
	written, dropped, rolledUp  atomic.Uint64
	foldedParts                 atomic.Uint64
	settled, resettled          atomic.Uint64
	delay, freshness            recent
	noRoom, storeErr, sampleErr problem
	syncErr, rollupErr          problem
}

// problem is something that went wrong and is tried again.
type problem struct{ err atomic.Pointer[error] }

func (p *problem) set(err error) {
	if err == nil {
		p.err.Store(nil)
		return
	}
	p.err.Store(&err)
}

// recent keeps the last values of a measure.
type recent struct {
	mu     sync.Mutex
	values []measured
	at     int
}

// measured is a value and when it was measured.
type measured struct{ atMs, value int64 }

const (
	// recentValues is how many values a measure keeps.
	recentValues = 1000
	// recentMs is how long a value tells how things are.
	recentMs = 5 * 60_000
)

func (r *recent) add(nowMs, v int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.values) < recentValues {
		r.values = append(r.values, measured{nowMs, v})
		return
	}
	r.values[r.at] = measured{nowMs, v}
	r.at = (r.at + 1) % recentValues
}

// p95 returns the value that 95 % of the recent ones don't exceed, nil without any.
func (r *recent) p95(nowMs int64) *int64 {
	var values []int64
	r.mu.Lock()
	for _, m := range r.values {
		if nowMs-m.atMs < recentMs {
			values = append(values, m.value)
		}
	}
	r.mu.Unlock()
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return &values[(len(values)*95+99)/100-1]
}

// Status tells how compute is doing.
func (c *Compute) Status() *pharosv1.StatusResponse {
	now := c.nowMs()
	s := &pharosv1.StatusResponse{
		ComputeId:             c.opts.ID,
		RevisionsTotal:        c.stats.revisions.Load(),
		RevisionBytesTotal:    c.stats.bytes.Load(),
		LinesTotal:            c.stats.lines.Load(),
		SamplesWrittenTotal:   c.stats.written.Load(),
		SamplesDroppedTotal:   c.stats.dropped.Load() + c.opts.Store.Stats().Dropped,
		WindowsSettledTotal:   c.stats.settled.Load(),
		WindowsResettledTotal: c.stats.resettled.Load(),
		SettleDelayMs:         c.stats.delay.p95(now),
		FreshnessMs:           c.stats.freshness.p95(now),
		DiskBytes:             c.journal.DiskBytes() + c.opts.Store.Stats().DiskBytes,
	}
	c.mu.Lock()
	for _, w := range c.windows {
		if w.dirty() {
			s.WindowsOpen++
		}
	}
	c.mu.Unlock()
	if err := c.journal.Err(); err != nil {
		s.DiskError = err.Error()
	}
	for _, p := range []*problem{&c.stats.noRoom, &c.stats.storeErr, &c.stats.sampleErr, &c.stats.syncErr, &c.stats.rollupErr} {
		if err := p.err.Load(); err != nil && s.DiskError == "" {
			s.DiskError = (*err).Error()
		}
	}
	return s
}

// writeSelf writes how compute is doing as series.
func (c *Compute) writeSelf(ctx context.Context) error {
	s := c.Status()
	now := c.nowMs()
	failing := 0.0
	if s.DiskError != "" {
		failing = 1
	}
	values := map[string]float64{
		"revisions_total":          float64(s.RevisionsTotal),
		"revisions_repeated_total": float64(c.stats.repeated.Load()),
		"revisions_refused_total":  float64(c.stats.refused.Load()),
		"revision_bytes_total":     float64(s.RevisionBytesTotal),
		"lines_total":              float64(s.LinesTotal),
		"samples_written_total":    float64(s.SamplesWrittenTotal),
		"parts_folded_total":       float64(c.stats.foldedParts.Load()),
		"rollups_written_total":    float64(c.stats.rolledUp.Load()),
		"samples_dropped_total":    float64(s.SamplesDroppedTotal),
		"windows_open":             float64(s.WindowsOpen),
		"windows_settled_total":    float64(s.WindowsSettledTotal),
		"windows_resettled_total":  float64(s.WindowsResettledTotal),
		"disk_bytes":               float64(s.DiskBytes),
		"disk_error":               failing,
	}
	if s.SettleDelayMs != nil {
		values["settle_delay_p95_ms"] = float64(*s.SettleDelayMs)
	}
	if s.FreshnessMs != nil {
		values["freshness_p95_ms"] = float64(*s.FreshnessMs)
	}
	var samples []store.Sample
	for name, value := range values {
		samples = append(samples, store.Sample{Labels: store.FromStrings(store.MetricName, "self_compute_"+name, "compute", c.opts.ID), TimeMs: now, Value: value})
	}
	if err := c.opts.Store.WriteSamples(ctx, samples); err != nil && ctx.Err() == nil {
		c.log.Warn("cannot write compute's own metrics", "err", err)
	}
	return ctx.Err()
}
