package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Local connects tiers that run in one process: the same gRPC, the same checks
// of callers and limits, but over memory. Addresses are any names.
type Local struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

// NewLocal returns an empty in-process network.
func NewLocal() *Local { return &Local{listeners: map[string]*bufconn.Listener{}} }

// Listen returns the listener of a name; one that was closed is replaced.
func (l *Local) Listen(name string) net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	lis := bufconn.Listen(256 << 10)
	l.listeners[name] = lis
	return lis
}

// ServerOptions are rpc.ServerOptions without TLS, which memory doesn't need.
func (l *Local) ServerOptions(key ClusterKey) []grpc.ServerOption { return serverBasics(key) }

// Dial connects a server of the process to the listener of a name.
func (l *Local) Dial(key ClusterKey, name string) (*grpc.ClientConn, error) {
	return l.dial(name, grpc.WithPerRPCCredentials(bearer{token: key.bearer()}))
}

// DialAgent connects the agent of the process to the listener of a name.
func (l *Local) DialAgent(name string) (*grpc.ClientConn, error) { return l.dial(name) }

func (l *Local) dial(name string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = append(append(clientBasics(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			l.mu.Lock()
			lis := l.listeners[name]
			l.mu.Unlock()
			if lis == nil {
				return nil, fmt.Errorf("nothing listens on %q in this process", name)
			}
			return lis.DialContext(ctx)
		})), opts...)
	return grpc.NewClient("passthrough:///"+name, opts...)
}
