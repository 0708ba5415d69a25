package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// ServerSession keeps a vessel or compute known to register.
type ServerSession struct {
	Client pharosv1.RegisterServiceClient
	Hello  *pharosv1.ServerHello
	// Load returns the heartbeat's counters; time_ms is filled in. Default: none.
	Load func() *pharosv1.ServerHeartbeat
	// OnState receives each new state, one at a time.
	OnState func(*pharosv1.ClusterState)
	// Heartbeat is how often load is sent. Default 5 s.
	Heartbeat time.Duration
	Logger    *slog.Logger
}

// Run keeps the session until ctx ends, connecting again after each failure.
func (s ServerSession) Run(ctx context.Context) error {
	if s.Heartbeat <= 0 {
		s.Heartbeat = 5 * time.Second
	}
	if s.Load == nil {
		s.Load = func() *pharosv1.ServerHeartbeat { return &pharosv1.ServerHeartbeat{} }
	}
	delay := Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	for {
		err := s.once(ctx, &delay)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.Logger.Warn("lost register, going on with what is known", "err", err)
		if err := delay.Wait(ctx); err != nil {
			return err
		}
	}
}

func (s ServerSession) once(ctx context.Context, delay *Backoff) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.Client.ServerSession(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pharosv1.ServerSessionRequest{Message: &pharosv1.ServerSessionRequest_Hello{Hello: s.Hello}}); err != nil {
		if _, rerr := stream.Recv(); rerr != nil {
			return rerr // says why
		}
		return err
	}
	beats := make(chan error, 1)
	go func() {
		defer cancel()
		beats <- s.sendLoad(ctx, stream)
	}()
	defer func() { cancel(); <-beats }()
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		delay.Reset()
		if resp.GetState() != nil {
			s.OnState(resp.GetState())
		}
	}
}

func (s ServerSession) sendLoad(ctx context.Context, stream pharosv1.RegisterService_ServerSessionClient) error {
	tick := time.NewTicker(s.Heartbeat)
	defer tick.Stop()
	for {
		beat := s.Load()
		beat.TimeMs = time.Now().UnixMilli()
		if err := stream.Send(&pharosv1.ServerSessionRequest{Message: &pharosv1.ServerSessionRequest_Heartbeat{Heartbeat: beat}}); err != nil {
			return fmt.Errorf("cannot send heartbeat: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Backoff waits longer after each failure in a row, from Min to Max, with
// jitter so that a thousand clients don't return at once.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Reset is called after a success.
func (b *Backoff) Reset() { b.next = 0 }

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(2*b.next, b.Min), b.Max)
	return b.next/2 + rand.N(b.next/2+1)
}

// Wait waits for the next attempt or the end of ctx, whose error it returns.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
