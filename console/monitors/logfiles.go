package monitors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// taskTimeout is how long an agent may take for a task that ends by itself.
const taskTimeout = 15 * time.Second

// BrowseInput names a directory on an agent's host.
type BrowseInput struct {
	AgentID string `json:"agent_id,omitempty" doc:"Absent: any healthy agent of the app"`
	App     string `json:"app,omitempty" doc:"Default \"default\""`
	Path    string `json:"path,omitempty" maxLength:"512" doc:"Directory; absent: the roots the agent may read"`
	After   string `json:"after,omitempty" doc:"Name of the last entry of the page before"`
}

// Directory is a page of a directory.
type Directory struct {
	AgentID string      `json:"agent_id"`
	Path    string      `json:"path"`
	Entries []FileEntry `json:"entries" doc:"Sorted by name, at most 1000"`
	More    bool        `json:"more" doc:"There are more; ask again with after"`
}

// FileEntry is a file or directory.
type FileEntry struct {
	Name     string `json:"name"`
	Dir      bool   `json:"dir"`
	Size     int64  `json:"size"`
	MtimeMs  int64  `json:"mtime_ms"`
	Symlink  bool   `json:"symlink"`
	Readable bool   `json:"readable"`
}

// PreviewInput names a file or pattern.
type PreviewInput struct {
	AgentID  string `json:"agent_id,omitempty" doc:"Absent: any healthy agent of the app"`
	App      string `json:"app,omitempty" doc:"Default \"default\""`
	Path     string `json:"path" minLength:"1" maxLength:"512" doc:"File, or pattern whose newest file is taken"`
	Lines    int32  `json:"lines,omitempty" minimum:"0" maximum:"500" doc:"Default 50"`
	Encoding string `json:"encoding,omitempty" enum:"auto,utf-8,gbk,gb18030,"`
}

// Preview holds the last lines of a file and what the agent makes of them.
type Preview struct {
	AgentID    string   `json:"agent_id"`
	Path       string   `json:"path"`
	Lines      []string `json:"lines"`
	TimeFormat string   `json:"time_format" doc:"Detected; empty if nothing fits"`
	// TimeBetween is set when the time is not at the start of the line.
	TimeBetween *logrule.BetweenRule `json:"time_between,omitempty" doc:"Cuts out the time where it stands within brackets; absent where it begins the line"`
	Delimiter   string               `json:"delimiter" doc:"Splits the lines most evenly; empty if none does"`
	Encoding    string               `json:"encoding"`
}

// DebugInput is an unsaved rule and the lines to try it on.
type DebugInput struct {
	AgentID  string       `json:"agent_id,omitempty" doc:"Absent: any healthy agent of the spec's app"`
	Spec     logrule.Spec `json:"spec"`
	Lines    []string     `json:"lines,omitempty" maxItems:"1000" doc:"Absent: the last max_lines of the newest matching file"`
	MaxLines int32        `json:"max_lines,omitempty" minimum:"0" maximum:"1000" doc:"Default 100"`
}

// DryRun is what a rule makes of lines.
type DryRun struct {
	AgentID  string        `json:"agent_id"`
	Path     string        `json:"path"`
	Lines    []DryRunLine  `json:"lines"`
	Totals   []DryRunTotal `json:"totals" doc:"One for each window and key"`
	Counters LineCounters  `json:"counters"`
}

// DryRunLine is what a rule makes of one line. Offsets are in bytes of the UTF-8 text.
type DryRunLine struct {
	Text      string         `json:"text"`
	Outcome   string         `json:"outcome" enum:"matched,filtered,unmatched,bad,late"`
	Detail    string         `json:"detail"`
	TimeMs    int64          `json:"time_ms"`
	TimeStart int32          `json:"time_start"`
	TimeEnd   int32          `json:"time_end"`
	Columns   []DryRunColumn `json:"columns"`
}

// DryRunColumn is where a column stands in a line.
type DryRunColumn struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Start   int32  `json:"start"`
	End     int32  `json:"end"`
	Missing bool   `json:"missing"`
}

// DryRunTotal are the figures of a window and key.
type DryRunTotal struct {
	WindowMs int64      `json:"window_ms"`
	Key      []string   `json:"key"`
	Figures  []*float64 `json:"figures" doc:"In the order of the statistics; null where there is none"`
	Lines    uint64     `json:"lines"`
	Kept     []string   `json:"kept,omitempty" doc:"The first of the lines that row_top or match would keep, as they would leave the host"`
}

// TailLines is the data of an event of a live tail.
type TailLines struct {
	Lines   []string `json:"lines"`
	Skipped uint64   `json:"skipped" doc:"Lines left out because they came faster than 1000 a second"`
}

