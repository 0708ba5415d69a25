package agents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/audit"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Server is a vessel or compute.
type Server struct {
	ServerID       string `json:"server_id"`
	Role           string `json:"role" enum:"vessel,compute,unknown"`
	Address        string `json:"address"`
	Version        string `json:"version"`
	Live           bool   `json:"live"`
	LastSeenMs     int64  `json:"last_seen_ms"`
	RevisionsTotal uint64 `json:"revisions_total" doc:"Since its start"`
	BytesTotal     uint64 `json:"bytes_total" doc:"Since its start"`
	Sessions       uint32 `json:"sessions"`
}

type serverListIn struct {
	api.ListParams
	Role string `query:"role" enum:"vessel,compute,"`
}
type serverListOut struct{ Body api.Page[Server] }

// Overview is the health of the installation, as the home page shows it.
type Overview struct {
	Agents       AgentCounts `json:"agents"`
	FreshnessMs  *int64      `json:"freshness_ms" doc:"From reading a line to having it in compute, 95th percentile of the last 5 minutes; null when not known"`
	SettleMs     *int64      `json:"settle_delay_ms" doc:"From a window's end to its settling, 95th percentile of the last 5 minutes; null when not known"`
	LinesPerS    *float64    `json:"lines_per_second" doc:"Read by all agents, over the last minutes; null when not known"`
	BytesPerS    *float64    `json:"bytes_per_second" doc:"Read by all agents, over the last minutes; null when not known"`
	LinesTotal   uint64      `json:"lines_total" doc:"Read by the connected agents since their start"`
	WindowsOpen  uint64      `json:"windows_open"`
	DiskBytes    uint64      `json:"disk_bytes" doc:"Taken by the store"`
	AlarmsFiring LevelCounts `json:"alarms_firing"`
	Monitors     int         `json:"monitors" doc:"Of the workspace"`
	Disabled     int         `json:"monitors_disabled"`
	AlarmRules   int         `json:"alarm_rules"`
	Servers      []Server    `json:"servers"`
	Register     string      `json:"register_address" doc:"Where agents reach register, as host:port; without a host it is the console's"`
	Problems     []Problem   `json:"problems" doc:"What somebody should look at, worst first"`
}

// AgentCounts counts agents by health.
type AgentCounts struct {
	Total     int `json:"total"`
	Healthy   int `json:"healthy"`
	Abnormal  int `json:"abnormal"`
	ClockSkew int `json:"clock_skew"`
	Connected int `json:"connected"`
}

// LevelCounts counts firing alerts by level.
type LevelCounts struct {
	P0 int `json:"p0"`
	P1 int `json:"p1"`
	P2 int `json:"p2"`
	P3 int `json:"p3"`
	P4 int `json:"p4"`
}

// Problem is something to look at.
type Problem struct {
	Code    string `json:"code" doc:"Stable identifier, such as agent_abnormal or disk_error"`
	Object  string `json:"object" doc:"Agent, server or part it concerns"`
	Message string `json:"message"`
}

type overviewIn struct {
	Workspace string `query:"workspace" default:"default"`
}
type overviewOut struct{ Body Overview }

// AuditEntry is a change somebody made.
type AuditEntry struct {
	audit.Entry
	Before json.RawMessage `json:"before,omitempty" doc:"The object before; absent when there was none"`
	After  json.RawMessage `json:"after,omitempty" doc:"The object after; absent when there is none"`
}
type auditIn struct {
	api.ListParams
	Workspace string `query:"workspace" doc:"Without it the caller must be an installation administrator"`
	Actor     string `query:"actor"`
	Kind      string `query:"kind"`
	Name      string `query:"name"`
	Action    string `query:"action"`
	Start     int64  `query:"start" minimum:"0" doc:"Unix milliseconds"`
	End       int64  `query:"end" minimum:"0" doc:"Unix milliseconds"`
}
type auditOut struct{ Body api.Page[AuditEntry] }

