package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/meta/metatest"
)

// TestSplitOnPostgres runs each role as a process of its own over one
// PostgreSQL database: what lines say is seen in a query and reaches a webhook,
// before and after every process was started anew.
func TestSplitOnPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	db := metatest.PostgresServer(t)
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	fired := map[string]int{} // goods → events of type firing
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct {
			Type   string
			Object map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Errorf("webhook: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		fired[event.Type+" "+event.Object["goods"]]++
	}))
	defer hook.Close()

	pharos, web, register := filepath.Join(Binaries(t), "pharos"), Address(t), Address(t)
	env := []string{"PHAROS_DB=" + db, "PHAROS_CLUSTER_KEY_FILE=" + filepath.Join(dir, "cluster.key"), "PHAROS_ADMIN_PASSWORD=split-Password-1",
		"PHAROS_SECRET_KEY_FILE=" + filepath.Join(dir, "secret.key")}
	var all []*Process
	start := func(role string, args ...string) {
		all = append(all, Start(t, dir, role, pharos, env, append([]string{role, "--data", filepath.Join(dir, role)}, args...)...))
	}
	start("register", "--grpc", register)
	start("vessel", "--grpc", Address(t), "--register", register)
	start("compute", "--grpc", Address(t), "--register", register)
	start("alarm", "--register", register)
	start("console", "--http", web, "--register", register)
	api := SignIn(t, "http://"+web, "split-Password-1")
	call := func(method, path string, body, out any) {
		t.Helper()
		if err := api.Call(method, path, body, out); err != nil {
			t.Fatal(err)
		}
	}
	var token struct{ Secret string }
	call("POST", "/api/v1/join_tokens", map[string]any{"label": "test"}, &token)
	all = append(all, Start(t, dir, "agent", filepath.Join(Binaries(t), "pharos-agent"), nil,
		"--data", filepath.Join(dir, "agent"), "--register", register, "--join-token", token.Secret, "--root", logs))

	resources := fmt.Sprintf(`
apiVersion: pharos/v1
kind: LogMonitor
metadata: {name: trades}
spec:
  title: Trades
  type: minute_multi
  paths: [%s/trade.log]
  start_at: beginning
  time: {format: normal}
  columns:
    - {name: goods, split: {delimiter: ",", index: 1}}
    - {name: amount, split: {delimiter: ",", index: 2}}
  group_by: [goods]
  statistics: [{name: amount, kind: sum, column: amount}]
---
apiVersion: pharos/v1
kind: Channel
metadata: {name: hook}
spec: {title: Hook, type: webhook, webhook: {url: %s, access_key: ak, secret_key: sk}}
---
apiVersion: pharos/v1
kind: AlarmRule
metadata: {name: much}
spec: {title: Much is traded, conditions: [{monitor: trades, figure: amount, op: gt, threshold: 100}], channels: [hook]}
`, logs, hook.URL)
	cli := func(stdin string, args ...string) {
		t.Helper()
		if out, err := runCLI(pharos, dir, web, stdin, args...); err != nil {
			t.Fatalf("pharos %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	cli("", "login")
	cli(resources, "apply", "-f", "-")

	write := func(goods string) int64 {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(logs, "trade.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		at := time.Now()
		for i := range 30 {
			if _, err := fmt.Fprintf(f, "%s,%s,%d.50\n", at.Format("2006-01-02 15:04:05.000"), goods, i); err != nil {
				t.Fatal(err)
			}
		}
		return at.Truncate(time.Minute).Unix()
	}
	figure := func(goods string, minute int64) {
		t.Helper()
		Eventually(t, 2*time.Minute, func() error {
			series, err := api.Range(fmt.Sprintf("trades:amount{goods=%q}", goods), minute, minute, 60)
			if err != nil || len(series) != 1 || series[0].Points[minute] != "450" { // 0.5 + 1.5 + … + 29.5
				return fmt.Errorf("the sum of %s is not 450: %v %v", goods, series, err)
			}
			return nil
		})
	}
	alarmed := func(goods string) {
		t.Helper()
		Eventually(t, 4*time.Minute, func() error {
			mu.Lock()
			defer mu.Unlock()
			if fired["firing "+goods] == 0 {
				return fmt.Errorf("no alarm of %s at the receiver: %v", goods, fired)
			}
			return nil
		})
	}
	food := write("food")
	figure("food", food)
	alarmed("food")

	for _, p := range all {
		if !p.Running() {
			t.Fatalf("%s has ended", p.Name)
		}
		p.Stop()
		p.Restart()
	}
	api = SignIn(t, "http://"+web, "split-Password-1")
	figure("food", food)
	figure("books", write("books"))
	alarmed("books")
	mu.Lock()
	defer mu.Unlock()
	for what, n := range fired {
		if strings.HasPrefix(what, "firing ") && n != 1 {
			t.Errorf("%s was sent %d times", what, n)
		}
	}
}

// runCLI runs a client command with its configuration in dir.
func runCLI(pharos, dir, web, stdin string, args ...string) (string, error) {
	cmd := exec.Command(pharos, args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "PHAROS_SERVER=http://"+web, "PHAROS_PASSWORD=split-Password-1")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
