package register

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// agent is what register knows of an agent; guarded by Register.mu.
type agent struct {
	stored    enroll.Agent
	session   *agentSession            // nil while away
	lastSeen  time.Time                // of the hello or the last heartbeat
	heartbeat *pharosv1.AgentHeartbeat // the last one
	rate      rate

	// revision and hash are of the plan the agent should have; plan is that
	// plan once it was compiled in this process.
	revision uint64
	hash     [sha256.Size]byte
	plan     *pharosv1.Plan
	// claimed is the plan revision in the agent's hello. ahead says that it is
	// greater than ours, so that ours needs a new one.
	claimed uint64
	ahead   bool

	// vessel is the id of the assigned vessel, sent what the agent was told of it.
	vessel string
	moved  time.Time
	sent   assignment
}

// assignment is what an agent was told.
type assignment struct {
	address string
	renew   time.Time
}

// rate is an agent's load, smoothed over some heartbeats.
type rate struct {
	at    time.Time
	lines uint64
	value float64
	known bool
}

// restart begins a new count, as an agent does at its start; the value stays.
func (r *rate) restart() { r.at = time.Time{} }

func (r *rate) update(load *pharosv1.AgentLoad, now time.Time) {
	lines := load.GetLinesTotal()
	if d := now.Sub(r.at).Seconds(); !r.at.IsZero() && d > 0 && lines >= r.lines {
		current := float64(lines-r.lines) / d
		if r.known {
			current = (current + r.value) / 2
		}
		r.value, r.known = current, true
	}
	r.at, r.lines = now, lines
}

// weight is the load a vessel has from an agent: lines a second, and one for
// the session itself, so that idle agents are spread too.
func (r *rate) weight() float64 { return r.value + 1 }

func (a *agent) condition(now time.Time) condition {
	c := condition{silent: max(0, now.Sub(a.lastSeen)), heartbeat: a.heartbeat}
	if a.session != nil {
		c.offset, c.measured = a.session.clock.offset()
	}
	return c
}

// ListAgents returns the live view of all agents, by id.
func (r *Register) ListAgents(ctx context.Context, _ *pharosv1.ListAgentsRequest) (*pharosv1.ListAgentsResponse, error) {
	if err := r.waitReady(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opts.Now()
	resp := &pharosv1.ListAgentsResponse{}
	for id, a := range r.agents {
		c := a.condition(now)
		health, reason := c.health()
		resp.Agents = append(resp.Agents, &pharosv1.AgentState{
			AgentId: id, Health: health, Reason: reason, Version: a.stored.Version, Host: a.stored.Host.Proto(),
			Labels: seriesLabels(id, a.stored.Host), Connected: a.session != nil, LastSeenMs: a.lastSeen.UnixMilli(),
			StartedMs: a.stored.StartedMs, ClockOffsetMs: c.offset.Milliseconds(), PlanRevision: a.activeRevision(),
			WantedPlanRevision: a.revision, AssignedVessel: a.sent.address, Heartbeat: a.heartbeat,
		})
	}
	slices.SortFunc(resp.Agents, func(a, b *pharosv1.AgentState) int { return strings.Compare(a.GetAgentId(), b.GetAgentId()) })
	return resp, nil
}

// activeRevision is the plan revision the agent last said it has.
func (a *agent) activeRevision() uint64 {
	if a.heartbeat != nil {
		return a.heartbeat.GetPlanRevision()
	}
	return a.claimed
}
