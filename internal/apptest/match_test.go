package apptest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// dingTalk is a receiver that refuses what DingTalk refuses.
type dingTalk struct {
	*httptest.Server
	mu      sync.Mutex
	refused []string
	texts   []string
}

func newDingTalk(t *testing.T, secret string) *dingTalk {
	d := &dingTalk{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(r.URL.Query().Get("timestamp") + "\n" + secret))
		var m struct {
			MsgType  string `json:"msgtype"`
			Markdown struct{ Title, Text string }
		}
		err := json.Unmarshal(body, &m)
		why := ""
		switch {
		case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
			why = "not a POST of JSON"
		case r.URL.Query().Get("access_token") != "token-1":
			why = "token is not exist"
		case r.URL.Query().Get("sign") != base64.StdEncoding.EncodeToString(mac.Sum(nil)):
			why = "sign not match"
		case err != nil || m.MsgType != "markdown" || m.Markdown.Title == "" || m.Markdown.Text == "":
			why = "not a markdown message"
		case len(body) > 20_000:
			why = "the message is too long"
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if why != "" {
			d.refused = append(d.refused, why)
			fmt.Fprintf(w, `{"errcode":310000,"errmsg":%q}`, why)
			return
		}
		d.texts = append(d.texts, m.Markdown.Title+"\n"+m.Markdown.Text)
		io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	t.Cleanup(d.Close)
	return d
}

// TestMatchAlarm goes from lines that a program writes to the notice that
// carries them, and shows what a row_top monitor made of the same file.
func TestMatchAlarm(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	dir := t.TempDir()
	web, grpc := Address(t), Address(t)
	Start(t, dir, "all", filepath.Join(Binaries(t), "pharos"), []string{"PHAROS_ADMIN_PASSWORD=match-Password-1"}, "all", "--data", filepath.Join(dir, "data"), "--http", web, "--grpc", grpc)
	api := SignIn(t, "http://"+web, "match-Password-1")
	robot := newDingTalk(t, "SECx")
	const ws = "/api/v1/workspaces/default"
	must := func(method, path string, body, out any) {
		t.Helper()
		if err := api.Call(method, ws+path, body, out); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "toll.log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	columns := []map[string]any{{"name": "plate", "split": map[string]any{"delimiter": ",", "index": 1}}, {"name": "fee", "split": map[string]any{"delimiter": ",", "index": 2}}}
	must("POST", "/channels", map[string]any{"name": "ops", "spec": map[string]any{"title": "Ops", "type": "dingtalk",
		"dingtalk": map[string]any{"url": robot.URL + "/robot/send?access_token=token-1", "secret": "SECx"}}}, nil)
	must("POST", "/monitors", map[string]any{"name": "plates", "spec": map[string]any{"title": "Plates", "type": "match", "paths": []string{log},
		"time": map[string]any{"format": "normal"}, "columns": columns, "filters": map[string]any{"white": []map[string]any{{"column": "plate", "values": []string{"A1"}}}},
		"match": map[string]any{"title": "Plate A1 seen", "level": "P1", "min_lines_chat": 2, "max_lines": 2, "channels": []string{"ops"}, "emergency_text": "close the gate"}}}, nil)
	must("POST", "/monitors", map[string]any{"name": "fees", "spec": map[string]any{"title": "Fees", "type": "row_top", "top_n": 2, "sort_column": "fee",
		"paths": []string{log}, "time": map[string]any{"format": "normal"}, "columns": columns}}, nil)
	for _, name := range []string{"plates", "fees"} {
		Eventually(t, time.Minute, func() error {
			var m struct {
				Status struct {
					Active int `json:"agents_active"`
				}
			}
			if err := api.Call("GET", ws+"/monitors/"+name, nil, &m); err != nil {
				return err
			}
			if m.Status.Active != 1 {
				return fmt.Errorf("monitor %s is active on %d agents", name, m.Status.Active)
			}
			return nil
		})
	}
	at := time.Now().Truncate(time.Second) // so that all lines are of one minute
	var lines string
	for i, l := range []string{"A1,12.5,13812345678", "B2,99,x@y.cn", "A1,7,second", "A1,100,third", "B2,3,z"} {
		lines += at.Add(time.Duration(i)*time.Millisecond).Format("2006-01-02 15:04:05.000,") + l + "\n"
	}
	if err := os.WriteFile(log, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	// Spec 05, MON-8: at most 90 s from the line to the notice.
	Eventually(t, 90*time.Second, func() error {
		robot.mu.Lock()
		defer robot.mu.Unlock()
		if len(robot.refused) > 0 {
			t.Fatalf("the robot refused: %v", robot.refused)
		}
		if len(robot.texts) == 0 {
			return fmt.Errorf("no notice yet")
		}
		for _, want := range []string{"[P1] firing: Plate A1 seen", "plates is 3 lines", "138\\*\\*\\*\\*5678", "second", "close the gate", strings.ReplaceAll(log, "_", `\_`)} {
			if !strings.Contains(robot.texts[0], want) {
				t.Fatalf("%q is missing in %s", want, robot.texts[0])
			}
		}
		if strings.Contains(robot.texts[0], "13812345678") || strings.Contains(robot.texts[0], "third") {
			t.Fatalf("too much is told: %s", robot.texts[0])
		}
		return nil
	})
	Eventually(t, time.Minute, func() error {
		var rows struct {
			Windows []struct {
				Count int
				Live  bool
			}
			Items []struct {
				Rank  int
				Value float64
				Text  string
			}
		}
		if err := api.Call("GET", ws+"/monitors/fees/rows", nil, &rows); err != nil {
			return err
		}
		if len(rows.Windows) != 1 || rows.Windows[0].Count != 5 || rows.Windows[0].Live || len(rows.Items) != 2 || rows.Items[0].Value != 100 ||
			rows.Items[1].Rank != 2 || !strings.HasSuffix(rows.Items[1].Text, "B2,99,x***@y.cn") {
			return fmt.Errorf("rows are %+v", rows)
		}
		return nil
	})
}
