// Package api is the frame of the console's HTTP API: routes with the right
// they need, the form of errors and lists, request ids, limits and idempotency.
// The capabilities register their routes with Route.
//
// It promises that no handler runs before the caller's right to the route and
// its workspace was checked, that errors have one form, and that the OpenAPI
// document is made from the types the handlers use.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Need is the right a route asks for.
type Need int

// The needs. Viewer, Editor and Admin concern the workspace of the path.
const (
	_ Need = iota
	// Public routes are open to everybody.
	Public
	// SignedIn routes are open to whoever has proven who they are; they look
	// at the caller's rights themselves.
	SignedIn
	NeedViewer
	NeedEditor
	NeedAdmin
	// Installation routes are for administrators of the installation.
	Installation
)

const metaNeed, metaOneTime = "need", "one_time"

// API collects routes.
type API struct {
	huma.API
	mux *http.ServeMux
	log *slog.Logger
}

// New returns an API without routes.
func New(version string, log *slog.Logger) *API {
	cfg := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Pharos", Version: version, Description: "HTTP API of the Pharos console."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", SchemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"session": {Type: "apiKey", In: "cookie", Name: SessionCookie},
					"token":   {Type: "http", Scheme: "bearer"},
				},
			},
			Security: []map[string][]string{{"session": {}}, {"token": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{localise},
	}
	a := &API{mux: http.NewServeMux(), log: log}
	a.API = huma.NewAPI(cfg, &adapter{Adapter: humago.NewAdapter(a.mux, ""), mux: a.mux})
	a.UseMiddleware(a.authorise)
	a.mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, r, code(http.StatusNotFound, "route_not_found"))
	})
	a.mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		text, err := json.Marshal(a.OpenAPI())
		if err != nil {
			WriteError(w, r, FromError(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
	})
	return a
}

// schemaNames gives types whose own names would collide a name of their own.
var schemaNames = map[string]string{
	"logrule.Spec": "LogMonitorSpec", "alarmrule.Spec": "AlarmRuleSpec", "channel.Spec": "ChannelSpec",
	"dashboard.Spec": "DashboardSpec", "dashboard.Report": "Report", "dashboard.Column": "ReportColumn", "dashboard.Source": "ReportSource", "dashboard.Format": "ReportFormat",
	"dashboard.Variable": "DashboardVariable", "dashboard.Imported": "ImportedDashboard",
	"dashboards.Question": "ReportQuestion", "dashboards.Answers": "ReportAnswers", "dashboards.Answer": "ReportAnswer", "dashboards.Data": "ReportData", "dashboards.Head": "ReportHead",
	"dashboards.Row": "ReportRow", "dashboards.Cell": "ReportCell", "dashboards.Line": "ReportLine", "dashboards.Stretch": "ReportStretch", "dashboards.SourceState": "ReportSourceState",
	"alarmstate.Condition": "JudgedCondition", "alarmrule.Condition": "RuleCondition", "alarmrule.Rule": "PackageRule", "alarmrule.Active": "ActiveTime", "alarmrule.Thresholds": "ClassThresholds",
	"fielderr.Error": "ErrorDetail", "logrule.Scope": "LogScope",
}

// SchemaName names the schema of a type.
func SchemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, ok := schemaNames[t.String()]; ok {
		return name
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// localise completes errors for the caller.
func localise(ctx huma.Context, _ string, v any) (any, error) {
	if e, ok := v.(*Error); ok {
		return e.localised(RequestID(ctx.Context()), ctx.Header("Accept-Language")), nil
	}
	return v, nil
}

// Option changes an operation.
type Option func(*huma.Operation)

// Status sets the status of success.
func Status(code int) Option { return func(op *huma.Operation) { op.DefaultStatus = code } }

// OwnValidation leaves the body to the handler, which reports unknown fields
// and bad values together.
func OwnValidation(op *huma.Operation) { op.SkipValidateBody = true }

// AlsoOneTime opens a route to those who must change their password first.
func AlsoOneTime(op *huma.Operation) { op.Metadata[metaOneTime] = true }

// Route registers a handler. The id is unique, such as listMonitors. Errors of
// fn go through FromError; unexpected ones are logged.
func Route[I, O any](a *API, id, method, path string, need Need, summary string, fn func(context.Context, *I) (*O, error), options ...Option) {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag(path)},
		Errors:   []int{400, 401, 403, 404, 409, 422, 429, 503},
		Metadata: map[string]any{metaNeed: need},
	}
	if need == Public {
		op.Security = []map[string][]string{}
	}
	for _, option := range options {
		option(&op)
	}
	huma.Register(a.API, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err == nil {
			return out, nil
		}
		e := FromError(err)
		if e.status >= http.StatusInternalServerError {
			a.log.Error("request failed", "operation", id, "request_id", RequestID(ctx), "err", err)
		}
		return nil, e
	})
}

