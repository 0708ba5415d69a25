package alarm

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-stack/pharos/internal/channel"
)

// sendTencent tells one number by a template of Tencent Cloud. Every answer
// comes with HTTP 200.
func (a *Alarm) sendTencent(ctx context.Context, c channel.Tencent, number string, values map[string]string) (string, error) {
	params := []string{}
	for _, text := range c.Params {
		params = append(params, expand(text, values, plain))
	}
	service, action, version := "sms", "SendSms", "2021-01-11"
	message := map[string]any{"PhoneNumberSet": []string{number}, "SmsSdkAppId": c.AppID, "SignName": c.SignName, "TemplateId": c.Template, "TemplateParamSet": params}
	if c.Phones.Use == channel.UseCall {
		service, action, version = "vms", "SendTtsVoice", "2020-09-02"
		message = map[string]any{"CalledNumber": number, "VoiceSdkAppid": c.AppID, "TemplateId": c.Template, "TemplateParamSet": params}
	}
	body, err := encodeJSON(message)
	if err != nil {
		return "", err
	}
	target, err := url.Parse(strings.TrimRight(c.Address(), "/") + "/")
	if err != nil {
		return "", permanent{fmt.Errorf("cannot parse the channel's URL: %w", err)}
	}
	now := a.o.Now()
	header := http.Header{}
	header.Set("X-TC-Action", action)
	header.Set("X-TC-Version", version)
	header.Set("X-TC-Region", c.Region)
	header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix(), 10))
	const contentType = "application/json; charset=utf-8"
	canonical := strings.Join([]string{"POST", target.EscapedPath(), "", "content-type:" + contentType, "host:" + target.Host, "x-tc-action:" + strings.ToLower(action), "",
		"content-type;host;x-tc-action", hexSHA256(body)}, "\n")
	header.Set("Authorization", tencentSign(c.SecretID, c.SecretKey, service, canonical, "content-type;host;x-tc-action", now))
	answer, failure := a.post(ctx, target.String(), contentType, header, body)
	if failure != nil {
		return answer, failure
	}
	var reply struct {
		Response struct {
			Error *struct{ Code, Message string }
			// SendStatusSet is for messages, SendStatus for calls.
			SendStatusSet []struct{ Code, Message string }
			SendStatus    *struct{ CallID string }
		}
	}
	if err := json.Unmarshal([]byte(answer), &reply); err != nil {
		return answer, fmt.Errorf("cannot read Tencent Cloud's answer: %w", err)
	}
	code, text := "", ""
	switch r := reply.Response; {
	case r.Error != nil:
		code, text = r.Error.Code, r.Error.Message
	case len(r.SendStatusSet) == 1:
		code, text = r.SendStatusSet[0].Code, r.SendStatusSet[0].Message
	case r.SendStatus != nil && r.SendStatus.CallID != "":
		code = "Ok"
	}
	switch code {
	case "Ok":
		return answer, nil
	case "":
		return answer, fmt.Errorf("cannot read Tencent Cloud's answer: it tells of no message")
	}
	return answer, byCode("Tencent Cloud", code, text, "RequestLimitExceeded", "LimitExceeded", "InternalError", "FailedOperation.ServiceUnavailable")
}

// tencentSign makes the Authorization header of TC3-HMAC-SHA256.
func tencentSign(id, key, service, canonical, signed string, now time.Time) string {
	day := now.UTC().Format(time.DateOnly)
	scope := day + "/" + service + "/tc3_request"
	text := strings.Join([]string{"TC3-HMAC-SHA256", strconv.FormatInt(now.Unix(), 10), scope, hexSHA256([]byte(canonical))}, "\n")
	mac := []byte("TC3" + key)
	for _, part := range []string{day, service, "tc3_request", text} {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", id, scope, signed, hex.EncodeToString(mac))
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
