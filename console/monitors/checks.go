package monitors

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// finding is the answer to one question.
type finding struct {
	state    State
	cause    string
	values   numbers
	evidence []Evidence
}

type numbers = map[string]float64

// judged returns a finding that is a problem, or nothing to tell of when
// there is no evidence.
func judged(state State, cause string, total int, evidence []Evidence) finding {
	if len(evidence) == 0 {
		return finding{state: OK}
	}
	return finding{state, cause, numbers{"n": float64(len(evidence)), "total": float64(total)}, evidence}
}

func unknown(cause string) finding { return finding{state: Unknown, cause: cause} }

func (a agentTask) evidence(path, text string) Evidence {
	return Evidence{AgentID: a.GetAgentId(), Host: a.GetHost().GetHostname(), Path: path, Text: text}
}

func (s *symptoms) enabled() finding {
	if s.spec.Disabled {
		return finding{state: Problem, cause: "disabled"}
	}
	return finding{state: OK}
}

func (s *symptoms) scope() finding {
	switch {
	case s.registered == nil:
		return unknown("register_away")
	case len(s.registered) == 0:
		return finding{state: Problem, cause: "no_agents"}
	case len(s.covered) > 0:
		return finding{state: OK, cause: "covered", values: numbers{"n": float64(len(s.covered)), "total": float64(len(s.registered))}}
	}
	runs := func(a *pharosv1.AgentState) bool { return logrule.RunsApp(a.GetHost().GetLabels(), s.spec.App) }
	total := numbers{"total": float64(len(s.registered))}
	if !slices.ContainsFunc(s.registered, runs) {
		return finding{state: Problem, cause: "app_without_agents", values: total, evidence: []Evidence{{Text: s.spec.App}}}
	}
	return finding{state: Problem, cause: "scope_empty", values: total}
}

func (s *symptoms) agents() finding {
	if len(s.covered) == 0 {
		return unknown("no_scope")
	}
	var away []Evidence
	for _, a := range s.covered {
		if !a.GetConnected() {
			e := a.evidence("", a.GetReason())
			e.TimeMs = a.GetLastSeenMs()
			away = append(away, e)
		}
	}
	return judged(Problem, "offline", len(s.covered), away)
}

// planGrace is how long agents may take to have a new definition.
const planGrace = 30 * time.Second

func (s *symptoms) revision() finding {
	if s.spec.Disabled {
		return unknown("disabled")
	}
	var refused, old []Evidence
	connected := 0
	for _, a := range s.covered {
		if !a.GetConnected() {
			continue
		}
		connected++
		switch t := a.task; {
		case t == nil || t.GetDefinitionRevision() != uint64(s.version):
			old = append(old, a.evidence("", ""))
		case t.GetError() != "" && t.GetLines() == nil:
			// Without counters there is no pipeline: the rule itself was refused.
			refused = append(refused, a.evidence("", t.GetError()))
		}
	}
	switch {
	case connected == 0:
		return unknown("no_agent")
	case len(refused) > 0:
		return judged(Problem, "rule_refused", connected, refused)
	case s.now.Sub(s.changed) < planGrace:
		return judged(Warning, "revision_on_its_way", connected, old)
	}
	return judged(Problem, "revision_old", connected, old)
}

// maxClockOffset is how far an agent's clock may be off.
const maxClockOffset = 3 * time.Second

func (s *symptoms) clock() finding {
	var off []Evidence
	worst, connected := int64(0), 0
	for _, a := range s.covered {
		if !a.GetConnected() {
			continue
		}
		connected++
		if ms := max(a.GetClockOffsetMs(), -a.GetClockOffsetMs()); ms > maxClockOffset.Milliseconds() {
			off = append(off, a.evidence("", a.GetReason()))
			worst = max(worst, ms)
		}
	}
	if connected == 0 {
		return unknown("no_agent")
	}
	f := judged(Problem, "clock_offset", connected, off)
	if len(off) > 0 {
		f.values["seconds"] = float64(worst) / 1000
	}
	return f
}

