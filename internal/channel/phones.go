package channel

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/fielderr"
)

// Phones says who is told by text message or by a call, and how often.
type Phones struct {
	Use string `json:"use,omitempty" yaml:"use,omitempty" enum:"sms,call" doc:"sms (default) or call"`
	// To are numbers as E.164 has them.
	To []string `json:"to" yaml:"to" minItems:"1" maxItems:"50" doc:"Phone numbers with + and country code"`
	// Levels that are told. A call tells of firing alerts only.
	Levels []string `json:"levels,omitempty" yaml:"levels,omitempty" maxItems:"5" doc:"Levels that are told; default all for sms, P0 and P1 for call"`
	// PerDay bounds the requests in any 24 hours; 0 does not.
	PerDay int `json:"per_day,omitempty" yaml:"per_day,omitempty" minimum:"0" doc:"At most so many messages or calls in 24 hours; 0 is no limit"`
}

// The values of Phones.Use.
const (
	UseSMS  = "sms"
	UseCall = "call"
)

// Gateway is any HTTP gateway for text messages or calls. URL, header values
// and body are templates with the variables of Variables, such as ${text}; a
// colon and a number bounds the characters: ${text:60}.
type Gateway struct {
	Phones  Phones            `json:"phones" yaml:"phones"`
	Method  string            `json:"method,omitempty" yaml:"method,omitempty" enum:"POST,GET,PUT" doc:"Default POST"`
	URL     string            `json:"url" yaml:"url" maxLength:"1000" doc:"Template; values are escaped for URLs"`
	Headers map[string]string `json:"headers,omitempty" yaml:"headers,omitempty" doc:"Templates; Content-Type decides how values in the body are escaped, default application/json"`
	Body    string            `json:"body,omitempty" yaml:"body,omitempty" maxLength:"10000" doc:"Template; values are escaped for JSON, forms or XML by the Content-Type"`
	// Secret is the variable ${secret}.
	Secret string `json:"secret,omitempty" yaml:"secret,omitempty" secret:"true" doc:"The variable ${secret}; write-only"`
	// Success is text that the answer has when the message was accepted.
	Success string `json:"success,omitempty" yaml:"success,omitempty" maxLength:"200" doc:"Text that the answer contains when the message was accepted; without it every 2xx is success"`
}

// Aliyun sends by Alibaba Cloud's text message or voice service.
type Aliyun struct {
	Phones    Phones            `json:"phones" yaml:"phones"`
	KeyID     string            `json:"access_key_id" yaml:"access_key_id"`
	KeySecret string            `json:"access_key_secret" yaml:"access_key_secret" secret:"true" doc:"Write-only"`
	SignName  string            `json:"sign_name,omitempty" yaml:"sign_name,omitempty" doc:"Signature of text messages"`
	Template  string            `json:"template" yaml:"template" doc:"SMS_… or TTS_…"`
	Params    map[string]string `json:"params,omitempty" yaml:"params,omitempty" doc:"Variables of the template; values are templates such as ${title:35}"`
	// ShowNumber is what a called phone shows.
	ShowNumber string `json:"show_number,omitempty" yaml:"show_number,omitempty" doc:"Number that calls come from"`
	URL        string `json:"url,omitempty" yaml:"url,omitempty" doc:"Default https://dysmsapi.aliyuncs.com for sms, https://dyvmsapi.aliyuncs.com for call"`
}

// Tencent sends by Tencent Cloud's text message or voice service.
type Tencent struct {
	Phones    Phones   `json:"phones" yaml:"phones"`
	SecretID  string   `json:"secret_id" yaml:"secret_id"`
	SecretKey string   `json:"secret_key" yaml:"secret_key" secret:"true" doc:"Write-only"`
	AppID     string   `json:"app_id" yaml:"app_id" doc:"SmsSdkAppId or VoiceSdkAppid"`
	SignName  string   `json:"sign_name,omitempty" yaml:"sign_name,omitempty" doc:"Signature of text messages"`
	Template  string   `json:"template" yaml:"template" doc:"Template id"`
	Params    []string `json:"params,omitempty" yaml:"params,omitempty" maxItems:"20" doc:"Values of the template's variables in their order; templates such as ${title:12}"`
	Region    string   `json:"region,omitempty" yaml:"region,omitempty" doc:"Default ap-guangzhou"`
	URL       string   `json:"url,omitempty" yaml:"url,omitempty" doc:"Default https://sms.tencentcloudapi.com for sms, https://vms.tencentcloudapi.com for call"`
}

