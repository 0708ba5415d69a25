package alarm

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/channel"
)

// Slack wants these three escaped, and no others; so nobody is mentioned by a log line.
var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", " ", "\r", " ")

var slackMarkup = markup{escape: slackEscaper.Replace, bold: func(s string) string { return "*" + s + "*" },
	link: func(text, url string) string { return "<" + url + "|" + text + ">" }, item: "\n• ", line: "\n    ", gap: "\n"}

// A section's text may have 3000 characters, a header's 150.
const (
	slackSection = 2900
	slackHeader  = 150
)

// sendSlack posts blocks to an incoming webhook, which answers the two letters "ok".
func (a *Alarm) sendSlack(ctx context.Context, c channel.Slack, n notice) (string, error) {
	title := n.title
	if utf8.RuneCountInString(title) > slackHeader {
		title = string([]rune(title)[:slackHeader-1]) + "…"
	}
	body, err := encodeJSON(map[string]any{
		"text": slackEscaper.Replace(n.title), // for notifications, where blocks are not shown
		"blocks": []any{
			map[string]any{"type": "header", "text": map[string]any{"type": "plain_text", "text": title}},
			map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": n.text(slackMarkup, slackSection)}},
		},
	})
	if err != nil {
		return "", err
	}
	answer, err := a.post(ctx, c.URL, "application/json; charset=utf-8", nil, body)
	if err == nil && strings.TrimSpace(answer) != "ok" {
		err = fmt.Errorf("cannot read Slack's answer: it is not ok but %q", cut(answer, 100))
	}
	return answer, err
}
