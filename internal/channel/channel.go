// Package channel defines the Channel resource: where notices go. It is the
// one channel registry of the product.
package channel

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Spec is the spec of a Channel resource. The part that Type names is set.
// Fields tagged secret are write-only: stored encrypted and never returned.
type Spec struct {
	Title    string `json:"title" yaml:"title" minLength:"1" maxLength:"64" doc:"Name people see"`
	Type     Type   `json:"type" yaml:"type" enum:"dingtalk,wecom,feishu,slack,pagerduty,gateway,aliyun,tencent,twilio,alertmanager,webhook,mail"`
	Disabled bool   `json:"disabled,omitempty" yaml:"disabled,omitempty"`
	// Global channels hear of every alarm of the workspace.
	Global bool `json:"global,omitempty" yaml:"global,omitempty" doc:"Gets all alarms of the workspace without a subscription"`
	// ForContacts channels tell contacts, each by the contact's own number or address.
	ForContacts  bool          `json:"for_contacts,omitempty" yaml:"for_contacts,omitempty" doc:"Contacts are told through it, by their own number or address"`
	DingTalk     *DingTalk     `json:"dingtalk,omitempty" yaml:"dingtalk,omitempty"`
	WeCom        *WeCom        `json:"wecom,omitempty" yaml:"wecom,omitempty"`
	Feishu       *Feishu       `json:"feishu,omitempty" yaml:"feishu,omitempty"`
	Slack        *Slack        `json:"slack,omitempty" yaml:"slack,omitempty"`
	PagerDuty    *PagerDuty    `json:"pagerduty,omitempty" yaml:"pagerduty,omitempty"`
	Alertmanager *Alertmanager `json:"alertmanager,omitempty" yaml:"alertmanager,omitempty"`
	Gateway      *Gateway      `json:"gateway,omitempty" yaml:"gateway,omitempty"`
	Aliyun       *Aliyun       `json:"aliyun,omitempty" yaml:"aliyun,omitempty"`
	Tencent      *Tencent      `json:"tencent,omitempty" yaml:"tencent,omitempty"`
	Twilio       *Twilio       `json:"twilio,omitempty" yaml:"twilio,omitempty"`
	Webhook      *Webhook      `json:"webhook,omitempty" yaml:"webhook,omitempty"`
	Mail         *Mail         `json:"mail,omitempty" yaml:"mail,omitempty"`
}

// Type of a channel.
type Type string

// The channel types.
const (
	TypeDingTalk     Type = "dingtalk"
	TypeWeCom        Type = "wecom"
	TypeFeishu       Type = "feishu"
	TypeSlack        Type = "slack"
	TypePagerDuty    Type = "pagerduty"
	TypeAlertmanager Type = "alertmanager"
	TypeGateway      Type = "gateway"
	TypeAliyun       Type = "aliyun"
	TypeTencent      Type = "tencent"
	TypeTwilio       Type = "twilio"
	TypeWebhook      Type = "webhook"
	TypeMail         Type = "mail"
)

// DingTalk is a robot of a DingTalk group.
type DingTalk struct {
	// URL of the robot with its access token.
	URL string `json:"url" yaml:"url" secret:"true" doc:"Robot URL with its access token; write-only"`
	// Secret signs requests; empty when the robot is secured by keywords.
	Secret string `json:"secret,omitempty" yaml:"secret,omitempty" secret:"true" doc:"Signing secret (SEC…); write-only"`
	// Keywords the group demands; the first is put into a message that has none.
	Keywords  []string `json:"keywords,omitempty" yaml:"keywords,omitempty" maxItems:"10"`
	AtMobiles []string `json:"at_mobiles,omitempty" yaml:"at_mobiles,omitempty" maxItems:"20"`
	AtAll     bool     `json:"at_all,omitempty" yaml:"at_all,omitempty"`
}

// Webhook gets the JSON payload of spec 05 §11.4 by POST.
type Webhook struct {
	URL       string            `json:"url" yaml:"url" maxLength:"100"`
	Headers   map[string]string `json:"headers,omitempty" yaml:"headers,omitempty"`
	AccessKey string            `json:"access_key,omitempty" yaml:"access_key,omitempty"`
	// SecretKey signs timestamp and body; given together with AccessKey.
	SecretKey string `json:"secret_key,omitempty" yaml:"secret_key,omitempty" secret:"true" doc:"Signs timestamp and body; write-only"`
}