// Twilio sends text messages, or calls and reads the notice out.
type Twilio struct {
	Phones     Phones `json:"phones" yaml:"phones"`
	AccountSID string `json:"account_sid" yaml:"account_sid" doc:"AC…"`
	AuthToken  string `json:"auth_token" yaml:"auth_token" secret:"true" doc:"Write-only"`
	From       string `json:"from" yaml:"from" doc:"A number of the account, or for sms a messaging service MG…"`
	URL        string `json:"url,omitempty" yaml:"url,omitempty" doc:"Default https://api.twilio.com"`
}

// Variables of templates; what they mean is in docs/channels.md.
var Variables = []string{"to", "text", "title", "message", "level", "state", "rule", "object", "workspace", "started", "time", "link", "emergency_text",
	"emergency_link", "alert_id", "event_id", "type", "secret"}

// Variable finds variables in a template: the name and, perhaps, the bound.
var Variable = regexp.MustCompile(`\$\{([^}:]*)(?::(\d{1,4}))?\}`)

var phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

func checkTemplate(es *fielderr.Errors, at, text string, secret bool) {
	for _, m := range Variable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(Variables, m[1]) || m[1] == "secret" && !secret {
			es.Add(at, "unknown_variable", "${%s} is no variable; use one of %s", m[1], strings.Join(Variables, ", "))
		}
	}
	if strings.Count(text, "${") != len(Variable.FindAllString(text, -1)) {
		es.Add(at, "unknown_variable", "%q has ${ without a variable; write ${name} or ${name:20}", text)
	}
}

func (p *Phones) check(es *fielderr.Errors, at string) {
	if !slices.Contains([]string{"", UseSMS, UseCall}, p.Use) {
		es.Add(at+".use", "bad_value", "%q; use sms or call", p.Use)
	}
	if len(p.To) == 0 {
		es.Add(at+".to", "required", "give at least one phone number")
	}
	for i, number := range p.To {
		if !phoneNumber.MatchString(number) {
			es.Add(fmt.Sprintf("%s.to[%d]", at, i), "bad_phone", "%q; write + and the country code, then digits only, such as +8613812345678", number)
		} else if slices.Contains(p.To[:i], number) {
			es.Add(fmt.Sprintf("%s.to[%d]", at, i), "duplicate", "%q is there already", number)
		}
	}
	for i, level := range p.Levels {
		if !slices.Contains([]string{"P0", "P1", "P2", "P3", "P4"}, level) {
			es.Add(fmt.Sprintf("%s.levels[%d]", at, i), "bad_level", "%q; use P0 (worst) to P4", level)
		}
	}
	if p.PerDay < 0 {
		es.Add(at+".per_day", "bad_value", "is %d; use 0 for no limit, or more", p.PerDay)
	}
}

// need reports the fields that are empty.
func need(es *fielderr.Errors, at string, fields map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] == "" {
			es.Add(at+"."+name, "required", "is missing")
		}
	}
}