func (a *Agents) serverRoutes(r *api.API) {
	api.Route(r, "listServers", "GET", "/api/v1/servers", api.SignedIn, "List vessels and computes", a.servers)
	api.Route(r, "getOverview", "GET", "/api/v1/overview", api.SignedIn, "Health of the installation and a workspace", a.overview)
	api.Route(r, "listAuditLog", "GET", "/api/v1/audit_log", api.SignedIn, "Who changed what", a.auditLog)
}

func serverOf(s *pharosv1.ServerInfo) Server {
	role := map[pharosv1.ServerRole]string{pharosv1.ServerRole_SERVER_ROLE_VESSEL: "vessel", pharosv1.ServerRole_SERVER_ROLE_COMPUTE: "compute"}[s.GetRole()]
	if role == "" {
		role = "unknown"
	}
	return Server{ServerID: s.GetServerId(), Role: role, Address: s.GetAddress(), Version: s.GetVersion(), Live: s.GetLive(),
		LastSeenMs: s.GetLoad().GetTimeMs(), RevisionsTotal: s.GetLoad().GetRevisionsTotal(), BytesTotal: s.GetLoad().GetBytesTotal(), Sessions: s.GetLoad().GetSessions()}
}

func (a *Agents) servers(ctx context.Context, in *serverListIn) (*serverListOut, error) {
	answer, err := a.Register.ListServers(ctx, &pharosv1.ListServersRequest{})
	if err != nil {
		return nil, err
	}
	var rows []Server
	for _, s := range answer.GetServers() {
		if row := serverOf(s); in.Role == "" || row.Role == in.Role {
			rows = append(rows, row)
		}
	}
	page, err := api.Paginate(rows, in.ListParams, func(r Server) string { return r.ServerID + " " + r.Address }, api.Columns[Server]{
		"server_id": api.By(func(r Server) string { return r.ServerID }), "role": api.By(func(r Server) string { return r.Role }),
		"address": api.By(func(r Server) string { return r.Address }),
	})
	return &serverListOut{Body: page}, err
}

// overviewTimeout bounds how long the home page waits for the rest of the server.
const overviewTimeout = 5 * time.Second

func (a *Agents) overview(ctx context.Context, in *overviewIn) (*overviewOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	if err := p.Check(in.Workspace, api.Viewer); err != nil {
		return nil, err
	}
	out := Overview{Register: a.RegisterAddress, Servers: []Server{}, Problems: []Problem{}}
	if err := a.addDefinitions(ctx, &out, in.Workspace); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, overviewTimeout)
	defer cancel()
	a.addCompute(ctx, &out, in.Workspace)
	a.addAgents(ctx, &out)
	return &overviewOut{Body: out}, nil
}

func (o *Overview) problem(code, object, format string, args ...any) {
	o.Problems = append(o.Problems, Problem{Code: code, Object: object, Message: fmt.Sprintf(format, args...)})
}

func (a *Agents) addDefinitions(ctx context.Context, out *Overview, workspace string) error {
	objects, err := a.Resources.List(ctx, "", workspace)
	if err != nil {
		return err
	}
	for _, o := range objects {
		switch o.Kind {
		case resource.KindAlarmRule:
			out.AlarmRules++
		case resource.KindLogMonitor:
			spec, err := resource.SpecOf[logrule.Spec](o)
			if err != nil {
				return err
			}
			out.Monitors++
			if spec.Disabled {
				out.Disabled++
			}
		}
	}
	levels, err := alarmstate.FiringByLevel(ctx, a.DB, workspace)
	out.AlarmsFiring = LevelCounts{levels["P0"], levels["P1"], levels["P2"], levels["P3"], levels["P4"]}
	return err
}

