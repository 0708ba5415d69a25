package alarm

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// alertmanagerHold is how long Alertmanager is told to hold an alert. Without
// an end it would call the alert over after some minutes of silence, and an
// alert that lasts is not sent again until its rule repeats it. A recovery is
// always sent.
const alertmanagerHold = 7 * 24 * time.Hour

// sendAlertmanager forwards an event. Alertmanager knows an alert by its
// labels, so they hold nothing that changes while it fires.
func (a *Alarm) sendAlertmanager(ctx context.Context, c channel.Alertmanager, e alarmstate.Event) (string, error) {
	labels := map[string]string{}
	for name, value := range e.Labels {
		labels[name] = value
	}
	name := e.Rule
	if name == "" {
		name = "PharosTest"
	}
	labels["alertname"], labels["severity"], labels["workspace"] = name, e.Level, e.Workspace
	annotations := map[string]string{"summary": e.Title, "description": e.Message, "alert_id": e.AlertID, "event_id": e.ID}
	if e.EmergencyText != "" {
		annotations["emergency_text"] = e.EmergencyText
	}
	if e.EmergencyLink != "" {
		annotations["runbook_url"] = e.EmergencyLink
	}
	end := a.o.Now().Add(alertmanagerHold)
	if e.Type != alarmstate.EventFiring && e.Type != alarmstate.EventRepeat {
		end = time.UnixMilli(max(e.TimeMs, e.StartedMs+1)) // it refuses an end that is not after the start
	}
	alert := map[string]any{"labels": labels, "annotations": annotations, "startsAt": time.UnixMilli(e.StartedMs).UTC(), "endsAt": end.UTC()}
	if link := a.link(e); link != "" {
		alert["generatorURL"] = link
	}
	body, err := encodeJSON([]any{alert})
	if err != nil {
		return "", err
	}
	header := http.Header{}
	switch {
	case c.Token != "":
		header.Set("Authorization", "Bearer "+c.Token)
	case c.Username != "":
		header.Set("Authorization", basicAuth(c.Username, c.Password))
	}
	return a.post(ctx, strings.TrimRight(c.URL, "/")+"/api/v2/alerts", "application/json", header, body)
}
