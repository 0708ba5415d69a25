package register

import (
	"sync"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// maxQueued messages wait for an agent at most; beyond that it doesn't read.
const maxQueued = 1000

// outbox holds what is to be sent to an agent. Of plans and assignments only
// the newest is kept. Nobody waits to put something in.
type outbox struct {
	ready chan struct{} // holds one when there is something to take

	mu     sync.Mutex
	queue  []*pharosv1.AgentSessionResponse
	plan   *pharosv1.Plan
	vessel *pharosv1.VesselAssignment
	full   bool
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

func (o *outbox) push(m *pharosv1.AgentSessionResponse) {
	o.mu.Lock()
	if len(o.queue) < maxQueued {
		o.queue = append(o.queue, m)
	} else {
		o.full = true
	}
	o.mu.Unlock()
	ask(o.ready)
}

func (o *outbox) setPlan(p *pharosv1.Plan) {
	o.mu.Lock()
	o.plan = p
	o.mu.Unlock()
	ask(o.ready)
}

func (o *outbox) setVessel(v *pharosv1.VesselAssignment) {
	o.mu.Lock()
	o.vessel = v
	o.mu.Unlock()
	ask(o.ready)
}

// take returns all that waits, the queue first; full when something did not fit.
func (o *outbox) take() (due []*pharosv1.AgentSessionResponse, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	due, o.queue = o.queue, nil
	if o.plan != nil {
		due = append(due, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Plan{Plan: o.plan}})
		o.plan = nil
	}
	if o.vessel != nil {
		due = append(due, &pharosv1.AgentSessionResponse{Message: &pharosv1.AgentSessionResponse_Vessel{Vessel: o.vessel}})
		o.vessel = nil
	}
	return due, o.full
}
