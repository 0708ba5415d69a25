package register

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// The limits of spec 05 §S14.2.
const (
	healthyFor = 30 * time.Second
	lostAfter  = 90 * time.Second
	maxSkew    = 3 * time.Second
)

// condition is what an agent's health follows from.
type condition struct {
	// silent is how long ago the agent was heard of.
	silent time.Duration
	// offset is its clock minus ours; measured tells whether it is known.
	offset    time.Duration
	measured  bool
	heartbeat *pharosv1.AgentHeartbeat
}

// health judges an agent. Between 30 s and 90 s of silence nothing is certain
// and the state is unspecified.
func (c condition) health() (pharosv1.AgentHealth, string) {
	trouble := c.trouble()
	switch {
	case c.silent > lostAfter:
		return pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, fmt.Sprintf("not heard of for %s", c.silent.Round(time.Second))
	case c.silent > healthyFor:
		return pharosv1.AgentHealth_AGENT_HEALTH_UNSPECIFIED, fmt.Sprintf("not heard of for %s", c.silent.Round(time.Second))
	case c.measured && (c.offset > maxSkew || c.offset < -maxSkew):
		reason := fmt.Sprintf("its clock is %s ahead of the server's", c.offset.Round(100*time.Millisecond))
		if c.offset < 0 {
			reason = fmt.Sprintf("its clock is %s behind the server's", (-c.offset).Round(100*time.Millisecond))
		}
		if trouble != "" {
			reason += "; " + trouble
		}
		return pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW, reason
	case trouble != "":
		return pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, trouble
	}
	return pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY, ""
}

// trouble is the first thing the agent complains of.
func (c condition) trouble() string {
	if p := c.heartbeat.GetProblems(); len(p) > 0 {
		return p[0]
	}
	for _, t := range c.heartbeat.GetTasks() {
		if t.GetError() != "" && !t.GetWaiting() {
			return fmt.Sprintf("task %s: %s", t.GetTaskId(), t.GetError())
		}
	}
	return ""
}

// clock measures how far an agent's clock is from ours. Of the last few probes
// the one with the shortest round trip counts, since half of a round trip is
// what it can be wrong by.
type clock struct {
	mu      sync.Mutex
	sent    []sentProbe
	samples []clockSample
}

type sentProbe struct {
	ms int64
	at time.Time
}

type clockSample struct{ offset, roundTrip time.Duration }

// clockSamples is how many probes count, clockPending how many may be unanswered.
const (
	clockSamples = 5
	clockPending = 8
)

// probe notes that a probe is sent and returns its stamp.
func (c *clock) probe(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	ms := now.UnixMilli()
	c.sent = append(c.sent, sentProbe{ms: ms, at: now})
	if len(c.sent) > clockPending {
		c.sent = c.sent[1:]
	}
	return ms
}

// echo takes the answer to a probe; one that wasn't asked for is ignored.
func (c *clock) echo(e *pharosv1.ClockEcho, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.sent {
		if p.ms != e.GetServerMs() {
			continue
		}
		c.sent = append(c.sent[:i:i], c.sent[i+1:]...)
		roundTrip := now.Sub(p.at)
		c.samples = append(c.samples, clockSample{offset: time.UnixMilli(e.GetAgentMs()).Sub(p.at.Add(roundTrip / 2)), roundTrip: roundTrip})
		if len(c.samples) > clockSamples {
			c.samples = c.samples[1:]
		}
		return
	}
}

// offset of the agent's clock from ours; false before the first answer.
func (c *clock) offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.samples) == 0 {
		return 0, false
	}
	best := c.samples[0]
	for _, s := range c.samples {
		if s.roundTrip < best.roundTrip {
			best = s
		}
	}
	return best.offset, true
}

// failures slows down who tries join tokens: after ten refusals within a minute
// an address has to wait for the minute to end.
type failures struct {
	mu   sync.Mutex
	from map[string]*failure
}

type failure struct {
	since time.Time
	n     int
}

const (
	maxFailures     = 10
	failurePeriod   = time.Minute
	maxFailureAddrs = 10_000
)

func (f *failures) blocked(addr string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.from[addr]
	return x != nil && now.Sub(x.since) < failurePeriod && x.n >= maxFailures
}

func (f *failures) add(addr string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from == nil || len(f.from) >= maxFailureAddrs {
		f.from = map[string]*failure{}
	}
	x := f.from[addr]
	if x == nil || now.Sub(x.since) >= failurePeriod {
		x = &failure{since: now}
		f.from[addr] = x
	}
	x.n++
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
