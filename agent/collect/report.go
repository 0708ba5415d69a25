package collect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/logpipe"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

type lpWindow = logpipe.Window

// shown makes text fit for messages, which hold only UTF-8; names of files may be anything.
func shown(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// name of a generation in receipts.
func (g *generation) name() string { return fmt.Sprintf("%x-%x-%x", g.id.Dev, g.id.Ino, g.serial) }

func protoCounters(n logpipe.Counters) *pharosv1.LineCounters {
	return &pharosv1.LineCounters{Read: n.Read, Matched: n.Matched, Filtered: n.Filtered, Unmatched: n.Unmatched, Bad: n.Bad, Late: n.Late,
		BadNumbers: n.BadNumbers, ThrottledBytes: n.ThrottledBytes, Undecodable: n.Undecodable, Cut: n.Cut, KeysDropped: n.KeysDropped}
}

func countersOf(n *pharosv1.LineCounters) logpipe.Counters {
	return logpipe.Counters{Read: n.GetRead(), Matched: n.GetMatched(), Filtered: n.GetFiltered(), Unmatched: n.GetUnmatched(), Bad: n.GetBad(),
		Late: n.GetLate(), BadNumbers: n.GetBadNumbers(), ThrottledBytes: n.GetThrottledBytes(), Undecodable: n.GetUndecodable(), Cut: n.GetCut(),
		KeysDropped: n.GetKeysDropped()}
}

// maxFilesReported bounds the files a heartbeat tells of for each task; those
// with errors come first.
const maxFilesReported = 100

// reportEvery is how often the status is made: with a thousand files it costs
// more than all else that is done while nothing happens.
const reportEvery = 2 * time.Second

// maybeReport makes the status when it is due.
func (c *Collector) maybeReport(now time.Time) {
	if now.Sub(c.reported) >= reportEvery || now.Before(c.reported) {
		c.report()
		c.reported = now
	}
}

// report makes the status that heartbeats carry.
func (c *Collector) report() {
	var status []*pharosv1.TaskStatus
	var lines uint64
	for _, t := range c.tasks {
		s := &pharosv1.TaskStatus{TaskId: t.id, MonitorId: t.monitorID, DefinitionRevision: t.definition, Error: shown(cmp.Or(t.planErr, t.err)), WatermarkMs: t.watermark}
		if s.Error == "" && t.waiting {
			s.Error, s.Waiting = fmt.Sprintf("no file matches %q", t.spec.PathsAt(c.o.Now(), c.o.Location)), true
		}
		if t.lines != nil {
			counters := t.lines.Counters()
			lines += counters.Read
			s.Lines = protoCounters(counters)
			for _, b := range t.lines.BadSamples() {
				s.BadSamples = append(s.BadSamples, &pharosv1.BadLine{Path: shown(b.Path), Reason: b.Reason, Text: shown(b.Text), ReadMs: b.ReadMs})
			}
		}
		for name, e := range t.fileErrors {
			s.Files = append(s.Files, &pharosv1.FileStatus{Path: shown(name), Error: shown(e.text), Problem: e.problem})
		}
		for _, p := range c.paths {
			if p.tasks[t.id] == nil {
				continue
			}
			f := &pharosv1.FileStatus{Path: shown(p.name), Error: shown(p.err), Problem: p.problem}
			if g := p.live(); g != nil {
				f.SizeBytes, f.ModifiedMs = g.seen, g.mtimeNs/int64(time.Millisecond)
				for _, cur := range g.cursors {
					if slices.Contains(cur.tasks, t) {
						f.ReadBytes = cur.offset
					}
				}
			}
			if p.err != "" && s.Error == "" {
				s.Error = shown(p.err)
			}
			s.Files = append(s.Files, f)
		}
		slices.SortFunc(s.Files, func(a, b *pharosv1.FileStatus) int {
			return cmp.Or(-cmp.Compare(a.Error, b.Error), cmp.Compare(a.Path, b.Path))
		})
		s.Files = s.Files[:min(len(s.Files), maxFilesReported)]
		status = append(status, s)
	}
	slices.SortFunc(status, func(a, b *pharosv1.TaskStatus) int { return cmp.Compare(a.TaskId, b.TaskId) })
	var problems []string
	if c.problem != "" {
		problems = append(problems, c.problem)
	}
	c.statusMu.Lock()
	defer c.statusMu.Unlock()
	c.status, c.problems = status, problems
	c.load.LinesTotal, c.load.FilesOpen = lines, uint64(c.open)
}
