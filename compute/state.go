package compute

import (
	"maps"
	"slices"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/window"
	"github.com/pharos-stack/pharos/internal/ring"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// restore reads what the journal has.
func (c *Compute) restore() error {
	err := c.journal.Tasks(func(m *pharosv1.MonitorInfo) {
		if plan, err := window.NewPlan(m); err == nil {
			c.meta.tasks[m.GetTaskId()] = plan
		}
	})
	if err != nil {
		return err
	}
	state, err := c.journal.State()
	if err != nil {
		return err
	}
	if state != nil {
		c.apply(state)
	}
	if err := c.journal.Cursors(func(id string, startMs int64) {
		if m := c.monitors[id]; m != nil && m.plan != nil {
			m.cursor = m.plan.Floor(max(startMs, c.startedMs-c.opts.Keep.Milliseconds()+m.plan.LengthMs))
		}
	}); err != nil {
		return err
	}
	if err := c.journal.Keys(func(id, key string, seenMs int64) {
		if m := c.monitors[id]; m != nil {
			m.keys.Load(key, seenMs)
		}
	}); err != nil {
		return err
	}
	if err := c.journal.Incomplete(func(id journal.WindowID) {
		if m := c.monitors[id.Monitor]; m != nil {
			m.setIncomplete(id, true)
		}
	}); err != nil {
		return err
	}
	c.samplesSynced = 0
	if err := c.journal.Samples(0, func(seq uint64, _ string, _ *pharosv1.Samples) error {
		if c.samplesSynced == 0 {
			c.samplesSynced, c.samplesWritten = seq-1, seq-1
		}
		c.samplesPut = seq
		return nil
	}); err != nil {
		return err
	}
	if err := c.restoreRollups(); err != nil {
		return err
	}
	return c.loadMarked(func(journal.WindowID) bool { return true })
}

// loadMarked takes into memory the marked windows that want likes. They are
// settled again, whether they have or not.
func (c *Compute) loadMarked(want func(journal.WindowID) bool) error {
	var ids []journal.WindowID
	if err := c.journal.Marked(func(id journal.WindowID) { ids = append(ids, id) }); err != nil {
		return err
	}
	for _, id := range ids {
		if c.windows[id] != nil || !want(id) {
			continue
		}
		w, err := c.load(id)
		if err != nil {
			return err
		}
		w.settled, w.dirtySince = 0, c.nowMs()
	}
	return nil
}

// SetState tells what register knows of the installation. It acts at once on
// windows that have not settled.
func (c *Compute) SetState(s *pharosv1.ClusterState) {
	c.commit.Lock()
	defer c.commit.Unlock()
	c.mu.Lock()
	fresh := c.apply(s)
	b := c.journal.NewBatch()
	for _, m := range fresh {
		b.PutTask(m)
		b.PutCursor(m.GetMonitorId(), c.monitors[m.GetMonitorId()].cursor)
	}
	c.mu.Unlock()
	b.PutState(s)
	if err := c.journal.Commit(b); err != nil {
		c.log.Error("cannot keep the state of the cluster", "err", err)
		return
	}
	if len(fresh) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.nowMs()
	ids := map[string]bool{}
	for _, m := range fresh {
		ids[m.GetMonitorId()] = true
	}
	// Parts of a task that was not known may have waited for this.
	for id, w := range c.windows {
		if ids[id.Monitor] {
			w.version++
			w.touch(now)
		}
	}
	if err := c.loadMarked(func(id journal.WindowID) bool { return ids[id.Monitor] }); err != nil {
		c.log.Error("cannot load windows of a new task", "err", err)
	}
}

// apply takes a state and returns the monitors whose task or definition is
// new. c.mu is held.
func (c *Compute) apply(s *pharosv1.ClusterState) []*pharosv1.MonitorInfo {
	c.known = s
	c.ring = nil
	if len(s.GetComputes()) > 0 {
		members := make([]ring.Member, 0, len(s.GetComputes()))
		for _, m := range s.GetComputes() {
			members = append(members, ring.Member{ID: m.GetServerId(), From: m.GetMemberFromMs()})
		}
		c.ring = ring.New(members)
	}
	// Agents that are gone keep their labels: their parts may have to be merged again.
	next := &metadata{tasks: maps.Clone(c.meta.tasks), agents: maps.Clone(c.meta.agents)}
	for _, a := range s.GetAgents() {
		next.agents[a.GetAgentId()] = a.GetLabels()
	}
	var fresh []*pharosv1.MonitorInfo
	monitors := make(map[string]*monitor, len(s.GetMonitors()))
	for _, info := range s.GetMonitors() {
		m := c.monitors[info.GetMonitorId()]
		if m == nil {
			m = &monitor{marks: map[string]mark{}, keys: window.NewKeys(), incomplete: map[journal.WindowID]bool{}}
		}
		monitors[info.GetMonitorId()] = m
		if m.define(info, c.nowMs()) {
			fresh = append(fresh, info)
			if m.plan == nil {
				c.log.Error("cannot use a monitor", "monitor", info.GetMonitorId(), "key", info.GetKey())
			} else {
				next.tasks[info.GetTaskId()] = m.plan
			}
		}
		m.expected = slices.Clone(info.GetAgentIds())
		m.blocker = 0
	}
	c.monitors, c.meta = monitors, next
	return fresh
}

// define takes a monitor's definition and tells whether it is new.
func (m *monitor) define(info *pharosv1.MonitorInfo, nowMs int64) bool {
	old := m.info
	m.info = info
	if old != nil && old.GetTaskId() == info.GetTaskId() && string(old.GetSpecJson()) == string(info.GetSpecJson()) &&
		old.GetKey() == info.GetKey() && old.GetApp() == info.GetApp() && old.GetWorkspace() == info.GetWorkspace() {
		return false
	}
	m.plan = nil
	plan, err := window.NewPlan(info)
	if err != nil {
		return true
	}
	m.plan, m.disabled = plan, plan.Disabled
	switch {
	case m.cursor == 0:
		m.cursor = plan.Floor(nowMs)
	default:
		m.cursor = plan.Floor(m.cursor)
	}
	return true
}

func (m *monitor) setIncomplete(id journal.WindowID, is bool) {
	if !is {
		delete(m.incomplete, id)
		return
	}
	if len(m.incomplete) == 0 {
		m.first, m.last = id.EndMs(), id.EndMs()
	}
	m.incomplete[id] = true
	m.first, m.last = min(m.first, id.EndMs()), max(m.last, id.EndMs())
}

// markOf returns up to when an agent has reported.
func (m *monitor) markOf(agent string) int64 { return m.marks[agent].ms }

// takeMarks takes an agent's watermarks.
func (c *Compute) takeMarks(agent string, items []*pharosv1.Watermark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range items {
		m := c.monitors[item.GetMonitorId()]
		if m == nil {
			continue
		}
		old, known := m.marks[agent]
		switch current := m.info.GetTaskId(); {
		case old.task == item.GetTaskId() && item.GetTimeMs() <= old.ms:
			continue // repeated
		case known && old.task == current && item.GetTaskId() != current:
			continue // of a plan that the agent had before
		}
		m.marks[agent] = mark{task: item.GetTaskId(), ms: item.GetTimeMs()}
		if len(m.incomplete) > 0 && item.GetTimeMs() >= m.first && old.ms < m.last {
			m.recheck = true
		}
	}
}

// Monitors returns the monitors of the cluster. They are shared and not to be changed.
func (c *Compute) Monitors() []*pharosv1.MonitorInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.known.GetMonitors())
}

// planOf returns the plan to tell a window by: the monitor's own, or that of
// a task it had before if the window has another length. nil if there is none.
func (m *metadata) planOf(current *window.Plan, id journal.WindowID, tasks func(yield func(string) bool)) *window.Plan {
	if current != nil && current.LengthMs == id.LengthMs {
		return current
	}
	for task := range tasks {
		if p := m.tasks[task]; p != nil && p.Monitor == id.Monitor && p.LengthMs == id.LengthMs {
			return p
		}
	}
	return nil
}

// labelsOf returns an agent's labels; of one that is not known its id is all.
func (m *metadata) labelsOf(agent string) map[string]string {
	if ls := m.agents[agent]; ls != nil {
		return ls
	}
	return map[string]string{"agent": agent}
}