// tag groups routes by the part of the path that names the objects.
func tag(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/api/v1/"), "/")
	if len(parts) > 2 && parts[0] == "workspaces" {
		parts = parts[2:]
	}
	name, _, _ := strings.Cut(parts[0], ":")
	return name
}

// NeedOf returns what a route of the OpenAPI document asks for.
func NeedOf(op *huma.Operation) Need {
	need, _ := op.Metadata[metaNeed].(Need)
	return need
}

// authorise is the one place where a caller's right to a route is checked.
func (a *API) authorise(ctx huma.Context, next func(huma.Context)) {
	if err := a.allowed(ctx); err != nil {
		r, w := humago.Unwrap(ctx)
		WriteError(w, r, err)
		return
	}
	next(ctx)
}

func (a *API) allowed(ctx huma.Context) *Error {
	op := ctx.Operation()
	need := NeedOf(op)
	if need == Public {
		return nil
	}
	p, err := Caller(ctx.Context())
	if err != nil {
		return err
	}
	if p.MustChangePassword && op.Metadata[metaOneTime] == nil {
		return code(http.StatusForbidden, "password_change_required")
	}
	switch need {
	case SignedIn:
		return nil
	case Installation:
		if !p.Admin {
			return code(http.StatusForbidden, "forbidden")
		}
		return nil
	case NeedViewer, NeedEditor, NeedAdmin:
		return p.Check(ctx.Param("workspace"), map[Need]Role{NeedViewer: Viewer, NeedEditor: Editor, NeedAdmin: Admin}[need])
	}
	return Fail(http.StatusInternalServerError, "internal", "route %s has no need", op.OperationID)
}

// adapter lets paths end in an action, such as /monitors/{name}:enable, which
// http.ServeMux can't match: the action is matched as a segment of its own,
// /monitors/{name}/:enable, and ServeHTTP moves it there.
type adapter struct {
	huma.Adapter
	mux *http.ServeMux
}

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	pattern := op.Method + " " + splitAction(op.Path)
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		handler(humago.NewContext(op, r, w))
	})
}

// splitAction puts a slash before the colon of the last segment.
func splitAction(path string) string {
	i := strings.LastIndexByte(path, '/')
	if j := strings.LastIndexByte(path, ':'); j > i+1 {
		return path[:j] + "/" + path[j:]
	}
	return path
}

// ServeHTTP answers requests below /api/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := splitAction(r.URL.Path); p != r.URL.Path {
		moved := *r.URL
		moved.Path, moved.RawPath = p, ""
		if raw := r.URL.RawPath; raw != "" {
			moved.RawPath = splitAction(raw)
		}
		r2 := *r
		r2.URL = &moved
		r = &r2
	}
	if _, pattern := a.mux.Handler(r); pattern == "/api/" && a.otherMethod(r) {
		WriteError(w, r, code(http.StatusMethodNotAllowed, "method_not_allowed"))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// otherMethod reports whether the address takes some other method.
func (a *API) otherMethod(r *http.Request) bool {
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := *r
		probe.Method = method
		if _, pattern := a.mux.Handler(&probe); pattern != "/api/" {
			return true
		}
	}
	return false
}

// WriteError answers with an error outside of huma's routes.
func WriteError(w http.ResponseWriter, r *http.Request, e *Error) {
	for name, values := range e.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	text, err := json.Marshal(e.localised(RequestID(r.Context()), r.Header.Get("Accept-Language")))
	if err != nil {
		panic(fmt.Sprintf("api: an error has no JSON form: %v", err))
	}
	w.Write(text)
}
