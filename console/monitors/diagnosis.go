package monitors

import (
	"context"
	"time"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Diagnosis tells of a monitor what works and what does not, from the agent
// to the alarm, so that the first problem is most often the cause of the rest.
type Diagnosis struct {
	CheckedMs int64 `json:"checked_ms"`
	// SinceMs is how far back lines and windows were looked at.
	SinceMs int64   `json:"since_ms" doc:"Lines and windows since then were looked at"`
	Checks  []Check `json:"checks" doc:"In the order in which data flows"`
}

// State of a check.
type State string

// The states. Warning is something that may be meant; Unknown is what can't be
// told, most often because a check before it failed.
const (
	OK      State = "ok"
	Warning State = "warning"
	Problem State = "problem"
	Unknown State = "unknown"
)

// Check is one question and its answer.
type Check struct {
	Code  string `json:"code" enum:"enabled,scope,agents,revision,clock,files,readable,links,growth,encoding,time,lateness,columns,filters,numbers,keys,flow,losses,completeness,alarms" doc:"What was asked"`
	State State  `json:"state" enum:"ok,warning,problem,unknown"`
	// Cause is a stable name, such as no_match; texts and advice belong to it.
	Cause string `json:"cause" doc:"Stable name of why the state is what it is; empty where there is nothing to tell"`
	// Values are the numbers that texts of the cause tell of, such as n and total.
	Values map[string]float64 `json:"values" doc:"Numbers of the cause, such as n and total"`
	// Evidence is what was seen, at most maxEvidence.
	Evidence []Evidence `json:"evidence"`
	// Section of the monitor's editor where it is mended; empty: not there.
	Section string `json:"section" enum:",files,columns,time,filters,figures,advanced" doc:"Part of the definition to look at; empty: none"`
}

// Evidence is something that was seen.
type Evidence struct {
	AgentID string `json:"agent_id,omitempty"`
	Host    string `json:"host,omitempty"`
	Path    string `json:"path,omitempty"`
	// Text is an error, or a line of a log; lines are only for editors.
	Text string `json:"text,omitempty"`
	// Name of the alarm rule that is meant.
	Name   string `json:"name,omitempty" doc:"Alarm rule"`
	TimeMs int64  `json:"time_ms,omitempty"`
	// Holds are names of files in the directory Path, newest first; absent
	// where nobody has looked.
	Holds []string `json:"holds,omitempty" doc:"Some of the files in the directory, newest first"`
}

// maxEvidence of one check.
const maxEvidence = 10

// lookBack is how far back windows are looked at: longer where windows are long.
func lookBack(spec logrule.Spec) time.Duration { return max(15*time.Minute, 5*spec.Window.D()) }

type diagnosisOut struct{ Body Diagnosis }

// diagnosis answers getMonitorDiagnosis. What can't be asked leaves its checks unknown.
func (m *Monitors) diagnosis(ctx context.Context, in *One) (*diagnosisOut, error) {
	o, err := m.Resources.Get(ctx, resource.KindLogMonitor, in.Workspace, in.Name)
	if err != nil {
		return nil, err
	}
	spec, err := resource.SpecOf[logrule.Spec](o)
	if err != nil {
		return nil, err
	}
	p, refused := api.Caller(ctx)
	if refused != nil {
		return nil, refused
	}
	s := symptoms{spec: spec.WithDefaults(), version: o.Metadata.Version, changed: o.Metadata.UpdatedAt, now: m.Clock(),
		mayReadLines: p.Check(in.Workspace, api.Editor) == nil}
	if s.rules, err = m.rulesOf(ctx, in.Workspace, o.Metadata.Name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	if answer, err := m.Register.ListAgents(ctx, &pharosv1.ListAgentsRequest{}); err == nil {
		s.take(answer.GetAgents(), o.Metadata.ID)
	}
	if s.mayReadLines {
		s.looks = m.lookFor(ctx, s.unmatchedPaths(), s.reading())
	}
	since := s.now.Add(-lookBack(s.spec))
	s.windows, err = m.Query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
		Scope: &pharosv1.Scope{Workspace: in.Workspace}, MonitorId: o.Metadata.ID, StartMs: since.UnixMilli(), EndMs: s.now.UnixMilli(),
	})
	if err != nil {
		s.windows = nil
	}
	s.sum()
	return &diagnosisOut{Body: Diagnosis{CheckedMs: s.now.UnixMilli(), SinceMs: since.UnixMilli(), Checks: s.checks()}}, nil
}

