// Package tasks runs what a person asks an agent through the console: browse a
// directory, preview a file, try a rule on real lines, follow a file.
//
// It promises: tasks only read, and nothing outside of the roots, whatever
// links there are; they are few at a time, end by themselves, and their
// answers are bounded; a hanging filesystem holds up nothing but its task.
package tasks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Codes of failed tasks.
const (
	CodeBadRequest   = "bad_request"
	CodeBadPath      = "bad_path"      // not absolute, has .., or is neither file nor directory
	CodeOutsideRoots = "outside_roots" // not below a root, or a link leads out
	CodeNotFound     = "not_found"
	CodeNotReadable  = "not_readable"
	CodeBadSpec      = "bad_spec"
	CodeTimeout      = "agent_timeout"
	CodeTooMany      = "too_many_tasks"
	CodeFailed       = "failed"
)

// Options of a Runner.
type Options struct {
	// Roots are the directories that may be read. Required.
	Roots []string
	// Location is the zone of times without one. Default the process's.
	Location *time.Location
	// Labels of this agent's series, for rules that group by them. Default none.
	Labels map[string]string
	// MaxTasks at a time. Default 8.
	MaxTasks int
	// Timeout of tasks that end by themselves, unless the request has one. Default 30 s.
	Timeout time.Duration
	// MaxTail is how long a file is followed at most. Default 1 h.
	MaxTail time.Duration
	// Logger is required.
	Logger *slog.Logger
}

// Runner runs tasks. It is safe for concurrent use.
type Runner struct {
	opts  Options
	roots Roots
	slots chan struct{}
}

// New returns a runner.
func New(o Options) *Runner {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.MaxTasks <= 0 {
		o.MaxTasks = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxTail <= 0 {
		o.MaxTail = time.Hour
	}
	return &Runner{opts: o, roots: Roots(o.Roots), slots: make(chan struct{}, o.MaxTasks)}
}

// Run runs one task and emits its events, the last of which is done. It
// returns early without that event when ctx ends or emit fails.
func (r *Runner) Run(ctx context.Context, req *pharosv1.TaskRequest, emit func(*pharosv1.TaskEvent) error) {
	out := &output{id: req.GetRequestId(), emit: emit}
	select {
	case r.slots <- struct{}{}:
	default:
		out.finish(taskError(CodeTooMany, "%d tasks are under way on this agent; try again in a moment", r.opts.MaxTasks))
		return
	}
	timeout := time.Duration(req.GetTimeoutMs()) * time.Millisecond
	if req.GetTask().GetTail() != nil {
		if timeout <= 0 || timeout > r.opts.MaxTail {
			timeout = r.opts.MaxTail
		}
	} else if timeout <= 0 {
		timeout = r.opts.Timeout
	}
	taskCtx, cancel := context.WithTimeout(ctx, timeout)
	// The slot stays taken as long as something hangs in a system call.
	done := make(chan error, 1)
	go func() {
		defer func() { <-r.slots }()
		done <- r.do(taskCtx, req.GetTask(), out)
	}()
	defer cancel()
	select {
	case err := <-done:
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = taskError(CodeTimeout, "the task took longer than %s", timeout)
		}
		out.finish(err)
	case <-taskCtx.Done():
		grace := time.NewTimer(500 * time.Millisecond)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
		}
		if ctx.Err() == nil {
			out.finish(taskError(CodeTimeout, "the task took longer than %s", timeout))
		}
	}
	out.close()
}

func (r *Runner) do(ctx context.Context, task *pharosv1.AgentTask, out *output) error {
	switch t := task.GetKind().(type) {
	case *pharosv1.AgentTask_Browse:
		result, err := r.roots.browse(ctx, t.Browse)
		return out.result(&pharosv1.TaskEvent{Result: &pharosv1.TaskEvent_Browse{Browse: result}}, err)
	case *pharosv1.AgentTask_Preview:
		result, err := r.roots.preview(ctx, t.Preview)
		return out.result(&pharosv1.TaskEvent{Result: &pharosv1.TaskEvent_Preview{Preview: result}}, err)
	case *pharosv1.AgentTask_DryRun:
		result, err := r.dryRun(ctx, t.DryRun)
		return out.result(&pharosv1.TaskEvent{Result: &pharosv1.TaskEvent_DryRun{DryRun: result}}, err)
	case *pharosv1.AgentTask_Tail:
		return r.roots.tail(ctx, t.Tail, func(l *pharosv1.TailLines) error {
			return out.send(&pharosv1.TaskEvent{Result: &pharosv1.TaskEvent_Tail{Tail: l}})
		})
	}
	return taskError(CodeBadRequest, "this agent doesn't know the kind of task; is it older than the server?")
}

// output emits a task's events until it is closed.
type output struct {
	id     string
	mu     sync.Mutex
	closed bool
	emit   func(*pharosv1.TaskEvent) error
}

func (o *output) send(e *pharosv1.TaskEvent) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return context.Canceled
	}
	e.RequestId = o.id
	return o.emit(e)
}

// result emits the answer of a task that has one, as its last event.
func (o *output) result(e *pharosv1.TaskEvent, err error) error {
	if err != nil {
		return err
	}
	e.Done = true
	if err := o.send(e); err != nil {
		return err
	}
	o.close()
	return nil
}

// finish emits the last event unless there was one.
func (o *output) finish(err error) {
	e := &pharosv1.TaskEvent{Done: true}
	if err != nil {
		e.ErrorCode, e.Error = CodeFailed, err.Error()
		if t, ok := errors.AsType[*Error](err); ok {
			e.ErrorCode = t.Code
		}
	}
	_ = o.send(e) // who asked is gone if this fails
	o.close()
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

// Error says why a task failed, with one of the codes.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Message }

func taskError(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// fileError gives an error of the filesystem its code.
func fileError(doing, path string, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	code := CodeFailed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = CodeNotFound
	case errors.Is(err, fs.ErrPermission):
		code = CodeNotReadable
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the path is named already
	}
	return taskError(code, "cannot %s %q: %v", doing, path, err)
}
