package monitors

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// maxLooks is for how many paths without a file an agent is asked.
	maxLooks = 3
	// lookTimeout bounds how long a diagnosis waits for that.
	lookTimeout = 1500 * time.Millisecond
	// maxHeld is how many names of a directory are told.
	maxHeld = 5
)

// unmatchedPaths are those that no agent has a file for.
func (s *symptoms) unmatchedPaths() []string {
	rows := s.reading()
	return slices.DeleteFunc(slices.Clone(s.spec.Paths), func(pattern string) bool {
		return slices.ContainsFunc(rows, func(a agentTask) bool { return a.matches(s.spec.AnyDate(pattern)) > 0 })
	})
}

// lookFor asks an agent what stands in the directories of the paths: a name
// that is almost the one looked for tells more than that nothing was found.
// What can't be asked is left out.
func (m *Monitors) lookFor(ctx context.Context, patterns []string, agents []agentTask) map[string]Evidence {
	looks := map[string]Evidence{}
	if len(agents) == 0 {
		return looks
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var g errgroup.Group
	var mu sync.Mutex
	for _, pattern := range patterns[:min(len(patterns), maxLooks)] {
		g.Go(func() error {
			e := agents[0].evidence(directoryOf(pattern), "")
			task := &pharosv1.AgentTask{Kind: &pharosv1.AgentTask_Browse{Browse: &pharosv1.BrowseTask{Path: e.Path}}}
			_, err := m.run(ctx, e.AgentID, "", task, func(event *pharosv1.TaskEvent) { e.Holds = newest(event.GetBrowse().GetEntries()) })
			if err != nil {
				e.Text = err.Error()
			}
			if ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				looks[pattern] = e
			}
			return nil
		})
	}
	g.Wait() // its functions return no error
	return looks
}

// directoryOf returns the deepest directory of a pattern that is written out.
func directoryOf(pattern string) string {
	dir := path.Dir(pattern)
	if i := strings.IndexAny(dir, `*?[\{`); i >= 0 {
		dir = path.Dir(dir[:i] + "x")
	}
	return dir
}

// newest returns the names of the entries that changed last, directories with a slash.
func newest(entries []*pharosv1.FileEntry) []string {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b *pharosv1.FileEntry) int { return cmp.Compare(b.GetMtimeMs(), a.GetMtimeMs()) })
	names := []string{}
	for _, e := range entries[:min(len(entries), maxHeld)] {
		name := e.GetName()
		if e.GetDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names
}
