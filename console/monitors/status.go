package monitors

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// statusTimeout bounds how long a list waits for the rest of the server.
const statusTimeout = 3 * time.Second

// fillStatus asks register and compute how the monitors are doing. A part that
// can't be asked is noted in the status; the definitions are shown all the same.
func (m *Monitors) fillStatus(ctx context.Context, rows []Monitor) {
	if len(rows) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	agents, err := m.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	for i := range rows {
		if err != nil {
			rows[i].Status.Unknown = "the agents' state is not known: " + api.FromError(err).Message
			continue
		}
		for _, a := range agents.GetAgents() {
			rows[i].Status.count(a, rows[i].ID, rows[i].Version)
		}
	}
	var g errgroup.Group
	g.SetLimit(4)
	for i := range rows {
		if rows[i].Spec.Disabled {
			continue
		}
		g.Go(func() error {
			m.fillWindows(ctx, &rows[i])
			return nil
		})
	}
	g.Wait() // its functions return no error
}

func (s *MonitorStatus) count(a *pharosv1.AgentState, monitorID string, version int64) {
	for _, t := range a.GetHeartbeat().GetTasks() {
		if t.GetMonitorId() != monitorID || !a.GetConnected() {
			continue
		}
		s.AgentsExpected++
		switch {
		case t.GetError() == "" && t.GetDefinitionRevision() == uint64(version):
			s.AgentsActive++
		case t.GetError() != "" && len(s.Errors) < 10:
			s.Errors = append(s.Errors, AgentError{AgentID: a.GetAgentId(), Host: a.GetHost().GetHostname(), Error: t.GetError()})
		}
	}
}

func (m *Monitors) fillWindows(ctx context.Context, row *Monitor) {
	now := m.Clock().UnixMilli()
	span := max(10*time.Minute.Milliseconds(), 5*row.Spec.Window.D().Milliseconds())
	answer, err := m.Query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
		Scope: &pharosv1.Scope{Workspace: row.Workspace}, MonitorId: row.ID, StartMs: now - span, EndMs: now,
	})
	if err != nil {
		if row.Status.Unknown == "" {
			row.Status.Unknown = "the windows are not known: " + api.FromError(err).Message
		}
		return
	}
	if n := int(answer.GetExpectedAgents()); n > 0 {
		row.Status.AgentsExpected = n
	}
	for _, w := range answer.GetWindows() {
		if w.GetSettled() {
			start, share := w.GetWindowStartMs(), w.GetCompleteness()
			row.Status.LastWindowMs, row.Status.Completeness = &start, &share
		}
	}
}

// TimeRange are the parameters of a question about a time range.
type TimeRange struct {
	Start int64 `query:"start" minimum:"0" doc:"Unix milliseconds, included; default one hour before end"`
	End   int64 `query:"end" minimum:"0" doc:"Unix milliseconds, not included; default now"`
}

// maxRange is the longest range in one question.
const maxRange = 92 * 24 * time.Hour

func (t *TimeRange) complete(now time.Time) error {
	if t.End == 0 {
		t.End = now.UnixMilli()
	}
	if t.Start == 0 {
		t.Start = t.End - time.Hour.Milliseconds()
	}
	if t.Start >= t.End {
		return api.BadField("start", "range_invalid", "must be before end")
	}
	if t.End-t.Start > maxRange.Milliseconds() {
		return api.BadField("start", "range_invalid", "is more than 92 days before end; ask for less")
	}
	return nil
}

// MonitorWindows tells of a monitor's windows.
type MonitorWindows struct {
	Windows        []WindowState `json:"windows" doc:"In the order of time, one for every window that has data or has settled"`
	SettledUntilMs int64         `json:"settled_until_ms" doc:"Every window that ends at or before it has settled"`
	ExpectedAgents int           `json:"expected_agents"`
	MissingAgents  []string      `json:"missing_agents" doc:"Agents that have not reported the newest window that is over"`
	Keys           int           `json:"keys" doc:"Keys of the sliding 24 h"`
	KeyLimit       int           `json:"key_limit"`
	WindowMs       int64         `json:"window_ms" doc:"Length of a window by the present definition"`
}

// WindowState is the completeness and the losses of one window.
type WindowState struct {
	WindowStartMs  int64   `json:"window_start_ms"`
	WindowMs       int64   `json:"window_ms"`
	Settled        bool    `json:"settled"`
	Completeness   float64 `json:"completeness" doc:"Share of expected agents that reported, 0 to 1"`
	Lines          uint64  `json:"lines"`
	LinesBad       uint64  `json:"lines_bad"`
	LinesLate      uint64  `json:"lines_late"`
	LinesUnmatched uint64  `json:"lines_unmatched"`
	LinesFiltered  uint64  `json:"lines_filtered"`
	BadNumbers     uint64  `json:"bad_numbers"`
	ThrottledBytes uint64  `json:"throttled_bytes"`
	LostBytes      uint64  `json:"lost_bytes"`
	KeysDropped    uint64  `json:"keys_dropped"`
	Revision       uint64  `json:"revision"`
}

type windowsIn struct {
	One
	TimeRange
}
type windowsOut struct{ Body MonitorWindows }