func (a *Agents) addCompute(ctx context.Context, out *Overview, workspace string) {
	s, err := a.Query.Status(ctx, &pharosv1.StatusRequest{})
	if err != nil {
		out.problem("compute_unavailable", "compute", "compute can't be asked: %s", api.FromError(err).Message)
		return
	}
	out.FreshnessMs, out.SettleMs = s.FreshnessMs, s.SettleDelayMs
	out.WindowsOpen, out.DiskBytes = s.GetWindowsOpen(), s.GetDiskBytes()
	if s.GetDiskError() != "" {
		out.problem("disk_error", s.GetComputeId(), "the store can't be written: %s", s.GetDiskError())
	}
	if n := s.GetSamplesDroppedTotal(); n > 0 {
		out.problem("samples_dropped", s.GetComputeId(), "%d samples were dropped since the start", n)
	}
	out.LinesPerS = a.rate(ctx, workspace, "sum(rate(self_agent_lines_total[2m]))")
	out.BytesPerS = a.rate(ctx, workspace, "sum(rate(self_agent_bytes_total[2m]))")
}

// rate asks for one number; nil when there is none.
func (a *Agents) rate(ctx context.Context, workspace, expr string) *float64 {
	now := a.Clock().UnixMilli()
	answer, err := a.Query.Query(ctx, &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: workspace}, Expr: expr, StartMs: now, EndMs: now})
	if err != nil || len(answer.GetSeries()) == 0 || len(answer.GetSeries()[0].GetValues()) == 0 {
		return nil
	}
	return &answer.GetSeries()[0].GetValues()[0]
}

func (a *Agents) addAgents(ctx context.Context, out *Overview) {
	answer, err := a.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	servers, errServers := a.Register.ListServers(ctx, &pharosv1.ListServersRequest{})
	if err := errors.Join(err, errServers); err != nil {
		out.problem("register_unavailable", "register", "register can't be asked: %s", api.FromError(err).Message)
	}
	for _, s := range servers.GetServers() {
		row := serverOf(s)
		out.Servers = append(out.Servers, row)
		if !row.Live {
			out.problem("server_away", row.ServerID, "%s %s at %s is away", row.Role, row.ServerID, row.Address)
		}
	}
	for _, s := range answer.GetAgents() {
		row := agentOf(s)
		out.Agents.Total++
		out.LinesTotal += row.Load.LinesTotal
		if row.Connected {
			out.Agents.Connected++
		}
		switch row.Health {
		case "healthy":
			out.Agents.Healthy++
		case "clock_skew":
			out.Agents.ClockSkew++
		default:
			out.Agents.Abnormal++
		}
		if len(out.Problems) > 50 {
			continue // the list of agents has the rest
		}
		if row.Health != "healthy" {
			out.problem("agent_"+row.Health, row.AgentID, "%s: %s", row.Host.Hostname, row.Reason)
		}
		for _, text := range row.Problems {
			out.problem("agent_problem", row.AgentID, "%s: %s", row.Host.Hostname, text)
		}
	}
}

func (a *Agents) auditLog(ctx context.Context, in *auditIn) (*auditOut, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	if in.Workspace != "" {
		if err := p.Check(in.Workspace, api.Admin); err != nil {
			return nil, err
		}
	} else if !p.Admin {
		return nil, api.Code(403, "forbidden")
	}
	if in.Sort != "" && in.Sort != "-time_ms" || in.Q != "" {
		return nil, api.BadField("sort", "bad_sort", "the log is sorted by -time_ms and has no text search; use its filters")
	}
	rows, total, err := audit.List(ctx, a.DB, audit.Filter{Workspace: in.Workspace, Actor: in.Actor, Kind: in.Kind, Name: in.Name, Action: in.Action,
		StartMs: in.Start, EndMs: in.End}, in.Offset(), in.PageSize)
	if err != nil {
		return nil, err
	}
	entries := make([]AuditEntry, len(rows))
	for i, r := range rows {
		entries[i] = AuditEntry{Entry: r, Before: json.RawMessage(r.Before), After: json.RawMessage(r.After)}
	}
	return &auditOut{Body: api.PageOf(entries, total, in.ListParams)}, nil
}
