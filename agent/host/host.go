// Package host samples the figures of the machine: the system table of spec 05
// §S8.5 and what the agent itself costs.
//
// It promises: everything is read once for all figures, at times aligned to
// the interval; rates come from two readings, so they begin with the second
// one; a counter that went backwards makes its rate absent for that interval;
// what can't be read is absent and never 0; nothing waits for a network
// filesystem.
package host

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/common"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// DefaultInterval between two readings where the plan says nothing.
const DefaultInterval = 10 * time.Second

// Options of a Sampler.
type Options struct {
	// Proc is where procfs is mounted. Default $HOST_PROC, else /proc.
	Proc string
	// Sys is where sysfs is mounted. Default $HOST_SYS, else /sys.
	Sys string
	// Interval is used when the plan gives none. Default DefaultInterval.
	Interval time.Duration
	// Self returns what the agent costs, sent as self_agent_*. Default: not sent.
	Self func() *pharosv1.AgentLoad
	// Put takes the samples of one moment. Required.
	Put func(taskID, monitorID string, s *pharosv1.Samples, atMs, windowMs int64)
	// Logger hears what can't be read, once each. Required.
	Logger *slog.Logger
}

// Sampler samples while the plan has a host task.
type Sampler struct {
	opts    Options
	env     context.Context // tells gopsutil where procfs is
	changed chan struct{}

	mu   sync.Mutex
	task *pharosv1.PlanTask

	// The rest belongs to Run.
	whole    map[string]bool // disks that are no partitions
	physical map[string]bool // interfaces with a device behind them
	cores    slow[int]
	mounts   slow[[]string]
	said     map[string]string
}

// New returns a sampler without a task.
func New(o Options) *Sampler {
	o.Proc = first(o.Proc, os.Getenv("HOST_PROC"), "/proc")
	o.Sys = first(o.Sys, os.Getenv("HOST_SYS"), "/sys")
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	env := context.WithValue(context.Background(), common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: o.Proc,
		common.HostSysEnvKey:  o.Sys,
		// The mounts as this process sees them, since it calls statfs on them.
		common.HostProcMountinfo: o.Proc + "/self/mountinfo",
	})
	return &Sampler{opts: o, env: env, changed: make(chan struct{}, 1),
		whole: map[string]bool{}, physical: map[string]bool{}, said: map[string]string{}}
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// SetPlan takes the host task out of the plan; without one nothing is sampled.
func (s *Sampler) SetPlan(p *pharosv1.Plan) {
	s.mu.Lock()
	s.task = nil
	for _, t := range p.GetTasks() {
		if t.GetHost() != nil {
			s.task = t
		}
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Sampler) current() (*pharosv1.PlanTask, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	interval := time.Duration(s.task.GetHost().GetIntervalMs()) * time.Millisecond
	if interval <= 0 {
		interval = s.opts.Interval
	}
	return s.task, max(interval, time.Second)
}

// Run samples until ctx ends.
func (s *Sampler) Run(ctx context.Context) error {
	var before *reading
	var lastMs int64
	for {
		task, interval := s.current()
		if task == nil {
			before = nil
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.changed:
			}
			continue
		}
		timer := time.NewTimer(untilNext(time.Now(), interval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.changed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		atMs := aligned(time.Now(), interval)
		if atMs == lastMs {
			continue // the clock was set back a little
		}
		lastMs = atMs
		now := s.read()
		out := emitter{atMs: atMs}
		out.host(before, now)
		if s.opts.Self != nil {
			out.self(s.opts.Self())
		}
		s.opts.Put(task.GetTaskId(), task.GetMonitorId(), &pharosv1.Samples{Series: out.series}, atMs, interval.Milliseconds())
		before = now
	}
}

// untilNext is the time until the next multiple of interval.
func untilNext(now time.Time, interval time.Duration) time.Duration {
	return interval - time.Duration(now.UnixNano())%interval
}

// aligned is the multiple of interval a reading taken now belongs to, in Unix
// milliseconds. Timers don't follow the wall clock exactly, so one may fire a
// little before the moment it was meant for.
func aligned(now time.Time, interval time.Duration) int64 {
	early := min(interval/10, 100*time.Millisecond)
	ms := interval.Milliseconds()
	return now.Add(early).UnixMilli() / ms * ms
}

// problem logs what can't be read when it is new; nil says it can be read.
func (s *Sampler) problem(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if s.said[what] != text {
		s.said[what] = text
		if err != nil {
			s.opts.Logger.Warn("cannot read host figures", "what", what, "err", err)
		}
	}
}

// slow is a value that seldom changes and is dear to read.
type slow[T any] struct {
	value T
	until time.Time
}

func (v *slow[T]) get(now time.Time, every time.Duration, read func() (T, error)) (T, error) {
	if now.Before(v.until) {
		return v.value, nil
	}
	value, err := read()
	if err == nil {
		v.value, v.until = value, now.Add(every)
	}
	return value, err
}
