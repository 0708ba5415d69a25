package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// pagerDutySeverity is what PagerDuty calls a level.
var pagerDutySeverity = map[string]string{"P0": "critical", "P1": "error", "P2": "warning", "P3": "info", "P4": "info"}

// sendPagerDuty sends an event under the id of its alert, by which PagerDuty
// knows that a repeat, an acknowledgement and a recovery belong together.
func (a *Alarm) sendPagerDuty(ctx context.Context, c channel.PagerDuty, e alarmstate.Event) (string, error) {
	switch e.Type {
	case alarmstate.EventTest: // opened and closed, so that a test leaves nothing behind
		if answer, err := a.postPagerDuty(ctx, c, e, "trigger"); err != nil {
			return answer, err
		}
		return a.postPagerDuty(ctx, c, e, "resolve")
	case alarmstate.EventAcknowledged:
		return a.postPagerDuty(ctx, c, e, "acknowledge")
	case alarmstate.EventRecovered, alarmstate.EventClosed:
		return a.postPagerDuty(ctx, c, e, "resolve")
	}
	return a.postPagerDuty(ctx, c, e, "trigger")
}

func (a *Alarm) postPagerDuty(ctx context.Context, c channel.PagerDuty, e alarmstate.Event, action string) (string, error) {
	key := e.AlertID
	if key == "" {
		key = e.ID
	}
	event := map[string]any{"routing_key": c.RoutingKey, "event_action": action, "dedup_key": key}
	if action == "trigger" {
		source := formatObject(e.Labels)
		if source == "" {
			source = "pharos"
		}
		details := map[string]any{"message": e.Message, "object": e.Labels, "conditions": e.Conditions, "completeness": e.Completeness}
		if e.EmergencyText != "" {
			details["emergency_text"] = e.EmergencyText
		}
		links := []map[string]string{}
		if strings.HasPrefix(e.EmergencyLink, "http") {
			links = append(links, map[string]string{"href": e.EmergencyLink, "text": a.words.emergency})
		}
		event["payload"] = map[string]any{"summary": cutRunes(e.Message, 1024), "source": source, "severity": pagerDutySeverity[e.Level],
			"timestamp": time.UnixMilli(e.StartedMs).UTC().Format(time.RFC3339), "component": e.Labels["app"], "group": e.Workspace, "class": e.Rule, "custom_details": details}
		event["client"] = "Pharos"
		if link := a.link(e); link != "" {
			event["client_url"] = link
			links = append(links, map[string]string{"href": link, "text": a.words.open})
		}
		event["links"] = links
	}
	body, err := encodeJSON(event)
	if err != nil {
		return "", err
	}
	answer, err := a.post(ctx, c.URL, "application/json", nil, body)
	if err != nil {
		return answer, err
	}
	var reply struct{ Status string }
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || reply.Status != "success" {
		return answer, fmt.Errorf("cannot read PagerDuty's answer: its status is not success but %q", reply.Status)
	}
	return answer, nil
}

// cutRunes shortens s to at most n characters.
func cutRunes(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
