package main

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// computes is a connection to whichever computes register knows to be live; it
// spreads calls over them. Any compute answers any query.
type computes struct {
	register pharosv1.RegisterServiceClient
	dial     func(address string) (*grpc.ClientConn, error)
	log      *slog.Logger
	// except is the address of the compute that asks for its peers; empty otherwise.
	except string

	mu    sync.RWMutex
	conns map[string]*grpc.ClientConn
	live  []*grpc.ClientConn
	turn  atomic.Uint32
}

// run follows register's list until ctx ends.
func (c *computes) run(ctx context.Context) error {
	defer c.close()
	failing := false
	for {
		wait := 3 * time.Second
		if err := c.refresh(ctx); err != nil && ctx.Err() == nil {
			wait = 500 * time.Millisecond
			if !failing {
				c.log.Warn("cannot ask register for computes", "err", err)
			}
			failing = true
		} else {
			failing = false
		}
		if _, err := c.pick(); err != nil {
			wait = 300 * time.Millisecond // the first compute may just be starting
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (c *computes) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := c.register.ListServers(ctx, &pharosv1.ListServersRequest{})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = c.live[:0:0]
	for _, s := range answer.Servers {
		if s.Role != pharosv1.ServerRole_SERVER_ROLE_COMPUTE || !s.Live || s.Address == c.except {
			continue
		}
		conn := c.conns[s.Address]
		if conn == nil {
			if conn, err = c.dial(s.Address); err != nil {
				return err
			}
			if c.conns == nil {
				c.conns = map[string]*grpc.ClientConn{}
			}
			c.conns[s.Address] = conn
		}
		c.live = append(c.live, conn)
	}
	return nil
}

func (c *computes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns, c.live = nil, nil
}

func (c *computes) pick() (*grpc.ClientConn, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.live) == 0 {
		return nil, status.Error(codes.Unavailable, "no compute is connected to register")
	}
	return c.live[int(c.turn.Add(1))%len(c.live)], nil
}

// clients of all live computes.
func (c *computes) clients() []pharosv1.QueryServiceClient {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]pharosv1.QueryServiceClient, len(c.live))
	for i, conn := range c.live {
		out[i] = pharosv1.NewQueryServiceClient(conn)
	}
	return out
}

// Invoke and NewStream make computes a grpc.ClientConnInterface.
func (c *computes) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, err := c.pick()
	if err != nil {
		return err
	}
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream is like Invoke for streams.
func (c *computes) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := c.pick()
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}
