package rpc

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// echo answers enough calls to try the transport.
type echo struct {
	pharosv1.UnimplementedRegisterServiceServer
	pharosv1.UnimplementedVesselServiceServer
	pharosv1.UnimplementedQueryServiceServer
}

func (echo) ListAgents(context.Context, *pharosv1.ListAgentsRequest) (*pharosv1.ListAgentsResponse, error) {
	return &pharosv1.ListAgentsResponse{}, nil
}

func (echo) Query(context.Context, *pharosv1.QueryRequest) (*pharosv1.QueryResponse, error) {
	return &pharosv1.QueryResponse{}, nil
}

func (echo) Deliver(s pharosv1.VesselService_DeliverServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return s.Send(&pharosv1.DeliverResponse{CreditBytes: 1})
}

func serve(t *testing.T, lis net.Listener, opts []grpc.ServerOption) string {
	t.Helper()
	s := grpc.NewServer(opts...)
	pharosv1.RegisterRegisterServiceServer(s, echo{})
	pharosv1.RegisterVesselServiceServer(s, echo{})
	pharosv1.RegisterQueryServiceServer(s, echo{})
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return lis.Addr().String()
}

func serveTLS(t *testing.T, srv Server) string {
	t.Helper()
	opts, err := ServerOptions(srv)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, lis, opts)
}

