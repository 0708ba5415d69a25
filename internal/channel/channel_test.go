package channel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

var phones = Phones{To: []string{"+8613800000001"}}

// good has a channel of each type as it should be.
func good(t Type) Spec {
	s := Spec{Title: "Ops", Type: t}
	switch t {
	case TypeDingTalk:
		s.DingTalk = &DingTalk{URL: "https://oapi.dingtalk.com/robot/send?access_token=x"}
	case TypeWeCom:
		s.WeCom = &WeCom{URL: "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x", AtUsers: []string{"zhang.san"}}
	case TypeFeishu:
		s.Feishu = &Feishu{URL: "https://open.feishu.cn/open-apis/bot/v2/hook/x"}
	case TypeSlack:
		s.Slack = &Slack{URL: "https://hooks.slack.com/services/x"}
	case TypePagerDuty:
		s.PagerDuty = &PagerDuty{RoutingKey: strings.Repeat("k", 32)}
	case TypeAlertmanager:
		s.Alertmanager = &Alertmanager{URL: "http://alertmanager:9093"}
	case TypeGateway:
		s.Gateway = &Gateway{Phones: phones, URL: "https://sms.example/${to}?k=${secret}", Body: "${text:60}", Headers: map[string]string{"X-Key": "${secret}"}}
	case TypeAliyun:
		s.Aliyun = &Aliyun{Phones: phones, KeyID: "i", KeySecret: "s", SignName: "n", Template: "SMS_1", Params: map[string]string{"title": "${title:35}"}}
	case TypeTencent:
		s.Tencent = &Tencent{Phones: phones, SecretID: "i", SecretKey: "k", AppID: "1", SignName: "n", Template: "1", Params: []string{"${title}"}}
	case TypeTwilio:
		s.Twilio = &Twilio{Phones: phones, AccountSID: "AC0123456789abcdef0123456789abcdef", AuthToken: "t", From: "+15005550006"}
	case TypeWebhook:
		s.Webhook = &Webhook{URL: "https://example.com/hook"}
	case TypeMail:
		s.Mail = &Mail{Host: "smtp.example.com", Port: 587, From: "a@example.com", To: []string{"b@example.com"}}
	}
	return s
}