type browseIn struct {
	api.InWorkspace
	Body BrowseInput
}
type browseOut struct{ Body Directory }
type previewIn struct {
	api.InWorkspace
	Body PreviewInput
}
type previewOut struct{ Body Preview }
type debugIn struct {
	api.InWorkspace
	Body api.Raw[DebugInput]
}
type debugOut struct{ Body DryRun }
type tailIn struct {
	api.InWorkspace
	AgentID  string `query:"agent_id" doc:"Absent: any healthy agent of the app"`
	App      string `query:"app"`
	Path     string `query:"path" required:"true" minLength:"1" maxLength:"512"`
	Contains string `query:"contains" maxLength:"500" doc:"Only lines with this text"`
	Encoding string `query:"encoding" enum:"auto,utf-8,gbk,gb18030,"`
	Lines    int32  `query:"lines" minimum:"0" maximum:"500" default:"20" doc:"Lines from the end of the file to show at once"`
}

func (m *Monitors) logFileRoutes(r *api.API) {
	const all = "/api/v1/workspaces/{workspace}/log_files"
	api.Route(r, "browseLogFiles", "POST", all+":browse", api.NeedEditor, "List a directory on an agent's host", m.browse)
	api.Route(r, "previewLogFile", "POST", all+":preview", api.NeedEditor, "Read the last lines of a file", m.preview)
	api.Route(r, "tailLogFile", "GET", all+":tail", api.NeedEditor, "Follow a file", m.tail, func(op *huma.Operation) {
		op.Description = "Server-sent events: `lines` with TailLines as data, `error` with the error format as data and then the end."
		op.Responses = map[string]*huma.Response{"200": {Description: "Events", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}}
	})
}

// taskError turns an agent's refusal into an error of the API.
func taskError(code, message string) error {
	switch code {
	case "agent_offline":
		return api.Fail(http.StatusConflict, code, "%s", message)
	case "agent_unknown":
		return api.Fail(http.StatusNotFound, code, "%s", message)
	case "agent_timeout", "timeout":
		return api.Fail(http.StatusGatewayTimeout, "agent_timeout", "%s", message)
	case "too_many_tasks", "reader_too_slow":
		return api.Fail(http.StatusTooManyRequests, code, "%s", message)
	case "":
		code = "task_failed"
	}
	return api.Fail(http.StatusUnprocessableEntity, code, "%s", message)
}

// start sends a task to an agent.
func (m *Monitors) start(ctx context.Context, agentID, app string, task *pharosv1.AgentTask, timeout time.Duration) (pharosv1.RegisterService_RunTaskClient, error) {
	if app == "" {
		app = "default"
	}
	return m.Register.RunTask(ctx, &pharosv1.RunTaskRequest{AgentId: agentID, App: app, Task: task, TimeoutMs: timeout.Milliseconds()})
}

// run sends a task to an agent and waits for its end; the events are merged by take.
func (m *Monitors) run(ctx context.Context, agentID, app string, task *pharosv1.AgentTask, take func(*pharosv1.TaskEvent)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, taskTimeout+2*time.Second)
	defer cancel()
	stream, err := m.start(ctx, agentID, app, task, taskTimeout)
	if err != nil {
		return "", streamError(err)
	}
	ran := agentID
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ran, nil
		}
		if err != nil {
			return "", streamError(err)
		}
		if id := answer.GetAgentId(); id != "" {
			ran = id
		}
		event := answer.GetEvent()
		if event.GetErrorCode() != "" || event.GetError() != "" {
			return "", taskError(event.GetErrorCode(), event.GetError())
		}
		if event.GetResult() != nil {
			take(event)
		}
		if event.GetDone() {
			return ran, nil
		}
	}
}

// streamError names what can go wrong on the way to an agent.
func streamError(err error) error {
	switch status.Code(err) {
	case codes.NotFound, codes.FailedPrecondition:
		return api.Fail(http.StatusConflict, "agent_offline", "%s", status.Convert(err).Message())
	case codes.DeadlineExceeded:
		return api.Code(http.StatusGatewayTimeout, "agent_timeout")
	}
	return err
}

func (m *Monitors) browse(ctx context.Context, in *browseIn) (*browseOut, error) {
	out := Directory{Entries: []FileEntry{}}
	task := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Browse{Browse: &pharosv1.BrowseTask{Path: in.Body.Path, After: in.Body.After}}}
	var err error
	out.AgentID, err = m.run(ctx, in.Body.AgentID, in.Body.App, task, func(e *pharosv1.TaskEvent) {
		b := e.GetBrowse()
		out.Path, out.More = b.GetPath(), b.GetMore()
		for _, f := range b.GetEntries() {
			out.Entries = append(out.Entries, FileEntry{Name: f.GetName(), Dir: f.GetDir(), Size: f.GetSize(), MtimeMs: f.GetMtimeMs(), Symlink: f.GetSymlink(), Readable: f.GetReadable()})
		}
	})
	return &browseOut{Body: out}, err
}

