package alarm

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

func sms(numbers ...string) channel.Phones { return channel.Phones{To: numbers} }

func calls(numbers ...string) channel.Phones {
	return channel.Phones{Use: channel.UseCall, To: numbers}
}

func TestGatewayTemplates(t *testing.T) {
	gateway := newReceiver(t, answer(200, `{"code": 0}`))
	for _, c := range []struct {
		contentType, body, want string
	}{
		{"", `{"to":"${to}","text":"${object:6} ${level}","key":"${secret}"}`, `{"to":"+8613800000001","text":"goods= P1","key":"k\"1"}`},
		{"application/x-www-form-urlencoded", "to=${to}&key=${secret}&o=${object}", "to=%2B8613800000001&key=k%221&o=goods%3D%3C%40all%3E%5Bx%5D%28http%3A%2F%2Fevil%29%2A_%60%26"},
		{"text/xml", "<o>${object}</o>", "<o>goods=&lt;@all&gt;[x](http://evil)*_`&amp;</o>"},
		{"text/plain", "${object}", "goods=<@all>[x](http://evil)*_`&"},
	} {
		g := &channel.Gateway{Phones: sms("+8613800000001"), Method: "PUT", URL: gateway.URL + "/send/${to}?o=${object}&l=${level}", Body: c.body, Secret: `k"1`,
			Headers: map[string]string{"X-Key": "${secret}"}, Success: `"code": 0`}
		if c.contentType != "" {
			g.Headers["Content-Type"] = c.contentType
		}
		nastyAlarm(t, channel.Spec{Type: channel.TypeGateway, Gateway: g}).only(alarmstate.Sent)
		req, body := gateway.requests[len(gateway.requests)-1], gateway.bodies[len(gateway.bodies)-1]
		if body != c.want {
			t.Errorf("%s: body %s\nwant %s", c.contentType, body, c.want)
		}
		if req.Method != "PUT" || req.URL.Path != "/send/+8613800000001" || req.URL.Query().Get("o") != "goods=<@all>[x](http://evil)*_`&" || req.URL.Query().Get("l") != "P1" || req.Header.Get("X-Key") != `k"1` {
			t.Errorf("%s %s %v", req.Method, req.URL, req.Header)
		}
	}
	refuses := newReceiver(t, answer(200, `{"code": 7}`))
	nastyAlarm(t, channel.Spec{Type: channel.TypeGateway, Gateway: &channel.Gateway{Phones: sms("+8613800000001"), Method: "GET", URL: refuses.URL, Success: `"code": 0`}}).only(alarmstate.Queued, `"code": 7`)
}

// A number that fails is tried again, those that were reached are not.
func TestEveryNumberIsToldOnce(t *testing.T) {
	var got []string
	broken := true
	gateway := provider(t, func(req *http.Request, body []byte) (int, string) {
		number := strings.TrimPrefix(req.URL.Path, "/")
		got = append(got, number)
		switch {
		case number == "+12":
			return 400, "no such number"
		case number == "+13" && broken:
			return 500, "try later"
		}
		return 200, "ok"
	})
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeGateway, Gateway: &channel.Gateway{Phones: sms("+11", "+12", "+13", "+14"), Method: "POST", URL: gateway.URL + "/${to}"}})
	f := newFixture(t, w)
	f.notify("ops", "P1", "text")
	f.deliverAll()
	f.only(alarmstate.Queued, "+13", "500")
	broken = false
	f.advance(5 * time.Second)
	f.restart()
	f.deliverAll()
	f.only(alarmstate.Failed, "+12", "no such number")
	if want := "[+11 +12 +13 +14 +12 +13]"; fmt.Sprint(got) != want {
		t.Fatalf("%v, want %s", got, want)
	}
}

func TestQuotaOfADay(t *testing.T) {
	gateway := newReceiver(t, answer(200, ""))
	phones := sms("+11")
	phones.PerDay = 3
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeGateway, Gateway: &channel.Gateway{Phones: phones, Method: "POST", URL: gateway.URL}})
	f := newFixture(t, w)
	for i := range 5 {
		f.notify("ops", "P1", fmt.Sprint("text ", i))
	}
	f.deliverAll()
	f.advance(24 * time.Hour)
	f.notify("ops", "P1", "the next day")
	f.deliverAll()
	if len(gateway.bodies) != 4 || f.count(alarmstate.Failed) != 2 || f.count(alarmstate.Sent) != 4 {
		t.Fatalf("%d requests, %+v", len(gateway.bodies), f.deliveries())
	}
}