// problems are the bad fields of s with their codes.
func problems(s Spec) string {
	err := s.WithDefaults().Validate("spec")
	var es fielderr.Errors
	if !errors.As(err, &es) {
		return fmt.Sprint(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Field+" "+e.Code)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestEveryTypeIsCheckable(t *testing.T) {
	for _, p := range (Spec{}).parts() {
		s := good(p.of)
		if got := problems(s); got != "<nil>" {
			t.Errorf("%s: %s", p.of, got)
		}
		if got := problems(Spec{Title: "Ops", Type: p.of}); got != fmt.Sprintf("spec.%s required", p.of) {
			t.Errorf("%s without its part: %s", p.of, got)
		}
		s.Type = TypeMail
		if p.of != TypeMail {
			if got, want := problems(s), fmt.Sprintf("spec.%s not_allowed, spec.mail required", p.of); got != want && got != "spec.mail required, "+fmt.Sprintf("spec.%s not_allowed", p.of) {
				t.Errorf("%s: %s, want %s", p.of, got, want)
			}
		}
	}
	if got := problems(Spec{Title: "Ops", Type: "pigeon"}); got != "spec.type bad_type" {
		t.Error(got)
	}
}

func TestBadFieldsAreNamed(t *testing.T) {
	for _, c := range []struct {
		of     Type
		change func(*Spec)
		want   string
	}{
		{TypeWeCom, func(s *Spec) { s.WeCom.AtUsers = []string{"all>"} }, "spec.wecom.at_users bad_value"},
		{TypeWeCom, func(s *Spec) { s.WeCom.URL = "ftp://x" }, "spec.wecom.url bad_url"},
		{TypeFeishu, func(s *Spec) { s.Feishu.URL = "http://169.254.169.254/" }, "spec.feishu.url url_forbidden"},
		{TypeSlack, func(s *Spec) { s.Slack.URL = "" }, "spec.slack.url bad_url"},
		{TypePagerDuty, func(s *Spec) { s.PagerDuty.RoutingKey = "short" }, "spec.pagerduty.routing_key bad_value"},
		{TypeAlertmanager, func(s *Spec) { s.Alertmanager.Password = "p" }, "spec.alertmanager.username required"},
		{TypeAlertmanager, func(s *Spec) { s.Alertmanager.Username, s.Alertmanager.Token = "u", "t" }, "spec.alertmanager.token not_allowed"},
		{TypeGateway, func(s *Spec) { s.Gateway.Body = "${txt}" }, "spec.gateway.body unknown_variable"},
		{TypeGateway, func(s *Spec) { s.Gateway.Body = "${text" }, "spec.gateway.body unknown_variable"},
		{TypeGateway, func(s *Spec) { s.Gateway.Headers["X"] = "${nobody}" }, "spec.gateway.headers unknown_variable"},
		{TypeGateway, func(s *Spec) { s.Gateway.Headers["X"] = "a\r\nB: c" }, "spec.gateway.headers bad_header"},
		{TypeGateway, func(s *Spec) { s.Gateway.URL = "https://${title}/x" }, "spec.gateway.url bad_url"},
		{TypeGateway, func(s *Spec) { s.Gateway.Method = "GET" }, "spec.gateway.body not_allowed"},
		{TypeGateway, func(s *Spec) { s.Gateway.Method = "PATCH" }, "spec.gateway.method bad_value"},
		{TypeGateway, func(s *Spec) { s.Gateway.Phones.To = nil }, "spec.gateway.phones.to required"},
		{TypeGateway, func(s *Spec) { s.Gateway.Phones.To = []string{"13800000001", "+11234567", "+11234567"} }, "spec.gateway.phones.to[0] bad_phone, spec.gateway.phones.to[2] duplicate"},
		{TypeGateway, func(s *Spec) { s.Gateway.Phones.Use = "fax" }, "spec.gateway.phones.use bad_value"},
		{TypeGateway, func(s *Spec) { s.Gateway.Phones.Levels = []string{"P9"} }, "spec.gateway.phones.levels[0] bad_level"},
		{TypeGateway, func(s *Spec) { s.Gateway.Phones.PerDay = -1 }, "spec.gateway.phones.per_day bad_value"},
		{TypeAliyun, func(s *Spec) { s.Aliyun.SignName, s.Aliyun.KeyID = "", "" }, "spec.aliyun.access_key_id required, spec.aliyun.sign_name required"},
		{TypeAliyun, func(s *Spec) { s.Aliyun.SignName, s.Aliyun.Phones.Use = "", UseCall }, "<nil>"},
		{TypeAliyun, func(s *Spec) { s.Aliyun.Params["key"] = "${secret}" }, "spec.aliyun.params unknown_variable"},
		{TypeTencent, func(s *Spec) { s.Tencent.AppID, s.Tencent.Params[0] = "", "${x}" }, "spec.tencent.app_id required, spec.tencent.params[0] unknown_variable"},
		{TypeTwilio, func(s *Spec) { s.Twilio.AccountSID = "AC1" }, "spec.twilio.account_sid bad_value"},
		{TypeTwilio, func(s *Spec) { s.Twilio.From, s.Twilio.Phones.Use = "MG1", UseCall }, "spec.twilio.from bad_phone"},
	} {
		s := good(c.of)
		c.change(&s)
		if got := problems(s); got != c.want {
			t.Errorf("%s: %s, want %s", c.of, got, c.want)
		}
	}
}

func TestCallsTellOfTheWorst(t *testing.T) {
	s := good(TypeTwilio)
	if !s.Tells("P4", true) || !s.Tells("P4", false) {
		t.Error("a text message is not told of everything")
	}
	s.Twilio.Phones.Use = UseCall
	if !s.Tells("P1", true) || s.Tells("P2", true) || s.Tells("P0", false) {
		t.Error("a call is for P0 and P1 that fire")
	}
	s.Twilio.Phones.Levels = []string{"P3"}
	if !s.Tells("P3", true) || s.Tells("P0", true) {
		t.Error("levels are not kept to")
	}
}

// Whatever would be shown to another place must be given again.
func TestSecretsAreGuarded(t *testing.T) {
	for _, c := range []struct {
		of     Type
		change func(*Spec)
		path   string
	}{
		{TypeMail, func(s *Spec) { s.Mail.TLS = "none" }, "mail.password"},
		{TypePagerDuty, func(s *Spec) { s.PagerDuty.URL = "https://evil.example" }, "pagerduty.routing_key"},
		{TypeAlertmanager, func(s *Spec) { s.Alertmanager.URL = "https://evil.example" }, "alertmanager.token"},
		{TypeGateway, func(s *Spec) { s.Gateway.URL = "https://evil.example" }, "gateway.secret"},
		{TypeGateway, func(s *Spec) { s.Gateway.Body = "${secret}" }, "gateway.secret"},
		{TypeTwilio, func(s *Spec) { s.Twilio.URL = "https://evil.example" }, "twilio.auth_token"},
	} {
		before, after := good(c.of).WithDefaults(), good(c.of)
		c.change(&after)
		from, _ := before.Guarded()
		to, secrets := after.WithDefaults().Guarded()
		if _, guarded := secrets[c.path]; from == to || !guarded {
			t.Errorf("%s: %q and %q, %v", c.path, from, to, secrets)
		}
	}
}
