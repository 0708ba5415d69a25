package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pharos-stack/pharos/internal/resource"
)

// Commands are the client commands of pharos.
type Commands struct {
	Login    Login    `cmd:"" help:"Sign in and store an API token for the commands below."`
	Apply    Apply    `cmd:"" help:"Create or update resources from YAML files or directories."`
	Get      Get      `cmd:"" help:"Show resources: monitors, alarm_rules, channels."`
	Delete   Delete   `cmd:"" help:"Delete a resource."`
	Export   Export   `cmd:"" help:"Write the workspace's resources as YAML that apply accepts."`
	Query    Query    `cmd:"" help:"Evaluate a PromQL expression now or over a range."`
	Backtest Backtest `cmd:"" help:"Try an alarm rule on the past, without saving it."`
	Tail     Tail     `cmd:"" help:"Follow a log file on an agent."`
	Agents   Agents   `cmd:"" help:"List agents and their state."`
}

// Login stores an API token.
type Login struct {
	Connection
	Username string `arg:"" optional:"" default:"admin" help:"User name."`
	Password string `help:"Password; asked for when not given." env:"PHAROS_PASSWORD"`
}

// Run signs in, makes an API token for this machine and stores it.
func (l *Login) Run(ctx context.Context) error {
	if l.Server == "" {
		l.Server = "http://127.0.0.1:8080"
	}
	l.Server = strings.TrimRight(l.Server, "/")
	if l.Workspace == "" {
		l.Workspace = "default"
	}
	if l.Password == "" {
		fmt.Fprintf(os.Stderr, "Password of %s at %s: ", l.Username, l.Server)
		text, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return fmt.Errorf("cannot read password: %w; give it by PHAROS_PASSWORD", err)
		}
		l.Password = string(text)
	}
	resp, err := l.do(ctx, http.MethodPost, "/api/v1/session", nil, map[string]string{"username": l.Username, "password": l.Password})
	if err != nil {
		return err
	}
	resp.Body.Close()
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("cannot name this machine: %w", err)
	}
	token, err := l.makeToken(ctx, resp.Cookies(), "pharos login on "+host)
	if err != nil {
		return err
	}
	path, err := stored{Server: l.Server, Token: token, Workspace: l.Workspace}.save()
	if err != nil {
		return err
	}
	fmt.Printf("Signed in to %s as %s, workspace %s. The token is in %s.\n", l.Server, l.Username, l.Workspace, path)
	return nil
}

