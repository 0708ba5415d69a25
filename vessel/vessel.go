// Package vessel is the gate between agents and computes. It checks agents'
// tokens, passes their revisions to the compute that owns the window, their
// watermarks to all computes, and acknowledgements back.
//
// It holds nothing that matters: what no compute has acknowledged is still at
// the agent. When the way from an agent to a compute was broken, and what was
// under way may be lost, the agent's stream is ended so that it sends again.
// It sends a compute no more than that compute granted, and lets agents send no
// more than it passes on; a stalled compute stalls agents, not the vessel's memory.
package vessel

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharos-stack/pharos/internal/ring"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc"
)

// Options of a Vessel. ID, Address, Register, Dial and ClusterKey are required.
type Options struct {
	// ID is kept across restarts and unique among vessels.
	ID string
	// Address is where agents reach this vessel.
	Address string
	Version string
	// Register is the connection to register.
	Register grpc.ClientConnInterface
	// Dial connects to a compute at an address from register.
	Dial func(address string) (*grpc.ClientConn, error)
	// ClusterKey checks agents' tokens.
	ClusterKey rpc.ClusterKey
	Logger     *slog.Logger // default: discard
	// Window is how many bytes an agent may have under way. Default one
	// message of the largest size, so that every message fits.
	Window int64
	// MaxStreams is how many agents are served at once. Default 20000.
	MaxStreams int
	// Now is the clock that tokens' expiry is compared with. Default time.Now.
	Now func() time.Time
}

// Vessel is the server side of VesselService.
type Vessel struct {
	pharosv1.UnimplementedVesselServiceServer
	opts  Options
	log   *slog.Logger
	pumps sync.WaitGroup

	revisions, bytes atomic.Uint64

	mu      sync.RWMutex
	ring    *ring.Ring
	links   map[string]*link
	streams map[string]*agentStream
	agents  map[string]bool // ids register knows; nil until it said so
	changed chan struct{}   // closed and replaced when agents or links change
	stopped sync.WaitGroup  // links
	run     context.Context // of links and streams, set by Run
}

// New returns a vessel that takes in data once Run has begun and register has
// told it of computes.
func New(opts Options) *Vessel {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Window <= 0 {
		opts.Window = rpc.MaxMessage + rpc.HeaderCredit
	}
	if opts.MaxStreams <= 0 {
		opts.MaxStreams = 20_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Vessel{opts: opts, log: opts.Logger, ring: ring.New(nil), links: map[string]*link{}, streams: map[string]*agentStream{},
		changed: make(chan struct{})}
}

// RegisterServices adds VesselService to a gRPC server made with rpc.ServerOptions.
func (v *Vessel) RegisterServices(s grpc.ServiceRegistrar) {
	pharosv1.RegisterVesselServiceServer(s, v)
}

// Run keeps the vessel known to register and connected to the computes until
// ctx ends; then it ends all agents' streams. A stream whose peer doesn't read
// ends only with the gRPC server: stop both at once.
func (v *Vessel) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.mu.Lock()
	v.run = ctx
	v.mu.Unlock()
	err := rpc.ServerSession{
		Client: pharosv1.NewRegisterServiceClient(v.opts.Register),
		Hello: &pharosv1.ServerHello{ServerId: v.opts.ID, Role: pharosv1.ServerRole_SERVER_ROLE_VESSEL,
			Address: v.opts.Address, Version: v.opts.Version},
		Load:    v.load,
		OnState: v.takeState,
		Logger:  v.log,
	}.Run(ctx)
	v.mu.Lock() // no stream begins half
	cancel()
	v.mu.Unlock()
	v.stopped.Wait()
	v.pumps.Wait()
	return err
}

func (v *Vessel) load() *pharosv1.ServerHeartbeat {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return &pharosv1.ServerHeartbeat{RevisionsTotal: v.revisions.Load(), BytesTotal: v.bytes.Load(), Sessions: uint32(len(v.streams))}
}

// takeState takes over which computes and agents there are.
func (v *Vessel) takeState(state *pharosv1.ClusterState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.run.Err() != nil {
		return
	}
	members := make([]ring.Member, 0, len(state.GetComputes()))
	gone := maps.Clone(v.links)
	for _, c := range state.GetComputes() {
		members = append(members, ring.Member{ID: c.GetServerId(), From: c.GetMemberFromMs()})
		if l := v.links[c.GetServerId()]; l != nil && l.address == c.GetAddress() {
			delete(gone, l.id)
			if c.GetLive() {
				l.hurry()
			}
			continue
		} else if l != nil {
			l.cancel()
			delete(gone, l.id)
		}
		v.startLink(c.GetServerId(), c.GetAddress())
	}
	for id, l := range gone {
		l.cancel()
		delete(v.links, id)
	}
	v.ring = ring.New(members)
	agents := make(map[string]bool, len(state.GetAgents()))
	for _, a := range state.GetAgents() {
		agents[a.GetAgentId()] = true
	}
	for id, s := range v.streams {
		if v.agents[id] && !agents[id] {
			s.end(errForgotten)
		}
	}
	v.agents = agents
	v.announce()
}

// startLink begins to connect to a compute. v.mu is held.
func (v *Vessel) startLink(id, address string) {
	ctx, cancel := context.WithCancel(v.run)
	l := &link{vessel: v, id: id, address: address, cancel: cancel, log: v.log.With("compute", id), owed: map[*agentStream]bool{},
		hurried: make(chan struct{}, 1)}
	v.links[id] = l
	v.stopped.Go(func() { l.keep(ctx) })
}

// announce wakes those who wait for agents or links to change. v.mu is held.
func (v *Vessel) announce() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// owner returns the link to the compute that owns a revision; nil without computes.
func (v *Vessel) owner(agentID string, r *pharosv1.Revision) *link {
	key := r.GetMonitorId()
	if r.GetSamples() != nil {
		// Samples of different agents never merge: spread them.
		key += "\x00" + agentID
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.links[v.ring.Owner(key, r.GetWindowStartMs())]
}

func (v *Vessel) allLinks() []*link {
	v.mu.RLock()
	defer v.mu.RUnlock()
	links := make([]*link, 0, len(v.links))
	for _, l := range v.links {
		links = append(links, l)
	}
	return links
}
