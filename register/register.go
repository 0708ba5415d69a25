// Package register knows every agent, vessel and compute of an installation.
// It admits agents, measures their clocks and judges their health, compiles
// what each of them collects, assigns them to vessels, tells vessels and
// computes about the cluster, and relays tasks to agents.
//
// It promises: a change of monitors or agents reaches the agents and servers
// concerned within about a second, and nobody is told the same twice; plan
// revisions of an agent only grow, also across restarts; an agent whose vessel
// is lost has another within five seconds; agents stay where they are unless a
// vessel is lost or clearly busier than another.
//
// Everything here is soft but what lies in the metadata database: the agents,
// the join tokens, the servers, each agent's plan revision and vessel.
package register

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"github.com/uptrace/bun"
	"google.golang.org/grpc"
)

// Resources lists what people defined; *resource.Store is one. Its changes are
// announced under resource.Topic.
type Resources interface {
	List(ctx context.Context, kind, workspace string) ([]resource.Object, error)
}

// Options of a Register. DB, Resources and ClusterKey are required.
type Options struct {
	DB        *bun.DB
	Resources Resources
	// ClusterKey signs the tokens that admit agents to vessels.
	ClusterKey rpc.ClusterKey
	Logger     *slog.Logger // default: discard
	// Now is the clock that agents' clocks are compared with. Default time.Now.
	Now func() time.Time
	// AgentHeartbeat is how often agents report. Default 10 s.
	AgentHeartbeat time.Duration
	// HostInterval is how often agents sample their host. Default 10 s.
	HostInterval time.Duration
	// VesselToken is how long a token admits an agent to vessels; it is renewed
	// at half of it. It bounds how long agents deliver while register is away. Default 24 h.
	VesselToken time.Duration
	// VesselLinger is how long a vessel may be away before its agents move. Default 2 s.
	VesselLinger time.Duration
	// Rebalance is how often some agents may move from the busiest to the idlest vessel. Default 5 s.
	Rebalance time.Duration
	// ClockProbe is how often a connected agent's clock is compared. Default 10 s.
	ClockProbe time.Duration
	// TaskGrace is what an agent has to report a task's timeout itself, which
	// says more than register could. Default 2 s.
	TaskGrace time.Duration
}

// Register is the server side of RegisterService.
type Register struct {
	pharosv1.UnimplementedRegisterServiceServer
	opts     Options
	log      *slog.Logger
	failures failures

	ready    chan struct{} // closed when the stored state is loaded
	replan   chan struct{} // asks for a compilation
	reassign chan struct{} // asks for vessel assignments
	pumps    sync.WaitGroup

	reloading sync.Mutex        // held by the one who compiles
	problems  map[string]string // monitors that can't be used, by id; guarded by reloading

	stopping context.Context // ends all sessions
	stop     context.CancelFunc

	mu       sync.Mutex
	started  time.Time
	agents   map[string]*agent
	servers  map[serverKey]*server
	plans    Plans
	state    *pharosv1.ClusterState
	newState chan struct{} // closed and replaced when state changes
}

// New returns a register that serves once Run has begun.
func New(opts Options) *Register {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&opts.AgentHeartbeat, 10 * time.Second}, {&opts.HostInterval, 10 * time.Second}, {&opts.VesselToken, 24 * time.Hour},
		{&opts.VesselLinger, 2 * time.Second}, {&opts.Rebalance, 5 * time.Second}, {&opts.ClockProbe, 10 * time.Second},
		{&opts.TaskGrace, 2 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	stopping, stop := context.WithCancel(context.Background())
	return &Register{
		opts: opts, log: opts.Logger, stopping: stopping, stop: stop,
		ready: make(chan struct{}), replan: make(chan struct{}, 1), reassign: make(chan struct{}, 1), newState: make(chan struct{}),
		agents: map[string]*agent{}, servers: map[serverKey]*server{}, problems: map[string]string{},
		state: &pharosv1.ClusterState{},
	}
}

// RegisterServices adds RegisterService to a gRPC server made with rpc.ServerOptions.
func (r *Register) RegisterServices(s grpc.ServiceRegistrar) {
	pharosv1.RegisterRegisterServiceServer(s, r)
}

// Run loads what is stored and works until ctx ends; then it ends all sessions.
// A session whose peer doesn't read ends only with the gRPC server: stop both at once.
func (r *Register) Run(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	close(r.ready)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context){r.watchChanges, r.planOnDemand, r.assignVessels, r.recordContacts} {
		wg.Go(func() { loop(ctx) })
	}
	<-ctx.Done()
	r.mu.Lock() // no session begins half
	r.stop()
	r.mu.Unlock()
	wg.Wait()
	r.pumps.Wait()
	// Last contact is worth a second more at shutdown.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancelLast()
	if err := r.touch(last); err != nil {
		r.log.Warn("cannot record last contacts", "err", err)
	}
	return ctx.Err()
}

func (r *Register) watchChanges(ctx context.Context) {
	meta.Watch(ctx, r.opts.DB, r.log, []string{resource.Topic, enroll.TopicAgents, enroll.TopicServers}, r.reload)
}

// planOnDemand compiles soon after somebody asked for it, and each minute,
// since agents that are away for a day stop being expected.
func (r *Register) planOnDemand(ctx context.Context) {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
		case <-r.replan:
			if !pause(ctx, 100*time.Millisecond) { // many agents may come at once
				return
			}
		}
		if err := r.reload(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("cannot compile plans, trying again", "err", err)
			ask(r.replan)
			pause(ctx, time.Second)
		}
	}
}

// recordContacts writes down when agents were last heard of.
func (r *Register) recordContacts(ctx context.Context) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.touch(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("cannot record last contacts", "err", err)
			}
		}
	}
}

func (r *Register) touch(ctx context.Context) error {
	seen := map[string]int64{}
	r.mu.Lock()
	for id, a := range r.agents {
		if ms := a.lastSeen.UnixMilli(); ms > a.stored.LastSeenMs {
			seen[id] = ms
			a.stored.LastSeenMs = ms
		}
	}
	r.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	return enroll.Touch(ctx, r.opts.DB, seen)
}

// waitReady waits until what is stored is loaded.
func (r *Register) waitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask puts a request into a channel of one, where one may already be waiting.
func ask(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

var errNoHello = errors.New("the first message was not a hello")
