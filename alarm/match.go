package alarm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// MatchRulePrefix begins the names of rules that monitors of type match carry
// themselves; the monitor's name follows. No AlarmRule can have such a name.
const MatchRulePrefix = "match:"

// matchRules are the rules that a monitor of type match is: one for its
// channels, and one with a threshold of its own for those of text messages.
// Every minute that reaches the threshold is told, for its lines are others.
func matchRules(o resource.Object, m *logrule.MatchRule) []*rule {
	var out []*rule
	for _, of := range []struct {
		suffix   string
		min      int
		channels []string
	}{{"", m.MinLinesChat, m.Channels}, {"/sms", m.MinLinesSMS, m.SMSChannels}} {
		if of.min == 0 {
			continue
		}
		spec := alarmrule.Spec{Title: m.Title, Level: alarmrule.Level(m.Level), Channels: of.channels, RepeatEvery: logrule.Duration(time.Minute),
			EmergencyText: m.EmergencyText, EmergencyLink: m.EmergencyLink,
			Conditions: []alarmrule.Condition{{Monitor: o.Metadata.Name, Op: alarmrule.GE, Threshold: new(float64(of.min))}}}
		out = append(out, &rule{id: o.Metadata.ID + of.suffix, name: MatchRulePrefix + o.Metadata.Name, workspace: o.Metadata.Workspace,
			kind: alarmstate.KindMatch, spec: spec.WithDefaults()})
	}
	return out
}

// gatherMatch reads how many lines matched in the minute that begins at startMs, and the first of them.
func (g *gatherer) gatherMatch(ctx context.Context, workspace string, m *monitor, startMs int64, threshold float64, p patience) (Input, error) {
	in := Input{Source: m.key, Unit: g.words.lines, Kind: logrule.Count, labels: noLabels}
	states, settledMs, err := g.windows(ctx, workspace, m, startMs, startMs)
	if err != nil {
		return in, err
	}
	open := settledMs < startMs+m.windowMs() && !(len(states) == 1 && states[0].Settled)
	if open && p == settled {
		return in, errNotSettled
	}
	if len(states) == 0 {
		return in, nil
	}
	in.Completeness, in.partial = states[0].GetCompleteness(), open && p == proofs
	count := float64(states[0].GetLines())
	if n := m.spec.Keep(); n > 0 && count >= threshold {
		resp, err := g.query.MonitorLines(ctx, &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: workspace}, MonitorId: m.id,
			StartMs: startMs, EndMs: startMs, Order: pharosv1.LineOrder_LINE_ORDER_WINDOW, Limit: int32(n)})
		if err != nil {
			return in, fmt.Errorf("cannot read lines of monitor %q: %w", m.key, err)
		}
		for _, l := range resp.GetLines() {
			in.Lines = append(in.Lines, alarmstate.Line{Instance: l.GetInstance(), File: l.GetFile(), Text: strings.ReplaceAll(l.GetText(), "\x00", "\uFFFD")})
		}
	}
	in.Values = map[string]float64{"": count}
	return in, nil
}

// maxLineBytes is what all lines of a message to people may take together.
const maxLineBytes = 12 << 10

// linesOf returns the lines of an event, each with the machine and file it is from,
// as long as a message may have them.
func linesOf(e alarmstate.Event) []string {
	var out []string
	n := 0
	for _, c := range e.Conditions {
		n += len(c.Lines)
	}
	for _, c := range e.Conditions {
		for _, l := range c.Lines {
			out = append(out, fmt.Sprintf("%s %s: %s", l.Instance, l.File, cut(l.Text, maxLineBytes/n)))
		}
	}
	return out
}