func key(t *testing.T, seed string) ClusterKey {
	t.Helper()
	k, err := ParseClusterKey(strings.Repeat(seed, 8))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func dialServer(t *testing.T, addr string, srv Server) *grpc.ClientConn {
	t.Helper()
	opts, err := ClientOptions(srv)
	return dial(t, addr, opts, err)
}

func dialAgent(t *testing.T, addr string, a Agent) *grpc.ClientConn {
	t.Helper()
	opts, err := AgentClientOptions(a)
	return dial(t, addr, opts, err)
}

func dial(t *testing.T, addr string, opts []grpc.DialOption, err error) *grpc.ClientConn {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	cc, err := grpc.NewClient(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func deliver(ctx context.Context, cc *grpc.ClientConn, m *pharosv1.DeliverRequest) error {
	stream, err := pharosv1.NewVesselServiceClient(cc).Deliver(ctx)
	if err != nil {
		return err
	}
	_ = stream.Send(m) // Recv says what went wrong
	_, err = stream.Recv()
	return err
}

func mustCode(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.Contains(fmt.Sprint(err), text) {
		t.Fatalf("got %v, want %s with %q", err, want, text)
	}
}

func TestServersNeedTheClusterKey(t *testing.T) {
	addr := serveTLS(t, Server{Key: key(t, "abcd")})
	good := dialServer(t, addr, Server{Key: key(t, "abcd")})
	if _, err := pharosv1.NewRegisterServiceClient(good).ListAgents(t.Context(), &pharosv1.ListAgentsRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pharosv1.NewQueryServiceClient(good).Query(t.Context(), &pharosv1.QueryRequest{}); err != nil {
		t.Fatal(err)
	}
	// Another key has another CA, so not even the handshake succeeds.
	other := dialServer(t, addr, Server{Key: key(t, "efgh")})
	_, err := pharosv1.NewQueryServiceClient(other).Query(t.Context(), &pharosv1.QueryRequest{})
	mustCode(t, err, codes.Unavailable, "another cluster key?")

	// An agent is trusted with its own calls only.
	ca, err := key(t, "abcd").CA()
	if err != nil {
		t.Fatal(err)
	}
	agent := dialAgent(t, addr, Agent{CAFingerprint: ca.Fingerprint(), StoredCA: filepath.Join(t.TempDir(), "ca.pem")})
	if err := deliver(t.Context(), agent, &pharosv1.DeliverRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = pharosv1.NewQueryServiceClient(agent).Query(t.Context(), &pharosv1.QueryRequest{})
	mustCode(t, err, codes.Unauthenticated, "cluster key")
	if _, err := grpc_health_v1.NewHealthClient(agent).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	tasks, err := pharosv1.NewRegisterServiceClient(agent).RunTask(t.Context(), &pharosv1.RunTaskRequest{})
	if err == nil {
		_, err = tasks.Recv()
	}
	mustCode(t, err, codes.Unauthenticated, "cluster key")
}

func TestPlaintextServersNeedTheClusterKeyToo(t *testing.T) {
	addr := serveTLS(t, Server{Key: key(t, "abcd"), Insecure: true})
	good := dialServer(t, addr, Server{Key: key(t, "abcd"), Insecure: true})
	if _, err := pharosv1.NewQueryServiceClient(good).Query(t.Context(), &pharosv1.QueryRequest{}); err != nil {
		t.Fatal(err)
	}
	other := dialServer(t, addr, Server{Key: key(t, "efgh"), Insecure: true})
	_, err := pharosv1.NewQueryServiceClient(other).Query(t.Context(), &pharosv1.QueryRequest{})
	mustCode(t, err, codes.Unauthenticated, "cluster key")
	// A client that expects TLS doesn't show its bearer in the clear.
	strict := dialServer(t, addr, Server{Key: key(t, "abcd")})
	_, err = pharosv1.NewQueryServiceClient(strict).Query(t.Context(), &pharosv1.QueryRequest{})
	mustCode(t, err, codes.Unavailable, "")
}

func TestAgentPinsThenKeepsTheCA(t *testing.T) {
	ca, err := key(t, "abcd").CA()
	if err != nil {
		t.Fatal(err)
	}
	addr, impostor := serveTLS(t, Server{Key: key(t, "abcd")}), serveTLS(t, Server{Key: key(t, "evil")})
	stored := filepath.Join(t.TempDir(), "ca.pem")
	pinned := Agent{CAFingerprint: ca.Fingerprint(), StoredCA: stored}

	mustCode(t, deliver(t.Context(), dialAgent(t, impostor, pinned), &pharosv1.DeliverRequest{}), codes.Unavailable, "not from the CA in the join token")
	if _, err := os.Stat(stored); err == nil {
		t.Fatal("the CA of an impostor was stored")
	}
	if err := deliver(t.Context(), dialAgent(t, addr, pinned), &pharosv1.DeliverRequest{}); err != nil {
		t.Fatal(err)
	}
	// From now on without the token's fingerprint, and a wrong one changes nothing.
	later := Agent{StoredCA: stored, CAFingerprint: strings.Repeat("x", fingerprintLen)}
	if err := deliver(t.Context(), dialAgent(t, addr, later), &pharosv1.DeliverRequest{}); err != nil {
		t.Fatal(err)
	}
	mustCode(t, deliver(t.Context(), dialAgent(t, impostor, later), &pharosv1.DeliverRequest{}), codes.Unavailable, "certificate")

	if _, err := AgentClientOptions(Agent{StoredCA: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Fatal("an agent without any trust was set up")
	}
}

func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	own := writeOwnCA(t, dir, "127.0.0.1")
	srv := Server{Key: key(t, "abcd"), CertFile: own.cert, KeyFile: own.key, CAFile: own.ca}
	addr := serveTLS(t, srv)
	cc := dialServer(t, addr, srv)
	if _, err := pharosv1.NewQueryServiceClient(cc).Query(t.Context(), &pharosv1.QueryRequest{}); err != nil {
		t.Fatal(err)
	}
	fp, err := srv.CAFingerprint()
	if err != nil {
		t.Fatal(err)
	}
	if err := deliver(t.Context(), dialAgent(t, addr, Agent{CAFingerprint: fp, StoredCA: filepath.Join(dir, "stored")}), &pharosv1.DeliverRequest{}); err != nil {
		t.Fatal(err)
	}
	// A certificate of the same CA for another host is not enough.
	wrong := writeOwnCA(t, t.TempDir(), "192.0.2.1")
	wrongAddr := serveTLS(t, Server{Key: key(t, "abcd"), CertFile: wrong.cert, KeyFile: wrong.key, CAFile: wrong.ca})
	mustCode(t, deliver(t.Context(), dialAgent(t, wrongAddr, Agent{CAFile: wrong.ca}), &pharosv1.DeliverRequest{}), codes.Unavailable, "certificate")
}

func TestOversizedMessageIsRefused(t *testing.T) {
	l := NewLocal()
	serve(t, l.Listen("x"), l.ServerOptions(key(t, "abcd")))
	cc, err := l.DialAgent("x")
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	big := &pharosv1.DeliverRequest{Message: &pharosv1.DeliverRequest_Revision{Revision: &pharosv1.Revision{
		Payload: &pharosv1.Revision_Table{Table: make([]byte, MaxMessage+1)}}}}
	stream, err := pharosv1.NewVesselServiceClient(cc).Deliver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustCode(t, stream.Send(big), codes.ResourceExhausted, "larger than max")
	// A client without our limit is refused by the server.
	stream, err = pharosv1.NewVesselServiceClient(cc).Deliver(t.Context(), grpc.MaxCallSendMsgSize(2*MaxMessage))
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(big)
	_, err = stream.Recv()
	mustCode(t, err, codes.ResourceExhausted, "larger than max")
}

func TestLocalChecksCallers(t *testing.T) {
	l := NewLocal()
	serve(t, l.Listen("x"), l.ServerOptions(key(t, "abcd")))
	for _, c := range []struct {
		key  ClusterKey
		want codes.Code
	}{{key(t, "abcd"), codes.OK}, {key(t, "efgh"), codes.Unauthenticated}} {
		cc, err := l.Dial(c.key, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = pharosv1.NewQueryServiceClient(cc).Query(t.Context(), &pharosv1.QueryRequest{})
		mustCode(t, err, c.want, "")
		cc.Close()
	}
}

func TestVesselToken(t *testing.T) {
	k, now := key(t, "abcd"), time.UnixMilli(1_800_000_000_000)
	tok := k.SignVesselToken("a1", now.Add(time.Minute))
	if err := k.CheckVesselToken(tok, "a1", now); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key     ClusterKey
		tok, id string
		now     time.Time
		want    string
	}{
		{k, tok, "a2", now, "not for this agent"},
		{k, tok, "a1", now.Add(time.Minute), "expired"},
		{key(t, "efgh"), tok, "a1", now, "not signed by this cluster"},
		{k, strings.Replace(tok, "18000", "19000", 1), "a1", now, "not signed"},
		{k, "", "a1", now, "malformed"},
	} {
		if err := c.key.CheckVesselToken(c.tok, c.id, c.now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("token %q for %s: %v, want %q", c.tok, c.id, err, c.want)
		}
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	k, j := key(t, "abcd"), NewJoinToken("fp")
	text := fmt.Sprintf("%v %+v %#v %s %v %+v %s", k, k, k, k, j, Server{Key: k}, j)
	if strings.Contains(text, "abcdabcd") || strings.Contains(text, j.Secret) {
		t.Fatal(text)
	}
}

func TestJoinTokenText(t *testing.T) {
	ca, err := key(t, "abcd").CA()
	if err != nil {
		t.Fatal(err)
	}
	j := NewJoinToken(ca.Fingerprint())
	if got, err := ParseJoinToken(" " + j.Encode() + "\n"); err != nil || got != j {
		t.Fatal(got, err)
	}
	for _, bad := range []string{"", "pj1", "pj1..", "pj2." + j.Secret + ".x", j.Encode()[:len(j.Encode())-1]} {
		if _, err := ParseJoinToken(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestOpenClusterKeyKeepsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "cluster.key")
	a, err := OpenClusterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenClusterKey(path)
	if err != nil || a.bearer() != b.bearer() {
		t.Fatal("the second start has another key", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	// All servers derive the same CA.
	ca1, err1 := a.CA()
	ca2, err2 := b.CA()
	if err1 != nil || err2 != nil || string(ca1.PEM()) != string(ca2.PEM()) {
		t.Fatal("two servers have different CAs", err1, err2)
	}
	if _, err := ParseClusterKey("short"); err == nil {
		t.Fatal("a guessable key was taken")
	}
}
