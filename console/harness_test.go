package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/alarm"
	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta"
	"github.com/pharos-stack/pharos/internal/resource"
	"github.com/pharos-stack/pharos/internal/secret"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const adminPassword = "correct horse battery"

// installation is a console on a real database file and a real HTTP server,
// with register and compute played by fakes over gRPC.
type installation struct {
	t        *testing.T
	url      string
	db       *bun.DB
	console  *console.Console
	register *fakeRegister
	query    *fakeQuery

	mu  sync.Mutex
	now time.Time
}

func (i *installation) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *installation) pass(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

var webFiles = fstest.MapFS{
	"index.html":           {Data: []byte("<!doctype html><title>Pharos</title>" + strings.Repeat(" ", 2000))},
	"assets/app-1a2b3c.js": {Data: []byte(strings.Repeat("console.log(1);", 200))},
	"favicon.svg":          {Data: []byte("<svg/>")},
}

func start(t *testing.T, change ...func(*console.Options)) *installation {
	t.Helper()
	ctx := t.Context()
	i := &installation{t: t, now: time.Now(), register: &fakeRegister{}, query: &fakeQuery{t: t}}
	var err error
	if i.db, err = meta.Open(ctx, filepath.Join(t.TempDir(), "meta.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.db.Close() })
	box, err := secret.New(bytes.Repeat([]byte{1}, secret.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	conn := i.serveFakes()
	o := console.Options{
		TryRule: alarm.Backtest,
		DB:      i.db, Box: box,
		Register: pharosv1.NewRegisterServiceClient(conn), Query: pharosv1.NewQueryServiceClient(conn),
		Web: fs.FS(webFiles), AdminPassword: adminPassword, Version: "test", Logger: slog.New(slog.DiscardHandler), Clock: i.clock,
	}
	for _, c := range change {
		c(&o)
	}
	i.db = o.DB
	if err := console.Migrate(ctx, i.db); err != nil {
		t.Fatal(err)
	}
	o.Resources = resource.NewStore(i.db, box, resource.Builtin(func(logrule.Spec) error { return nil })...)
	if i.console, err = console.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(i.console.Handler())
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func (i *installation) serveFakes() *grpc.ClientConn {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pharosv1.RegisterRegisterServiceServer(server, i.register)
	pharosv1.RegisterQueryServiceServer(server, i.query)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///fakes", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

// client is one caller: a browser with a cookie, or a program with a token.
type client struct {
	*installation
	cookie string
	token  string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T, to any) {
	t.Helper()
	if err := json.Unmarshal(a.body, to); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

type failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	Details   []struct{ Field, Code, Message string }
}

// do sends a request; body is JSON text, a value, or nil.
func (c *client) do(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "pharos_session", Value: c.cookie})
		req.Header.Set("X-Pharos-Csrf", "1")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

// want sends a request and insists on the status.
func (c *client) want(status int, method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a := c.do(method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// fails sends a request and insists on status and code, and the form of errors.
func (c *client) fails(status int, code, method, path string, body any, headers ...string) failure {
	c.t.Helper()
	a := c.want(status, method, path, body, headers...)
	var f failure
	a.json(c.t, &f)
	if f.Code != code || f.Message == "" || f.RequestID == "" || f.RequestID != a.header.Get("X-Request-Id") {
		c.t.Fatalf("%s %s: got %s, want code %s", method, path, a.body, code)
	}
	return f
}

func (i *installation) anonymous() *client { return &client{installation: i} }

func (i *installation) signIn(user, password string) *client {
	i.t.Helper()
	c := i.anonymous()
	a := c.want(200, "POST", "/api/v1/session", map[string]string{"username": user, "password": password})
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "pharos_session" {
			c.cookie = cookie.Value
		}
	}
	return c
}

func (i *installation) admin() *client { return i.signIn("admin", adminPassword) }

// user makes a user with roles, past the change of the first password.
func (i *installation) user(admin *client, name string, roles map[string]string) *client {
	i.t.Helper()
	admin.want(201, "POST", "/api/v1/users", map[string]any{"username": name, "password": "first password", "roles": roles})
	c := i.signIn(name, "first password")
	c.want(204, "PUT", "/api/v1/me/password", map[string]string{"old_password": "first password", "new_password": "second password"})
	return c
}

// makeToken returns a caller that uses an API token.
func (c *client) makeToken(workspace, role string) *client {
	c.t.Helper()
	var made struct{ ID, Secret string }
	c.want(201, "POST", "/api/v1/tokens", map[string]string{"name": role, "workspace": workspace, "role": role}).json(c.t, &made)
	return &client{installation: c.installation, token: made.Secret}
}

// fakeRegister answers with what a test put in, and refuses the rest.
type fakeRegister struct {
	pharosv1.UnimplementedRegisterServiceServer
	mu     sync.Mutex
	agents []*pharosv1.AgentState
	// task answers a task; nil means no agent is connected.
	task func(*pharosv1.RunTaskRequest, func(*pharosv1.TaskEvent) error, context.Context) error
	down bool
}

func (f *fakeRegister) set(fn func(*fakeRegister)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

func (f *fakeRegister) ListAgents(context.Context, *pharosv1.ListAgentsRequest) (*pharosv1.ListAgentsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, status.Error(codes.Unavailable, "away")
	}
	return &pharosv1.ListAgentsResponse{Agents: f.agents}, nil
}

func (f *fakeRegister) ListServers(context.Context, *pharosv1.ListServersRequest) (*pharosv1.ListServersResponse, error) {
	return &pharosv1.ListServersResponse{Servers: []*pharosv1.ServerInfo{
		{ServerId: "v1", Role: pharosv1.ServerRole_SERVER_ROLE_VESSEL, Live: true}, {ServerId: "c1", Role: pharosv1.ServerRole_SERVER_ROLE_COMPUTE}}}, nil
}

func (f *fakeRegister) RunTask(r *pharosv1.RunTaskRequest, s pharosv1.RegisterService_RunTaskServer) error {
	f.mu.Lock()
	task := f.task
	f.mu.Unlock()
	send := func(e *pharosv1.TaskEvent) error {
		return s.Send(&pharosv1.RunTaskResponse{Event: e, AgentId: "agent-1"})
	}
	if task == nil {
		return send(&pharosv1.TaskEvent{Done: true, ErrorCode: "agent_offline", Error: "no healthy agent is connected"})
	}
	return task(r, send, s.Context())
}

// fakeQuery answers the expressions a test expects, and fails it on others.
type fakeQuery struct {
	pharosv1.UnimplementedQueryServiceServer
	t       *testing.T
	mu      sync.Mutex
	results map[string]*pharosv1.QueryResponse
	last    *pharosv1.QueryRequest
	windows *pharosv1.MonitorWindowsResponse
	lines   *pharosv1.MonitorLinesResponse
	asked   *pharosv1.MonitorLinesRequest // for lines
}

func (f *fakeQuery) set(fn func(*fakeQuery)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

func (f *fakeQuery) Query(_ context.Context, r *pharosv1.QueryRequest) (*pharosv1.QueryResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	if strings.HasPrefix(r.GetExpr(), "sum(rate(self_agent_") {
		return &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR, Series: []*pharosv1.QuerySeries{{TimesMs: []int64{1}, Values: []float64{12.5}}}}, nil
	}
	if found, ok := f.results[r.GetExpr()]; ok {
		return found, nil
	}
	return nil, status.Errorf(codes.InvalidArgument, "unexpected expression %q", r.GetExpr())
}

func (f *fakeQuery) MonitorWindows(_ context.Context, r *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.HasPrefix(r.GetMonitorId(), "mon_") || r.GetScope().GetWorkspace() == "" || r.GetStartMs() >= r.GetEndMs() {
		return nil, status.Errorf(codes.InvalidArgument, "bad request %v", r)
	}
	if f.windows == nil {
		return &pharosv1.MonitorWindowsResponse{}, nil
	}
	return f.windows, nil
}

func (f *fakeQuery) MonitorLines(_ context.Context, r *pharosv1.MonitorLinesRequest) (*pharosv1.MonitorLinesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = r
	if f.lines == nil {
		return &pharosv1.MonitorLinesResponse{}, nil
	}
	return f.lines, nil
}

func (f *fakeQuery) Status(context.Context, *pharosv1.StatusRequest) (*pharosv1.StatusResponse, error) {
	return &pharosv1.StatusResponse{ComputeId: "c1", FreshnessMs: new(int64(800)), SettleDelayMs: new(int64(2100)), DiskBytes: 1 << 20, DiskError: "no space left"}, nil
}

func (f *fakeQuery) Series(_ context.Context, r *pharosv1.SeriesRequest) (*pharosv1.SeriesResponse, error) {
	if len(r.GetSelectors()) != 1 || r.GetSelectors()[0] != `trades:count` {
		return nil, status.Errorf(codes.InvalidArgument, "unexpected selectors %v", r.GetSelectors())
	}
	return &pharosv1.SeriesResponse{Series: []*pharosv1.LabelSet{{Labels: map[string]string{"__name__": "trades:count", "city": "x"}}}}, nil
}

func (f *fakeQuery) LabelNames(context.Context, *pharosv1.LabelNamesRequest) (*pharosv1.LabelNamesResponse, error) {
	return &pharosv1.LabelNamesResponse{Names: []string{"__name__", "city"}}, nil
}

func (f *fakeQuery) LabelValues(_ context.Context, r *pharosv1.LabelValuesRequest) (*pharosv1.LabelValuesResponse, error) {
	return &pharosv1.LabelValuesResponse{Values: []string{r.GetName() + "-1", r.GetName() + "-2"}}, nil
}

func (f *fakeQuery) Metadata(context.Context, *pharosv1.MetadataRequest) (*pharosv1.MetadataResponse, error) {
	return &pharosv1.MetadataResponse{Metrics: []*pharosv1.MetricMetadata{{Metric: "trades:count", Type: "gauge", Help: "Trades"}}}, nil
}
