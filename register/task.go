package register

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error codes of the last event of a task that register ended.
const (
	codeAgentOffline = "agent_offline"  // not connected, or it left meanwhile
	codeAgentUnknown = "agent_unknown"  // no such agent
	codeAgentTimeout = "agent_timeout"  // no answer in time
	codeTooManyTasks = "too_many_tasks" // the agent has maxTasks under way
	codeTooSlow      = "reader_too_slow"
)

const (
	// maxTasks may be under way on one agent.
	maxTasks = 16
	// eventBuffer events of a task may wait for the caller.
	eventBuffer = 256
	// defaultTaskTimeout holds for tasks that end by themselves.
	defaultTaskTimeout = 30 * time.Second
)

var taskNumber atomic.Uint64

// RunTask relays a task. What goes wrong with the agent comes as a last event
// with an error code; the call itself fails only for a bad request.
func (r *Register) RunTask(req *pharosv1.RunTaskRequest, stream pharosv1.RegisterService_RunTaskServer) error {
	ctx := stream.Context()
	if err := r.waitReady(ctx); err != nil {
		return err
	}
	if req.GetTask().GetKind() == nil {
		return status.Error(codes.InvalidArgument, "the request has no task")
	}
	s, agentID, failed := r.taskAgent(req)
	send := func(e *pharosv1.TaskEvent) error {
		return stream.Send(&pharosv1.RunTaskResponse{Event: e, AgentId: agentID})
	}
	if failed != nil {
		return send(failed)
	}
	id := "task_" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "_" + strconv.FormatUint(taskNumber.Add(1), 36)
	relay, code, why := s.tasks.open(id)
	if relay == nil {
		return send(failedEvent(id, code, "agent %s: %s", agentID, why))
	}
	defer s.tasks.forget(id)
	timeout := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if timeout <= 0 && req.GetTask().GetTail() == nil {
		timeout = defaultTaskTimeout
	}
	s.out.push(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Task{
		Task: &pharosv1.TaskRequest{RequestId: id, Task: req.GetTask(), TimeoutMs: timeout.Milliseconds()}}})
	cancelTask := func() {
		s.out.push(&pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_TaskCancel{
			TaskCancel: &pharosv1.TaskCancel{RequestId: id}}})
	}
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout + r.opts.TaskGrace)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case e := <-relay.events:
			if err := send(e); err != nil {
				cancelTask()
				return err
			}
			if e.GetDone() {
				return nil
			}
		case <-relay.gone:
			// What came before the end is still worth sending.
			for {
				select {
				case e := <-relay.events:
					if err := send(e); err != nil || e.GetDone() {
						return err
					}
					continue
				default:
				}
				break
			}
			code, why := relay.reason()
			return send(failedEvent(id, code, "agent %s: %s", agentID, why))
		case <-late:
			cancelTask()
			return send(failedEvent(id, codeAgentTimeout, "agent %s did not answer within %s", agentID, timeout))
		case <-ctx.Done():
			cancelTask()
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// taskAgent finds the session to run a task, or says what is wrong.
func (r *Register) taskAgent(req *pharosv1.RunTaskRequest) (*agentSession, string, *pharosv1.TaskEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.opts.Now()
	if id := req.GetAgentId(); id != "" {
		a := r.agents[id]
		switch {
		case a == nil:
			return nil, id, failedEvent("", codeAgentUnknown, "there is no agent %s", id)
		case a.session == nil:
			return nil, id, failedEvent("", codeAgentOffline, "agent %s on host %s is not connected; last heard of at %s", id, a.stored.Host.Hostname, a.lastSeen.UTC().Format(time.RFC3339))
		}
		return a.session, id, nil
	}
	// The first by id, so that a person who descends into directories stays on one
	// host. One that complains, such as of another monitor's file, will do where
	// none is well.
	var well, connected []string
	for id, a := range r.agents {
		if a.session == nil || !logrule.RunsApp(a.stored.Host.Labels, req.GetApp()) {
			continue
		}
		if h, _ := a.condition(now).health(); h == pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY || h == pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW {
			well = append(well, id)
		}
		connected = append(connected, id)
	}
	if len(well) == 0 {
		well = connected
	}
	if len(well) == 0 {
		return nil, "", failedEvent("", codeAgentOffline, "no agent of app %q is connected", req.GetApp())
	}
	id := slices.MinFunc(well, strings.Compare)
	return r.agents[id].session, id, nil
}

func failedEvent(requestID, code, format string, args ...any) *pharosv1.TaskEvent {
	return &pharosv1.TaskEvent{RequestId: requestID, Done: true, ErrorCode: code, Error: fmt.Sprintf(format, args...)}
}

// relays are the tasks under way on one agent.
type relays struct {
	mu     sync.Mutex
	under  map[string]*relay
	closed bool
}

// relay carries the events of one task from the agent's session to the caller.
type relay struct {
	events chan *pharosv1.TaskEvent
	gone   chan struct{} // closed when no more events can come
	code   string
	why    string
}

// reason says why gone was closed.
func (r *relay) reason() (code, why string) { return r.code, r.why }

func (rs *relays) open(id string) (r *relay, code, why string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed {
		return nil, codeAgentOffline, "it has just left"
	}
	if len(rs.under) >= maxTasks {
		return nil, codeTooManyTasks, fmt.Sprintf("%d tasks are under way; end some", maxTasks)
	}
	if rs.under == nil {
		rs.under = map[string]*relay{}
	}
	r = &relay{events: make(chan *pharosv1.TaskEvent, eventBuffer), gone: make(chan struct{})}
	rs.under[id] = r
	return r, "", ""
}

// deliver hands an event over; false when nobody wants it any more, so that
// the agent should stop.
func (rs *relays) deliver(e *pharosv1.TaskEvent) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.under[e.GetRequestId()]
	if r == nil {
		return e.GetDone()
	}
	select {
	case r.events <- e:
		return true
	default:
		rs.close(e.GetRequestId(), codeTooSlow, "its answer comes faster than it is read")
		return false
	}
}

func (rs *relays) close(id, code, why string) {
	r := rs.under[id]
	r.code, r.why = code, why
	delete(rs.under, id)
	close(r.gone)
}

func (rs *relays) forget(id string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.under, id)
}

// closeAll ends all relays since the agent has left.
func (rs *relays) closeAll() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.closed = true
	for id := range rs.under {
		rs.close(id, codeAgentOffline, "it has left")
	}
}
