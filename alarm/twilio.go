package alarm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pharos-stack/pharos/internal/channel"
)

// sendTwilio tells one number by a text message, or by a call that reads the
// notice out twice.
func (a *Alarm) sendTwilio(ctx context.Context, c channel.Twilio, number string, values map[string]string) (string, error) {
	form := url.Values{"To": {number}}
	resource := "Messages"
	switch {
	case c.Phones.Use == channel.UseCall:
		resource = "Calls"
		language := "en-US"
		if a.o.Language == "zh" {
			language = "zh-CN"
		}
		form.Set("From", c.From)
		form.Set("Twiml", fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Response><Say language=%q loop="2">%s</Say></Response>`, language, escapeXML(cutRunes(plain(values["message"]), 500))))
	case strings.HasPrefix(c.From, "MG"):
		form.Set("MessagingServiceSid", c.From)
	default:
		form.Set("From", c.From)
	}
	if resource == "Messages" {
		form.Set("Body", values["text"])
	}
	header := http.Header{}
	header.Set("Authorization", basicAuth(c.AccountSID, c.AuthToken))
	target := strings.TrimRight(c.URL, "/") + "/2010-04-01/Accounts/" + url.PathEscape(c.AccountSID) + "/" + resource + ".json"
	answer, err := a.post(ctx, target, "application/x-www-form-urlencoded", header, []byte(form.Encode()))
	if err != nil {
		return answer, err
	}
	var reply struct {
		SID    string `json:"sid"`
		Status string `json:"status"`
		Code   *int   `json:"error_code"`
	}
	switch err := json.Unmarshal([]byte(answer), &reply); {
	case err != nil || reply.SID == "":
		return answer, fmt.Errorf("cannot read Twilio's answer: it has no sid")
	case reply.Code != nil || reply.Status == "failed" || reply.Status == "undelivered":
		return answer, permanent{fmt.Errorf("twilio refused: status %s", reply.Status)}
	}
	return answer, nil
}