// maxFilesListed is how many files an agent tells of; where it tells of so
// many, others may match that are not in the list.
const maxFilesListed = 100

// matches is how many files of a path the agent tells of.
func (a agentTask) matches(pattern string) int {
	n := 0
	for _, f := range a.task.GetFiles() {
		if ok, err := filepath.Match(pattern, f.GetPath()); ok && err == nil {
			n++
		}
	}
	return n
}

func (s *symptoms) files() finding {
	rows := s.reading()
	if len(rows) == 0 {
		return unknown("no_agent")
	}
	var nowhere, somewhere []Evidence
	found, missing := 0, 0
	for _, pattern := range s.spec.Paths {
		var lacking []Evidence
		for _, a := range rows {
			n := a.matches(s.spec.AnyDate(pattern))
			found += n
			if n == 0 && len(a.task.GetFiles()) < maxFilesListed {
				lacking = append(lacking, a.evidence(pattern, ""))
			}
		}
		if len(lacking) == len(rows) {
			missing++
			nowhere = append(nowhere, Evidence{Path: pattern})
			if look, ok := s.looks[pattern]; ok {
				nowhere = append(nowhere, look)
			}
		} else {
			somewhere = append(somewhere, lacking...)
		}
	}
	switch {
	case len(nowhere) > 0:
		return finding{Problem, "no_match", numbers{"n": float64(missing), "total": float64(len(s.spec.Paths))}, nowhere}
	case len(somewhere) > 0:
		return judged(Warning, "no_match_somewhere", len(rows), somewhere)
	}
	return finding{state: OK, cause: "found", values: numbers{"n": float64(found), "total": float64(len(rows))}}
}

// fileErrors returns the files that an agent can't read for one of the
// problems, and whether any agent tells of files at all.
func (s *symptoms) fileErrors(problems ...string) (evidence []Evidence, files int) {
	for _, a := range s.reading() {
		for _, f := range a.task.GetFiles() {
			files++
			class := f.GetProblem()
			if class == "" && f.GetError() != "" {
				class = "other" // an agent of an older version does not tell
			}
			if slices.Contains(problems, class) {
				evidence = append(evidence, a.evidence(f.GetPath(), f.GetError()))
			}
		}
	}
	return evidence, files
}

func (s *symptoms) readable() finding {
	for _, c := range []struct{ cause, problem string }{{"denied", "denied"}, {"outside_roots", "outside_roots"}, {"unreadable", "other"}} {
		evidence, files := s.fileErrors(c.problem)
		if len(evidence) > 0 {
			return judged(Problem, c.cause, files, evidence)
		}
		if files == 0 {
			return unknown("no_file")
		}
	}
	if behindLinks, files := s.fileErrors("link_undeclared", "link_levels"); len(behindLinks) == files {
		return unknown("behind_links")
	}
	return finding{state: OK}
}

func (s *symptoms) links() finding {
	for _, problem := range []string{"link_undeclared", "link_levels"} {
		evidence, files := s.fileErrors(problem)
		if len(evidence) > 0 {
			return judged(Problem, problem, files, evidence)
		}
		if files == 0 {
			return unknown("no_file")
		}
	}
	return finding{state: OK}
}

// backlog is how far behind the end of its file an agent may be, in bytes.
const backlog = 64 << 20

func (s *symptoms) growth() finding {
	var behind []Evidence
	newest, files := Evidence{}, 0
	for _, a := range s.reading() {
		for _, f := range a.task.GetFiles() {
			if f.GetError() != "" {
				continue
			}
			files++
			if f.GetSizeBytes()-f.GetReadBytes() > backlog {
				behind = append(behind, a.evidence(f.GetPath(), ""))
			}
			if f.GetModifiedMs() >= newest.TimeMs {
				newest = a.evidence(f.GetPath(), "")
				newest.TimeMs = f.GetModifiedMs()
			}
		}
	}
	quiet := time.Duration(s.now.UnixMilli()-newest.TimeMs) * time.Millisecond
	switch {
	case files == 0:
		return unknown("no_file")
	case len(behind) > 0:
		return judged(Warning, "behind", files, behind)
	case newest.TimeMs == 0 && s.read() == 0:
		return unknown("not_told") // by agents of an older version
	case newest.TimeMs != 0 && quiet > lookBack(s.spec) && s.read() == 0:
		return finding{state: Warning, cause: "quiet", values: numbers{"seconds": quiet.Seconds()}, evidence: []Evidence{newest}}
	}
	return finding{state: OK}
}

