package alarm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// dingTalkPerMinute stays below the provider's limit of 20, beyond which a
// robot is blocked for ten minutes (spec 05, ROB-3).
const dingTalkPerMinute = 18

// maxKeys is how many keys a message to people names; the others are a number.
const maxKeys = 10

// later asks to try a delivery again without counting an attempt.
type later struct{ after time.Duration }

func (l *later) Error() string { return fmt.Sprintf("held back for %s by the rate limit", l.after) }

// sendDingTalk posts a markdown message to a robot. The signature is
// base64(HMAC-SHA256(secret, timestamp + "\n" + secret)) (spec 05, ROB-2).
func (a *Alarm) sendDingTalk(ctx context.Context, d *alarmstate.Delivery, c channel.DingTalk, events []alarmstate.Event) (string, error) {
	now := a.o.Now()
	sent, err := a.o.DB.NewSelect().Model((*alarmstate.Delivery)(nil)).
		Where("workspace = ? AND channel = ? AND sent_ms > ?", d.Workspace, d.Channel, now.Add(-time.Minute).UnixMilli()).Count(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot count recent notices: %w", err)
	}
	if sent >= dingTalkPerMinute {
		return "", &later{after: 10 * time.Second}
	}
	title, text := a.markdown(events)
	if len(c.Keywords) > 0 && !slices.ContainsFunc(c.Keywords, func(k string) bool { return strings.Contains(text, k) }) {
		text += "\n\n" + c.Keywords[0]
	}
	for _, mobile := range c.AtMobiles {
		text += " @" + mobile
	}
	body, err := json.Marshal(map[string]any{
		"msgtype":  "markdown",
		"markdown": map[string]string{"title": title, "text": cut(text, 18<<10)},
		"at":       map[string]any{"atMobiles": c.AtMobiles, "isAtAll": c.AtAll},
	})
	if err != nil {
		return "", permanent{fmt.Errorf("cannot write message: %w", err)}
	}
	target, err := url.Parse(c.URL)
	if err != nil {
		return "", permanent{fmt.Errorf("cannot parse the robot's URL")} // not shown: it holds the token
	}
	if c.Secret != "" {
		q := target.Query()
		timestamp := strconv.FormatInt(now.UnixMilli(), 10)
		q.Set("timestamp", timestamp)
		q.Set("sign", dingTalkSign(c.Secret, timestamp))
		target.RawQuery = q.Encode()
	}
	answer, err := a.post(ctx, target.String(), "application/json; charset=utf-8", nil, body)
	if err != nil {
		return answer, err
	}
	var reply struct {
		Code    int    `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal([]byte(answer), &reply); err != nil {
		return answer, fmt.Errorf("cannot read the robot's answer: %w", err)
	}
	switch reply.Code {
	case 0:
		return answer, nil
	case -1, 130101: // busy; too fast
		return answer, fmt.Errorf("the robot refused for now: errcode %d: %s", reply.Code, reply.Message)
	}
	return answer, permanent{fmt.Errorf("the robot refused: errcode %d: %s", reply.Code, reply.Message)}
}

func dingTalkSign(secret, timestamp string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "\n" + secret))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// levelColours of the title (spec 05 §10.1).
var levelColours = map[string]string{"P0": "#d9363e", "P1": "#d46b08"}

// markdown renders events of one type as one message.
func (a *Alarm) markdown(events []alarmstate.Event) (title, text string) {
	w := a.words
	first := events[0]
	title = fmt.Sprintf("[%s] %s: %s", first.Level, w.state(first.Type), first.Title)
	var b strings.Builder
	if colour := levelColours[first.Level]; colour != "" && first.Type != alarmstate.EventRecovered {
		fmt.Fprintf(&b, "### <font color=%q>%s</font>\n", colour, escapeMarkdown(title))
	} else {
		fmt.Fprintf(&b, "### %s\n", escapeMarkdown(title))
	}
	for i, e := range events {
		if i == maxKeys {
			fmt.Fprintf(&b, "\n- "+w.more, len(events)-maxKeys)
			break
		}
		if len(e.Conditions) == 0 {
			fmt.Fprintf(&b, "\n- %s", escapeMarkdown(e.Message))
			continue
		}
		var parts []string
		for _, c := range e.Conditions {
			parts = append(parts, w.condition(c))
		}
		object := formatObject(e.Labels)
		if object != "" {
			object = "**" + escapeMarkdown(object) + "** "
		}
		fmt.Fprintf(&b, "\n- %s%s", object, escapeMarkdown(strings.Join(parts, "; ")))
		for _, line := range linesOf(e) {
			fmt.Fprintf(&b, "\n    - %s", escapeMarkdown(line))
		}
	}
	fmt.Fprintf(&b, "\n\n%s %s", w.since, time.UnixMilli(first.StartedMs).Format("2006-01-02 15:04"))
	if first.EmergencyText != "" {
		fmt.Fprintf(&b, "\n\n**%s**: %s", w.emergency, escapeMarkdown(first.EmergencyText))
	}
	if link := first.EmergencyLink; strings.HasPrefix(link, "http") {
		fmt.Fprintf(&b, "\n\n[%s](%s)", w.emergency, link)
	}
	if link := a.link(first); link != "" {
		fmt.Fprintf(&b, "\n\n[%s](%s)", w.open, link)
	}
	return title, b.String()
}

// link leads to the alert in the console; empty when its address is not known.
func (a *Alarm) link(e alarmstate.Event) string {
	if a.o.ConsoleURL == "" || e.AlertID == "" {
		return ""
	}
	return strings.TrimRight(a.o.ConsoleURL, "/") + "/w/" + url.PathEscape(e.Workspace) + "/alerts?alert=" + url.QueryEscape(e.AlertID)
}

var markdownEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "#", `\#`, "\n", " ", "\r", " ")

// escapeMarkdown keeps text from logs from being read as markup.
func escapeMarkdown(s string) string { return markdownEscaper.Replace(s) }