// Mail sends by SMTP.
type Mail struct {
	Host string `json:"host" yaml:"host" minLength:"1"`
	Port int    `json:"port" yaml:"port" minimum:"1" maximum:"65535"`
	// TLS is starttls (default), tls or none.
	TLS      string   `json:"tls,omitempty" yaml:"tls,omitempty" enum:"starttls,tls,none"`
	Username string   `json:"username,omitempty" yaml:"username,omitempty"`
	Password string   `json:"password,omitempty" yaml:"password,omitempty" secret:"true" doc:"Write-only"`
	From     string   `json:"from" yaml:"from"`
	To       []string `json:"to" yaml:"to" minItems:"1" maxItems:"50"`
}

// OneEvent tells whether a notice holds one event, as systems want them, and
// not all keys of a check together, as people do (spec 05, ALM-21).
func (t Type) OneEvent() bool {
	return t == TypeWebhook || t == TypePagerDuty || t == TypeAlertmanager
}

// HearsAcknowledged tells whether the channel is told that somebody takes care of an alert.
func (t Type) HearsAcknowledged() bool { return t == TypePagerDuty }

// WithDefaults returns a copy of s with every unset field at its default.
func (s Spec) WithDefaults() Spec {
	if s.Mail != nil && s.Mail.TLS == "" {
		m := *s.Mail
		m.TLS = "starttls"
		s.Mail = &m
	}
	if s.PagerDuty != nil && s.PagerDuty.URL == "" {
		p := *s.PagerDuty
		p.URL = "https://events.pagerduty.com/v2/enqueue"
		s.PagerDuty = &p
	}
	if s.Gateway != nil && s.Gateway.Method == "" {
		g := *s.Gateway
		g.Method = "POST"
		s.Gateway = &g
	}
	if s.Tencent != nil && s.Tencent.Region == "" {
		t := *s.Tencent
		t.Region = "ap-guangzhou"
		s.Tencent = &t
	}
	if s.Twilio != nil && s.Twilio.URL == "" {
		t := *s.Twilio
		t.URL = "https://api.twilio.com"
		s.Twilio = &t
	}
	return s
}

