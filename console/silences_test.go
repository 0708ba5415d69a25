package console_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestSilences(t *testing.T) {
	i := start(t)
	c := i.admin()
	text := func(from, until time.Duration, rest string) string {
		now := time.Now()
		return fmt.Sprintf(`{"spec":{"from":%q,"until":%q,"reason":"The database moves"%s}}`, now.Add(from).Format(time.RFC3339), now.Add(until).Format(time.RFC3339), rest)
	}
	f := c.fails(422, "invalid", "POST", ws+"/silences", text(0, 31*24*time.Hour, ""))
	if len(f.Details) != 2 || f.Details[0].Code != "silence_too_long" || f.Details[1].Code != "bad_silence_scope" {
		t.Errorf("%+v", f.Details)
	}
	c.want(201, "POST", ws+"/silences", text(-2*time.Hour, -time.Hour, `,"all":true`))
	var made struct{ Name, State string }
	if err := json.Unmarshal(c.want(201, "POST", ws+"/silences", text(-time.Hour, time.Hour, `,"matchers":[{"label":"app","op":"=","value":"pay"}]`)).body, &made); err != nil {
		t.Fatal(err)
	}
	if made.State != "active" {
		t.Errorf("a silence that goes on is %s", made.State)
	}
	count := func(state string) int {
		var page struct {
			Items []struct{ Name string }
		}
		if err := json.Unmarshal(c.want(200, "GET", ws+"/silences?state="+state, nil).body, &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	if all, going, over := count(""), count("active"), count("over"); all != 2 || going != 1 || over != 1 {
		t.Errorf("%d silences, %d active, %d over", all, going, over)
	}
	if err := json.Unmarshal(c.want(200, "POST", ws+"/silences/"+made.Name+":end", nil).body, &made); err != nil {
		t.Fatal(err)
	}
	if made.State != "over" || count("active") != 0 {
		t.Errorf("after its end a silence is %s", made.State)
	}
	c.want(204, "DELETE", ws+"/silences/"+made.Name, nil)
	if count("") != 1 {
		t.Error("a deleted silence is listed")
	}
}
