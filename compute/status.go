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
	values []int64
	at     int
}

// recentValues is how many values a measure keeps.
const recentValues = 1000

func (r *recent) add(v int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.values) < recentValues {
		r.values = append(r.values, v)
		return
	}
	r.values[r.at] = v
	r.at = (r.at + 1) % recentValues
}

// p95 returns the value that 95 % of those kept don't exceed, 0 without any.
func (r *recent) p95() int64 {
	r.mu.Lock()
	values := slices.Clone(r.values)
	r.mu.Unlock()
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)*95+99)/100-1]
}

// Status tells how compute is doing.
func (c *Compute) Status() *pharosv1.StatusResponse {
	s := &pharosv1.StatusResponse{
		ComputeId:             c.opts.ID,
		RevisionsTotal:        c.stats.revisions.Load(),
		RevisionBytesTotal:    c.stats.bytes.Load(),
		LinesTotal:            c.stats.lines.Load(),
		SamplesWrittenTotal:   c.stats.written.Load(),
		SamplesDroppedTotal:   c.stats.dropped.Load() + c.opts.Store.Stats().Dropped,
		WindowsSettledTotal:   c.stats.settled.Load(),
		WindowsResettledTotal: c.stats.resettled.Load(),
		SettleDelayMs:         c.stats.delay.p95(),
		FreshnessMs:           c.stats.freshness.p95(),
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
	var samples []store.Sample
	for name, value := range map[string]float64{
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
		"settle_delay_p95_ms":      float64(s.SettleDelayMs),
		"freshness_p95_ms":         float64(s.FreshnessMs),
		"disk_bytes":               float64(s.DiskBytes),
		"disk_error":               failing,
	} {
		samples = append(samples, store.Sample{Labels: store.FromStrings(store.MetricName, "self_compute_"+name, "compute", c.opts.ID), TimeMs: now, Value: value})
	}
	if err := c.opts.Store.WriteSamples(ctx, samples); err != nil && ctx.Err() == nil {
		c.log.Warn("cannot write compute's own metrics", "err", err)
	}
	return ctx.Err()
}
