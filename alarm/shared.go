package alarm

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// sharedQuery asks each question of a round of checks once, however many rules
// have it. It is for one round: what had not settled may have by the next.
type sharedQuery struct {
	pharosv1.QueryServiceClient
	mu      sync.Mutex
	answers map[string]*onceAnswer
}

type onceAnswer struct {
	once sync.Once
	resp proto.Message
	err  error
}

func newSharedQuery(client pharosv1.QueryServiceClient) *sharedQuery {
	return &sharedQuery{QueryServiceClient: client, answers: map[string]*onceAnswer{}}
}

// shared returns the answer to a question by its kind and text. Who asks while
// another does waits for that answer.
func shared[Q, A proto.Message](s *sharedQuery, kind string, question Q, ask func() (A, error)) (A, error) {
	var none A
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(question)
	if err != nil {
		return none, err
	}
	key := kind + string(text)
	s.mu.Lock()
	of := s.answers[key]
	if of == nil {
		of = &onceAnswer{}
		s.answers[key] = of
	}
	s.mu.Unlock()
	of.once.Do(func() { of.resp, of.err = ask() })
	if of.err != nil {
		return none, of.err
	}
	return of.resp.(A), nil
}

// Query answers with a list of series that the caller may change.
func (s *sharedQuery) Query(ctx context.Context, req *pharosv1.QueryRequest, opts ...grpc.CallOption) (*pharosv1.QueryResponse, error) {
	resp, err := shared(s, "query", req, func() (*pharosv1.QueryResponse, error) { return s.QueryServiceClient.Query(ctx, req, opts...) })
	if err != nil {
		return nil, err
	}
	return &pharosv1.QueryResponse{Type: resp.GetType(), Series: slices.Clone(resp.GetSeries()), Warnings: resp.GetWarnings()}, nil
}

// MonitorWindows answers with what the caller must not change.
func (s *sharedQuery) MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest, opts ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	return shared(s, "windows", req, func() (*pharosv1.MonitorWindowsResponse, error) {
		return s.QueryServiceClient.MonitorWindows(ctx, req, opts...)
	})
}

// MonitorLines answers with what the caller must not change.
func (s *sharedQuery) MonitorLines(ctx context.Context, req *pharosv1.MonitorLinesRequest, opts ...grpc.CallOption) (*pharosv1.MonitorLinesResponse, error) {
	return shared(s, "lines", req, func() (*pharosv1.MonitorLinesResponse, error) {
		return s.QueryServiceClient.MonitorLines(ctx, req, opts...)
	})
}
