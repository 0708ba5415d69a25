package collect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/internal/logpipe"
)

// takeUp resumes the logs of the checkpoint that tasks of the plan read, also
// those that nothing stands for under their name now. Those of no task are
// forgotten.
func (c *Collector) takeUp(wanted map[string]bool) {
	paths := c.restored.Paths
	c.restored.Paths = nil
	for _, s := range paths {
		keep := false
		p := &path{name: s.Name, tasks: map[string]*task{}, changed: true}
		for _, gs := range s.Generations {
			for _, cs := range gs.Cursors {
				for _, id := range cs.Tasks {
					keep = keep || wanted[id]
					if t := c.tasks[id]; t != nil && t.lines != nil && t.matches(s.Name) {
						p.tasks[id] = t
					}
				}
			}
		}
		if len(p.tasks) == 0 {
			if keep {
				c.restored.Paths = append(c.restored.Paths, s)
			}
			continue
		}
		if err := c.allowed(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.restored.Paths = append(c.restored.Paths, s) // following it tells the task
			continue
		}
		c.paths[s.Name] = p
		c.resume(p, s)
	}
}

// resume finds the generations of a log that the checkpoint was reading, under
// whatever names they have now.
func (c *Collector) resume(p *path, s pathState) {
	var lost []generationState
	for _, gs := range s.Generations {
		if !gs.wanted(p) {
			continue
		}
		g, live := c.locate(p, gs)
		if g == nil {
			lost = append(lost, gs)
			continue
		}
		g.content, g.far, g.serial, g.since, g.settled = gs.Content, gs.Far, gs.Serial, gs.Since, false
		if live {
			g.seen, g.mtimeNs = min(gs.Seen, g.seen), gs.MtimeNs // look takes it from there
		}
		for _, cs := range gs.Cursors {
			cur := &cursor{offset: cs.Offset, long: cs.Long, grownMs: c.o.Now().UnixMilli()}
			cur.state, _, _ = logpipe.DecodeFileState(cs.State) // was checked with the whole checkpoint
			cur.state.Path = p.name
			for _, id := range cs.Tasks {
				if t := p.tasks[id]; t != nil {
					cur.tasks = append(cur.tasks, t)
				}
			}
			if len(cur.tasks) > 0 {
				g.cursors = append(g.cursors, cur)
			}
		}
		if !live {
			g.gone = c.o.Now()
			g.grown = g.gone
		}
		p.generations = append(p.generations, g)
	}
	added := false
	if len(p.generations) == 0 && len(s.Generations) > 0 {
		// All are gone: what was rotated away since is still to be read.
		last := s.Generations[len(s.Generations)-1]
		bound := since{MtimeNs: last.MtimeNs}
		if last.Far > 0 {
			bound.MtimeNs++
		}
		if live, err := c.openGeneration(p.name); err == nil {
			added = c.addNewer(p, bound, live)
			c.shut(live)
		} else {
			added = c.addNewer(p, bound, nil)
		}
	}
	for _, gs := range lost {
		if gs.Far > 0 || !added { // else it is among them: nothing tells which
			c.lostState(p, gs)
		}
	}
	p.rescan = true
	c.look(p)
}

// wanted reports whether a task of the log reads the generation.
func (gs generationState) wanted(p *path) bool {
	return slices.ContainsFunc(gs.Cursors, func(cs cursorState) bool {
		return slices.ContainsFunc(cs.Tasks, func(id string) bool { return p.tasks[id] != nil })
	})
}

// locate opens the file that holds a generation: by inode and content under
// its own name, where it stood before or beside it; or a copy with the same
// content, which may have taken its place.
func (c *Collector) locate(p *path, gs generationState) (g *generation, live bool) {
	offset := gs.Far
	try := func(name string, sameInode bool) *generation {
		g, err := c.openGeneration(name)
		if err != nil {
			return nil
		}
		ok, err := gs.Content.Matches(g.file, offset)
		if ok && err == nil && (g.id == gs.Inode) == sameInode && g.seen >= offset {
			return g
		}
		c.shut(g)
		return nil
	}
	if g := try(p.name, true); g != nil {
		return g, true
	}
	if gs.Real != "" {
		if g := try(gs.Real, true); g != nil {
			return g, false
		}
	}
	for _, dir := range []string{filepath.Dir(p.name), filepath.Dir(gs.Real)} {
		for range renameTries {
			name, err := files.ByInode(dir, gs.Inode)
			if err != nil || name == "" {
				break
			}
			if g := try(name, true); g != nil {
				return g, false
			}
			if info, err := files.Stat(name); err == nil && info.Inode == gs.Inode {
				break // it is the file, with other bytes
			}
		}
	}
	if gs.Content.HeadLen == 0 {
		return nil, false
	}
	if gs.Content.HeadLen >= surely {
		if g := try(p.name, false); g != nil && !c.following(g.id) {
			return g, true
		} else if g != nil {
			c.shut(g)
		}
	}
	return c.findCopy(p, gs.Content, offset, gs.Inode), false
}

// lostState counts what a generation that can't be found still had unread.
func (c *Collector) lostState(p *path, gs generationState) {
	g := &generation{id: gs.Inode, serial: gs.Serial}
	for _, cs := range gs.Cursors {
		cur := &cursor{offset: cs.Offset}
		cur.state, _, _ = logpipe.DecodeFileState(cs.State) // was checked with the whole checkpoint
		cur.state.Path = p.name
		for _, id := range cs.Tasks {
			if t := p.tasks[id]; t != nil {
				cur.tasks = append(cur.tasks, t)
			}
		}
		g.cursors = append(g.cursors, cur)
	}
	c.countLost(p, g, 0, gs.Seen)
	c.flush(p, g, g.seen, true, c.o.Now())
	c.log.Warn("a log generation is gone", "path", p.name, "unread_bytes_at_least", max(0, gs.Seen-gs.Far), "exists", exists(p.name))
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
