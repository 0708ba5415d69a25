// Package agent is the node agent: it collects by the plan that register
// gives it, delivers to the vessel that register assigns, and runs tasks.
//
// It promises: losing register or the vessel, or being killed, costs nothing
// that is still in the files; nothing outside of the roots is read; what is
// given up is counted and reported.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/agent/collect"
	"github.com/pharos-stack/pharos/agent/delivery"
	"github.com/pharos-stack/pharos/agent/host"
	"github.com/pharos-stack/pharos/agent/session"
	"github.com/pharos-stack/pharos/agent/tasks"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// DefaultRoots are what may be read where nothing else is said.
var DefaultRoots = []string{"/var/log", "/home", "/opt", "/data", "/tmp", "/srv"}

// Options of an Agent.
type Options struct {
	// DataDir keeps identity, plan, checkpoints and what isn't acknowledged. Required.
	DataDir string
	// Register connects to register; it may return before the connection stands. Required.
	Register func() (grpc.ClientConnInterface, io.Closer, error)
	// Vessel connects to the vessel at an address, in the same way. Required.
	Vessel func(ctx context.Context, address string) (grpc.ClientConnInterface, io.Closer, error)
	// Logger is required.
	Logger *slog.Logger
	// JoinToken admits the agent the first time. Default none.
	JoinToken string
	// Labels of the machine: az, cell, unit, env, app, … Default none.
	Labels map[string]string
	// Roots are the directories that tasks and monitors may read. Default DefaultRoots.
	Roots []string
	// Hostname and IP name the machine. Default: what the system says.
	Hostname, IP string
	// HostInterval between readings of the host when the plan has none. Default 10 s.
	HostInterval time.Duration
	// Location is the zone of times in logs that have none. Default time.Local.
	Location *time.Location
	// MaxMemory bounds the open windows, in bytes. Default the collector's.
	MaxMemory int64
	// Version of this program. Default "dev".
	Version string
}

// Agent is the node agent.
type Agent struct {
	opts      Options
	log       *slog.Logger
	started   time.Time
	lock      *os.File
	state     *session.State
	collector *collect.Collector
	session   *session.Session
	delivery  *delivery.Delivery
	host      *host.Sampler
	beats     meter
	samples   meter
}

// New opens the data directory and takes up what is in it. Run must follow,
// or Close.
func New(o Options) (*Agent, error) {
	if len(o.Roots) == 0 {
		o.Roots = DefaultRoots
	}
	for _, r := range o.Roots {
		if !filepath.IsAbs(r) {
			return nil, fmt.Errorf("cannot use root %q: it is not an absolute path", r)
		}
	}
	if o.Hostname == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("cannot find out the host's name: %w", err)
		}
		o.Hostname = name
	}
	if o.IP == "" {
		o.IP = ownIP()
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make data directory: %w", err)
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	a := &Agent{opts: o, log: o.Logger, started: time.Now(), lock: lock}
	if a.state, err = session.OpenState(o.DataDir); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.collector, err = collect.New(collect.Options{DataDir: o.DataDir, Logger: o.Logger, Location: o.Location,
		MaxMemory: o.MaxMemory, AllowedRoots: o.Roots})
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	box := a.collector.Outbox()
	a.host = host.New(host.Options{Interval: o.HostInterval, Self: a.selfSamples, Put: box.PutSamples, Logger: o.Logger})
	a.delivery = delivery.New(delivery.Options{AgentID: a.state.ID(), Outbox: box, Dial: o.Vessel,
		Refused: func() { a.session.Renew() }, Logger: o.Logger})
	return a, nil
}

// lockDir keeps two agents from working in one directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot lock data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock data directory %q: another agent works in it", dir)
		}
		return nil, fmt.Errorf("cannot lock data directory %q: %w", dir, err)
	}
	return f, nil
}

// ID of the agent.
func (a *Agent) ID() string { return a.state.ID() }

// Close gives the data directory free. Run does so itself.
func (a *Agent) Close() error { return a.lock.Close() }

// Run works until ctx ends or the data directory can't be used any more.
func (a *Agent) Run(ctx context.Context) error {
	defer a.Close()
	conn, closer, err := a.opts.Register()
	if err != nil {
		return fmt.Errorf("cannot dial register: %w", err)
	}
	defer closer.Close()
	runner := tasks.New(tasks.Options{Roots: a.opts.Roots, Location: a.opts.Location, Labels: a.seriesLabels(), Logger: a.log})
	a.session = session.New(session.Options{
		Client: pharosv1.NewRegisterServiceClient(conn), State: a.state, JoinToken: a.opts.JoinToken, Logger: a.log,
		Hello: func() *pharosv1.AgentHello {
			return &pharosv1.AgentHello{Version: a.opts.Version, Host: a.hostInfo(), StartedMs: a.started.UnixMilli()}
		},
		Heartbeat: a.heartbeat, OnPlan: a.setPlan, OnVessel: a.delivery.SetVessel, RunTask: runner.Run,
	})
	a.log.Info("agent starts", "agent", a.state.ID(), "version", a.opts.Version, "host", a.opts.Hostname, "roots", a.opts.Roots)
	g, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{a.collector.Run, a.session.Run, a.delivery.Run, a.host.Run} {
		g.Go(func() error { return run(ctx) })
	}
	return g.Wait()
}

func (a *Agent) setPlan(p *pharosv1.Plan) {
	a.collector.SetPlan(p)
	a.host.SetPlan(p)
}

func (a *Agent) heartbeat() *pharosv1.AgentHeartbeat {
	tasks, problems, load := a.collector.Status()
	if p := a.delivery.Problem(); p != "" {
		problems = append(slices.Clip(problems), p)
	}
	load.CpuCores, load.RssBytes = a.beats.cores(), rss()
	return &pharosv1.AgentHeartbeat{Vessel: a.delivery.Vessel(), Load: load, Tasks: tasks, Problems: problems}
}

// selfSamples is what the agent costs, for its own series. In a process with
// other roles CPU and memory are those of the whole process.
func (a *Agent) selfSamples() *pharosv1.AgentLoad {
	_, _, load := a.collector.Status()
	load.CpuCores, load.RssBytes = a.samples.cores(), rss()
	return load
}
