// Package agents answers the routes about the installation itself: its agents
// and servers, the tokens that admit agents, its health and its audit log.
package agents

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of Agents.
type Options struct {
	DB        *bun.DB
	Resources *resource.Store
	Register  pharosv1.RegisterServiceClient
	Query     pharosv1.QueryServiceClient
	// CAFingerprint is put into join tokens for agents to pin; empty without TLS.
	CAFingerprint string
	// RegisterAddress is where agents reach register, as Reachable gives it.
	RegisterAddress string
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Reachable returns a host:port as a caller on another machine may use it: the
// host is left out if it means the machine itself or all of its addresses, and
// the caller then takes the one by which it reached the console. An address
// that has no port gives "".
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = ""
	}
	return net.JoinHostPort(host, port)
}

// Agents answers the routes.
type Agents struct{ Options }

// New returns Agents.
func New(o Options) *Agents {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Agents{o}
}

// Agent is an agent as the list shows it.
type Agent struct {
	AgentID            string            `json:"agent_id"`
	Health             string            `json:"health" enum:"healthy,abnormal,clock_skew,unknown"`
	Reason             string            `json:"reason" doc:"Explains a health other than healthy"`
	Version            string            `json:"version"`
	Host               Host              `json:"host"`
	Labels             map[string]string `json:"labels" doc:"Labels of its series: host, ip, az, cell, …"`
	Connected          bool              `json:"connected"`
	LastSeenMs         int64             `json:"last_seen_ms"`
	StartedMs          int64             `json:"started_ms"`
	ClockOffsetMs      int64             `json:"clock_offset_ms" doc:"Its clock minus the server's"`
	PlanRevision       uint64            `json:"plan_revision"`
	WantedPlanRevision uint64            `json:"wanted_plan_revision"`
	Vessel             string            `json:"vessel" doc:"Address it delivers to; empty if none"`
	Load               Load              `json:"load"`
	Tasks              int               `json:"tasks"`
	TaskErrors         int               `json:"task_errors"`
	Problems           []string          `json:"problems" doc:"Errors that concern the whole agent, such as a full disk"`
}

// Host is the machine an agent runs on.
type Host struct {
	Hostname    string `json:"hostname"`
	IP          string `json:"ip"`
	OS          string `json:"os"`
	Kernel      string `json:"kernel"`
	Arch        string `json:"arch"`
	CPUs        int32  `json:"cpus"`
	MemoryBytes uint64 `json:"memory_bytes"`
	Timezone    string `json:"timezone"`
}

// Load is what an agent costs and holds.
type Load struct {
	CPUCores         float64 `json:"cpu_cores"`
	RSSBytes         uint64  `json:"rss_bytes"`
	LinesTotal       uint64  `json:"lines_total"`
	BytesTotal       uint64  `json:"bytes_total"`
	UnackedRevisions uint64  `json:"unacked_revisions"`
	UnackedBytes     uint64  `json:"unacked_bytes"`
	DroppedWindows   uint64  `json:"dropped_windows"`
	FilesOpen        uint64  `json:"files_open"`
}

// AgentDetail is an agent with its tasks.
type AgentDetail struct {
	Agent
	TaskList []Task `json:"task_list" doc:"Tasks of the workspaces the caller sees; host metrics have no monitor"`
}

// Task is what an agent collects for one monitor.
type Task struct {
	TaskID             string   `json:"task_id"`
	MonitorID          string   `json:"monitor_id"`
	Monitor            string   `json:"monitor" doc:"Name of the monitor; empty for host metrics"`
	Workspace          string   `json:"workspace"`
	DefinitionRevision uint64   `json:"definition_revision"`
	Error              string   `json:"error"`
	WatermarkMs        int64    `json:"watermark_ms"`
	LinesRead          uint64   `json:"lines_read"`
	LinesMatched       uint64   `json:"lines_matched"`
	Files              []string `json:"files"`
	FileErrors         []string `json:"file_errors"`
}

type listIn struct {
	api.ListParams
	Health    string `query:"health" enum:"healthy,abnormal,clock_skew,unknown,"`
	AZ        string `query:"az"`
	Cell      string `query:"cell"`
	Version   string `query:"version"`
	Connected string `query:"connected" enum:"true,false,"`
}
type listOut struct{ Body api.Page[Agent] }
type agentID struct {
	ID string `path:"id"`
}
type agentOut struct{ Body AgentDetail }

// Routes registers the routes.
func (a *Agents) Routes(r *api.API) {
	api.Route(r, "listAgents", "GET", "/api/v1/agents", api.SignedIn, "List agents", a.list)
	api.Route(r, "getAgent", "GET", "/api/v1/agents/{id}", api.SignedIn, "Read an agent with its tasks", a.get)
	api.Route(r, "forgetAgent", "DELETE", "/api/v1/agents/{id}", api.Installation, "Forget an agent: it must join again", a.forget, api.Status(http.StatusNoContent))
	a.serverRoutes(r)
	a.tokenRoutes(r)
}

var healths = map[pharosv1.AgentHealth]string{
	pharosv1.AgentHealth_AGENT_HEALTH_UNSPECIFIED: "unknown", pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY: "healthy",
	pharosv1.AgentHealth_AGENT_HEALTH_ABNORMAL: "abnormal", pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW: "clock_skew",
}