// samples returns the recent lines that could not be used for the reasons.
// Without the right to read lines the files alone are told.
func (s *symptoms) samples(reasons ...string) []Evidence {
	var found []Evidence
	since := s.now.Add(-lookBack(s.spec)).UnixMilli()
	for _, a := range s.reading() {
		for _, b := range a.task.GetBadSamples() {
			if b.GetReadMs() < since || !slices.Contains(reasons, b.GetReason()) {
				continue
			}
			e := a.evidence(b.GetPath(), "")
			if s.mayReadLines {
				e.Text, e.TimeMs = b.GetText(), b.GetReadMs()
			}
			if !slices.ContainsFunc(found, func(f Evidence) bool { return f.AgentID == e.AgentID && f.Path == e.Path && f.Text == e.Text }) {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Evidence) int { return -cmp.Compare(a.TimeMs, b.TimeMs) })
	return found
}

func (s *symptoms) encoding() finding {
	if len(s.reading()) == 0 {
		return unknown("no_agent")
	}
	if found := s.samples("encoding"); len(found) > 0 {
		return finding{Warning, "undecodable", numbers{}, found}
	}
	return finding{state: OK}
}

// share judges how many of the lines that were read went wrong: half of them
// is a problem, some may be meant.
func (s *symptoms) share(n, total uint64, cause string, reasons ...string) finding {
	switch {
	case s.windows == nil:
		return unknown("compute_away")
	case s.read() == 0:
		return unknown("no_lines")
	case n == 0:
		return finding{state: OK}
	}
	f := finding{Warning, cause, numbers{"n": float64(n), "total": float64(total)}, s.samples(reasons...)}
	if 2*n >= total {
		f.state = Problem
	}
	return f
}

func (s *symptoms) time() finding     { return s.share(s.bad, s.read(), "time_unread", "time") }
func (s *symptoms) lateness() finding { return s.share(s.late, s.read(), "time_far_off", "late") }

// withTime are the lines whose columns were asked for.
func (s *symptoms) withTime() uint64 { return s.read() - s.bad - s.late }

func (s *symptoms) columns() finding {
	if s.withTime() == 0 && s.read() > 0 {
		return unknown("no_usable_lines")
	}
	return s.share(s.unmatched, s.withTime(), "columns_missing", "column")
}

func (s *symptoms) filters() finding {
	switch {
	case s.windows == nil:
		return unknown("compute_away")
	case s.read() == 0:
		return unknown("no_lines")
	case s.withTime() == s.unmatched:
		return unknown("no_usable_lines")
	}
	values := numbers{"n": float64(s.filtered), "total": float64(s.withTime())}
	switch {
	case s.matched == 0:
		return finding{state: Problem, cause: "all_filtered", values: values, evidence: s.rows()}
	case s.filtered == 0:
		return finding{state: OK}
	}
	return finding{state: OK, cause: "some_filtered", values: values}
}

// rows are the filter rows as text, so that the one can be seen that is too narrow.
func (s *symptoms) rows() []Evidence {
	var out []Evidence
	for _, f := range s.spec.Filters.White {
		out = append(out, Evidence{Text: f.Column + " = " + strings.Join(f.Values, ", ")})
	}
	for _, f := range s.spec.Filters.Black {
		out = append(out, Evidence{Text: f.Column + " ≠ " + strings.Join(f.Values, ", ")})
	}
	return out
}

func (s *symptoms) numbers() finding {
	if s.matched == 0 && s.read() > 0 {
		return unknown("no_usable_lines")
	}
	return s.share(s.badNumbers, s.matched, "not_numbers", "number", "column")
}

// nearLimit is the share of the key limit from which a warning is given.
const nearLimit = 0.9

func (s *symptoms) keys() finding {
	if s.windows == nil {
		return unknown("compute_away")
	}
	keys, limit := s.windows.GetKeys(), s.windows.GetKeyLimit()
	f := finding{values: numbers{"keys": float64(keys), "limit": float64(limit), "n": float64(s.keysDropped)}}
	switch {
	case len(s.spec.GroupBy) == 0:
		return finding{state: OK}
	case s.keysDropped > 0:
		f.state, f.cause = Problem, "keys_overflow"
	case limit > 0 && float64(keys) >= nearLimit*float64(limit):
		f.state, f.cause = Warning, "keys_near_limit"
	default:
		f.state, f.cause = OK, "keys_below_limit"
	}
	return f
}

func (s *symptoms) flow() finding {
	switch {
	case s.windows == nil:
		return unknown("compute_away")
	case s.throttled == 0:
		return finding{state: OK}
	}
	return finding{state: Problem, cause: "throttled", values: numbers{"bytes": float64(s.throttled), "limit": float64(s.spec.FlowLimitKBMin)}}
}

func (s *symptoms) losses() finding {
	if s.windows == nil {
		return unknown("compute_away")
	}
	if s.lost > 0 {
		return finding{state: Problem, cause: "bytes_lost", values: numbers{"bytes": float64(s.lost)}}
	}
	var full []Evidence
	for _, a := range s.reading() {
		if n := a.GetHeartbeat().GetLoad().GetDroppedWindows(); n > 0 {
			full = append(full, a.evidence("", ""))
		}
	}
	return judged(Warning, "windows_given_up", len(s.covered), full)
}

// settleGrace is how long after its deadline a window may take to settle.
const settleGrace = time.Minute

func (s *symptoms) completeness() finding {
	if s.spec.Disabled {
		return unknown("disabled")
	}
	if s.windows == nil {
		return unknown("compute_away")
	}
	var last *pharosv1.WindowState
	for _, w := range s.windows.GetWindows() {
		if w.GetSettled() {
			last = w
		}
	}
	due := s.spec.Window.D() + time.Duration(s.spec.DeadlineS)*time.Second + settleGrace
	if last == nil {
		if s.now.Sub(s.changed) < s.spec.Window.D()+due {
			return unknown("no_window_yet")
		}
		return finding{state: Problem, cause: "no_window"}
	}
	share := numbers{"share": last.GetCompleteness()}
	if last.GetCompleteness() < 1 {
		var missing []Evidence
		for _, id := range s.windows.GetMissingAgents() {
			e := Evidence{AgentID: id}
			for _, a := range s.covered {
				if a.GetAgentId() == id {
					e = a.evidence("", a.GetReason())
				}
			}
			missing = append(missing, e)
		}
		return finding{Problem, "incomplete", share, missing}
	}
	end := time.UnixMilli(last.GetWindowStartMs() + last.GetWindowMs())
	if age := s.now.Sub(end); age > due {
		return finding{state: Warning, cause: "windows_stopped", values: numbers{"seconds": age.Seconds()}}
	}
	return finding{state: OK, cause: "complete", values: share}
}

func (s *symptoms) alarms() finding {
	if s.spec.Type.BySecond() {
		return finding{state: OK, cause: "no_alarms_by_second"}
	}
	if len(s.rules) == 0 {
		return finding{state: OK, cause: "no_rules"}
	}
	var off, mute []Evidence
	for _, r := range s.rules {
		switch {
		case r.spec.Disabled:
			off = append(off, Evidence{Name: r.name, Text: r.spec.Title})
		case len(r.spec.Channels) == 0:
			mute = append(mute, Evidence{Name: r.name, Text: r.spec.Title})
		}
	}
	if len(mute) > 0 {
		return judged(Warning, "rules_without_channel", len(s.rules), mute)
	}
	return judged(Warning, "rules_disabled", len(s.rules), off)
}
