package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/channel"
)

// WeCom's markdown knows no escapes, so what would be markup is replaced by
// its full-width likeness: a log line must not mention people or hide a link.
var weComEscaper = strings.NewReplacer("<", "＜", ">", "＞", "[", "［", "]", "］", "*", "＊", "`", "｀", "\n", " ", "\r", " ")

var weComMarkup = markup{escape: weComEscaper.Replace, bold: func(s string) string { return "**" + s + "**" },
	link: markdownLink, item: "\n> ", line: "\n> ", gap: "\n"}

// weComBytes is what the content of a message may have.
const weComBytes = 4096

// sendWeCom posts a markdown message to a robot. Refusals come with HTTP 200.
func (a *Alarm) sendWeCom(ctx context.Context, c channel.WeCom, n notice) (string, error) {
	colour := "warning"
	if n.calm {
		colour = "info"
	}
	title := weComEscaper.Replace(cut(n.title, 500))
	head := fmt.Sprintf("### <font color=%q>%s</font>\n", colour, title)
	var mentions strings.Builder
	for _, id := range c.AtUsers {
		mentions.WriteString("<@" + id + ">")
	}
	text := head + n.text(weComMarkup, weComBytes-len(head)-mentions.Len()-1)
	if mentions.Len() > 0 {
		text += "\n" + mentions.String()
	}
	body, err := encodeJSON(map[string]any{"msgtype": "markdown", "markdown": map[string]string{"content": text}})
	if err != nil {
		return "", err
	}
	answer, err := a.post(ctx, c.URL, "application/json; charset=utf-8", nil, body)
	if err != nil {
		return answer, err
	}
	var reply struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || reply.Code == nil {
		return answer, fmt.Errorf("cannot read the robot's answer: it has no errcode")
	}
	err = fmt.Errorf("the robot refused: errcode %d: %s", *reply.Code, reply.Message)
	switch *reply.Code {
	case 0:
		return answer, nil
	case -1: // busy
		return answer, err
	case 45009, 45033: // too many requests a minute, or at once
		return answer, &busy{err, time.Minute}
	}
	return answer, permanent{err}
}
