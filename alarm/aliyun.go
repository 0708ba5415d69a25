package alarm

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// sendAliyun tells one number by a template of Alibaba Cloud, API 2017-05-25.
func (a *Alarm) sendAliyun(ctx context.Context, c channel.Aliyun, number string, values map[string]string) (string, error) {
	filled := map[string]string{}
	for name, text := range c.Params {
		filled[name] = expand(text, values, plain)
	}
	template, err := encodeJSON(filled)
	if err != nil {
		return "", err
	}
	number = strings.TrimPrefix(strings.TrimPrefix(number, "+86"), "+") // at home without, abroad with the country code
	p := map[string]string{"AccessKeyId": c.KeyID, "Format": "JSON", "RegionId": "cn-hangzhou", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": alarmstate.NewID(""),
		"SignatureVersion": "1.0", "Timestamp": a.o.Now().UTC().Format(time.RFC3339), "Version": "2017-05-25"}
	if c.Phones.Use == channel.UseCall {
		p["Action"], p["CalledNumber"], p["TtsCode"], p["TtsParam"] = "SingleCallByTts", number, c.Template, string(template)
		if c.ShowNumber != "" {
			p["CalledShowNumber"] = c.ShowNumber
		}
	} else {
		p["Action"], p["PhoneNumbers"], p["SignName"], p["TemplateCode"], p["TemplateParam"] = "SendSms", number, c.SignName, c.Template, string(template)
	}
	p["Signature"] = aliyunSign("POST", p, c.KeySecret)
	form := url.Values{}
	for name, value := range p {
		form.Set(name, value)
	}
	answer, failure := a.post(ctx, strings.TrimRight(c.Address(), "/")+"/", "application/x-www-form-urlencoded", nil, []byte(form.Encode()))
	var reply struct{ Code, Message string }
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || reply.Code == "" {
		if failure == nil {
			failure = fmt.Errorf("cannot read Alibaba Cloud's answer: it has no Code")
		}
		return answer, failure
	}
	if reply.Code == "OK" {
		return answer, failure
	}
	// Throttling comes as 400, refusals of a message as 200: the code says what it is.
	return answer, byCode("Alibaba Cloud", reply.Code, reply.Message, "Throttling", "isv.BUSINESS_LIMIT_CONTROL", "isp.", "InternalError", "ServiceUnavailable")
}

// byCode is the refusal of a provider, one that may pass when its code begins
// with one of passing.
func byCode(provider, code, message string, passing ...string) error {
	err := fmt.Errorf("%s refused: %s: %s", provider, code, message)
	if slices.ContainsFunc(passing, func(begin string) bool { return strings.HasPrefix(code, begin) }) {
		return err
	}
	return permanent{err}
}

// aliyunSign is signature version 1.0: HMAC-SHA1 of the method and the sorted
// parameters, each escaped by RFC 3986.
func aliyunSign(method string, params map[string]string, secret string) string {
	var query []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		query = append(query, escapeURL(name)+"="+escapeURL(params[name]))
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(method + "&%2F&" + escapeURL(strings.Join(query, "&"))))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
