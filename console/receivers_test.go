package console_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReceivers(t *testing.T) {
	i := start(t)
	c := i.admin()
	f := c.fails(422, "invalid", "POST", ws+"/contacts", `{"name":"1","spec":{}}`)
	if len(f.Details) != 2 {
		t.Errorf("%+v", f.Details)
	}
	c.want(201, "POST", ws+"/contacts", `{"name":"Ann","spec":{"phone":"+86 13800138000","email":"ann@x.example","user":"Admin"}}`)
	c.want(201, "POST", ws+"/contacts", `{"name":"bob","spec":{"email":"bob@x.example"}}`)
	c.want(201, "POST", ws+"/notification_groups", `{"name":"ops","spec":{"title":"Ops","contacts":["Ann"]}}`)
	a := c.want(201, "POST", ws+"/oncalls", `{"name":"duty","spec":{"title":"Duty","timezone":"UTC","start":"2026-01-05T09:00","contacts":["bob"]}}`)
	if !strings.Contains(string(a.body), `"shifts":[`) {
		t.Errorf("%s", a.body)
	}
	c.want(201, "POST", ws+"/subscriptions", `{"spec":{"group":"ops","workspace":true}}`)
	c.want(201, "POST", ws+"/subscriptions", `{"spec":{"oncall":"duty","workspace":true}}`)
	f = c.fails(422, "invalid", "POST", ws+"/subscriptions", `{"spec":{"group":"ops","workspace":true}}`)
	if len(f.Details) != 1 || f.Details[0].Code != "already_subscribed" {
		t.Errorf("%+v", f.Details)
	}
	total := func(path string) int {
		var page struct {
			Items []struct {
				Subscriptions int `json:"subscriptions"`
			} `json:"items"`
		}
		if err := json.Unmarshal(c.want(200, "GET", ws+path, nil).body, &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	if all, mine := total("/subscriptions"), total("/subscriptions?mine=true"); all != 2 || mine != 1 {
		t.Errorf("%d subscriptions, %d of them mine", all, mine)
	}
	if a := c.want(200, "GET", ws+"/notification_groups/ops", nil); !strings.Contains(string(a.body), `"subscriptions":1`) {
		t.Errorf("%s", a.body)
	}
	c.want(200, "PUT", ws+"/notification_groups/ops", `{"version":1,"spec":{"title":"Operations","contacts":["Ann","bob"]}}`)
	c.want(204, "DELETE", ws+"/notification_groups/ops", nil)
	if all := total("/subscriptions"); all != 1 {
		t.Errorf("%d subscriptions are left", all)
	}
}

func TestPersonalAlarmSettings(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(200, "PUT", "/api/v1/me/alarm_settings", `{"off":{"red":["sms"]}}`)
	if a := c.want(200, "GET", "/api/v1/me/alarm_settings", nil); !strings.Contains(string(a.body), `"red":["sms"]`) {
		t.Errorf("%s", a.body)
	}
	c.fails(422, "invalid", "PUT", "/api/v1/me/alarm_settings", `{"off":{"blue":["sms"]}}`)
	f := c.fails(422, "invalid", "POST", "/api/v1/me/delegations", `{"substitute":"nobody","from_ms":1,"to_ms":2}`)
	if len(f.Details) != 1 || f.Details[0].Code != "bad_substitute" {
		t.Errorf("%+v", f.Details)
	}
}
