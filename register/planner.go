package register

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
	"google.golang.org/protobuf/proto"
)

// expectedFor is how long an agent that is away is still waited for.
const expectedFor = 24 * time.Hour

// planRow keeps an agent's plan revision and vessel.
type planRow struct {
	bun.BaseModel `bun:"table:register_agents"`
	AgentID       string `bun:",pk"`
	Revision      uint64 `bun:",notnull"`
	// Hash of the tasks of that revision.
	Hash []byte `bun:",notnull"`
	// Vessel is the id of the vessel last assigned.
	Vessel string `bun:",notnull"`
}

// load brings back what outlives a restart.
func (r *Register) load(ctx context.Context) error {
	if err := enroll.Migrate(ctx, r.opts.DB); err != nil {
		return err
	}
	if err := meta.Migrate(ctx, r.opts.DB, "register", []meta.Migration{meta.CreateTables("plan revisions", (*planRow)(nil))}); err != nil {
		return err
	}
	var rows []planRow
	if err := r.opts.DB.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return fmt.Errorf("cannot load plan revisions: %w", err)
	}
	stored, err := enroll.ListAgents(ctx, r.opts.DB)
	if err != nil {
		return err
	}
	members, err := enroll.ListServers(ctx, r.opts.DB)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = time.Now()
	r.takeOverServers(members)
	for _, s := range stored {
		r.agents[s.ID] = &agent{stored: s, lastSeen: time.UnixMilli(s.LastSeenMs)}
	}
	for _, row := range rows {
		if a := r.agents[row.AgentID]; a != nil && len(row.Hash) == sha256.Size {
			a.revision, a.hash, a.vessel = row.Revision, [sha256.Size]byte(row.Hash), row.Vessel
		}
	}
	return nil
}

// reload reads monitors and members, compiles, and tells those for whom something changed.
func (r *Register) reload(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	monitors, err := r.monitors(ctx)
	if err != nil {
		return err
	}
	listed := time.Now()
	stored, err := enroll.ListAgents(ctx, r.opts.DB)
	if err != nil {
		return err
	}
	members, err := enroll.ListServers(ctx, r.opts.DB)
	if err != nil {
		return err
	}
	targets := r.takeOver(listed, stored, members)
	plans, err := Compile(monitors, targets, r.opts.HostInterval)
	if err != nil {
		return err
	}
	if err := r.revise(ctx, plans); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plans = plans
	for _, a := range r.agents {
		r.offerPlan(a)
	}
	r.publish()
	return nil
}

// monitors reads the log monitors that can be used; what is wrong with others is logged once.
func (r *Register) monitors(ctx context.Context) ([]Monitor, error) {
	objects, err := r.opts.Resources.List(ctx, resource.KindLogMonitor, "")
	if err != nil {
		return nil, fmt.Errorf("cannot list log monitors: %w", err)
	}
	policies, err := r.policies(ctx)
	if err != nil {
		return nil, err
	}
	problems := map[string]string{}
	var monitors []Monitor
	for _, o := range objects {
		m, err := MonitorOf(o)
		if err != nil {
			problems[o.Metadata.ID] = err.Error()
			if r.problems[o.Metadata.ID] != err.Error() {
				r.log.Error("a log monitor is left out of all plans", "id", o.Metadata.ID, "err", err)
			}
			continue
		}
		if of := policies[m.Workspace]; len(of) > 0 {
			m.Spec.Masking = m.Spec.Masking.Under(of)
		}
		monitors = append(monitors, m)
	}
	r.problems = problems
	return monitors, nil
}