// Validate checks s after WithDefaults; every bad field is in the returned
// fielderr.Errors, with paths below prefix.
func (s Spec) Validate(prefix string) error {
	var es fielderr.Errors
	if n := utf8.RuneCountInString(s.Title); n < 1 || n > 64 {
		es.Add(prefix+".title", "bad_title", "has %d characters; give 1 to 64", n)
	}
	if s.ForContacts && s.Type != TypeMail && s.phones() == nil {
		es.Add(prefix+".for_contacts", "not_allowed", "contacts have no place in type %s; it is for mail, gateway, aliyun, tencent and twilio", s.Type)
	}
	parts := s.parts()
	var names []string
	known := false
	for _, p := range parts {
		names = append(names, string(p.of))
		known = known || p.of == s.Type
	}
	if !known {
		es.Add(prefix+".type", "bad_type", "%q; use %s or %s", s.Type, strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	}
	for _, p := range parts {
		at := prefix + "." + string(p.of)
		switch {
		case p.set && p.of != s.Type:
			es.Add(at, "not_allowed", "does not belong to type %s; remove it", s.Type)
		case p.set:
			p.check(&es, at)
		case p.of == s.Type:
			es.Add(at, "required", "is missing; type %s needs it", s.Type)
		}
	}
	return es.Err()
}

// part is what a channel of one type has of its own.
type part struct {
	of    Type
	set   bool
	check func(es *fielderr.Errors, at string)
}

// parts are those of all types, in the order people are told them.
func (s Spec) parts() []part {
	return []part{
		{TypeDingTalk, s.DingTalk != nil, s.DingTalk.check},
		{TypeWeCom, s.WeCom != nil, s.WeCom.check},
		{TypeFeishu, s.Feishu != nil, s.Feishu.check},
		{TypeSlack, s.Slack != nil, s.Slack.check},
		{TypePagerDuty, s.PagerDuty != nil, s.PagerDuty.check},
		{TypeAlertmanager, s.Alertmanager != nil, s.Alertmanager.check},
		{TypeGateway, s.Gateway != nil, s.Gateway.check},
		{TypeAliyun, s.Aliyun != nil, s.Aliyun.check},
		{TypeTencent, s.Tencent != nil, s.Tencent.check},
		{TypeTwilio, s.Twilio != nil, s.Twilio.check},
		{TypeWebhook, s.Webhook != nil, s.Webhook.check},
		{TypeMail, s.Mail != nil, s.Mail.check},
	}
}

// Guarded returns where the notices of s go, and the secrets, by path, that are
// shown to whoever is there. Who may edit a channel must not learn a kept
// secret by sending it elsewhere.
func (s Spec) Guarded() (destination string, secrets map[string]string) {
	if m := s.Mail; m != nil {
		return fmt.Sprint(m.Host, ":", m.Port, " ", m.TLS), map[string]string{"mail.password": m.Password}
	}
	if c := s.PagerDuty; c != nil {
		return c.URL, map[string]string{"pagerduty.routing_key": c.RoutingKey}
	}
	if c := s.Alertmanager; c != nil {
		return c.URL, map[string]string{"alertmanager.password": c.Password, "alertmanager.token": c.Token}
	}
	if c := s.Gateway; c != nil { // whose templates say where the secret goes
		return fmt.Sprint(c.URL, c.Headers, c.Body), map[string]string{"gateway.secret": c.Secret}
	}
	if c := s.Twilio; c != nil {
		return c.URL, map[string]string{"twilio.auth_token": c.AuthToken}
	}
	return "", nil
}

func (d *DingTalk) check(es *fielderr.Errors, at string) {
	checkURL(es, at+".url", d.URL)
}

func (w *Webhook) check(es *fielderr.Errors, at string) {
	checkURL(es, at+".url", w.URL)
	if len(w.URL) > 100 {
		es.Add(at+".url", "url_too_long", "has %d characters; at most 100", len(w.URL))
	}
	checkHeaders(es, at+".headers", w.Headers)
	if (w.AccessKey == "") != (w.SecretKey == "") {
		es.Add(at, "keys_incomplete", "give both access_key and secret_key, or neither")
	}
}

func (m *Mail) check(es *fielderr.Errors, at string) {
	if m.Host == "" || m.Port < 1 || m.Port > 65535 {
		es.Add(at+".host", "required", "give the SMTP server's host and port")
	}
	if !slices.Contains([]string{"starttls", "tls", "none"}, m.TLS) {
		es.Add(at+".tls", "bad_tls", "%q; use starttls, tls or none", m.TLS)
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		es.Add(at+".from", "bad_address", "%q is not a mail address", m.From)
	}
	if len(m.To) == 0 {
		es.Add(at+".to", "required", "give at least one address")
	}
	for i, to := range m.To {
		if _, err := mail.ParseAddress(to); err != nil {
			es.Add(fmt.Sprintf("%s.to[%d]", at, i), "bad_address", "%q is not a mail address", to)
		}
	}
}

// checkHeaders holds to the limits of spec 05 §11.4.
func checkHeaders(es *fielderr.Errors, at string, headers map[string]string) {
	size := 0
	for k, v := range headers {
		size += len(k) + len(v)
		if k == "" || strings.ContainsAny(k+v, "\r\n") {
			es.Add(at, "bad_header", "%q: %q is not a header", k, v)
		}
	}
	if size > 200 {
		es.Add(at, "headers_too_long", "have %d characters together; at most 200", size)
	}
	if len(headers) > 6 {
		es.Add(at, "too_many_headers_params", "has %d entries; at most 6", len(headers))
	}
}

// checkURL refuses what is no http address and link-local addresses, where
// clouds keep their metadata services.
func checkURL(es *fielderr.Errors, field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		es.Add(field, "bad_url", "is not a URL that begins with http:// or https://")
		return
	}
	if ForbiddenHost(u.Hostname()) {
		es.Add(field, "url_forbidden", "points to a link-local address, where clouds keep instance metadata")
	}
}

// ForbiddenHost reports whether host is a literal link-local address.
func ForbiddenHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		ip := net.ParseIP(host)
		return ip != nil && ip.IsLinkLocalUnicast()
	}
	return addr.Unmap().IsLinkLocalUnicast()
}
