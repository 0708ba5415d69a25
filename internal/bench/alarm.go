package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/meta"
)

const (
	alarmMonitors = 200
	alarmKeys     = 50 // of each monitor
	alarmRules    = 50 // on each monitor: half of them judge every key, half one key each
)

// alarm watches what it costs to check 10,000 rules each minute, and how long
// after the end of a minute the receiver is told of it.
func (c *commands) alarm(ctx context.Context) error {
	f, err := c.startFleetOfRoles(ctx)
	if err != nil {
		return err
	}
	defer f.stop()
	heard, err := listenForAlarms()
	if err != nil {
		return err
	}
	defer heard.server.Close()
	log := filepath.Join(f.dir, "alarm.log")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- writeKeys(ctx, log) }()
	if err := f.applyRules(log, "http://"+heard.address); err != nil {
		return err
	}
	fmt.Printf("%-50s %10s %10s %10s %10s\n", fmt.Sprintf("%d rules, %d monitors × %d keys × 1 min", alarmMonitors*alarmRules, alarmMonitors, alarmKeys), "alarm s", "compute s", "all s", "checked")
	for i := range c.AlarmMinutes + 1 {
		before, err := f.cpu()
		if err != nil {
			return err
		}
		select {
		case err := <-written:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
		}
		after, err := f.cpu()
		if err != nil {
			return err
		}
		if i == 0 { // the rules were read in this one
			heard.forget()
			continue
		}
		behind, err := f.behind(ctx)
		if err != nil {
			return err
		}
		total := time.Duration(0)
		for name := range after {
			total += after[name] - before[name]
		}
		fmt.Printf("%-50s %10.1f %10.1f %10.1f %10d\n", fmt.Sprintf("minute %d", i), (after["alarm"] - before["alarm"]).Seconds(), (after["compute"] - before["compute"]).Seconds(),
			total.Seconds(), alarmMonitors*alarmRules-behind)
	}
	waits := heard.waits()
	if len(waits) == 0 {
		return errors.New("no alarm was heard")
	}
	var overview struct {
		SettleDelayMs int64 `json:"settle_delay_ms"`
	}
	if err := f.call("GET", "/api/v1/overview?workspace=default", nil, &overview); err != nil {
		return err
	}
	settled := time.Duration(overview.SettleDelayMs) * time.Millisecond
	fmt.Printf("%-50s %10s %10s %10s\n", fmt.Sprintf("%d notices", len(waits)), "median", "p99", "worst")
	fmt.Printf("%-50s %10s %10s %10s\n", "end of the minute → receiver", round(waits[len(waits)/2]), round(waits[len(waits)*99/100]), round(waits[len(waits)-1]))
	fmt.Printf("%-50s %10s\n", "minute settled after its end (p95)", round(settled))
	return nil
}

// roles is an installation of separate processes, so that each has its own CPU time.
type roles struct {
	server
	processes map[string]*exec.Cmd
}

func (c *commands) startFleetOfRoles(ctx context.Context) (f *roles, err error) {
	f = &roles{processes: map[string]*exec.Cmd{}}
	if f.dir, err = os.MkdirTemp("", "pharos-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	var addresses [4]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	f.http = addresses[0]
	register, data := addresses[1], filepath.Join(f.dir, "server")
	db := filepath.Join(data, "meta.db")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	start := func(name, binary string, args ...string) error {
		out, err := os.Create(filepath.Join(f.dir, name+".out"))
		if err != nil {
			return err
		}
		defer out.Close()
		cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, binary), args...)
		cmd.Env = append(os.Environ(), "PHAROS_ADMIN_PASSWORD="+adminPassword, "PHAROS_CLUSTER_KEY_FILE="+filepath.Join(data, "cluster.key"))
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		f.processes[name] = cmd
		return cmd.Start()
	}
	of := func(role string) string { return filepath.Join(f.dir, role) }
	for _, args := range [][]string{
		{"register", "--data", data, "--db", db, "--grpc", register},
		{"console", "--data", data, "--db", db, "--http", f.http, "--register", register},
		{"compute", "--data", of("compute"), "--grpc", addresses[2], "--register", register},
		{"vessel", "--data", of("vessel"), "--grpc", addresses[3], "--register", register},
		{"alarm", "--data", data, "--db", db, "--register", register},
	} {
		if err := start(args[0], "pharos", args...); err != nil {
			return nil, err
		}
		if args[0] == "register" { // it makes the key that the others need
			if err := eventually(func() error { return dialable(register) }); err != nil {
				return nil, err
			}
		}
	}
	if err := eventually(func() error {
		if err := f.signIn(); err != nil {
			return err
		}
		_, _, err := f.value("vector(1)")
		return err
	}); err != nil {
		return nil, err
	}
	var token struct{ Secret string }
	if err := f.call("POST", "/api/v1/join_tokens", map[string]any{"label": "bench"}, &token); err != nil {
		return nil, err
	}
	return f, start("agent", "pharos-agent", "--data", of("agent"), "--register", register, "--join-token", token.Secret, "--root", f.dir)
}