func (c *Gateway) check(es *fielderr.Errors, at string) {
	c.Phones.check(es, at+".phones")
	if !slices.Contains([]string{"", "POST", "GET", "PUT"}, c.Method) {
		es.Add(at+".method", "bad_value", "%q; use POST, GET or PUT", c.Method)
	}
	if c.Method == "GET" && c.Body != "" {
		es.Add(at+".body", "not_allowed", "has no use with GET; put the variables into the URL")
	}
	place, _, _ := strings.Cut(c.URL, "?")
	host := strings.SplitN(place, "/", 4)
	if len(host) > 2 && Variable.MatchString(host[2]) {
		es.Add(at+".url", "bad_url", "has a variable in the host; only path and query can have them")
	} else {
		checkURL(es, at+".url", Variable.ReplaceAllString(c.URL, "x"))
	}
	checkTemplate(es, at+".url", c.URL, true)
	checkTemplate(es, at+".body", c.Body, true)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if name == "" || strings.ContainsAny(name+c.Headers[name], "\r\n") {
			es.Add(at+".headers", "bad_header", "%q: %q is not a header", name, c.Headers[name])
		}
		checkTemplate(es, at+".headers", c.Headers[name], true)
	}
}

func (c *Aliyun) check(es *fielderr.Errors, at string) {
	c.Phones.check(es, at+".phones")
	need(es, at, map[string]string{"access_key_id": c.KeyID, "access_key_secret": c.KeySecret, "template": c.Template})
	if c.Phones.Use != UseCall {
		need(es, at, map[string]string{"sign_name": c.SignName})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		checkTemplate(es, at+".params", c.Params[name], false)
	}
	checkURL(es, at+".url", c.Address())
}

func (c *Tencent) check(es *fielderr.Errors, at string) {
	c.Phones.check(es, at+".phones")
	need(es, at, map[string]string{"secret_id": c.SecretID, "secret_key": c.SecretKey, "app_id": c.AppID, "template": c.Template})
	if c.Phones.Use != UseCall {
		need(es, at, map[string]string{"sign_name": c.SignName})
	}
	for i, text := range c.Params {
		checkTemplate(es, fmt.Sprintf("%s.params[%d]", at, i), text, false)
	}
	checkURL(es, at+".url", c.Address())
}

var accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)

func (c *Twilio) check(es *fielderr.Errors, at string) {
	c.Phones.check(es, at+".phones")
	if !accountSID.MatchString(c.AccountSID) {
		es.Add(at+".account_sid", "bad_value", "%q; an account SID is AC and 32 hexadecimal digits", c.AccountSID)
	}
	need(es, at, map[string]string{"auth_token": c.AuthToken, "from": c.From})
	if c.Phones.Use == UseCall && strings.HasPrefix(c.From, "MG") {
		es.Add(at+".from", "bad_phone", "%q is a messaging service, which can't call; give a number", c.From)
	}
	checkURL(es, at+".url", c.URL)
}

// phones are those of the part that s has, or nil.
func (s Spec) phones() *Phones {
	switch {
	case s.Gateway != nil:
		return &s.Gateway.Phones
	case s.Aliyun != nil:
		return &s.Aliyun.Phones
	case s.Tencent != nil:
		return &s.Tencent.Phones
	case s.Twilio != nil:
		return &s.Twilio.Phones
	}
	return nil
}

// Tells reports whether a notice of an alert goes to this channel. Calls wake
// people: they tell, unless levels say otherwise, P0 and P1, and never that
// something is over.
func (s Spec) Tells(level string, firing bool) bool {
	p := s.phones()
	if p == nil {
		return true
	}
	if p.Use == UseCall && !firing {
		return false
	}
	if len(p.Levels) == 0 {
		return p.Use != UseCall || level == "P0" || level == "P1"
	}
	return slices.Contains(p.Levels, level)
}

// Address is where the requests of c go.
func (c Aliyun) Address() string {
	return firstOf(c.URL, c.Phones, "https://dysmsapi.aliyuncs.com", "https://dyvmsapi.aliyuncs.com")
}

// Address is where the requests of c go.
func (c Tencent) Address() string {
	return firstOf(c.URL, c.Phones, "https://sms.tencentcloudapi.com", "https://vms.tencentcloudapi.com")
}

// firstOf is url, or the provider's address for what the phones are used for.
func firstOf(url string, p Phones, sms, call string) string {
	switch {
	case url != "":
		return url
	case p.Use == UseCall:
		return call
	}
	return sms
}
