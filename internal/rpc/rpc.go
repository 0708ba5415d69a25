// Package rpc secures the gRPC connections between the tiers and keeps them alive.
//
// It promises: a listener that is reachable from outside the process speaks
// TLS 1.3 unless plaintext was asked for; a call that servers make to each
// other is refused without the cluster key's bearer; a method nobody thought
// of is refused too; messages above MaxMessage are refused by both ends; a
// dead peer is noticed within 15 s; no secret appears in a log or an error.
//
// Agents prove themselves by what they send first in their streams, checked by
// register (credential or join token) and vessel (token signed by register).
package rpc

import (
	"fmt"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
)

// MaxMessage is the largest message in bytes; a larger one ends the call with RESOURCE_EXHAUSTED.
const MaxMessage = 16 << 20

// HeaderCredit is what a message costs of the credit besides its payload.
const HeaderCredit = 256

// RevisionCredit is what a revision costs of the sender's credit, in bytes:
// the payload plus HeaderCredit. Other messages cost nothing.
func RevisionCredit(r *pharosv1.Revision) int64 {
	switch p := r.GetPayload().(type) {
	case *pharosv1.Revision_Table:
		return int64(len(p.Table)) + HeaderCredit
	case *pharosv1.Revision_Samples:
		return int64(proto.Size(p.Samples)) + HeaderCredit
	}
	return HeaderCredit
}

// Server is how a server process proves itself and knows others.
type Server struct {
	// Key is shared by all servers of the installation. Required.
	Key ClusterKey
	// CertFile and KeyFile hold a certificate of one's own (PEM). Default: one
	// issued by the cluster's CA, new at each start.
	CertFile, KeyFile string
	// CAFile holds the CAs (PEM) that servers' certificates come from. Default:
	// the cluster's CA. Needed with CertFile; the first one is what agents pin.
	CAFile string
	// Insecure turns TLS off. Only for connections that something else protects.
	Insecure bool
}

// ServerOptions returns what a gRPC server needs: TLS, the check of callers,
// limits and keepalive.
func ServerOptions(s Server) ([]grpc.ServerOption, error) {
	opts := serverBasics(s.Key)
	if s.Insecure {
		return opts, nil
	}
	cfg, err := s.serverTLS()
	if err != nil {
		return nil, fmt.Errorf("cannot set up TLS for gRPC: %w", err)
	}
	return append(opts, grpc.Creds(credentials.NewTLS(cfg))), nil
}

// ClientOptions returns what a server needs to call other servers.
func ClientOptions(s Server) ([]grpc.DialOption, error) {
	creds := insecure.NewCredentials()
	if !s.Insecure {
		roots, err := s.roots()
		if err != nil {
			return nil, fmt.Errorf("cannot set up TLS for gRPC: %w", err)
		}
		creds = trust(roots)
	}
	return append(clientBasics(),
		grpc.WithTransportCredentials(creds),
		grpc.WithPerRPCCredentials(bearer{token: s.Key.bearer(), secure: !s.Insecure}),
	), nil
}

func serverBasics(key ClusterKey) []grpc.ServerOption {
	guard := newGuard(key)
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(guard.unary),
		grpc.ChainStreamInterceptor(guard.stream),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxConcurrentStreams(1000),
		grpc.ConnectionTimeout(10 * time.Second),
		// Fixed windows bound what an unread stream can hold in memory.
		grpc.StaticStreamWindowSize(256 << 10),
		grpc.StaticConnWindowSize(1 << 20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

func clientBasics() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithStaticStreamWindowSize(256 << 10),
		grpc.WithStaticConnWindowSize(1 << 20),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithDisableServiceConfig(),
		// The default grows to two minutes, which would outlast "assigned within 30 s".
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: connectBackoff, MinConnectTimeout: 5 * time.Second}),
	}
}
