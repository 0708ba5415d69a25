package rpc

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var connectBackoff = backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}

// healthCheck is the standard gRPC health check.
const healthCheck = "/grpc.health.v1.Health/Check"

// guard lets servers call each other, and agents only what agents call.
type guard struct{ want []byte }

func newGuard(key ClusterKey) *guard { return &guard{want: []byte("Bearer " + key.bearer())} }

func (g *guard) check(ctx context.Context, method string) error {
	switch method {
	case pharosv1.RegisterService_AgentSession_FullMethodName, pharosv1.VesselService_Deliver_FullMethodName:
		return nil // the first message of the stream proves the agent
	case healthCheck:
		return nil // for probes; it tells only that the server is up
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, got := range md.Get("authorization") {
		if subtle.ConstantTimeCompare([]byte(got), g.want) == 1 {
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, "this call is for servers of the cluster: the cluster key is missing or another one")
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.check(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, ss)
}

// bearer adds what proves a server to each call.
type bearer struct {
	token  string
	secure bool
}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if b.token == "" {
		return nil, errors.New("no cluster key")
	}
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity refuses to send the bearer in the clear where TLS was expected.
func (b bearer) RequireTransportSecurity() bool { return b.secure }
