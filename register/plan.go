package register

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// HostID is task and monitor id of the host metrics that every agent samples.
const HostID = "host"

// Monitor is a log monitor with its defaults filled in.
type Monitor struct {
	ID, Key, Workspace string
	// Revision counts the definition's changes.
	Revision uint64
	Spec     logrule.Spec
}

// MonitorOf reads a LogMonitor resource.
func MonitorOf(o resource.Object) (Monitor, error) {
	m := Monitor{ID: o.Metadata.ID, Key: o.Metadata.Name, Workspace: o.Metadata.Workspace, Revision: uint64(o.Metadata.Version)}
	if err := json.Unmarshal(o.Spec, &m.Spec); err != nil {
		return Monitor{}, fmt.Errorf("cannot read log monitor %q: %w", m.Key, err)
	}
	m.Spec = m.Spec.WithDefaults()
	if err := m.Spec.Validate("spec"); err != nil {
		return Monitor{}, fmt.Errorf("cannot use log monitor %q: %w", m.Key, err)
	}
	return m, nil
}

// Target is an agent as the compilation needs it.
type Target struct {
	ID   string
	Host enroll.Host
	// Expected agents are waited for before a window settles.
	Expected bool
}

// Plans is what a compilation gives.
type Plans struct {
	// Tasks of each agent, by agent id. Agents share the tasks, nobody may change them.
	Tasks map[string][]*pharosv1.PlanTask
	// Hashes tell whether an agent's tasks differ.
	Hashes map[string][sha256.Size]byte
	// Monitors as compute needs them, by id. Disabled ones are there too, for
	// what agents still hold of them; nobody is expected to report.
	Monitors []*pharosv1.MonitorInfo
}

// Compile says what each agent collects and who is expected to report. The
// result depends on nothing but the arguments, and not on their order.
func Compile(monitors []Monitor, agents []Target, hostInterval time.Duration) (Plans, error) {
	monitors, agents = slices.Clone(monitors), slices.Clone(agents)
	slices.SortFunc(monitors, func(a, b Monitor) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(agents, func(a, b Target) int { return strings.Compare(a.ID, b.ID) })

	p := Plans{Tasks: map[string][]*pharosv1.PlanTask{}, Hashes: map[string][sha256.Size]byte{}}
	host := &pharosv1.PlanTask{TaskId: HostID, MonitorId: HostID, DefinitionRevision: 1,
		Kind: &pharosv1.PlanTask_Host{Host: &pharosv1.HostTask{IntervalMs: hostInterval.Milliseconds()}}}
	for _, a := range agents {
		p.add(a.ID, host, sha256.Sum256([]byte(hostInterval.String())))
	}
	for _, m := range monitors {
		specJSON, err := json.Marshal(m.Spec)
		if err != nil {
			return Plans{}, fmt.Errorf("cannot encode log monitor %q: %w", m.Key, err)
		}
		info := &pharosv1.MonitorInfo{MonitorId: m.ID, Key: m.Key, Workspace: m.Workspace, App: m.Spec.App,
			TaskId: logrule.TaskID(m.ID, m.Spec), DefinitionRevision: m.Revision, SpecJson: specJSON}
		p.Monitors = append(p.Monitors, info)
		if m.Spec.Disabled {
			continue
		}
		var inScope []string
		for _, a := range agents {
			if !m.Spec.Covers(a.Host.Hostname, a.Host.IP, a.Host.Labels) {
				continue
			}
			inScope = append(inScope, a.ID)
			if a.Expected {
				info.AgentIds = append(info.AgentIds, a.ID)
			}
		}
		// Each agent gets an equal share; together they never exceed the limit (LOG-7).
		share := uint64(0)
		if m.Spec.FlowLimitKBMin > 0 {
			share = max(1, uint64(m.Spec.FlowLimitKBMin)*1000/uint64(max(1, len(info.AgentIds))))
		}
		task := &pharosv1.PlanTask{TaskId: info.TaskId, MonitorId: m.ID, DefinitionRevision: m.Revision,
			Kind: &pharosv1.PlanTask_Log{Log: &pharosv1.LogTask{SpecJson: specJSON, FlowLimitBytesMin: share}}}
		sum := sha256.New()
		fmt.Fprintf(sum, "%s\n%s\n%d\n%d\n", info.TaskId, m.ID, m.Revision, share)
		sum.Write(specJSON)
		for _, id := range inScope {
			p.add(id, task, [sha256.Size]byte(sum.Sum(nil)))
		}
	}
	return p, nil
}

// add appends a task and folds its hash into the agent's.
func (p *Plans) add(agentID string, task *pharosv1.PlanTask, hash [sha256.Size]byte) {
	p.Tasks[agentID] = append(p.Tasks[agentID], task)
	before := p.Hashes[agentID]
	p.Hashes[agentID] = sha256.Sum256(append(before[:], hash[:]...))
}

// seriesLabels are the labels an agent's series carry (spec 05 §3.1).
func seriesLabels(agentID string, host enroll.Host) map[string]string {
	labels := map[string]string{"agent": agentID, "host": host.Hostname, "instance": host.Hostname, "ip": host.IP}
	for _, name := range []string{"az", "cell", "unit", "env", "version"} {
		labels[name] = host.Labels[name]
	}
	for name, value := range labels {
		if value == "" {
			delete(labels, name)
		}
	}
	return labels
}

// nextRevision is greater than before and, by the clock, than those of a
// database that was lost.
func nextRevision(before uint64, now time.Time) uint64 {
	return max(before+1, uint64(max(0, now.UnixMilli())))
}
