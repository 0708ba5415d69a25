package alarm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	"github.com/pharos-stack/pharos/internal/channel"
)

// provider is a strict stand-in: handle looks at every request as the real one
// does and answers status and body. What it finds wrong is in its answer.
func provider(t *testing.T, handle func(req *http.Request, body []byte) (int, string)) *receiver {
	r := newReceiver(t)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		status, text := handle(req, body)
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, req), append(r.bodies, string(body))
		r.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, text)
	})
	return r
}

// strict decodes JSON that has no fields but those of v.
func strict(body []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func isJSON(req *http.Request) bool {
	return req.Method == "POST" && strings.HasPrefix(req.Header.Get("Content-Type"), "application/json")
}

// nastyAlarm fires for a key that is full of markup, with an emergency plan.
func nastyAlarm(t *testing.T, spec channel.Spec) *fixture {
	w := newWorld()
	w.set("Channel", "chn_1", "ops", spec)
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) {
		s.Channels, s.EmergencyText, s.EmergencyLink = []string{"ops"}, "run *plan* <b>", "https://example.com/plan?a=1&b=2"
	}))
	f := newFixture(t, w)
	f.a.o.ConsoleURL = "https://pharos.example/"
	f.minute(1, map[string]float64{"<@all>[x](http://evil)*_`&": 11})
	f.deliverAll()
	return f
}

func (f *fixture) only(state string, parts ...string) alarmstate.Delivery {
	f.t.Helper()
	list := f.deliveries()
	if len(list) != 1 || list[0].State != state {
		f.t.Fatalf("%+v, want one that is %s", list, state)
	}
	for _, part := range parts {
		if !strings.Contains(list[0].Error+list[0].Answer, part) {
			f.t.Errorf("%q is missing in %+v", part, list[0])
		}
	}
	return list[0]
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q must not be in\n%s", part, text)
		}
	}
}

type weComMessage struct {
	Type     string `json:"msgtype"`
	Markdown struct {
		Content string `json:"content"`
	} `json:"markdown"`
}

// weCom refuses what the provider refuses, with HTTP 200.
func weCom(t *testing.T) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		var m weComMessage
		switch err := strict(body, &m); {
		case req.URL.Path != "/cgi-bin/webhook/send" || req.URL.Query().Get("key") != "k-1":
			return 200, `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1]"}`
		case err != nil || !isJSON(req):
			return 200, `{"errcode":40008,"errmsg":"invalid message type"}`
		case m.Type != "markdown" || m.Markdown.Content == "":
			return 200, `{"errcode":44004,"errmsg":"empty content"}`
		case len(m.Markdown.Content) > 4096:
			return 200, `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`
		}
		return 200, `{"errcode":0,"errmsg":"ok"}`
	})
}