// rule is an alarm rule on the monitor.
type rule struct {
	name string
	spec alarmrule.Spec
}

func (m *Monitors) rulesOf(ctx context.Context, workspace, monitor string) ([]rule, error) {
	objects, err := m.Resources.List(ctx, resource.KindAlarmRule, workspace)
	if err != nil {
		return nil, err
	}
	var rules []rule
	for _, o := range objects {
		spec, err := resource.SpecOf[alarmrule.Spec](o)
		if err != nil {
			return nil, err
		}
		for _, c := range spec.Each("spec") {
			if c.Monitor == monitor {
				rules = append(rules, rule{o.Metadata.Name, spec})
				break
			}
		}
	}
	return rules, nil
}

// symptoms is all that a diagnosis goes by.
type symptoms struct {
	spec         logrule.Spec
	version      int64
	changed, now time.Time
	mayReadLines bool
	rules        []rule
	// registered is nil when register could not be asked.
	registered []*pharosv1.AgentState
	// covered agents are those of the monitor's scope.
	covered []agentTask
	// windows is nil when compute could not be asked.
	windows *pharosv1.MonitorWindowsResponse
	// looks tell what stands where a path matches nothing, by the path.
	looks map[string]Evidence

	// What the windows say together.
	matched, bad, late, unmatched, filtered, badNumbers, throttled, lost, keysDropped uint64
}

// agentTask is an agent and what it does for the monitor; task is nil when it does nothing.
type agentTask struct {
	*pharosv1.AgentState
	task *pharosv1.TaskStatus
}

func (s *symptoms) take(agents []*pharosv1.AgentState, monitorID string) {
	s.registered = append([]*pharosv1.AgentState{}, agents...)
	for _, a := range agents {
		if !s.spec.Covers(a.GetHost().GetHostname(), a.GetHost().GetIp(), a.GetHost().GetLabels()) {
			continue
		}
		row := agentTask{AgentState: a}
		for _, t := range a.GetHeartbeat().GetTasks() {
			if t.GetMonitorId() == monitorID {
				row.task = t
			}
		}
		s.covered = append(s.covered, row)
	}
}

func (s *symptoms) sum() {
	for _, w := range s.windows.GetWindows() {
		s.matched += w.GetLines()
		s.bad += w.GetLinesBad()
		s.late += w.GetLinesLate()
		s.unmatched += w.GetLinesUnmatched()
		s.filtered += w.GetLinesFiltered()
		s.badNumbers += w.GetBadNumbers()
		s.throttled += w.GetThrottledBytes()
		s.lost += w.GetLostBytes()
		s.keysDropped += w.GetKeysDropped()
	}
}

// read is how many lines the windows know of.
func (s *symptoms) read() uint64 { return s.matched + s.bad + s.late + s.unmatched + s.filtered }

// reading are the agents that are connected and have the task: those that can
// tell of files.
func (s *symptoms) reading() []agentTask {
	var rows []agentTask
	for _, a := range s.covered {
		if a.GetConnected() && a.task != nil {
			rows = append(rows, a)
		}
	}
	return rows
}

// checks asks all questions in the order in which data flows.
func (s *symptoms) checks() []Check {
	asked := []struct {
		code, section string
		ask           func() finding
	}{
		{"enabled", "", s.enabled}, {"scope", "advanced", s.scope}, {"agents", "", s.agents}, {"revision", "", s.revision}, {"clock", "", s.clock},
		{"files", "files", s.files}, {"readable", "files", s.readable}, {"links", "advanced", s.links}, {"growth", "files", s.growth},
		{"encoding", "advanced", s.encoding}, {"time", "time", s.time}, {"lateness", "time", s.lateness}, {"columns", "columns", s.columns},
		{"filters", "filters", s.filters}, {"numbers", "columns", s.numbers}, {"keys", "advanced", s.keys}, {"flow", "advanced", s.flow},
		{"losses", "", s.losses}, {"completeness", "", s.completeness}, {"alarms", "", s.alarms},
	}
	checks := make([]Check, len(asked))
	for i, a := range asked {
		f := a.ask()
		checks[i] = Check{Code: a.code, State: f.state, Cause: f.cause, Values: f.values, Evidence: f.evidence[:min(len(f.evidence), maxEvidence)]}
		if f.state == Problem || f.state == Warning {
			checks[i].Section = a.section
		}
		if checks[i].Values == nil {
			checks[i].Values = map[string]float64{}
		}
		if len(f.evidence) == 0 {
			checks[i].Evidence = []Evidence{}
		}
	}
	return checks
}
