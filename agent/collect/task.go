package collect

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// task is a log task of the plan.
type task struct {
	id, monitorID string
	definition    uint64
	spec          logrule.Spec
	specJSON      string
	lines         *logpipe.Task
	windows       map[int64]*window
	// discovered is set once the files that were there at the beginning are known.
	discovered bool
	planErr    string // why the rule of the plan is not in use
	err        string
	fileErrors map[string]fileError // by path
	watermark  int64
	// waiting is set while no file matches.
	waiting bool

	flow flow
}

// fileError is why a file is not read, and its class as of files.Problem.
type fileError struct{ text, problem string }

// flow is the intake of a task in the current minute.
type flow struct {
	limit  uint64 // bytes a minute; 0: none
	minute int64
	taken  uint64
}

// window is what is kept beside a logpipe.Window: one part.
type window struct {
	part     uint64
	receipts map[*generation]*pharosv1.Receipt
	lost     []*pharosv1.Receipt // of generations that are gone
	readMs   int64               // when the oldest line that is not durable was read
	changed  bool
	rev      *pharosv1.Revision // the newest durable or about to be
	encoded  []byte             // rev as bytes
}

// apply makes p the plan.
func (c *Collector) apply(p *pharosv1.Plan) {
	wanted := map[string]bool{}
	for _, pt := range p.Tasks {
		log := pt.GetLog()
		if log == nil {
			continue
		}
		wanted[pt.TaskId] = true
		if err := c.applyTask(pt, log); err != nil {
			c.log.Warn("cannot take up task", "task", pt.TaskId, "err", err)
			t := c.tasks[pt.TaskId]
			if t == nil {
				t = &task{id: pt.TaskId, monitorID: pt.MonitorId}
				c.tasks[pt.TaskId] = t
			}
			t.definition, t.planErr = pt.DefinitionRevision, err.Error()
		}
	}
	for id, t := range c.tasks {
		if !wanted[id] {
			c.drop(t)
		}
	}
	// Windows of tasks that ended while the agent was down are delivered as they are.
	for _, s := range c.restored.Tasks {
		if !wanted[s.ID] && c.tasks[s.ID] == nil {
			c.orphan(s.Windows)
		}
	}
	c.restored.Tasks = slices.DeleteFunc(c.restored.Tasks, func(s taskState) bool { return !wanted[s.ID] })
	c.dirty = true
	// Only now, when all tasks are there that the checkpoint may have had on one file.
	c.takeUp(wanted)
	for _, t := range c.tasks {
		c.discoverTask(t)
	}
}

func (c *Collector) applyTask(pt *pharosv1.PlanTask, log *pharosv1.LogTask) error {
	t := c.tasks[pt.TaskId]
	if t != nil && t.lines != nil && t.specJSON == string(log.SpecJson) {
		t.definition, t.planErr, t.flow.limit = pt.DefinitionRevision, "", log.FlowLimitBytesMin
		return nil
	}
	var spec logrule.Spec
	if err := json.Unmarshal(log.SpecJson, &spec); err != nil {
		return fmt.Errorf("cannot read the rule: %w", err)
	}
	spec = spec.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		return err
	}
	program, err := logpipe.Compile(spec)
	if err != nil {
		return err
	}
	if t == nil || t.lines == nil {
		t = &task{id: pt.TaskId, monitorID: pt.MonitorId, windows: map[int64]*window{}, fileErrors: map[string]fileError{}}
		t.lines = logpipe.NewTask(program, logpipe.TaskOptions{KeyCap: 4*spec.KeyLimit + 1000, Location: c.o.Location})
		if err := c.restore(t); err != nil {
			return err
		}
		c.tasks[t.id] = t
	} else if err := t.lines.SetProgram(program); err != nil {
		return err
	}
	before := t.spec
	t.spec, t.specJSON, t.definition, t.planErr, t.flow.limit = spec, string(log.SpecJson), pt.DefinitionRevision, "", log.FlowLimitBytesMin
	if before.Paths != nil && (!slices.Equal(before.Paths, spec.Paths) || before.App != spec.App) {
		c.leave(t, func(path string) bool { return !t.matches(path) })
	}
	c.regroup()
	return nil
}

// restore takes up the open windows of the checkpoint.
func (c *Collector) restore(t *task) error {
	i := slices.IndexFunc(c.restored.Tasks, func(s taskState) bool { return s.ID == t.id })
	if i < 0 {
		return nil
	}
	s := c.restored.Tasks[i]
	t.discovered, t.flow.minute, t.flow.taken = s.Discovered, s.FlowMinute, s.FlowTaken
	for _, w := range s.Windows {
		r, err := decodeRevision(w.Revision)
		if err != nil {
			return err
		}
		if _, err := t.lines.Restore(r.WindowStartMs, r.GetTable(), countersOf(r.Lines)); err != nil {
			return fmt.Errorf("cannot take up window %d: %w", r.WindowStartMs, err)
		}
		t.windows[r.WindowStartMs] = &window{part: r.Part, receipts: map[*generation]*pharosv1.Receipt{}, lost: r.Receipts, readMs: r.ReadMs, rev: r, encoded: w.Revision}
	}
	c.restored.Tasks = slices.Delete(c.restored.Tasks, i, i+1)
	return nil
}