// policies reads what must not leave hosts, by workspace, in the order of names.
func (r *Register) policies(ctx context.Context) (map[string][]logrule.MaskingPolicy, error) {
	objects, err := r.opts.Resources.List(ctx, resource.KindMasking, "")
	if err != nil {
		return nil, fmt.Errorf("cannot list masking policies: %w", err)
	}
	slices.SortFunc(objects, func(a, b resource.Object) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	out := map[string][]logrule.MaskingPolicy{}
	for _, o := range objects {
		policy, err := resource.SpecOf[logrule.MaskingPolicy](o)
		if err != nil {
			return nil, err // rather no new plan than one that lets through what it must not
		}
		out[o.Metadata.Workspace] = append(out[o.Metadata.Workspace], policy)
	}
	return out, nil
}

// takeOver brings the view up to date with the database, as it was at listed,
// and returns the agents to plan for.
func (r *Register) takeOver(listed time.Time, stored []enroll.Agent, members []enroll.Server) []Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opts.Now()
	known := make(map[string]bool, len(stored))
	targets := make([]Target, 0, len(stored))
	for _, s := range stored {
		known[s.ID] = true
		a := r.agents[s.ID]
		if a == nil {
			a = &agent{}
			r.agents[s.ID] = a
		}
		a.stored = s
		if seen := time.UnixMilli(s.LastSeenMs); seen.After(a.lastSeen) {
			a.lastSeen = seen
		}
		targets = append(targets, Target{ID: s.ID, Host: s.Host, Expected: a.session != nil || now.Sub(a.lastSeen) < expectedFor})
	}
	for id, a := range r.agents {
		if known[id] {
			continue
		}
		// An agent that joined after the list was read is in the next one.
		if a.session != nil && a.session.admitted.After(listed) {
			continue
		}
		if a.session != nil {
			a.session.end(errForgotten)
		}
		delete(r.agents, id)
	}
	r.takeOverServers(members)
	return targets
}

// revise gives a new revision to each plan that differs from the agent's last one, durably.
func (r *Register) revise(ctx context.Context, plans Plans) error {
	now := r.opts.Now()
	var rows []planRow
	r.mu.Lock()
	for id, hash := range plans.Hashes {
		a := r.agents[id]
		if a == nil || a.revision != 0 && a.hash == hash && !a.ahead {
			continue
		}
		revision := nextRevision(max(a.revision, a.claimed), now)
		rows = append(rows, planRow{AgentID: id, Revision: revision, Hash: hash[:], Vessel: a.vessel})
	}
	r.mu.Unlock()
	if err := r.storeRows(ctx, rows); err != nil {
		return fmt.Errorf("cannot store plan revisions: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range rows {
		if a := r.agents[row.AgentID]; a != nil {
			a.revision, a.hash, a.ahead, a.plan = row.Revision, [sha256.Size]byte(row.Hash), false, nil
		}
	}
	for id, tasks := range plans.Tasks {
		if a := r.agents[id]; a != nil && a.plan == nil {
			a.plan = &pharosv1.Plan{Revision: a.revision, Tasks: tasks}
		}
	}
	return nil
}

func (r *Register) storeRows(ctx context.Context, rows []planRow) error {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b planRow) int { return strings.Compare(a.AgentID, b.AgentID) })
	return r.opts.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for part := range slices.Chunk(rows, 200) {
			if _, err := tx.NewInsert().Model(&part).On("CONFLICT (agent_id) DO UPDATE").Set("revision = EXCLUDED.revision").
				Set("hash = EXCLUDED.hash").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// storeVessels remembers vessels by agent id, so that agents stay with them when register restarts.
func (r *Register) storeVessels(ctx context.Context, vessels map[string]string) error {
	if len(vessels) == 0 {
		return nil
	}
	return r.opts.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for id, vessel := range vessels {
			if _, err := tx.NewUpdate().Model((*planRow)(nil)).Set("vessel = ?", vessel).Where("agent_id = ?", id).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// offerPlan sends an agent its plan if it is connected and has another. r.mu is held.
func (r *Register) offerPlan(a *agent) {
	if a.session == nil || a.plan == nil {
		return
	}
	if a.session.revision != a.plan.GetRevision() {
		a.session.revision = a.plan.GetRevision()
		a.session.out.setPlan(a.plan)
	}
}

// publish makes a new cluster state if anything in it changed. r.mu is held.
func (r *Register) publish() {
	next := &pharosv1.ClusterState{Revision: r.state.GetRevision(), Monitors: r.plans.Monitors, Computes: r.computes()}
	for id, a := range r.agents {
		next.Agents = append(next.Agents, &pharosv1.AgentInfo{AgentId: id, Host: a.stored.Host.Proto(), Labels: seriesLabels(id, a.stored.Host)})
	}
	slices.SortFunc(next.Agents, func(a, b *pharosv1.AgentInfo) int { return strings.Compare(a.GetAgentId(), b.GetAgentId()) })
	if r.state.GetRevision() != 0 && proto.Equal(next, r.state) {
		return
	}
	next.Revision = nextRevision(r.state.GetRevision(), r.opts.Now())
	r.state = next
	close(r.newState)
	r.newState = make(chan struct{})
}