func (m *Monitors) windows(ctx context.Context, in *windowsIn) (*windowsOut, error) {
	if err := in.complete(m.Clock()); err != nil {
		return nil, err
	}
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	answer, err := m.Query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
		Scope: &pharosv1.Scope{Workspace: in.Workspace}, MonitorId: o.Metadata.ID, StartMs: in.Start, EndMs: in.End,
	})
	if err != nil {
		return nil, err
	}
	out := MonitorWindows{Windows: []WindowState{}, SettledUntilMs: answer.GetSettledUntilMs(), ExpectedAgents: int(answer.GetExpectedAgents()),
		MissingAgents: append([]string{}, answer.GetMissingAgents()...), Keys: int(answer.GetKeys()), KeyLimit: int(answer.GetKeyLimit()),
		WindowMs: spec.Window.D().Milliseconds()}
	for _, w := range answer.GetWindows() {
		out.Windows = append(out.Windows, WindowState{
			WindowStartMs: w.GetWindowStartMs(), WindowMs: w.GetWindowMs(), Settled: w.GetSettled(), Completeness: w.GetCompleteness(),
			Lines: w.GetLines(), LinesBad: w.GetLinesBad(), LinesLate: w.GetLinesLate(), LinesUnmatched: w.GetLinesUnmatched(),
			LinesFiltered: w.GetLinesFiltered(), BadNumbers: w.GetBadNumbers(), ThrottledBytes: w.GetThrottledBytes(),
			LostBytes: w.GetLostBytes(), KeysDropped: w.GetKeysDropped(), Revision: w.GetRevision(),
		})
	}
	return &windowsOut{Body: out}, nil
}

// MonitorAgents tells what each agent does for a monitor.
type MonitorAgents struct {
	Items []MonitorAgent `json:"items"`
}

// MonitorAgent is what one agent does for a monitor.
type MonitorAgent struct {
	AgentID            string       `json:"agent_id"`
	Host               string       `json:"host"`
	Connected          bool         `json:"connected"`
	DefinitionRevision int64        `json:"definition_revision" doc:"Version of the definition the agent works by"`
	Active             bool         `json:"active" doc:"It works by the present definition without an error"`
	Error              string       `json:"error"`
	WatermarkMs        int64        `json:"watermark_ms" doc:"Event time up to which everything was read and is safe"`
	Files              []FileState  `json:"files"`
	Lines              LineCounters `json:"lines"`
	BadSamples         []BadLine    `json:"bad_samples" doc:"Recent lines that could not be used; only for editors"`
}

// FileState is a file an agent reads.
type FileState struct {
	Path      string `json:"path"`
	SizeBytes int64  `json:"size_bytes"`
	ReadBytes int64  `json:"read_bytes"`
	Error     string `json:"error"`
}

// BadLine is a line that could not be used.
type BadLine struct {
	Path   string `json:"path"`
	Reason string `json:"reason" doc:"time, column, number, encoding, long or late"`
	Text   string `json:"text"`
	ReadMs int64  `json:"read_ms"`
}

// LineCounters say what happened to the lines that were read.
type LineCounters struct {
	Read           uint64 `json:"read"`
	Matched        uint64 `json:"matched" doc:"Entered a window"`
	Filtered       uint64 `json:"filtered" doc:"Dropped by a white or black list"`
	Unmatched      uint64 `json:"unmatched" doc:"Lacked a column that a group or filter needs"`
	Bad            uint64 `json:"bad" doc:"Had no usable time"`
	Late           uint64 `json:"late" doc:"Older than a day or more than an hour ahead"`
	BadNumbers     uint64 `json:"bad_numbers"`
	ThrottledBytes uint64 `json:"throttled_bytes"`
	Undecodable    uint64 `json:"undecodable" doc:"Characters replaced"`
	Cut            uint64 `json:"cut" doc:"Lines longer than 256 KiB"`
	KeysDropped    uint64 `json:"keys_dropped"`
}

func countersOf(c *pharosv1.LineCounters) LineCounters {
	return LineCounters{Read: c.GetRead(), Matched: c.GetMatched(), Filtered: c.GetFiltered(), Unmatched: c.GetUnmatched(), Bad: c.GetBad(),
		Late: c.GetLate(), BadNumbers: c.GetBadNumbers(), ThrottledBytes: c.GetThrottledBytes(), Undecodable: c.GetUndecodable(),
		Cut: c.GetCut(), KeysDropped: c.GetKeysDropped()}
}

type agentsOut struct{ Body MonitorAgents }

func (m *Monitors) agents(ctx context.Context, in *One) (*agentsOut, error) {
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	answer, err := m.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{})
	if err != nil {
		return nil, err
	}
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	// Lines of a log are for those who may edit; others see numbers.
	mayReadLines := p.Check(in.Workspace, api.Editor) == nil
	out := MonitorAgents{Items: []MonitorAgent{}}
	for _, a := range answer.GetAgents() {
		for _, t := range a.GetHeartbeat().GetTasks() {
			if t.GetMonitorId() == o.Metadata.ID {
				out.Items = append(out.Items, agentOf(a, t, o.Metadata.Version, mayReadLines))
			}
		}
	}
	return &agentsOut{Body: out}, nil
}

func agentOf(a *pharosv1.AgentState, t *pharosv1.TaskStatus, version int64, mayReadLines bool) MonitorAgent {
	row := MonitorAgent{AgentID: a.GetAgentId(), Host: a.GetHost().GetHostname(), Connected: a.GetConnected(),
		DefinitionRevision: int64(t.GetDefinitionRevision()), Error: t.GetError(), WatermarkMs: t.GetWatermarkMs(),
		Active: a.GetConnected() && t.GetError() == "" && t.GetDefinitionRevision() == uint64(version),
		Files:  []FileState{}, Lines: countersOf(t.GetLines()), BadSamples: []BadLine{}}
	for _, f := range t.GetFiles() {
		row.Files = append(row.Files, FileState{Path: f.GetPath(), SizeBytes: f.GetSizeBytes(), ReadBytes: f.GetReadBytes(), Error: f.GetError()})
	}
	if mayReadLines {
		for _, b := range t.GetBadSamples() {
			row.BadSamples = append(row.BadSamples, BadLine{Path: b.GetPath(), Reason: b.GetReason(), Text: b.GetText(), ReadMs: b.GetReadMs()})
		}
	}
	return row
}