// matches reports whether path is one of the task's.
func (t *task) matches(path string) bool {
	return t.spec.MatchesPath(path)
}

// drop ends a task: what it has collected is delivered.
func (c *Collector) drop(t *task) {
	delete(c.tasks, t.id)
	c.box.ForgetTask(t.id)
	if t.lines == nil {
		return
	}
	var windows []windowState
	seq := c.slots.Sequence() + 1
	for _, w := range t.lines.Windows() {
		c.encodeWindow(t, w, seq, false)
		windows = append(windows, windowState{t.windows[w.StartMs].encoded})
	}
	c.orphan(windows)
	c.leave(t, func(string) bool { return true })
	c.regroup()
}

// orphan seals windows whose task is gone.
func (c *Collector) orphan(windows []windowState) {
	c.restored.Orphans = append(c.restored.Orphans, windows...)
	c.dirty = true
}

// leave takes a task off the files of paths that gone says.
func (c *Collector) leave(t *task, gone func(path string) bool) {
	for _, p := range c.paths {
		if !gone(p.name) {
			continue
		}
		for _, g := range p.generations {
			for _, cur := range g.cursors {
				cur.remove(t)
			}
			g.cursors = slices.DeleteFunc(g.cursors, func(cur *cursor) bool { return len(cur.tasks) == 0 })
		}
		delete(p.tasks, t.id)
	}
	for _, p := range c.paths {
		if len(p.tasks) == 0 {
			for _, g := range p.generations {
				c.finish(p, g)
			}
			delete(c.paths, p.name)
		}
	}
}

// regroup makes all groups anew, after programs have changed.
func (c *Collector) regroup() {
	for _, p := range c.paths {
		for _, g := range p.generations {
			for _, cur := range g.cursors {
				cur.group = nil
			}
		}
	}
}

// discover looks for new files of all tasks.
func (c *Collector) discover() {
	for _, t := range c.tasks {
		c.discoverTask(t)
	}
	for _, p := range c.paths {
		p.changed, p.rescan = true, true
	}
	c.forgetPaths()
	c.forgetKnown()
	clear(c.postponed)
}

// discoverTask finds the task's files and begins to follow new ones.
func (c *Collector) discoverTask(t *task) {
	if t.lines == nil {
		return
	}
	found := false
	t.err = ""
	clear(t.fileErrors)
	c.leaveDated(t)
	for _, pattern := range t.spec.PathsAt(c.o.Now(), c.o.Location) {
		c.watchDirs(pattern)
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.err = fmt.Sprintf("cannot look for %q: %v", pattern, err)
			continue
		}
		for _, name := range matches {
			if !files.Within(name, c.o.AllowedRoots) && len(matches) > 1 {
				continue // another agent's, where several share a machine
			}
			found = true
			c.follow(t, name)
		}
	}
	t.waiting = !found
	if !t.discovered {
		t.discovered, c.dirty = true, true
	}
}

// leaveDated ends following files of a date that has passed, once they are read
// to their end.
func (c *Collector) leaveDated(t *task) {
	if !t.spec.Dated() {
		return
	}
	c.leave(t, func(name string) bool {
		p := c.paths[name]
		if p.tasks[t.id] == nil {
			return false
		}
		if c.expects(t, name) {
			p.over = false
			return false
		}
		p.over = true
		for _, other := range p.tasks {
			p.over = p.over && !c.expects(other, name)
		}
		for _, g := range p.generations {
			info, err := files.StatFile(g.file)
			if err == nil && slices.ContainsFunc(g.cursors, func(cur *cursor) bool { return cur.offset < info.Size }) {
				return false
			}
		}
		return true
	})
}

// expects reports whether a task reads files of a name at present.
func (c *Collector) expects(t *task, name string) bool {
	return slices.ContainsFunc(t.spec.PathsAt(c.o.Now(), c.o.Location), func(pattern string) bool {
		ok, err := filepath.Match(pattern, name)
		return ok && err == nil
	})
}

// watchDirs watches the directories that files of the pattern may appear in.
func (c *Collector) watchDirs(pattern string) {
	dirs, err := filepath.Glob(filepath.Dir(pattern))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if c.watch != nil && !c.watched[dir] && files.Within(dir+"/x", c.o.AllowedRoots) {
			if err := c.watch.Add(dir); err != nil {
				c.log.Warn("cannot watch directory; its files are looked at every few seconds", "dir", dir, "err", err)
			}
			c.watched[dir] = true
		}
	}
}
