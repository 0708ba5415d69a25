package register

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// pushAtMost is the shortest time between two cluster states to a server.
const pushAtMost = 200 * time.Millisecond

type serverKey struct {
	role pharosv1.ServerRole
	id   string
}

// server is what register knows of a vessel or compute; guarded by Register.mu.
type server struct {
	stored  enroll.Server
	session *serverSession // nil while away
	left    time.Time      // when the last session ended
	load    *pharosv1.ServerHeartbeat
}

type serverSession struct {
	started time.Time
	end     context.CancelCauseFunc
}

var serverID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// ServerSession serves a vessel or compute.
func (r *Register) ServerSession(stream pharosv1.RegisterService_ServerSessionServer) error {
	if err := r.waitReady(stream.Context()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	incoming := make(chan *pharosv1.ServerSessionRequest)
	defer context.AfterFunc(r.stopping, func() { cancel(errStopping) })()
	if !r.startPump(func() { pump(ctx, cancel, stream.Recv, incoming) }) {
		return errStopping
	}
	first, err := awaitFirst(ctx, incoming)
	if err != nil {
		return err
	}
	hello := first.GetHello()
	switch {
	case hello == nil:
		return status.Error(codes.InvalidArgument, errNoHello.Error())
	case !serverID.MatchString(hello.GetServerId()):
		return status.Errorf(codes.InvalidArgument, "server id %q is not valid; use letters, digits, dots, :, _ or -", hello.GetServerId())
	case hello.GetRole() == pharosv1.ServerRole_SERVER_ROLE_UNSPECIFIED || hello.GetAddress() == "":
		return status.Error(codes.InvalidArgument, "role and address are required")
	}
	stored, err := enroll.AddServer(ctx, r.opts.DB, hello, r.opts.Now())
	if err != nil {
		r.log.Error("cannot record a server", "server", hello.GetServerId(), "err", err)
		return status.Error(codes.Unavailable, "register cannot reach its database; try again")
	}
	key := serverKey{hello.GetRole(), hello.GetServerId()}
	s := &serverSession{started: time.Now(), end: cancel}
	r.attachServer(key, stored, s)
	defer r.detachServer(key, s)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case m := <-incoming:
				if beat := m.GetHeartbeat(); beat != nil {
					r.mu.Lock()
					r.servers[key].load = beat
					r.mu.Unlock()
				}
			case <-ctx.Done():
				return
			}
		}
	})
	defer reader.Wait()
	err = r.pushStates(ctx, stream)
	cancel(err)
	return err
}

// pushStates sends the state at once and after each change.
func (r *Register) pushStates(ctx context.Context, stream pharosv1.RegisterService_ServerSessionServer) error {
	for sent := uint64(0); ; {
		r.mu.Lock()
		state, changed := r.state, r.newState
		r.mu.Unlock()
		if state.GetRevision() != sent {
			sent = state.GetRevision()
			if err := stream.Send(&pharosv1.ServerSessionResponse{State: state}); err != nil {
				return err
			}
			if !pause(ctx, pushAtMost) {
				return cause(ctx)
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return cause(ctx)
		}
	}
}

func (r *Register) attachServer(key serverKey, stored enroll.Server, s *serverSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.servers[key]
	if known == nil {
		known = &server{}
		r.servers[key] = known
	}
	if known.session != nil {
		known.session.end(errReplaced)
	}
	known.stored, known.session = stored, s
	r.log.Info("server is here", "server", key.id, "role", key.role.String(), "address", stored.Address)
	ask(r.replan) // publishes the change; the first state waits for the monitors
	ask(r.reassign)
}

func (r *Register) detachServer(key serverKey, s *serverSession) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.servers[key]
	if known == nil || known.session != s {
		return
	}
	known.session, known.left = nil, time.Now()
	if r.stopping.Err() == nil {
		r.log.Warn("server has left", "server", key.id, "role", key.role.String())
	}
	ask(r.replan)
	ask(r.reassign)
}

// takeOverServers brings the members up to date with the database. r.mu is held.
func (r *Register) takeOverServers(members []enroll.Server) {
	known := make(map[serverKey]bool, len(members))
	for _, m := range members {
		key := serverKey{m.Role, m.ID}
		known[key] = true
		if r.servers[key] == nil {
			r.servers[key] = &server{}
		}
		if r.servers[key].session == nil {
			r.servers[key].stored = m
		}
	}
	for key, s := range r.servers {
		if !known[key] && s.session == nil {
			delete(r.servers, key)
		}
	}
}

// computes returns all computes by id. r.mu is held.
func (r *Register) computes() []*pharosv1.ServerInfo {
	return r.serverInfos(func(key serverKey, _ *server) bool { return key.role == pharosv1.ServerRole_SERVER_ROLE_COMPUTE })
}

func (r *Register) serverInfos(want func(serverKey, *server) bool) []*pharosv1.ServerInfo {
	var infos []*pharosv1.ServerInfo
	for key, s := range r.servers {
		if want(key, s) {
			infos = append(infos, &pharosv1.ServerInfo{ServerId: key.id, Role: key.role, Address: s.stored.Address, Version: s.stored.Version,
				Live: s.session != nil, MemberFromMs: s.stored.MemberFromMs})
		}
	}
	slices.SortFunc(infos, func(a, b *pharosv1.ServerInfo) int {
		return cmp.Or(cmp.Compare(a.GetRole(), b.GetRole()), cmp.Compare(a.GetServerId(), b.GetServerId()))
	})
	return infos
}

// ListServers returns the live view of vessels and computes.
func (r *Register) ListServers(ctx context.Context, _ *pharosv1.ListServersRequest) (*pharosv1.ListServersResponse, error) {
	if err := r.waitReady(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := r.serverInfos(func(serverKey, *server) bool { return true })
	for _, info := range infos {
		if load := r.servers[serverKey{info.GetRole(), info.GetServerId()}].load; load != nil {
			info.Load = proto.CloneOf(load)
		}
	}
	return &pharosv1.ListServersResponse{Servers: infos}, nil
}
