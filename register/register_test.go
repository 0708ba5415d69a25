package register

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

const (
	roleVessel  = pharosv1.ServerRole_SERVER_ROLE_VESSEL
	roleCompute = pharosv1.ServerRole_SERVER_ROLE_COMPUTE
)

func mustCode(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.Contains(fmt.Sprint(err), text) {
		t.Fatalf("got %v, want %s with %q", err, want, text)
	}
}

// agentState waits until register's view of an agent fits.
func (w *world) agentState(id, what string, fits func(*pharosv1.AgentState) bool) *pharosv1.AgentState {
	w.t.Helper()
	var got *pharosv1.AgentState
	eventually(w.t, what, func() bool {
		resp, err := w.client().ListAgents(context.Background(), &pharosv1.ListAgentsRequest{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, a := range resp.GetAgents() {
			if a.GetAgentId() == id && fits(a) {
				got = a
			}
		}
		return got != nil
	})
	return got
}

func TestAdmission(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.connect(hello("a1", "", ""), 0)
	mustCode(t, err, codes.Unauthenticated, "neither credential nor join token")
	_, err = w.connect(hello("a1", "", "pj1.0123456789012345678901234567890123."), 0)
	mustCode(t, err, codes.Unauthenticated, "not known")
	soon := w.joinToken(time.Now().Add(time.Second))
	eventually(t, "expiry", func() bool {
		a, err := w.connect(hello("late", "", soon), 0)
		if err == nil {
			a.leave()
			return false
		}
		mustCode(t, err, codes.Unauthenticated, "")
		return strings.Contains(err.Error(), "has expired") || strings.Contains(err.Error(), "already has a credential")
	})

	a := w.join("a1")
	if a.credential == "" {
		t.Fatal("no credential")
	}
	b := a.again()
	<-a.done // the newer session took over
	mustCode(t, a.err, codes.Aborted, "took over")
	if b.credential != a.credential {
		t.Fatal("a known agent got another credential")
	}
	_, err = w.connect(hello("a1", "pa1.wrong", ""), 0)
	mustCode(t, err, codes.Unauthenticated, "another credential")
	w.agentState("a1", "agent a1", func(s *pharosv1.AgentState) bool { return s.GetConnected() })
}

func TestFirstMessageMustBeHello(t *testing.T) {
	w := newWorld(t, nil)
	stream, err := pharosv1.NewRegisterServiceClient(w.conn).AgentSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pharosv1.AgentSessionRequest{Message: &pharosv1.AgentSessionRequest_Heartbeat{}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	mustCode(t, err, codes.InvalidArgument, "hello")
}

func TestGuessingTokensIsSlowedDown(t *testing.T) {
	w := newWorld(t, nil)
	known := w.join("known")
	for range maxFailures {
		_, err := w.connect(hello("x", "", "pj1.0123456789012345678901234567890123."), 0)
		mustCode(t, err, codes.Unauthenticated, "")
	}
	_, err := w.connect(hello("x", "", w.joinToken(time.Time{})), 0)
	mustCode(t, err, codes.ResourceExhausted, "too many")
	known.again() // agents behind the same address go on
}

func TestPlanFollowsMonitors(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.join("a"), w.join("b")
	first := a.plan(1)
	if first.GetTasks()[0].GetHost().GetIntervalMs() != 10_000 {
		t.Fatal(first)
	}
	b.plan(1)
	w.define(map[string]logrule.Spec{"m1": spec(nil), "m2": spec(func(s *logrule.Spec) { s.Scope.Instances = []string{"host-b"} })})
	got := b.plan(3)
	if a.plan(2).GetTasks()[1].GetMonitorId() != "m1" || got.GetTasks()[2].GetMonitorId() != "m2" {
		t.Fatal(got)
	}
	// A monitor that concerns b alone is nothing to a.
	before := len(a.plans)
	w.define(map[string]logrule.Spec{"m1": spec(nil), "m3": spec(func(s *logrule.Spec) { s.Scope.Instances = []string{"host-b"} }),
		"bad": {Title: "not valid"}})
	eventually(t, "plan of b with m3", func() bool { return b.plan(3).GetTasks()[2].GetMonitorId() == "m3" })
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.plans) != before {
		t.Fatalf("a got %d plans for changes that don't concern it", len(a.plans)-before)
	}
}

func TestPlanRevisionsOutliveRegister(t *testing.T) {
	w := newWorld(t, nil)
	w.define(map[string]logrule.Spec{"m1": spec(nil)})
	a := w.join("a")
	old := a.plan(2)
	w.stop()
	w.start()
	a = a.again() // fakeAgent fails on a revision that doesn't grow
	v := w.server(roleVessel, "v1")
	v.state(t, "state with the agent", func(s *pharosv1.ClusterState) bool { return len(s.GetAgents()) == 1 })
	w.agentState("a", "the wanted revision", func(s *pharosv1.AgentState) bool { return s.GetWantedPlanRevision() == old.GetRevision() })
	a.mu.Lock()
	n := len(a.plans)
	a.mu.Unlock()
	if n != 0 {
		t.Fatal("an unchanged plan was sent again")
	}
	w.define(map[string]logrule.Spec{})
	if got := a.plan(1); got.GetRevision() <= old.GetRevision() {
		t.Fatalf("revision %d after %d", got.GetRevision(), old.GetRevision())
	}
	// An agent that is ahead, as after a restored backup, gets a greater one too.
	a.leave()
	a.hello.PlanRevision, a.plans = uint64(time.Now().Add(time.Hour).UnixMilli()), nil
	ahead := a.again()
	if got := ahead.plan(1); got.GetRevision() <= a.hello.GetPlanRevision() {
		t.Fatal(got.GetRevision())
	}
}

func TestClockSkewIsAStateOfItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	tok := w.joinToken(time.Time{})
	if _, err := w.connect(hello("fast", "", tok), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := w.connect(hello("right", "", tok), -time.Second); err != nil {
		t.Fatal(err)
	}
	s := w.agentState("fast", "clock skew", func(s *pharosv1.AgentState) bool {
		return s.GetHealth() == pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW
	})
	if ms := s.GetClockOffsetMs(); ms < 4500 || ms > 5500 || !strings.Contains(s.GetReason(), "ahead") {
		t.Fatal(s)
	}
	w.agentState("right", "a measured clock", func(s *pharosv1.AgentState) bool {
		return s.GetHealth() == pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY && s.GetClockOffsetMs() < -500
	})
}

func TestSilentAgentTurnsAbnormal(t *testing.T) {
	var mu sync.Mutex
	var ahead time.Duration
	w := newWorld(t, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	})
	a := w.join("a")
	a.beat(&pharosv1.AgentHeartbeat{Problems: []string{"disk is full"}})
	w.agentState("a", "the problem", func(s *pharosv1.AgentState) bool {
		return s.GetHealth() == pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL && s.GetReason() == "disk is full" && s.GetHeartbeat() != nil
	})
	a.leave()
	mu.Lock()
	ahead = 2 * time.Minute
	mu.Unlock()
	w.agentState("a", "loss", func(s *pharosv1.AgentState) bool {
		return s.GetHealth() == pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL && strings.Contains(s.GetReason(), "not heard of for 2m") && !s.GetConnected()
	})
}

func TestForgottenAgentIsCutOff(t *testing.T) {
	w := newWorld(t, nil)
	a := w.join("a")
	v := w.server(roleVessel, "v1")
	v.state(t, "the agent", func(s *pharosv1.ClusterState) bool { return len(s.GetAgents()) == 1 })
	if err := enroll.ForgetAgent(t.Context(), w.db, "a"); err != nil {
		t.Fatal(err)
	}
	<-a.done
	mustCode(t, a.err, codes.Unauthenticated, "removed")
	v.state(t, "no agent", func(s *pharosv1.ClusterState) bool { return len(s.GetAgents()) == 0 })
	_, err := w.connect(hello("a", a.credential, ""), 0)
	mustCode(t, err, codes.Unauthenticated, "was removed")
}

func TestClusterStateForServers(t *testing.T) {
	w := newWorld(t, nil)
	c1 := w.server(roleCompute, "c1")
	c1.state(t, "itself", func(s *pharosv1.ClusterState) bool { return len(s.GetComputes()) == 1 && s.GetComputes()[0].GetLive() })
	w.join("a")
	off := spec(func(s *logrule.Spec) { s.Disabled = true })
	w.define(map[string]logrule.Spec{"m1": spec(nil), "m2": off})
	got := c1.state(t, "monitors and agents", func(s *pharosv1.ClusterState) bool { return len(s.GetMonitors()) == 2 && len(s.GetAgents()) == 1 })
	if m := got.GetMonitors()[0]; m.GetKey() != "key_m1" || m.GetWorkspace() != "ws" || len(m.GetAgentIds()) != 1 || m.GetTaskId() == "" {
		t.Fatal(m)
	}
	if len(got.GetMonitors()[1].GetAgentIds()) != 0 {
		t.Fatal("a disabled monitor expects agents")
	}
	if l := got.GetAgents()[0].GetLabels(); l["host"] != "host-a" || l["instance"] != "host-a" || l["az"] != "az1" || l["agent"] != "a" || l["ip"] != "10.0.0.9" {
		t.Fatal(l)
	}
	// A compute that is away keeps its place, also for a register that never saw it.
	w.server(roleCompute, "c2")
	c1.state(t, "c2", func(s *pharosv1.ClusterState) bool {
		return len(s.GetComputes()) == 2 && s.GetComputes()[1].GetMemberFromMs() > time.Now().UnixMilli()
	})
	c1.leave()
	w.stop()
	w.start()
	v := w.server(roleVessel, "v1")
	v.state(t, "c1 away", func(s *pharosv1.ClusterState) bool {
		return len(s.GetComputes()) == 2 && s.GetComputes()[0].GetServerId() == "c1" && !s.GetComputes()[0].GetLive() &&
			s.GetComputes()[0].GetAddress() == "c1:1" && s.GetComputes()[0].GetMemberFromMs() == 0
	})
	eventually(t, "load", func() bool {
		resp, err := w.client().ListServers(t.Context(), &pharosv1.ListServersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range resp.GetServers() {
			if s.GetServerId() == "v1" && s.GetLive() && s.GetLoad().GetSessions() == 7 {
				return len(resp.GetServers()) == 3
			}
		}
		return false
	})
}

func TestVesselLossMovesAgents(t *testing.T) {
	w := newWorld(t, nil)
	vessels := map[string]*fakeServer{"v1:1": w.server(roleVessel, "v1"), "v2:1": w.server(roleVessel, "v2")}
	var agents []*fakeAgent
	for i := range 6 {
		agents = append(agents, w.join(fmt.Sprintf("a%d", i)))
	}
	for _, a := range agents {
		eventually(t, "vessel", func() bool { return a.vessel() != "" })
	}
	lost := agents[0].vessel()
	vessels[lost].leave()
	delete(vessels, lost)
	for _, a := range agents {
		eventually(t, "another vessel", func() bool { return vessels[a.vessel()] != nil })
	}
	// A new vessel takes its share of sessions.
	w.server(roleVessel, "v3")
	eventually(t, "a share for the new vessel", func() bool {
		n := 0
		for _, a := range agents {
			if a.vessel() == "v3:1" {
				n++
			}
		}
		return n == 3
	})
}

func TestAgentsStayWithTheirVesselWhenRegisterRestarts(t *testing.T) {
	w := newWorld(t, nil)
	v1 := w.server(roleVessel, "v1")
	v1.state(t, "state", func(*pharosv1.ClusterState) bool { return true })
	a := w.join("a")
	a.plan(1)
	eventually(t, "vessel", func() bool { return a.vessel() == "v1:1" })
	// The plan's row is what the vessel is kept in.
	eventually(t, "stored vessel", func() bool {
		row := planRow{AgentID: "a"}
		return w.db.NewSelect().Model(&row).WherePK().Scan(t.Context()) == nil && row.Vessel == "v1"
	})
	w.stop()
	v1.leave()
	w.start()
	w.server(roleVessel, "v0") // comes first, but v1 is expected back
	a = a.again()
	w.server(roleVessel, "v1")
	eventually(t, "vessel", func() bool { return a.vessel() != "" })
	if got := a.vessel(); got != "v1:1" {
		t.Fatalf("the agent was moved to %s", got)
	}
}

func TestVesselTokenIsRenewed(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.VesselToken = 500 * time.Millisecond })
	w.server(roleVessel, "v1")
	a := w.join("a")
	eventually(t, "new tokens", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.vessels) >= 3 && a.vessels[0].GetToken() != a.vessels[2].GetToken()
	})
}