func TestWeCom(t *testing.T) {
	robot := weCom(t)
	nastyAlarm(t, channel.Spec{Type: channel.TypeWeCom, WeCom: &channel.WeCom{URL: robot.URL + "/cgi-bin/webhook/send?key=k-1", AtUsers: []string{"zhang.san"}}}).only(alarmstate.Sent, `"errcode":0`)
	var m weComMessage
	if err := strict([]byte(robot.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	contains(t, m.Markdown.Content, `### <font color="warning">［P1］ firing: Too many</font>`, "**goods=＜@all＞［x］(http://evil)＊_｀&**", "is 11 (limit: above 10)",
		"What to do**: run ＊plan＊ ＜b＞", "[What to do](https://example.com/plan?a=1&b=2)", "[Open in Pharos](https://pharos.example/w/default/alerts?alert=alt_", "<@zhang.san>")
	lacks(t, m.Markdown.Content, "<@all>", "[x](")
}

func TestWeComRefusals(t *testing.T) {
	robot := weCom(t)
	f := nastyAlarm(t, channel.Spec{Type: channel.TypeWeCom, WeCom: &channel.WeCom{URL: robot.URL + "/cgi-bin/webhook/send?key=topsecret"}})
	if d := f.only(alarmstate.Failed, "93000"); strings.Contains(d.Error, "topsecret") {
		t.Errorf("the key is told: %s", d.Error)
	}
	for text, attempts := range map[string]int{`{"errcode":45009,"errmsg":"api freq out of limit"}`: 1, `{"errcode":-1,"errmsg":"system busy"}`: 1, `<html>`: 1, `{}`: 1} {
		f := nastyAlarm(t, channel.Spec{Type: channel.TypeWeCom, WeCom: &channel.WeCom{URL: newReceiver(t, answer(200, text)).URL}})
		if d := f.only(alarmstate.Queued); d.Attempts != attempts {
			t.Errorf("%s: %+v", text, d)
		}
	}
	f = nastyAlarm(t, channel.Spec{Type: channel.TypeWeCom, WeCom: &channel.WeCom{URL: newReceiver(t, answer(200, `{"errcode":45009}`)).URL}})
	if wait := f.only(alarmstate.Queued).NextMs - f.w.now.UnixMilli(); wait != time.Minute.Milliseconds() {
		t.Errorf("waits %d ms after too many requests", wait)
	}
}

// What is told in 4096 bytes is whole: the last paragraph is the link.
func TestWeComKeepsToItsLength(t *testing.T) {
	robot := weCom(t)
	w := newWorld()
	w.set("Channel", "chn_1", "ops", channel.Spec{Type: channel.TypeWeCom, WeCom: &channel.WeCom{URL: robot.URL + "/cgi-bin/webhook/send?key=k-1"}})
	w.set("AlarmRule", "rul_1", "many", foodRule(func(s *alarmrule.Spec) { s.Channels = []string{"ops"} }))
	f := newFixture(t, w)
	f.a.o.ConsoleURL = "https://pharos.example"
	values := map[string]float64{}
	for i := range 10 {
		values[fmt.Sprint(i, strings.Repeat("货物", 200))] = 11
	}
	f.minute(1, values)
	f.deliverAll()
	f.only(alarmstate.Sent)
	var m weComMessage
	if err := json.Unmarshal([]byte(robot.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Markdown.Content); n < 3500 {
		t.Errorf("only %d bytes are used", n)
	}
	if !strings.HasPrefix(m.Markdown.Content[strings.LastIndexByte(m.Markdown.Content, '\n')+1:], "[Open in Pharos](https://pharos.example/w/default/alerts?alert=alt_") {
		t.Errorf("the link is not whole: %s", m.Markdown.Content)
	}
}

type feishuCard struct {
	Timestamp string `json:"timestamp"`
	Sign      string `json:"sign"`
	Type      string `json:"msg_type"`
	Card      struct {
		Config struct {
			Wide bool `json:"wide_screen_mode"`
		} `json:"config"`
		Header struct {
			Template string `json:"template"`
			Title    struct {
				Tag     string `json:"tag"`
				Content string `json:"content"`
			} `json:"title"`
		} `json:"header"`
		Elements []struct {
			Tag  string `json:"tag"`
			Text struct {
				Tag     string `json:"tag"`
				Content string `json:"content"`
			} `json:"text"`
		} `json:"elements"`
	} `json:"card"`
}

// feishu checks as the provider does; now is its clock.
func feishu(t *testing.T, secret string, now time.Time) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		var m feishuCard
		err := strict(body, &m)
		seconds, _ := strconv.ParseInt(m.Timestamp, 10, 64)
		switch {
		case req.URL.Path != "/open-apis/bot/v2/hook/token-1":
			return 200, `{"code":19001,"data":{},"msg":"param invalid: incoming webhook access token invalid"}`
		case err != nil || !isJSON(req) || m.Type != "interactive" || len(m.Card.Elements) == 0 || m.Card.Header.Title.Tag != "plain_text":
			return 200, `{"code":9499,"msg":"Bad Request","data":{}}`
		case len(body) > 20<<10:
			return 200, `{"code":9499,"msg":"Bad Request","data":{}}`
		case secret != "" && (m.Sign != independentFeishuSign(secret, m.Timestamp) || now.Sub(time.Unix(seconds, 0)).Abs() > time.Hour):
			return 200, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`
		}
		return 200, `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`
	})
}

func TestFeishu(t *testing.T) {
	robot := feishu(t, "s3cret", time.UnixMilli(11*minute))
	spec := channel.Spec{Type: channel.TypeFeishu, Feishu: &channel.Feishu{URL: robot.URL + "/open-apis/bot/v2/hook/token-1", Secret: "s3cret", Keywords: []string{"值班"}, AtAll: true}}
	nastyAlarm(t, spec).only(alarmstate.Sent, `"code":0`)
	var m feishuCard
	if err := strict([]byte(robot.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	if h := m.Card.Header; h.Template != "orange" || h.Title.Content != "[P1] firing: Too many" || m.Card.Elements[0].Text.Tag != "lark_md" {
		t.Errorf("%+v", m)
	}
	contains(t, m.Card.Elements[0].Text.Content, "**goods=&#60;@all&#62;&#91;x&#93;(http://evil)&#42;&#95;&#96;&#38;**", "[Open in Pharos](https://pharos.example/w/default/alerts?alert=alt_", "值班", "<at id=all></at>")
	spec.Feishu.Secret = "wrong"
	nastyAlarm(t, spec).only(alarmstate.Failed, "19021")
}

func TestFeishuRefusals(t *testing.T) {
	for text, wait := range map[string]time.Duration{`{"code":11232,"msg":"frequency limited"}`: time.Minute, `{"code":9499,"msg":"too many request"}`: time.Minute,
		`{"msg":"no code"}`: 5 * time.Second, `garbage`: 5 * time.Second} {
		f := nastyAlarm(t, channel.Spec{Type: channel.TypeFeishu, Feishu: &channel.Feishu{URL: newReceiver(t, answer(200, text)).URL}})
		if got := f.only(alarmstate.Queued).NextMs - f.w.now.UnixMilli(); got != wait.Milliseconds() {
			t.Errorf("%s: waits %d ms", text, got)
		}
	}
	nastyAlarm(t, channel.Spec{Type: channel.TypeFeishu, Feishu: &channel.Feishu{URL: newReceiver(t, answer(200, `{"code":19024,"msg":"Key Words Not Found"}`)).URL}}).only(alarmstate.Failed, "19024")
	nastyAlarm(t, channel.Spec{Type: channel.TypeFeishu, Feishu: &channel.Feishu{URL: newReceiver(t, answer(400, `{"code":9499,"msg":"Bad Request"}`)).URL}}).only(alarmstate.Failed, "400", "Bad Request")
}

type slackMessage struct {
	Text   string `json:"text"`
	Blocks []struct {
		Type string `json:"type"`
		Text struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"text"`
	} `json:"blocks"`
}

func slack(t *testing.T) *receiver {
	return provider(t, func(req *http.Request, body []byte) (int, string) {
		var m slackMessage
		switch err := strict(body, &m); {
		case req.URL.Path != "/services/T0/B0/x1":
			return 404, "no_service"
		case err != nil || !isJSON(req) || m.Text == "":
			return 400, "invalid_payload"
		case len(m.Blocks) != 2 || m.Blocks[0].Type != "header" || m.Blocks[0].Text.Type != "plain_text" || len([]rune(m.Blocks[0].Text.Text)) > 150 ||
			m.Blocks[1].Type != "section" || m.Blocks[1].Text.Type != "mrkdwn" || len([]rune(m.Blocks[1].Text.Text)) > 3000 || m.Blocks[1].Text.Text == "":
			return 400, "invalid_blocks"
		}
		return 200, "ok"
	})
}

func TestSlack(t *testing.T) {
	hook := slack(t)
	spec := channel.Spec{Type: channel.TypeSlack, Slack: &channel.Slack{URL: hook.URL + "/services/T0/B0/x1"}}
	nastyAlarm(t, spec).only(alarmstate.Sent, "ok")
	var m slackMessage
	if err := strict([]byte(hook.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	contains(t, m.Blocks[1].Text.Text, "*goods=&lt;@all&gt;[x](http://evil)*_`&amp;*", "<https://pharos.example/w/default/alerts?alert=alt_", "|Open in Pharos>", "run *plan* &lt;b&gt;")
	lacks(t, m.Blocks[1].Text.Text, "<@all>")
	spec.Slack.URL = hook.URL + "/services/T0/B0/revoked"
	nastyAlarm(t, spec).only(alarmstate.Failed, "404", "no_service")
	for _, bad := range []struct {
		status int
		text   string
		state  string
	}{{200, "<html>", alarmstate.Queued}, {500, "rollup_error", alarmstate.Queued}, {429, "rate_limited", alarmstate.Queued}, {410, "channel_is_archived", alarmstate.Failed}, {403, "action_prohibited", alarmstate.Failed}} {
		spec.Slack.URL = newReceiver(t, answer(bad.status, bad.text)).URL
		nastyAlarm(t, spec).only(bad.state, bad.text)
	}
}

func TestRobotsArePaced(t *testing.T) {
	for _, spec := range []channel.Spec{{Type: channel.TypeWeCom, WeCom: &channel.WeCom{}}, {Type: channel.TypeFeishu, Feishu: &channel.Feishu{}}} {
		var robot *receiver
		if spec.WeCom != nil {
			robot = weCom(t)
			spec.WeCom.URL = robot.URL + "/cgi-bin/webhook/send?key=k-1"
		} else {
			robot = feishu(t, "", time.Now())
			spec.Feishu.URL = robot.URL + "/open-apis/bot/v2/hook/token-1"
		}
		w := newWorld()
		w.set("Channel", "chn_1", "ops", spec)
		f := newFixture(t, w)
		for i := range 40 {
			f.notify("ops", "P2", fmt.Sprintf("alarm number %02d", i))
		}
		for range 59 {
			f.deliverAll()
			f.advance(time.Second)
		}
		all := strings.Join(robot.bodies, "")
		for i := range 40 {
			contains(t, all, fmt.Sprintf("alarm number %02d", i))
		}
		if n := len(robot.bodies); n > 18 || f.count(alarmstate.Sent) != 40 {
			t.Errorf("%s: %d requests for %d notices", spec.Type, n, f.count(alarmstate.Sent))
		}
	}
}
