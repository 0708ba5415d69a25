// Package prom answers the Prometheus HTTP API from the query service, in
// Prometheus' own form, so that Grafana, promtool and curl work unchanged.
//
// It promises that a caller sees the series of one workspace they may view,
// beside those of the installation itself.
package prom

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/console/api"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// The limits of one question.
const (
	MaxPoints      = 11000
	DefaultTimeout = 30 * time.Second
)

// Options of Prom.
type Options struct {
	Query pharosv1.QueryServiceClient
	Log   *slog.Logger
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Version shown by status/buildinfo.
	Version string
}

// Prom answers requests below /prometheus/.
type Prom struct {
	Options
	mux *http.ServeMux
}

// New returns a Prom.
func New(o Options) *Prom {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	p := &Prom{Options: o, mux: http.NewServeMux()}
	for path, h := range map[string]func(*http.Request, *pharosv1.Scope) (any, []string, []string, error){
		"query": p.query, "query_range": p.queryRange, "series": p.series, "labels": p.labels,
		"label/{name}/values": p.labelValues, "metadata": p.metadata, "status/buildinfo": p.buildInfo,
		// Rules are Pharos' own and exemplars are not kept: both are empty, which Grafana takes better than an error.
		"query_exemplars": p.nothing([]struct{}{}), "rules": p.nothing(map[string]any{"groups": []struct{}{}}),
	} {
		handle := p.answer(h)
		p.mux.HandleFunc("GET /prometheus/api/v1/"+path, handle)
		p.mux.HandleFunc("POST /prometheus/api/v1/"+path, handle)
	}
	p.mux.HandleFunc("/prometheus/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, &apiError{http.StatusNotFound, "not_found", "there is nothing at this address"})
	})
	return p
}

func (p *Prom) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// apiError is an error in Prometheus' form.
type apiError struct {
	status int
	kind   string
	text   string
}

func (e *apiError) Error() string { return e.text }

func badData(text string) error { return &apiError{http.StatusBadRequest, "bad_data", text} }

type reply struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// answer authorises a request, runs it and writes its result.
func (p *Prom) answer(h func(*http.Request, *pharosv1.Scope) (any, []string, []string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			p.fail(w, r, badData("the form can't be read: "+err.Error()))
			return
		}
		scope, err := workspace(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		data, warnings, infos, err := h(r, scope)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, reply{Status: "success", Data: data, Warnings: warnings, Infos: infos})
	}
}

func write(w http.ResponseWriter, status int, v reply) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"status":"error","errorType":"internal","error":"the result has no JSON form"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(text)
}

// workspace is the token's own, else what the request names, else default.
func workspace(r *http.Request) (*pharosv1.Scope, error) {
	caller, refused := api.Caller(r.Context())
	if refused != nil {
		return nil, &apiError{refused.GetStatus(), "unauthorized", refused.Error()}
	}
	if caller.MustChangePassword {
		return nil, &apiError{http.StatusForbidden, "forbidden", "change the one-time password first"}
	}
	name := caller.TokenWorkspace
	for _, asked := range []string{r.Header.Get("X-Pharos-Workspace"), r.Form.Get("workspace"), "default"} {
		if name == "" {
			name = asked
		}
	}
	if err := caller.Check(name, api.Viewer); err != nil {
		return nil, &apiError{err.GetStatus(), "not_found", err.Error()}
	}
	return &pharosv1.Scope{Workspace: name}, nil
}

// fail writes err; errors of the query service become Prometheus' kinds.
func (p *Prom) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := err.(*apiError) //nolint:errorlint // made in this package, never wrapped
	if !ok {
		e = fromGRPC(err)
		if e.status >= http.StatusInternalServerError && r.Context().Err() == nil {
			p.Log.Error("query failed", "request_id", api.RequestID(r.Context()), "err", err)
		}
	}
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	write(w, e.status, reply{Status: "error", ErrorType: e.kind, Error: e.text})
}

func fromGRPC(err error) *apiError {
	s := status.Convert(err)
	switch s.Code() {
	case codes.InvalidArgument:
		return &apiError{http.StatusBadRequest, "bad_data", s.Message()}
	case codes.Canceled:
		return &apiError{499, "canceled", s.Message()}
	case codes.DeadlineExceeded:
		return &apiError{http.StatusServiceUnavailable, "timeout", "the query took too long; ask for less"}
	case codes.Unavailable:
		return &apiError{http.StatusServiceUnavailable, "unavailable", "compute is not reachable; try again in a moment"}
	case codes.ResourceExhausted, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return &apiError{http.StatusUnprocessableEntity, "execution", s.Message()}
	}
	return &apiError{http.StatusInternalServerError, "internal", "the query failed; the log has the cause"}
}