// TestMaskingPolicyIsInEveryPlan: agents mask what the workspace says, whatever
// a monitor says, as soon as a policy is there and until it is gone.
func TestMaskingPolicyIsInEveryPlan(t *testing.T) {
	w := newWorld(t, nil)
	a := w.join("a")
	monitors := map[string]logrule.Spec{"m1": spec(nil)}
	masking := func() logrule.Masking {
		var s logrule.Spec
		if tasks := a.plan(2).GetTasks(); len(tasks) == 2 {
			if err := json.Unmarshal(tasks[1].GetLog().GetSpecJson(), &s); err != nil {
				t.Fatal(err)
			}
		}
		return s.Masking
	}
	policy := func(workspace string) resource.Object {
		return resource.Object{Metadata: resource.Metadata{Name: "p", Workspace: workspace}, Spec: json.RawMessage(`{"title":"P","replace":[{"pattern":"secret","with":"*"}]}`)}
	}
	w.set(func() { w.masking = []resource.Object{policy("another")} })
	w.define(monitors)
	eventually(t, "plan without a policy", func() bool { m := masking(); return !m.Enforced && len(m.Replace) == 0 })
	w.set(func() { w.masking = append(w.masking, policy("ws")) })
	w.define(monitors)
	eventually(t, "plan with the policy", func() bool {
		m := masking()
		return m.Enforced && len(m.Replace) == 1 && m.Replace[0].Pattern == "secret"
	})
	w.set(func() { w.masking = nil })
	w.define(monitors)
	eventually(t, "plan without the policy", func() bool { return !masking().Enforced })
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}