// Calls tell of the worst and never of a recovery, unless levels say otherwise.
func TestCallsTellOfTheWorstOnly(t *testing.T) {
	gateway := newReceiver(t, answer(200, ""))
	w := newWorld()
	all := calls("+11")
	all.Levels = []string{"P2"}
	for name, phones := range map[string]channel.Phones{"calls": calls("+11"), "calls-p2": all, "sms": sms("+11")} {
		w.set("Channel", "chn_"+name, name, channel.Spec{Type: channel.TypeGateway, Gateway: &channel.Gateway{Phones: phones, Method: "POST", URL: gateway.URL + "/" + name + "/${level}/${type}"}})
	}
	for _, level := range []alarmrule.Level{"P1", "P2"} {
		w.set("AlarmRule", "rul_"+string(level), string(level), foodRule(func(s *alarmrule.Spec) {
			s.Level, s.Channels = level, []string{"calls", "calls-p2", "sms"}
		}))
	}
	f := newFixture(t, w)
	f.minute(1, map[string]float64{"food": 11})
	f.minute(1, map[string]float64{"food": 1})
	f.minute(1, map[string]float64{"food": 1})
	f.deliverAll()
	var got []string
	for _, req := range gateway.requests {
		got = append(got, strings.TrimPrefix(req.URL.Path, "/"))
	}
	slices.Sort(got)
	if want := "[calls-p2/P2/firing calls/P1/firing sms/P1/firing sms/P1/recovered sms/P2/firing sms/P2/recovered]"; fmt.Sprint(got) != want {
		t.Fatalf("%v\nwant %s", got, want)
	}
}

func TestTextOfAMessageFitsOne(t *testing.T) {
	for text, want := range map[string]string{"short\ntext": "short text", strings.Repeat("a", 200): strings.Repeat("a", 140), strings.Repeat("告", 100): strings.Repeat("告", 70),
		strings.Repeat("😀", 50): strings.Repeat("😀", 35)} {
		if got := smsText(text); got != want {
			t.Errorf("%q has become %q", text, got)
		}
	}
}

// The example of Alibaba Cloud's documentation of signature 1.0.
func TestAliyunSignature(t *testing.T) {
	p := map[string]string{"AccessKeyId": "testId", "Action": "SendSms", "Format": "XML", "OutId": "123", "PhoneNumbers": "15300000001", "RegionId": "cn-hangzhou",
		"SignName": "阿里云短信测试专用", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "45e25e9b-0a6f-4070-8c85-2956eda1b466", "SignatureVersion": "1.0",
		"TemplateCode": "SMS_71390007", "TemplateParam": `{"customer":"test"}`, "Timestamp": "2017-07-12T02:42:19Z", "Version": "2017-05-25"}
	if got := aliyunSign("GET", p, "testSecret"); got != "zJDF+Lrzhj/ThnlvIToysFRq6t4=" {
		t.Fatal(got)
	}
}

// aliyun checks requests as Alibaba Cloud's RPC gateway does.
func aliyun(t *testing.T, now func() time.Time, accept func(form url.Values) (int, string)) *receiver {
	used := map[string]bool{}
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		form, err := url.ParseQuery(string(body))
		if err != nil || req.Method != "POST" || req.URL.Path != "/" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			return 400, `{"Code":"InvalidParameter","Message":"unreadable"}`
		}
		at, err := time.Parse("2006-01-02T15:04:05Z", form.Get("Timestamp"))
		if err != nil || now().Sub(at).Abs() > 15*time.Minute {
			return 400, `{"Code":"InvalidTimeStamp.Expired","Message":"Specified time stamp or date value is expired."}`
		}
		if nonce := form.Get("SignatureNonce"); nonce == "" || used[nonce] {
			return 400, `{"Code":"SignatureNonceUsed","Message":"Specified signature nonce was used already."}`
		}
		used[form.Get("SignatureNonce")] = true
		var names []string
		for name := range form {
			if name != "Signature" {
				names = append(names, name)
			}
		}
		sort.Strings(names)
		var query string
		for i, name := range names {
			if i > 0 {
				query += "&"
			}
			query += rfc3986(name) + "=" + rfc3986(form.Get(name))
		}
		if form.Get("AccessKeyId") != "id-1" {
			return 404, `{"Code":"InvalidAccessKeyId.NotFound","Message":"Specified access key is not found."}`
		}
		want := openssl("POST&%2F&"+rfc3986(query), "secret-1&", `openssl dgst -sha1 -hmac "$1" -binary | base64 -w0`)
		if form.Get("Signature") != want || form.Get("SignatureMethod") != "HMAC-SHA1" || form.Get("SignatureVersion") != "1.0" || form.Get("Version") != "2017-05-25" || form.Get("Format") != "JSON" {
			return 400, `{"Code":"SignatureDoesNotMatch","Message":"Specified signature is not matched with our calculation."}`
		}
		return accept(form)
	})
}

