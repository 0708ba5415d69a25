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

	"github.com/pharos-stack/pharos/internal/channel"
)

// sendDingTalk posts a markdown message to a robot. The signature is
// base64(HMAC-SHA256(secret, timestamp + "\n" + secret)) (spec 05, ROB-2).
func (a *Alarm) sendDingTalk(ctx context.Context, c channel.DingTalk, n notice) (string, error) {
	head := "### " + escapeMarkdown(n.title) + "\n"
	if colour := levelColours[n.level]; colour != "" && !n.calm {
		head = fmt.Sprintf("### <font color=%q>%s</font>\n", colour, escapeMarkdown(n.title))
	}
	text := head + n.text(dingTalkMarkup, 17<<10)
	if len(c.Keywords) > 0 && !slices.ContainsFunc(c.Keywords, func(k string) bool { return strings.Contains(text, k) }) {
		text += "\n\n" + c.Keywords[0]
	}
	for _, mobile := range c.AtMobiles {
		text += " @" + mobile
	}
	body, err := json.Marshal(map[string]any{
		"msgtype":  "markdown",
		"markdown": map[string]string{"title": n.title, "text": text},
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
		timestamp := strconv.FormatInt(a.o.Now().UnixMilli(), 10)
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
	case -1: // busy
		return answer, fmt.Errorf("the robot refused for now: errcode %d: %s", reply.Code, reply.Message)
	case 130101: // too fast: it is blocked for ten minutes
		return answer, &busy{fmt.Errorf("the robot refused for now: errcode %d: %s", reply.Code, reply.Message), 10 * time.Minute}
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

var dingTalkMarkup = markup{escape: escapeMarkdown, bold: func(s string) string { return "**" + s + "**" },
	link: markdownLink, item: "\n- ", line: "\n    - ", gap: "\n\n"}

func markdownLink(text, url string) string { return "[" + text + "](" + url + ")" }

var markdownEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "#", `\#`, "\n", " ", "\r", " ")

// escapeMarkdown keeps text from logs from being read as markup.
func escapeMarkdown(s string) string { return markdownEscaper.Replace(s) }