func (l *Login) makeToken(ctx context.Context, cookies []*http.Cookie, name string) (string, error) {
	body, err := json.Marshal(map[string]any{"name": name, "workspace": l.Workspace})
	if err != nil {
		return "", fmt.Errorf("cannot write request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Server+"/api/v1/tokens", strings.NewReader(string(body)))
	if err != nil {
		return "", fmt.Errorf("cannot make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pharos-Csrf", "1")
	for _, cookie := range cookies {
		req.AddCookie(cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("cannot make API token: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("cannot make API token: %w", err)
	}
	var answer struct{ Secret, Message string }
	if err := json.Unmarshal(text, &answer); err != nil || answer.Secret == "" {
		return "", fmt.Errorf("cannot make API token: %s: %s", resp.Status, answer.Message)
	}
	return answer.Secret, nil
}

// Apply creates or updates resources.
type Apply struct {
	Connection
	Files  []string `short:"f" required:"" help:"YAML file, directory, or - for standard input." placeholder:"PATH"`
	DryRun bool     `help:"Only say what would be done."`
}

// Run reads all files before it changes anything.
func (a *Apply) Run(ctx context.Context) error {
	if err := a.resolve(); err != nil {
		return err
	}
	var items []resource.Object
	for _, name := range a.Files {
		objects, err := readObjects(name)
		if err != nil {
			return err
		}
		items = append(items, objects...)
	}
	if len(items) == 0 {
		return fmt.Errorf("no resources in %s", strings.Join(a.Files, ", "))
	}
	var answer struct {
		Items []map[string]any `json:"items"`
	}
	body := map[string]any{"items": items, "dry_run": a.DryRun}
	if err := a.call(ctx, http.MethodPost, a.ws("/resources:apply"), nil, body, &answer); err != nil {
		return err
	}
	return a.print(answer.Items, field("KIND", "kind"), field("NAME", "name"), field("RESULT", "outcome"))
}

// readObjects reads a file, all .yaml and .yml files below a directory in the
// order of their names, or standard input.
func readObjects(name string) ([]resource.Object, error) {
	if name == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot read standard input: %w", err)
		}
		return parse("standard input", text)
	}
	var all []resource.Object
	err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := filepath.Ext(path); path != name && ext != ".yaml" && ext != ".yml" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		objects, err := parse(path, text)
		all = append(all, objects...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read resources: %w", err)
	}
	return all, nil
}

// parse reads resources strictly; errors name the source, the field and its line.
func parse(source string, text []byte) ([]resource.Object, error) {
	objects, err := resource.Kinds(resource.Builtin(nil)).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return objects, nil
}

// collections are the kinds by the name of their list in the API.
var collections = map[string]string{"monitors": "LogMonitor", "alarm_rules": "AlarmRule", "channels": "Channel", "folders": "Folder", "dashboards": "Dashboard", "masking": "Masking",
	"contacts": "Contact", "notification_groups": "NotificationGroup", "oncalls": "OnCall", "subscriptions": "Subscription", "silences": "Silence"}

// collection accepts a list's name or a kind.
func collection(name string) (string, error) {
	for path, kind := range collections {
		if strings.EqualFold(name, path) || strings.EqualFold(name, kind) || strings.EqualFold(name+"s", path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%q is not a kind of resource; use monitors, alarm_rules, channels, dashboards, folders, masking, contacts, notification_groups, oncalls, silences or subscriptions", name)
}

// Get shows resources.
type Get struct {
	Connection
	Kind string `arg:"" help:"monitors, alarm_rules, channels or folders."`
	Name string `arg:"" optional:"" help:"One resource; all when left out."`
}

// Run lists or shows.
func (g *Get) Run(ctx context.Context) error {
	if err := g.resolve(); err != nil {
		return err
	}
	path, err := collection(g.Kind)
	if err != nil {
		return err
	}
	var rows []map[string]any
	if g.Name != "" {
		var row map[string]any
		if err := g.call(ctx, http.MethodGet, g.ws("/"+path+"/"+url.PathEscape(g.Name)), nil, nil, &row); err != nil {
			return err
		}
		if g.Output != "table" {
			return g.printValue(row)
		}
		rows = append(rows, row)
	} else if rows, err = g.list(ctx, g.ws("/"+path)); err != nil {
		return err
	}
	columns := []column{field("NAME", "name"), field("TITLE", "spec.title"), field("VERSION", "version"), field("UPDATED", "updated_at")}
	switch path {
	case "monitors":
		columns = append(columns, field("TYPE", "spec.type"), field("PATHS", "spec.paths"), field("AGENTS", "status.agents_active"))
	case "alarm_rules":
		columns = append(columns, field("LEVEL", "spec.level"), field("STATE", "status.state"))
	case "channels":
		columns = append(columns, field("TYPE", "spec.type"))
	}
	return g.print(rows, columns...)
}

// Delete removes a resource.
type Delete struct {
	Connection
	Kind string `arg:"" help:"monitors, alarm_rules, channels or folders."`
	Name string `arg:"" help:"Name of the resource."`
}

// Run deletes.
func (d *Delete) Run(ctx context.Context) error {
	if err := d.resolve(); err != nil {
		return err
	}
	path, err := collection(d.Kind)
	if err != nil {
		return err
	}
	if err := d.call(ctx, http.MethodDelete, d.ws("/"+path+"/"+url.PathEscape(d.Name)), nil, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s %s deleted\n", collections[path], d.Name)
	return nil
}

// Export writes resources as YAML.
type Export struct {
	Connection
	Kind     string   `help:"Only this kind."`
	Monitors []string `help:"Only these monitors, with their folders and the alarm rules that watch only them."`
	Folder   string   `help:"Only the monitors in this folder and below it, with what belongs to them."`
}

// Run exports, one document a resource.
func (e *Export) Run(ctx context.Context) error {
	if err := e.resolve(); err != nil {
		return err
	}
	if len(e.Monitors) > 0 || e.Folder != "" {
		return e.template(ctx)
	}
	query := url.Values{}
	if e.Kind != "" {
		path, err := collection(e.Kind)
		if err != nil {
			return err
		}
		query.Set("kind", collections[path])
	}
	var answer struct {
		Items []map[string]any `json:"items"`
	}
	if err := e.call(ctx, http.MethodGet, e.ws("/resources:export"), query, nil, &answer); err != nil {
		return err
	}
	return e.write(answer.Items)
}

// template exports some monitors with what belongs to them; what does not
// travel is told on the side.
func (e *Export) template(ctx context.Context) error {
	if e.Kind != "" {
		return errors.New("--kind does not go with --monitors and --folder; leave it out")
	}
	var answer struct {
		Items    []map[string]any `json:"items"`
		Channels []string         `json:"channels"`
		LeftOut  []string         `json:"left_out"`
	}
	input := map[string]any{"monitors": e.Monitors, "folder": e.Folder}
	if e.Monitors == nil {
		delete(input, "monitors")
	}
	if err := e.call(ctx, http.MethodPost, e.ws("/templates:export"), nil, input, &answer); err != nil {
		return err
	}
	if len(answer.Channels) > 0 {
		fmt.Fprintf(os.Stderr, "The rules send to channels that are not exported: %s\n", strings.Join(answer.Channels, ", "))
	}
	if len(answer.LeftOut) > 0 {
		fmt.Fprintf(os.Stderr, "Alarm rules left out, for they watch other monitors too: %s\n", strings.Join(answer.LeftOut, ", "))
	}
	return e.write(answer.Items)
}

func (e *Export) write(items []map[string]any) error {
	if e.Output == "json" {
		return e.printValue(items)
	}
	e.Output = "yaml"
	for _, item := range items {
		fmt.Fprintln(e.out, "---")
		if err := e.printValue(item); err != nil {
			return err
		}
	}
	return nil
}

// Query evaluates PromQL.
type Query struct {
	Connection
	Expr  string `arg:"" help:"PromQL expression."`
	Start string `help:"Begin of the range: RFC 3339, Unix seconds, or how long ago, such as 1h."`
	End   string `help:"End of the range, or the moment to evaluate at. Default now."`
	Step  string `help:"Step of the range, such as 1m. Default: a 100th of the range."`
}

// Run evaluates over a range when --start is given, else at one moment.
func (q *Query) Run(ctx context.Context) error {
	if err := q.resolve(); err != nil {
		return err
	}
	now := time.Now()
	end, err := parseTime(q.End, now)
	if err != nil {
		return err
	}
	form, path := url.Values{"query": {q.Expr}}, "/prometheus/api/v1/query"
	if q.Start == "" {
		form.Set("time", unix(end))
	} else {
		start, err := parseTime(q.Start, now)
		if err != nil {
			return err
		}
		step := max(end.Sub(start)/100, time.Second)
		if q.Step != "" {
			if step, err = time.ParseDuration(q.Step); err != nil || step <= 0 {
				return fmt.Errorf("cannot read --step %q: write a duration such as 1m", q.Step)
			}
		}
		path = "/prometheus/api/v1/query_range"
		form.Set("start", unix(start))
		form.Set("end", unix(end))
		form.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	}
	var answer struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
		Warnings []string `json:"warnings"`
	}
	if err := q.call(ctx, http.MethodGet, path, form, nil, &answer); err != nil {
		return err
	}
	for _, w := range answer.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	if q.Output != "table" {
		var v any
		if err := json.Unmarshal(answer.Data.Result, &v); err != nil {
			return fmt.Errorf("cannot read result: %w", err)
		}
		return q.printValue(v)
	}
	return q.printResult(answer.Data.ResultType, answer.Data.Result)
}

func (q *Query) printResult(kind string, result json.RawMessage) error {
	if kind == "scalar" || kind == "string" {
		var point [2]any
		if err := json.Unmarshal(result, &point); err != nil {
			return fmt.Errorf("cannot read result: %w", err)
		}
		fmt.Fprintln(q.out, point[1])
		return nil
	}
	var series []struct {
		Metric map[string]string
		Value  [2]any
		Values [][2]any
	}
	if err := json.Unmarshal(result, &series); err != nil {
		return fmt.Errorf("cannot read result: %w", err)
	}
	var rows []map[string]any
	for _, s := range series {
		if kind == "vector" {
			s.Values = [][2]any{s.Value}
		}
		for _, p := range s.Values {
			seconds, ok := p[0].(float64)
			if !ok {
				return fmt.Errorf("cannot read result: %v is not a time", p[0])
			}
			at := time.UnixMilli(int64(seconds * 1000)).Local().Format("2006-01-02 15:04:05")
			rows = append(rows, map[string]any{"series": metricName(s.Metric), "time": at, "value": p[1]})
		}
	}
	return q.print(rows, field("TIME", "time"), field("SERIES", "series"), field("VALUE", "value"))
}

// metricName writes a label set as PromQL does.
func metricName(labels map[string]string) string {
	var parts []string
	for k, v := range labels {
		if k != "__name__" {
			parts = append(parts, k+"="+strconv.Quote(v))
		}
	}
	slices.Sort(parts)
	return labels["__name__"] + "{" + strings.Join(parts, ", ") + "}"
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(s, "-")); err == nil {
		return now.Add(-d), nil
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMilli(int64(seconds * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("cannot read time %q: write RFC 3339, Unix seconds, or how long ago, such as 1h", s)
	}
	return t, nil
}

// Tail follows a file.
type Tail struct {
	Connection
	Path     string `arg:"" help:"Absolute path of the file on the agent's host."`
	Agent    string `help:"Agent id. Default: any healthy agent."`
	Contains string `help:"Only lines with this text."`
}

// Run prints lines until interrupted.
func (t *Tail) Run(ctx context.Context) error {
	if err := t.resolve(); err != nil {
		return err
	}
	query := url.Values{"path": {t.Path}}
	if t.Agent != "" {
		query.Set("agent_id", t.Agent)
	}
	if t.Contains != "" {
		query.Set("contains", t.Contains)
	}
	resp, err := t.do(ctx, http.MethodGet, t.ws("/log_files:tail"), query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	events := bufio.NewScanner(resp.Body)
	events.Buffer(nil, 16<<20)
	for events.Scan() {
		text, ok := strings.CutPrefix(events.Text(), "data:")
		if !ok {
			continue
		}
		var event struct {
			Lines   []string `json:"lines"`
			Skipped uint64   `json:"skipped"`
			Message string   `json:"message"` // of an error, which is the last event
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			return fmt.Errorf("cannot read tail: %w", err)
		}
		for _, line := range event.Lines {
			fmt.Fprintln(t.out, line)
		}
		if event.Skipped > 0 {
			fmt.Fprintf(os.Stderr, "%d lines skipped, they came too fast\n", event.Skipped)
		}
		if event.Message != "" {
			return errors.New(event.Message)
		}
	}
	if err := events.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot follow %q: %w", t.Path, err)
	}
	return nil
}

// Agents lists agents.
type Agents struct{ Connection }

// Run lists.
func (a *Agents) Run(ctx context.Context) error {
	if err := a.resolve(); err != nil {
		return err
	}
	rows, err := a.list(ctx, "/api/v1/agents")
	if err != nil {
		return err
	}
	return a.print(rows, field("ID", "agent_id"), field("HOST", "host.hostname"), field("IP", "host.ip"), field("STATE", "health"),
		field("VERSION", "version"), field("CLOCK MS", "clock_offset_ms"), field("PLAN", "plan_revision"), field("REASON", "reason"))
}
