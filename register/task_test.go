package register

import (
	"context"
	"strings"
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
)

func browse() *pharosv1.AgentTask {
	return &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Browse{Browse: &pharosv1.BrowseTask{Path: "/var/log"}}}
}

func tail() *pharosv1.AgentTask {
	return &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: &pharosv1.TailTask{Path: "/x"}}}
}

// task waits for the agent's nth task.
func (a *fakeAgent) task(n int) *pharosv1.TaskRequest {
	a.w.t.Helper()
	eventually(a.w.t, "task", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.tasks) >= n })
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tasks[n-1]
}

func (a *fakeAgent) wasCancelled(id string) {
	a.w.t.Helper()
	eventually(a.w.t, "cancel of "+id, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range a.cancels {
			if c == id {
				return true
			}
		}
		return false
	})
}

func (w *world) run(ctx context.Context, req *pharosv1.RunTaskRequest) pharosv1.RegisterService_RunTaskClient {
	w.t.Helper()
	stream, err := w.client().RunTask(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream
}

func TestTaskEventsReachTheCaller(t *testing.T) {
	w := newWorld(t, nil)
	w.join("b")
	a := w.join("a")
	a.plan(1)
	// Any healthy agent of the app: the first by id.
	stream := w.run(t.Context(), &pharosv1.RunTaskRequest{App: "default", Task: browse(), TimeoutMs: 5000})
	task := a.task(1)
	if task.GetTask().GetBrowse().GetPath() != "/var/log" || task.GetTimeoutMs() != 5000 {
		t.Fatal(task)
	}
	a.event(&pharosv1.TaskEvent{RequestId: task.GetRequestId(), Result: &pharosv1.TaskEvent_Browse{Browse: &pharosv1.BrowseResult{Path: "/var/log"}}})
	a.event(&pharosv1.TaskEvent{RequestId: task.GetRequestId(), Done: true})
	first, err := stream.Recv()
	if err != nil || first.GetAgentId() != "a" || first.GetEvent().GetBrowse().GetPath() != "/var/log" {
		t.Fatal(first, err)
	}
	if last, err := stream.Recv(); err != nil || !last.GetEvent().GetDone() || last.GetEvent().GetErrorCode() != "" {
		t.Fatal(last, err)
	}
}

func TestTaskFailures(t *testing.T) {
	w := newWorld(t, nil)
	a := w.join("a")
	a.plan(1)
	fails := func(req *pharosv1.RunTaskRequest, code, text string) {
		t.Helper()
		resp, err := w.run(t.Context(), req).Recv()
		if err != nil || !resp.GetEvent().GetDone() || resp.GetEvent().GetErrorCode() != code || !strings.Contains(resp.GetEvent().GetError(), text) {
			t.Fatalf("got %v %v, want %s %q", resp, err, code, text)
		}
	}
	fails(&pharosv1.RunTaskRequest{AgentId: "nobody", Task: browse()}, codeAgentUnknown, "nobody")
	fails(&pharosv1.RunTaskRequest{App: "shop", Task: browse()}, codeAgentOffline, `app "shop"`)
	_, err := w.run(t.Context(), &pharosv1.RunTaskRequest{AgentId: "a"}).Recv()
	mustCode(t, err, codes.InvalidArgument, "no task")

	// The caller goes away: so does the task.
	ctx, cancel := context.WithCancel(t.Context())
	w.run(ctx, &pharosv1.RunTaskRequest{AgentId: "a", Task: tail()})
	id := a.task(1).GetRequestId()
	cancel()
	a.wasCancelled(id)
	// What the agent still sends of it is answered with another cancel, and disturbs nothing.
	a.event(&pharosv1.TaskEvent{RequestId: id, Done: true})

	// The agent leaves in the middle.
	stream := w.run(t.Context(), &pharosv1.RunTaskRequest{AgentId: "a", Task: tail()})
	a.event(&pharosv1.TaskEvent{RequestId: a.task(2).GetRequestId(), Result: &pharosv1.TaskEvent_Tail{Tail: &pharosv1.TailLines{Lines: []string{"x"}}}})
	if resp, err := stream.Recv(); err != nil || resp.GetEvent().GetTail().GetLines()[0] != "x" {
		t.Fatal(resp, err)
	}
	a.leave()
	if resp, err := stream.Recv(); err != nil || resp.GetEvent().GetErrorCode() != codeAgentOffline {
		t.Fatal(resp, err)
	}
	fails(&pharosv1.RunTaskRequest{AgentId: "a", Task: browse()}, codeAgentOffline, "host-a")
}

func TestTaskTimeoutAndLimit(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.TaskGrace = time.Millisecond })
	a := w.join("a")
	a.plan(1)
	stream := w.run(t.Context(), &pharosv1.RunTaskRequest{AgentId: "a", Task: browse(), TimeoutMs: 30})
	if resp, err := stream.Recv(); err != nil || resp.GetEvent().GetErrorCode() != codeAgentTimeout {
		t.Fatal(resp, err)
	}
	a.wasCancelled(a.task(1).GetRequestId())
	for range maxTasks {
		w.run(t.Context(), &pharosv1.RunTaskRequest{AgentId: "a", Task: tail()})
	}
	a.task(1 + maxTasks)
	resp, err := w.run(t.Context(), &pharosv1.RunTaskRequest{AgentId: "a", Task: tail()}).Recv()
	if err != nil || resp.GetEvent().GetErrorCode() != codeTooManyTasks {
		t.Fatal(resp, err)
	}
}

// A caller that doesn't read must not hold up the agent's session.
func TestSlowReaderEndsItsTaskOnly(t *testing.T) {
	w := newWorld(t, nil)
	a := w.join("a")
	a.plan(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.run(ctx, &pharosv1.RunTaskRequest{AgentId: "a", Task: tail()})
	id := a.task(1).GetRequestId()
	line := strings.Repeat("x", 64<<10)
	for range 2 * eventBuffer {
		a.event(&pharosv1.TaskEvent{RequestId: id, Result: &pharosv1.TaskEvent_Tail{Tail: &pharosv1.TailLines{Lines: []string{line}}}})
	}
	a.wasCancelled(id)
	a.beat(&pharosv1.AgentHeartbeat{PlanRevision: 42})
	w.agentState("a", "heartbeat", func(s *pharosv1.AgentState) bool { return s.GetPlanRevision() == 42 })
}
