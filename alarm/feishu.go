package alarm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/channel"
)

// larkEscaper writes what would be markup in lark_md as character references.
var larkEscaper = strings.NewReplacer("&", "&#38;", "<", "&#60;", ">", "&#62;", "*", "&#42;", "_", "&#95;", "~", "&#126;", "`", "&#96;",
	"[", "&#91;", "]", "&#93;", "\n", " ", "\r", " ")

var larkMarkup = markup{escape: larkEscaper.Replace, bold: func(s string) string { return "**" + s + "**" },
	link: markdownLink, item: "\n• ", line: "\n　　", gap: "\n"}

// larkBytes keeps a message, which may be twice as long in JSON, below the 20 KB that Feishu takes.
const larkBytes = 9 << 10

// sendFeishu posts an interactive card to a robot. The signature stands in the
// body: base64(HMAC-SHA256(key = timestamp + "\n" + secret, data = nothing)).
func (a *Alarm) sendFeishu(ctx context.Context, c channel.Feishu, n notice) (string, error) {
	text := n.text(larkMarkup, larkBytes)
	if len(c.Keywords) > 0 && !slices.ContainsFunc(c.Keywords, func(k string) bool { return strings.Contains(n.title+text, k) }) {
		text += "\n" + c.Keywords[0]
	}
	if c.AtAll {
		text += "\n<at id=all></at>"
	}
	colour := "blue"
	switch {
	case n.calm:
		colour = "green"
	case n.level == "P0":
		colour = "red"
	case n.level == "P1":
		colour = "orange"
	}
	message := map[string]any{"msg_type": "interactive", "card": map[string]any{
		"config":   map[string]any{"wide_screen_mode": true},
		"header":   map[string]any{"template": colour, "title": map[string]string{"tag": "plain_text", "content": cut(n.title, 500)}},
		"elements": []any{map[string]any{"tag": "div", "text": map[string]string{"tag": "lark_md", "content": text}}},
	}}
	if c.Secret != "" {
		timestamp := strconv.FormatInt(a.o.Now().Unix(), 10)
		message["timestamp"], message["sign"] = timestamp, feishuSign(c.Secret, timestamp)
	}
	body, err := encodeJSON(message)
	if err != nil {
		return "", err
	}
	answer, failure := a.post(ctx, c.URL, "application/json; charset=utf-8", nil, body)
	var reply struct {
		Code    *int   `json:"code"`
		Message string `json:"msg"`
	}
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || reply.Code == nil {
		if failure == nil {
			failure = fmt.Errorf("cannot read the robot's answer: it has no code")
		}
		return answer, failure
	}
	if *reply.Code == 0 {
		return answer, failure
	}
	err = fmt.Errorf("the robot refused: code %d: %s", *reply.Code, reply.Message)
	if *reply.Code == 11232 || *reply.Code == 9499 && strings.Contains(strings.ToLower(reply.Message), "too many") {
		return answer, &busy{err, time.Minute}
	}
	if failure != nil { // an HTTP status says more than our list of codes
		return answer, failure
	}
	return answer, permanent{err}
}

func feishuSign(secret, timestamp string) string {
	return base64.StdEncoding.EncodeToString(hmac.New(sha256.New, []byte(timestamp+"\n"+secret)).Sum(nil))
}