func (m *Monitors) preview(ctx context.Context, in *previewIn) (*previewOut, error) {
	lines := in.Body.Lines
	if lines == 0 {
		lines = 50
	}
	out := Preview{Lines: []string{}}
	task := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Preview{Preview: &pharosv1.PreviewTask{Path: in.Body.Path, Lines: lines, Encoding: in.Body.Encoding}}}
	var err error
	out.AgentID, err = m.run(ctx, in.Body.AgentID, in.Body.App, task, func(e *pharosv1.TaskEvent) {
		p := e.GetPreview()
		out.Path, out.TimeFormat, out.Delimiter, out.Encoding = p.GetPath(), p.GetTimeFormat(), p.GetDelimiter(), p.GetEncoding()
		out.Lines = append(out.Lines, p.GetLines()...)
	})
	if out.TimeFormat == "" {
		format, between := logpipe.DetectBracketedTime(out.Lines)
		out.TimeFormat, out.TimeBetween = string(format), between
	}
	return &previewOut{Body: out}, err
}

func (m *Monitors) debug(ctx context.Context, in *debugIn) (*debugOut, error) {
	// The spec is checked as if it were saved, under a name that is always free.
	raw, err := in.Body.Field("spec")
	if err != nil {
		return nil, err
	}
	err = m.Resources.Validate(ctx, resource.Object{Kind: resource.KindLogMonitor, Spec: raw,
		Metadata: resource.Metadata{Name: "dry_run", Workspace: in.Workspace}})
	if err != nil {
		return nil, err
	}
	input, err := in.Body.Value()
	if err != nil {
		return nil, err
	}
	spec := input.Spec.WithDefaults()
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot write spec: %w", err)
	}
	if len(input.Lines) > 1000 || input.MaxLines < 0 || input.MaxLines > 1000 {
		return nil, api.BadField("lines", "too_many", "at most 1000 lines can be tried")
	}
	if input.MaxLines == 0 {
		input.MaxLines = 100
	}
	out := DryRun{Lines: []DryRunLine{}, Totals: []DryRunTotal{}}
	task := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_DryRun{DryRun: &pharosv1.DryRunTask{SpecJson: text, Lines: input.Lines, MaxLines: input.MaxLines}}}
	out.AgentID, err = m.run(ctx, input.AgentID, spec.App, task, func(e *pharosv1.TaskEvent) { out.add(e.GetDryRun()) })
	return &debugOut{Body: out}, err
}

func (d *DryRun) add(r *pharosv1.DryRunResult) {
	d.Path = r.GetPath()
	for _, l := range r.GetLines() {
		line := DryRunLine{Text: l.GetText(), Outcome: l.GetOutcome(), Detail: l.GetDetail(), TimeMs: l.GetTimeMs(), TimeStart: l.GetTimeStart(),
			TimeEnd: l.GetTimeEnd(), Columns: []DryRunColumn{}}
		for _, c := range l.GetColumns() {
			line.Columns = append(line.Columns, DryRunColumn{Name: c.GetName(), Value: c.GetValue(), Start: c.GetStart(), End: c.GetEnd(), Missing: c.GetMissing()})
		}
		d.Lines = append(d.Lines, line)
	}
	for _, t := range r.GetTotals() {
		total := DryRunTotal{WindowMs: t.GetWindowMs(), Key: append([]string{}, t.GetKey()...), Figures: []*float64{}, Lines: t.GetLines(), Kept: t.GetKept()}
		for _, v := range t.GetFigures() {
			var figure *float64
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				figure = &v
			}
			total.Figures = append(total.Figures, figure)
		}
		d.Totals = append(d.Totals, total)
	}
	d.Counters = countersOf(r.GetCounters())
}

// tail streams the lines that are appended to a file until the caller goes.
func (m *Monitors) tail(ctx context.Context, in *tailIn) (*huma.StreamResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	task := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Tail{Tail: &pharosv1.TailTask{Path: in.Path, Contains: in.Contains, Encoding: in.Encoding, Lines: in.Lines}}}
	stream, err := m.start(ctx, in.AgentID, in.App, task, 0)
	if err != nil {
		cancel()
		return nil, streamError(err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer cancel()
		m.relay(hctx, stream)
	}}, nil
}

func (m *Monitors) relay(hctx huma.Context, stream pharosv1.RegisterService_RunTaskClient) {
	hctx.SetHeader("Content-Type", "text/event-stream")
	hctx.SetHeader("X-Accel-Buffering", "no")
	hctx.SetStatus(http.StatusOK)
	w := api.NewEvents(hctx)
	defer w.Close()
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) || hctx.Context().Err() != nil {
			return
		}
		if err != nil {
			w.Fail(streamError(err))
			return
		}
		event := answer.GetEvent()
		if event.GetErrorCode() != "" || event.GetError() != "" {
			w.Fail(taskError(event.GetErrorCode(), event.GetError()))
			return
		}
		if t := event.GetTail(); t != nil {
			w.Send("lines", TailLines{Lines: append([]string{}, t.GetLines()...), Skipped: t.GetSkipped()})
		}
		if event.GetDone() {
			return
		}
	}
}