// rfc3986 escapes all but unreserved characters.
func rfc3986(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func TestAliyun(t *testing.T) {
	var forms []url.Values
	reply, status := `{"Code":"OK","Message":"OK","BizId":"9006197469364984","RequestId":"r"}`, 200
	cloud := aliyun(t, func() time.Time { return time.UnixMilli(11 * minute) }, func(form url.Values) (int, string) {
		forms = append(forms, form)
		return status, reply
	})
	c := channel.Aliyun{Phones: sms("+8613800000001", "+85261234567"), KeyID: "id-1", KeySecret: "secret-1", SignName: "灯塔 测试", Template: "SMS_1",
		Params: map[string]string{"title": "${title:3}", "key": "${object}"}, URL: cloud.URL}
	nastyAlarm(t, channel.Spec{Type: channel.TypeAliyun, Aliyun: &c}).only(alarmstate.Sent, "9006197469364984")
	if len(forms) != 2 || forms[0].Get("PhoneNumbers") != "13800000001" || forms[1].Get("PhoneNumbers") != "85261234567" || forms[0].Get("SignName") != "灯塔 测试" || forms[0].Get("Action") != "SendSms" {
		t.Fatalf("%v", forms)
	}
	var params map[string]string
	if err := json.Unmarshal([]byte(forms[0].Get("TemplateParam")), &params); err != nil || params["title"] != "Too" || params["key"] != "goods=<@all>[x](http://evil)*_`&" {
		t.Errorf("%v %v", params, err)
	}
	c.Phones, c.Template, c.ShowNumber = calls("+8613800000001"), "TTS_1", "4001112222"
	nastyAlarm(t, channel.Spec{Type: channel.TypeAliyun, Aliyun: &c}).only(alarmstate.Sent)
	if call := forms[2]; call.Get("Action") != "SingleCallByTts" || call.Get("CalledNumber") != "13800000001" || call.Get("TtsCode") != "TTS_1" || call.Get("CalledShowNumber") != "4001112222" || call.Get("TtsParam") == "" {
		t.Errorf("%v", call)
	}
	for _, bad := range []struct {
		status       int
		reply, state string
	}{
		{200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5"}`, alarmstate.Queued},
		{400, `{"Code":"Throttling.User","Message":"Request was denied due to user flow control."}`, alarmstate.Queued},
		{200, `{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Message":"该账号下找不到对应模板"}`, alarmstate.Failed},
		{200, "garbage", alarmstate.Queued}, {503, "", alarmstate.Queued},
	} {
		status, reply = bad.status, bad.reply
		nastyAlarm(t, channel.Spec{Type: channel.TypeAliyun, Aliyun: &c}).only(bad.state)
	}
	c.KeySecret = "wrong"
	nastyAlarm(t, channel.Spec{Type: channel.TypeAliyun, Aliyun: &c}).only(alarmstate.Failed, "SignatureDoesNotMatch")
}

// The canonical request of Tencent Cloud's documentation and its hash there.
func TestTencentCanonicalRequest(t *testing.T) {
	payload := `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	canonical := "POST\n/\n\ncontent-type:application/json; charset=utf-8\nhost:cvm.tencentcloudapi.com\nx-tc-action:describeinstances\n\ncontent-type;host;x-tc-action\n" + hexSHA256([]byte(payload))
	if got := hexSHA256([]byte(canonical)); got != "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84" {
		t.Fatal(got)
	}
}

// independentTC3 signs by openssl, step by step.
func independentTC3(key, day, service, text string) string {
	step := []byte("TC3" + key)
	for _, part := range []string{day, service, "tc3_request", text} {
		out := openssl(part, hex.EncodeToString(step), `openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -r | cut -d' ' -f1`)
		step, _ = hex.DecodeString(out)
	}
	return hex.EncodeToString(step)
}

// tencent checks requests as Tencent Cloud's API 3.0 does; every answer has HTTP 200.
func tencent(t *testing.T, now func() time.Time, accept func(action string, body []byte) string) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		fail := func(code string) (int, string) {
			return 200, fmt.Sprintf(`{"Response":{"Error":{"Code":%q,"Message":"refused"},"RequestId":"r"}}`, code)
		}
		action, stamp := req.Header.Get("X-TC-Action"), req.Header.Get("X-TC-Timestamp")
		service, version := "sms", "2021-01-11"
		if action == "SendTtsVoice" {
			service, version = "vms", "2020-09-02"
		}
		seconds, _ := strconv.ParseInt(stamp, 10, 64)
		if now().Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
			return fail("AuthFailure.SignatureExpire")
		}
		if req.Header.Get("X-TC-Version") != version || req.Header.Get("X-TC-Region") == "" || req.URL.Path != "/" || req.Method != "POST" {
			return fail("InvalidParameter")
		}
		day := time.Unix(seconds, 0).UTC().Format("2006-01-02")
		hash := func(s string) string { return openssl(s, "", "openssl dgst -sha256 -r | cut -d' ' -f1") }
		canonical := "POST\n/\n\ncontent-type:" + req.Header.Get("Content-Type") + "\nhost:" + req.Host + "\nx-tc-action:" + strings.ToLower(action) + "\n\ncontent-type;host;x-tc-action\n" + hash(string(body))
		text := "TC3-HMAC-SHA256\n" + stamp + "\n" + day + "/" + service + "/tc3_request\n" + hash(canonical)
		want := "TC3-HMAC-SHA256 Credential=id-1/" + day + "/" + service + "/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=" + independentTC3("key-1", day, service, text)
		if req.Header.Get("Authorization") != want {
			return fail("AuthFailure.SignatureFailure")
		}
		return 200, accept(action, body)
	})
}

func TestTencent(t *testing.T) {
	reply := `{"Response":{"SendStatusSet":[{"SerialNo":"5000:1","PhoneNumber":"+8613800000001","Fee":1,"SessionContext":"","Code":"Ok","Message":"send success","IsoCode":"CN"}],"RequestId":"r"}}`
	cloud := tencent(t, func() time.Time { return time.UnixMilli(11 * minute) }, func(action string, body []byte) string {
		var m struct {
			PhoneNumberSet                    []string
			CalledNumber                      *string
			SmsSdkAppID, SignName, TemplateID *string
			VoiceSdkAppid                     *string
			TemplateParamSet                  []string
		}
		if err := strict(body, &m); err != nil || fmt.Sprint(m.TemplateParamSet) != "[P1 Too many]" || *m.TemplateID != "1110" {
			return `{"Response":{"Error":{"Code":"InvalidParameter","Message":"` + fmt.Sprint(err) + `"}}}`
		}
		for _, name := range []string{"TemplateId", map[string]string{"SendSms": "SmsSdkAppId", "SendTtsVoice": "VoiceSdkAppid"}[action]} { // to the letter
			if !strings.Contains(string(body), `"`+name+`":`) {
				return `{"Response":{"Error":{"Code":"MissingParameter","Message":"` + name + `"}}}`
			}
		}
		switch {
		case action == "SendSms" && fmt.Sprint(m.PhoneNumberSet) == "[+8613800000001]" && *m.SmsSdkAppID == "1400006666" && *m.SignName == "灯塔":
			return reply
		case action == "SendTtsVoice" && *m.CalledNumber == "+8613800000001" && *m.VoiceSdkAppid == "1400006666":
			return `{"Response":{"SendStatus":{"CallId":"12582bce","SessionContext":""},"RequestId":"r"}}`
		}
		return `{"Response":{"Error":{"Code":"InvalidParameterValue","Message":"bad"}}}`
	})
	c := channel.Tencent{Phones: sms("+8613800000001"), SecretID: "id-1", SecretKey: "key-1", AppID: "1400006666", SignName: "灯塔", Template: "1110", Params: []string{"${level}", "${title}"}, URL: cloud.URL}
	nastyAlarm(t, channel.Spec{Type: channel.TypeTencent, Tencent: &c}).only(alarmstate.Sent, "send success")
	voice := c
	voice.Phones = calls("+8613800000001")
	nastyAlarm(t, channel.Spec{Type: channel.TypeTencent, Tencent: &voice}).only(alarmstate.Sent, "12582bce")
	for text, state := range map[string]string{
		`{"Response":{"SendStatusSet":[{"Code":"LimitExceeded.PhoneNumberOneHourLimit","Message":"limit"}]}}`:            alarmstate.Queued,
		`{"Response":{"SendStatusSet":[{"Code":"FailedOperation.TemplateIncorrectOrUnapproved","Message":"template"}]}}`: alarmstate.Failed,
		`{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"too fast"}}}`:                                    alarmstate.Queued,
		`{"Response":{"RequestId":"r"}}`: alarmstate.Queued, `garbage`: alarmstate.Queued,
	} {
		reply = text
		nastyAlarm(t, channel.Spec{Type: channel.TypeTencent, Tencent: &c}).only(state)
	}
	c.SecretKey = "wrong"
	nastyAlarm(t, channel.Spec{Type: channel.TypeTencent, Tencent: &c}).only(alarmstate.Failed, "AuthFailure.SignatureFailure")
}

const accountSID = "AC0123456789abcdef0123456789abcdef"

func TestTwilio(t *testing.T) {
	reply := `{"sid":"SM1","status":"queued","error_code":null,"error_message":null}`
	service := provider(t, func(req *http.Request, body []byte) (int, string) {
		if req.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(accountSID+":token-1")) {
			return 401, `{"code":20003,"message":"Authenticate","status":401}`
		}
		form, err := url.ParseQuery(string(body))
		if err != nil || req.Method != "POST" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || form.Get("To") != "+8613800000001" {
			return 400, `{"code":21211,"message":"The 'To' number is not a valid phone number.","status":400}`
		}
		switch req.URL.Path {
		case "/2010-04-01/Accounts/" + accountSID + "/Messages.json":
			if (form.Get("From") == "") == (form.Get("MessagingServiceSid") == "") || form.Get("Body") == "" || len([]rune(form.Get("Body"))) > 1600 {
				return 400, `{"code":21603,"message":"A 'From' phone number is required.","status":400}`
			}
			return 201, reply
		case "/2010-04-01/Accounts/" + accountSID + "/Calls.json":
			var twiml struct {
				XMLName xml.Name `xml:"Response"`
				Say     struct {
					Language string `xml:"language,attr"`
					Loop     int    `xml:"loop,attr"`
					Text     string `xml:",chardata"`
				}
			}
			if err := xml.Unmarshal([]byte(form.Get("Twiml")), &twiml); err != nil || len(form.Get("Twiml")) > 4000 || form.Get("From") == "" || twiml.Say.Loop != 2 ||
				twiml.Say.Language != "en-US" || !strings.Contains(twiml.Say.Text, "{goods=<@all>[x](http://evil)*_`&}") {
				return 400, `{"code":12100,"message":"Document parse failure","status":400}`
			}
			return 201, `{"sid":"CA1","status":"queued"}`
		}
		return 404, `{"code":20404,"message":"not found","status":404}`
	})
	c := channel.Twilio{Phones: sms("+8613800000001"), AccountSID: accountSID, AuthToken: "token-1", From: "+15005550006", URL: service.URL}
	send := func(c channel.Twilio) *fixture {
		return nastyAlarm(t, channel.Spec{Type: channel.TypeTwilio, Twilio: &c})
	}
	send(c).only(alarmstate.Sent, "SM1")
	by := c
	by.From = "MG0123456789abcdef0123456789abcdef"
	send(by).only(alarmstate.Sent, "SM1")
	call := c
	call.Phones = calls("+8613800000001")
	send(call).only(alarmstate.Sent, "CA1")
	wrong := c
	wrong.AuthToken = "wrong"
	send(wrong).only(alarmstate.Failed, "20003")
	wrong = c
	wrong.Phones = sms("+999")
	send(wrong).only(alarmstate.Failed, "21211")
	for text, state := range map[string]string{`{"sid":"SM1","status":"failed","error_code":30003}`: alarmstate.Failed, `garbage`: alarmstate.Queued, `{}`: alarmstate.Queued} {
		reply = text
		send(c).only(state)
	}
	busy := c
	busy.URL = newReceiver(t, answer(429, `{"code":20429,"message":"Too Many Requests"}`)).URL
	send(busy).only(alarmstate.Queued, "20429")
}