// eventually tries for a minute.
func eventually(ok func() error) error {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := ok()
		if err == nil || time.Since(begin) > time.Minute {
			return err
		}
	}
}

func dialable(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (f *roles) stop() {
	for _, cmd := range f.processes {
		if cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	os.RemoveAll(f.dir)
}

// cpu of each process so far.
func (f *roles) cpu() (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for name, cmd := range f.processes {
		var err error
		if out[name], err = cpuTime(cmd.Process.Pid); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// applyRules makes the monitors, the channel and the rules.
func (f *roles) applyRules(log, receiver string) error {
	column := func(name string, index int) map[string]any {
		return map[string]any{"name": name, "split": map[string]any{"delimiter": ",", "index": index}}
	}
	items := []map[string]any{resourceOf("Channel", "heard", map[string]any{"title": "heard", "type": "webhook", "webhook": map[string]any{"url": receiver}})}
	for m := range alarmMonitors {
		items = append(items, resourceOf("LogMonitor", fmt.Sprintf("m%d", m), map[string]any{"title": fmt.Sprintf("m%d", m), "type": "minute_multi", "paths": []string{log},
			"time": map[string]any{"format": "normal"}, "columns": []map[string]any{column("k", 1), column("v", 2)}, "group_by": []string{"k"},
			"statistics": []map[string]any{{"name": "count", "kind": "count"}, {"name": "sum", "kind": "sum", "column": "v"}}}))
	}
	for m := range alarmMonitors {
		for r := range alarmRules {
			condition := map[string]any{"monitor": fmt.Sprintf("m%d", m), "figure": "sum", "op": "gt", "threshold": 1e12}
			if r%2 == 1 {
				condition["keys"] = map[string]any{"k": []string{fmt.Sprintf("key%d", r%alarmKeys)}}
			}
			if r == 1 { // the one that fires
				condition["threshold"] = 1e6
			}
			items = append(items, resourceOf("AlarmRule", fmt.Sprintf("r%d-%d", m, r), map[string]any{"title": "bench", "conditions": []map[string]any{condition},
				"channels": []string{"heard"}, "recover_after": 1}))
		}
	}
	for part := range slices.Chunk(items, 500) {
		if err := f.call("POST", "/api/v1/workspaces/default/resources:apply", map[string]any{"items": part}, nil); err != nil {
			return err
		}
	}
	return nil
}

func resourceOf(kind, name string, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": "pharos/v1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}
}

// behind counts the rules whose last check is more than two minutes ago.
func (f *roles) behind(ctx context.Context) (int, error) {
	db, err := meta.Open(ctx, filepath.Join(f.dir, "server", "meta.db"))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	positions, err := alarmstate.Positions(ctx, db)
	behind := alarmMonitors * alarmRules
	for _, p := range positions {
		if p.Result != "error" && time.Since(time.UnixMilli(p.CheckedMs)) < 2*time.Minute {
			behind--
		}
	}
	return behind, err
}

// writeKeys writes a line of every key each second. Key 1 is high in every other minute.
func writeKeys(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now := time.Now()
		var lines []byte
		for k := range alarmKeys {
			v := 1
			if k == 1 && now.Minute()%2 == 0 {
				v = 10_000_000
			}
			lines = fmt.Appendf(lines, "%s,key%d,%d\n", now.Format("2006-01-02 15:04:05.000"), k, v)
		}
		if _, err := f.Write(lines); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// heardAlarms is a receiver that measures how late it is told.
type heardAlarms struct {
	address string
	server  *http.Server
	mu      sync.Mutex
	after   []time.Duration // the end of the window
}

func listenForAlarms() (*heardAlarms, error) {
	h := &heardAlarms{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.address = l.Addr().String()
	h.server = &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var p struct {
			OccurredAt time.Time `json:"occurred_at"`
		}
		if json.NewDecoder(r.Body).Decode(&p) == nil && !p.OccurredAt.IsZero() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.after = append(h.after, now.Sub(p.OccurredAt))
		}
	})}
	go h.server.Serve(l)
	return h, nil
}

func (h *heardAlarms) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.after = nil
}

// waits in rising order.
func (h *heardAlarms) waits() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.after)
	return h.after
}