func agentOf(s *pharosv1.AgentState) Agent {
	h, b := s.GetHost(), s.GetHeartbeat()
	l := b.GetLoad()
	a := Agent{AgentID: s.GetAgentId(), Health: healths[s.GetHealth()], Reason: s.GetReason(), Version: s.GetVersion(),
		Host: Host{Hostname: h.GetHostname(), IP: h.GetIp(), OS: h.GetOs(), Kernel: h.GetKernel(), Arch: h.GetArch(), CPUs: h.GetCpus(),
			MemoryBytes: h.GetMemoryBytes(), Timezone: h.GetTimezone()},
		Labels: map[string]string{}, Connected: s.GetConnected(), LastSeenMs: s.GetLastSeenMs(), StartedMs: s.GetStartedMs(),
		ClockOffsetMs: s.GetClockOffsetMs(), PlanRevision: s.GetPlanRevision(), WantedPlanRevision: s.GetWantedPlanRevision(),
		Vessel: b.GetVessel(), Tasks: len(b.GetTasks()), Problems: append([]string{}, b.GetProblems()...),
		Load: Load{CPUCores: l.GetCpuCores(), RSSBytes: l.GetRssBytes(), LinesTotal: l.GetLinesTotal(), BytesTotal: l.GetBytesTotal(),
			UnackedRevisions: l.GetUnackedRevisions(), UnackedBytes: l.GetUnackedBytes(), DroppedWindows: l.GetDroppedWindows(), FilesOpen: l.GetFilesOpen()}}
	for k, v := range s.GetLabels() {
		a.Labels[k] = v
	}
	for _, t := range b.GetTasks() {
		if t.GetError() != "" {
			a.TaskErrors++
		}
	}
	return a
}

func (a *Agents) list(ctx context.Context, in *listIn) (*listOut, error) {
	answer, err := a.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil {
		return nil, err
	}
	var rows []Agent
	for _, s := range answer.GetAgents() {
		row := agentOf(s)
		if (in.Health == "" || row.Health == in.Health) && (in.AZ == "" || row.Labels["az"] == in.AZ) && (in.Cell == "" || row.Labels["cell"] == in.Cell) &&
			(in.Version == "" || row.Version == in.Version) && (in.Connected == "" || (in.Connected == "true") == row.Connected) {
			rows = append(rows, row)
		}
	}
	if in.Sort == "" {
		in.Sort = "hostname"
	}
	page, err := api.Paginate(rows, in.ListParams, func(r Agent) string {
		return strings.Join([]string{r.AgentID, r.Host.Hostname, r.Host.IP, r.Version}, " ")
	}, api.Columns[Agent]{
		"agent_id": api.By(func(r Agent) string { return r.AgentID }), "hostname": api.By(func(r Agent) string { return r.Host.Hostname }),
		"ip": api.By(func(r Agent) string { return r.Host.IP }), "health": api.By(func(r Agent) string { return r.Health }),
		"version": api.By(func(r Agent) string { return r.Version }), "last_seen_ms": api.By(func(r Agent) int64 { return r.LastSeenMs }),
		"clock_offset_ms": api.By(func(r Agent) int64 { return r.ClockOffsetMs }), "cpu_cores": api.By(func(r Agent) float64 { return r.Load.CPUCores }),
		"rss_bytes": api.By(func(r Agent) uint64 { return r.Load.RSSBytes }), "tasks": api.By(func(r Agent) int { return r.Tasks }),
	})
	return &listOut{Body: page}, err
}

func (a *Agents) get(ctx context.Context, in *agentID) (*agentOut, error) {
	answer, err := a.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil {
		return nil, err
	}
	for _, s := range answer.GetAgents() {
		if s.GetAgentId() == in.ID {
			tasks, err := a.tasks(ctx, s.GetHeartbeat().GetTasks())
			return &agentOut{Body: AgentDetail{Agent: agentOf(s), TaskList: tasks}}, err
		}
	}
	return nil, api.NotFound("agent", in.ID)
}

// tasks leaves out tasks of monitors in workspaces the caller does not see.
func (a *Agents) tasks(ctx context.Context, states []*pharosv1.TaskStatus) ([]Task, error) {
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	objects, err := a.Resources.List(ctx, resource.KindLogMonitor, "")
	if err != nil {
		return nil, err
	}
	monitors := map[string]resource.Metadata{}
	for _, o := range objects {
		monitors[o.Metadata.ID] = o.Metadata
	}
	tasks := []Task{}
	for _, s := range states {
		m := monitors[s.GetMonitorId()]
		if isMonitor := strings.HasPrefix(s.GetMonitorId(), "mon_"); isMonitor && p.Roles[m.Workspace] == "" {
			continue // in a workspace the caller does not see, or just deleted
		}
		t := Task{TaskID: s.GetTaskId(), MonitorID: s.GetMonitorId(), Monitor: m.Name, Workspace: m.Workspace, DefinitionRevision: s.GetDefinitionRevision(),
			Error: s.GetError(), WatermarkMs: s.GetWatermarkMs(), LinesRead: s.GetLines().GetRead(), LinesMatched: s.GetLines().GetMatched(),
			Files: []string{}, FileErrors: []string{}}
		for _, f := range s.GetFiles() {
			t.Files = append(t.Files, f.GetPath())
			if f.GetError() != "" {
				t.FileErrors = append(t.FileErrors, f.GetPath()+": "+f.GetError())
			}
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}
