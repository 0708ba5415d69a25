package apptest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Cleanup()
	os.Exit(code)
}

// TestCommandLine goes the way of a person who never opens the browser: sign
// in, apply the examples, look at figures, export, delete.
func TestCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	dir := t.TempDir()
	pharos := filepath.Join(Binaries(t), "pharos")
	web, grpc := Address(t), Address(t)
	Start(t, dir, "all", pharos, []string{"PHAROS_ADMIN_PASSWORD=cli-Password-1"}, "all", "--data", filepath.Join(dir, "data"), "--http", web, "--grpc", grpc)
	run := func(stdin string, args ...string) (string, error) {
		cmd := exec.Command(pharos, args...)
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "PHAROS_SERVER=http://"+web, "PHAROS_PASSWORD=cli-Password-1")
		cmd.Stdin = strings.NewReader(stdin)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := run(stdin, args...)
		if err != nil {
			t.Fatalf("pharos %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	if out, err := run("", "get", "monitors"); err == nil || !strings.Contains(out, "pharos login") {
		t.Fatalf("without a login: %v %s", err, out)
	}
	Eventually(t, time.Minute, func() error {
		out, err := run("", "login")
		if err != nil {
			return fmt.Errorf("login: %w: %s", err, out)
		}
		return nil
	})

	log := filepath.Join(dir, "trade.log")
	examples := filepath.Join(Root(), "examples", "shop", "pharos")
	var text string
	for _, name := range []string{"monitors.yaml", "rules.yaml"} {
		b, err := os.ReadFile(filepath.Join(examples, name))
		if err != nil {
			t.Fatal(err)
		}
		text += strings.ReplaceAll(string(b), "__LOGS__", dir)
	}
	made := strings.Count(text, "\nkind: ")
	if out := must(text, "apply", "-f", "-", "--dry-run"); made == 0 || strings.Count(out, "created") != made {
		t.Fatalf("dry run: %s", out)
	}
	if out := must("", "get", "monitors"); strings.Contains(out, "shop_trades") {
		t.Fatalf("the dry run made something: %s", out)
	}
	if out := must(text, "apply", "-f", "-"); strings.Count(out, "created") != made {
		t.Fatalf("apply: %s", out)
	}
	if out := must(text, "apply", "-f", "-"); strings.Count(out, "unchanged") != made {
		t.Fatalf("apply again: %s", out)
	}
	exported := must("", "export")
	if out := must(exported, "apply", "-f", "-"); strings.Count(out, "unchanged") != made {
		t.Fatalf("what was exported is not the same: %s", out)
	}

	at := time.Now()
	var lines strings.Builder
	for i := range 30 {
		fmt.Fprintf(&lines, "%s,%d,food,pay,card,7,Y,%d.50\n", at.Format("2006-01-02 15:04:05.000"), i, i)
	}
	if err := os.WriteFile(log, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	minute := fmt.Sprint(at.Truncate(time.Minute).Unix())
	Eventually(t, time.Minute, func() error {
		out, err := run("", "query", `shop_trades:amount{goods="food",method="card"}`, "--end", minute, "-o", "json")
		if err != nil || !strings.Contains(out, `"450"`) { // 0.5 + 1.5 + … + 29.5
			return fmt.Errorf("the sum is not 450: %v %s", err, out)
		}
		return nil
	})
	if out := must("", "agents"); !strings.Contains(out, "healthy") {
		t.Fatalf("agents: %s", out)
	}

	// A rule on what was just counted, tried on the last hour.
	rule := "apiVersion: pharos/v1\nkind: AlarmRule\nmetadata: {name: tried}\nspec: {title: Tried, conditions: [{expr: 'sum(shop_trades:amount) > 449', op: gt, threshold: 1}]}\n"
	Eventually(t, 2*time.Minute, func() error {
		out, err := run(rule, "backtest", "-f", "-", "--start", "1h")
		if err != nil || !strings.Contains(out, "1 alerts in 60 checks") || !strings.Contains(out, "[P2] firing: Tried") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	if out := must("", "get", "alarm_rules"); strings.Contains(out, "tried") {
		t.Fatalf("the trial made a rule: %s", out)
	}

	for _, c := range []struct{ yaml, want string }{
		{"apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: x}\nspec:\n  title: X\n  typo: 1\n", "line 6, column 3"},
		{"apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: x}\nspec: {title: X, type: minute, paths: [relative], time: {format: normal}}\n", "spec.paths[0]"},
		{"apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: x}\nspec: {title: X, type: minute, paths: [/a], time: {format: normal}, columns: [{name: c, regex: {pattern: \"(\"}}]}\n", "spec.columns[0].regex.pattern"},
		{"apiVersion: pharos/v1\nkind: Nothing\nmetadata: {name: x}\nspec: {}\n", "Nothing"},
		{"a: [", "standard input"},
	} {
		if out, err := run(c.yaml, "apply", "-f", "-"); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: want an error with %q, got %v: %s", c.yaml, c.want, err, out)
		}
	}

	if out, err := run("", "delete", "monitor", "shop_payments"); err == nil || !strings.Contains(out, "in_use") {
		t.Fatalf("a monitor that a rule needs was deleted: %s", out)
	}
	must("", "delete", "alarm_rule", "shop-payments-fail")
	must("", "delete", "alarm_rule", "shop-success-rate")
	must("", "delete", "monitor", "shop_payments")
	if out := must("", "get", "monitors"); strings.Contains(out, "shop_payments") {
		t.Fatalf("still there: %s", out)
	}

	tail := exec.Command(pharos, "tail", log)
	tail.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "PHAROS_SERVER=http://"+web)
	tail.Stderr = os.Stderr
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	defer tail.Wait()
	defer tail.Process.Kill()
	followed := make(chan struct{})
	go func() { // the last lines of the file come first
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "followed ") {
				close(followed)
				return
			}
		}
	}()
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 0; ; n++ {
		fmt.Fprintf(f, "followed %d\n", n)
		select {
		case <-followed:
			return
		case <-time.After(200 * time.Millisecond):
			if n > 150 {
				t.Fatal("tail shows nothing")
			}
		}
	}
}
