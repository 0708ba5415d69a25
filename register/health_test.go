package register

import (
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func TestHealth(t *testing.T) {
	bad := &pharosv1.AgentHeartbeat{Tasks: []*pharosv1.TaskStatus{{TaskId: "t1"}, {TaskId: "t2", Error: "cannot read /x"}}}
	for _, c := range []struct {
		name   string
		c      condition
		want   pharosv1.AgentHealth
		reason string
	}{
		{"new", condition{}, pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY, ""},
		{"30 s", condition{silent: 30 * time.Second}, pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY, ""},
		{"31 s", condition{silent: 31 * time.Second}, pharosv1.AgentHealth_AGENT_HEALTH_UNSPECIFIED, "not heard of for 31s"},
		{"91 s", condition{silent: 91 * time.Second}, pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, "not heard of for 1m31s"},
		{"lost beats skew", condition{silent: 91 * time.Second, offset: time.Hour, measured: true}, pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, "not heard of for 1m31s"},
		{"3 s", condition{offset: 3 * time.Second, measured: true}, pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY, ""},
		{"ahead", condition{offset: 3100 * time.Millisecond, measured: true}, pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW, "its clock is 3.1s ahead of the server's"},
		{"behind", condition{offset: -4 * time.Second, measured: true, heartbeat: bad}, pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW,
			"its clock is 4s behind the server's; task t2: cannot read /x"},
		{"task", condition{heartbeat: bad}, pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, "task t2: cannot read /x"},
		{"problem", condition{heartbeat: &pharosv1.AgentHeartbeat{Problems: []string{"disk is full"}}}, pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL, "disk is full"},
	} {
		if got, reason := c.c.health(); got != c.want || reason != c.reason {
			t.Errorf("%s: %s %q, want %s %q", c.name, got, reason, c.want, c.reason)
		}
	}
}

// Of several probes the one with the shortest round trip tells the offset best.
func TestClockTakesShortestRoundTrip(t *testing.T) {
	var c clock
	now := time.UnixMilli(1_800_000_000_000)
	if _, ok := c.offset(); ok {
		t.Fatal("an offset without a probe")
	}
	ask := func(there, back, offset time.Duration) {
		stamp := c.probe(now)
		agent := now.Add(there).Add(offset)
		now = now.Add(there + back)
		c.echo(&pharosv1.ClockEcho{ServerMs: stamp, AgentMs: agent.UnixMilli()}, now)
	}
	ask(time.Second, 0, 5*time.Second) // a lopsided way: reads 500 ms too much
	ask(10*time.Millisecond, 10*time.Millisecond, 5*time.Second)
	ask(0, 2*time.Second, 5*time.Second)
	if got, _ := c.offset(); got != 5*time.Second {
		t.Fatal(got)
	}
	// Answers nobody asked for, and second ones, count for nothing.
	c.echo(&pharosv1.ClockEcho{ServerMs: now.UnixMilli(), AgentMs: 1}, now)
	if got, _ := c.offset(); got != 5*time.Second {
		t.Fatal(got)
	}
	// A clock that was set right is seen as right after a few probes.
	for range clockSamples {
		ask(20*time.Millisecond, 20*time.Millisecond, 0)
	}
	if got, _ := c.offset(); got != 0 {
		t.Fatal(got)
	}
}

func TestFailuresBlockForAMinute(t *testing.T) {
	var f failures
	now := time.UnixMilli(1_800_000_000_000)
	for range maxFailures {
		if f.blocked("a", now) {
			t.Fatal("blocked too early")
		}
		f.add("a", now)
	}
	if !f.blocked("a", now.Add(59*time.Second)) || f.blocked("b", now) || f.blocked("a", now.Add(time.Minute)) {
		t.Fatal("blocked the wrong ones")
	}
}
