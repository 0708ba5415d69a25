// Package reallogs runs the log pipeline over logs that other programs have
// written, and compares its figures with what these programs were made to do.
package reallogs

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.yaml.in/yaml/v4"

	"github.com/pharos-stack/pharos/internal/logpipe"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/meta/metatest"
	"github.com/pharos-stack/pharos/internal/partial"
)

// result are the figures of a rule over a whole log.
type result struct {
	keys     map[string][]float64 // by the key's values, joined by /
	total    []float64
	counters logpipe.Counters
}

// run runs a rule, written in YAML, over a log.
func run(t *testing.T, log []byte, rule string) result {
	t.Helper()
	spec := logrule.Spec{Title: "real", Paths: []string{"/x"}}
	if err := yaml.Unmarshal([]byte(rule), &spec); err != nil {
		t.Fatal(err)
	}
	spec = spec.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Fatal(err)
	}
	p, err := logpipe.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	task := logpipe.NewTask(p, logpipe.TaskOptions{Location: time.Local})
	g, fs, now := logpipe.NewGroup([]*logpipe.Task{task}), &logpipe.FileState{}, time.Now().UnixMilli()
	for len(log) > 0 { // in blocks, as the collector reads
		n := min(len(log), 10_000)
		if i := bytes.LastIndexByte(log[:n], '\n'); i >= 0 {
			n = i + 1
		}
		g.Process(fs, log[:n], now)
		log = log[n:]
	}
	g.Flush(fs, now)
	whole := partial.NewTable(partial.Layout{})
	for _, w := range task.Windows() {
		if err := whole.MergeEncoded(w.AppendTable(nil)); err != nil {
			t.Fatal(err)
		}
	}
	out := result{keys: map[string][]float64{}, total: p.Figures(&whole.Total), counters: task.Counters()}
	for _, r := range whole.Rows {
		out.keys[strings.Join(r.Key, "/")] = p.Figures(r)
	}
	return out
}

// want compares the figures of a key.
func (r result) want(t *testing.T, key string, want ...float64) {
	t.Helper()
	if got := r.keys[key]; !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v; keys %v, lines %+v", key, got, want, r.keys, r.counters)
	}
}

func TestNginx(t *testing.T) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "nginx.conf")
	who := ""
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		who = "user root;\n" // its workers write below a directory that is root's alone
	}
	err = os.WriteFile(conf, []byte(who+`daemon off; pid `+dir+`/pid; error_log `+dir+`/error.log;
events {}
http {
  access_log `+dir+`/access.log combined;
  client_body_temp_path `+dir+`/a; proxy_temp_path `+dir+`/b; fastcgi_temp_path `+dir+`/c; uwsgi_temp_path `+dir+`/d; scgi_temp_path `+dir+`/e;
  server {
    listen `+addr+`;
    location /ok { return 200 "fine"; }
    location /moved { return 301 /ok; }
    location /broken { return 500; }
    location /down { proxy_pass http://127.0.0.1:1; }
    location / { root `+dir+`/nothing; }
  }
}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen: %s", said.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	paths := []string{"/ok", "/ok?order=1", "/moved", "/broken", "/down", "/missing.html"}
	status := []int{200, 200, 301, 500, 502, 404}
	type call struct {
		method string
		which  int
	}
	counts := map[call]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for worker := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 400 {
				c := call{[]string{"GET", "GET", "HEAD"}[rng.IntN(3)], rng.IntN(len(paths))}
				req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+addr+paths[c.which], nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != status[c.which] {
					t.Errorf("%s %s: %d", c.method, paths[c.which], resp.StatusCode)
				}
				mu.Lock()
				counts[c]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := cmd.Process.Signal(os.Interrupt); err != nil { // it writes what it has
		t.Fatal(err)
	}
	_ = cmd.Wait()

	access, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	calls := run(t, access, `
type: spm
time: {format: apache, column: at}
columns:
  - {name: at, between: {left: "[", right: "]"}}
  - {name: request, between: {left: '"', right: '"'}}
  - {name: method, from: request, split: {delimiter: " ", index: 0}}
  - {name: path, from: request, split: {delimiter: " ", index: 1}, translate: {script: '^(/[a-z]+).* ~> $1'}}
  - {name: ok, regex: {pattern: '" (\d{3}) ', group: 1}, translate: {script: "[200,400) #> Y\n* => N"}}
group_by: [method, path]
result_column: ok
`)
	good, all := map[string]float64{}, map[string]float64{}
	for c, n := range counts {
		path, _, _ := strings.Cut(paths[c.which], "?")
		key := c.method + "/" + strings.TrimSuffix(path, ".html")
		all[key] += float64(n)
		if status[c.which] < 400 {
			good[key] += float64(n)
		}
	}
	for key, n := range all {
		calls.want(t, key, n, good[key], n-good[key], 100*good[key]/n)
	}
	if len(calls.keys) != len(all) {
		t.Errorf("%d keys, want %d", len(calls.keys), len(all))
	}
	if calls.counters.Read != 1600 || calls.counters.Matched != 1600 {
		t.Errorf("access log: %+v", calls.counters)
	}

	failed, err := os.ReadFile(filepath.Join(dir, "error.log"))
	if err != nil {
		t.Fatal(err)
	}
	failures := run(t, failed, `
type: minute_multi
time: {format: custom, layout: "yyyy/MM/dd HH:mm:ss"}
columns:
  - {name: level, between: {left: "[", right: "]"}}
  - name: why
    line: true
    translate: {entries: [{match: contains, value: "No such file or directory", to: missing}, {match: contains, value: "Connection refused", to: refused}], default: drop_line}
group_by: [level, why]
`)
	missing, refused := 0, 0
	for c, n := range counts {
		switch status[c.which] {
		case 404:
			missing += n
		case 502:
			refused += n
		}
	}
	failures.want(t, "error/missing", float64(missing))
	failures.want(t, "error/refused", float64(refused))
}

func TestPostgreSQL(t *testing.T) {
	dsn := metatest.PostgresServer(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(u.Query().Get("host"), "log")
	if _, err := os.Stat(log); err != nil {
		t.Skip("the server is not ours: ", err)
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(query string) {
		_, _ = db.ExecContext(t.Context(), query) // the log says what becomes of it
	}
	exec("SET log_min_duration_statement = 0")
	for range 30 {
		exec("SELECT * FROM no_such_table\nWHERE a = 1\n  AND b = 2")
	}
	for range 20 {
		exec("SELECT 1/0")
	}
	var text []byte
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if text, err = os.ReadFile(log); err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "division by zero") >= 20 && strings.HasSuffix(string(text), "\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log is not complete: %s", text)
		}
	}
	r := run(t, text, `
type: minute_multi
multiline_start: '^\d{4}-\d\d-\d\d '
time: {format: normal, timezone: UTC}
columns:
  - {name: severity, regex: {pattern: '\[\d+\] (\w+):  ', group: 1}}
  - name: what
    line: true
    translate: {script: "does not exist *> unknown table\ndivision by zero *> division by zero\n* => other"}
group_by: [severity, what]
statistics: [{kind: count}, {kind: occurrences, text: "AND b", name: and}]
`)
	if zone := strings.Contains(string(text), " UTC [") || strings.Contains(string(text), " GMT ["); !zone {
		t.Skipf("the server's log is in another zone: %.80s", text)
	}
	r.want(t, "ERROR/unknown table", 30, 0)
	r.want(t, "ERROR/division by zero", 20, 0)
	r.want(t, "STATEMENT/other", 50, 30) // the lines of a statement are one record
	if n := r.counters.Bad + r.counters.Late + r.counters.Unmatched; n != 0 {
		t.Errorf("%+v", r.counters)
	}
}

func TestSyslog(t *testing.T) {
	path, err := exec.LookPath("logger")
	if err != nil {
		t.Skip("logger is not installed")
	}
	var log []byte
	for i := range 40 {
		// RFC 3164 as util-linux writes it, without sending it anywhere.
		out, err := exec.CommandContext(t.Context(), path, "--no-act", "--stderr", "--socket-errors=off", "--tag", []string{"sshd", "cron"}[i%2], fmt.Sprintf("job=%d cost=%dms", i, i*10)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		log = append(log, out...)
	}
	r := run(t, log, `
type: minute_multi
time: {format: monthfirst, column: rest}
columns:
  - {name: rest, between: {left: ">"}}
  - {name: program, regex: {pattern: '\d\d:\d\d:\d\d ([\w-]+)', group: 1}}
  - {name: cost, kv: {key: cost}}
  - {name: ms, from: cost, between: {right: ms}}
group_by: [program]
statistics: [{kind: count}, {kind: sum, column: ms}, {kind: max, column: ms}]
`)
	r.want(t, "sshd", 20, 3800, 380)
	r.want(t, "cron", 20, 4000, 390)
}

func TestJavaStackTraces(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("Java is not installed")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "Shop.java")
	err = os.WriteFile(source, []byte(`import java.util.logging.*;
public class Shop {
  static void order(int n) { if (n % 3 == 0) throw new IllegalStateException("no stock for " + n); pay(n); }
  static void pay(int n) { try { Integer.parseInt("x" + n); } catch (NumberFormatException e) { throw new RuntimeException("payment " + n, e); } }
  public static void main(String[] a) {
    System.setProperty("java.util.logging.SimpleFormatter.format", "%1$tF %1$tT.%1$tL [%4$s] %5$s%6$s%n");
    Logger log = Logger.getLogger("shop");
    for (int i = 0; i < 60; i++) {
      log.info("order " + i);
      try { order(i); } catch (RuntimeException e) { log.log(Level.SEVERE, "order failed", e); }
    }
  }
}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, java, source)
	cmd.Stderr = &log
	if out, err := cmd.Output(); err != nil {
		if strings.Contains(log.String(), "Could not find or load main class") {
			t.Skip("there is no Java compiler")
		}
		t.Fatalf("%v: %s %s", err, out, log.String())
	}
	r := run(t, log.Bytes(), `
type: minute_multi
multiline_start: '^\d{4}-'
time: {format: normal}
columns:
  - {name: level, between: {left: "[", right: "]"}}
  - {name: error, regex: {pattern: '(?m)^([\w.]+(?:Exception|Error)): ', group: 1}}
  - {name: cause, regex: {pattern: '(?m)^Caused by: ([\w.]+)', group: 1}}
filters: {white: [{column: level, values: [SEVERE]}]}
group_by: [error]
statistics: [{kind: count}, {kind: occurrences, text: "at Shop.pay(", name: frames}, {kind: distinct, column: cause, name: causes}]
`)
	r.want(t, "java.lang.RuntimeException", 40, 40, 1) // its cause's trace leaves out what is the same
	if got := r.keys["java.lang.IllegalStateException"]; len(got) != 3 || got[0] != 20 || got[1] != 0 {
		t.Errorf("IllegalStateException is %v", got)
	}
	if r.counters.Read != 120 || r.counters.Filtered != 60 {
		t.Errorf("%+v", r.counters)
	}
}

func TestGBK(t *testing.T) {
	iconv, err := exec.LookPath("iconv")
	if err != nil {
		t.Skip("iconv is not installed")
	}
	var text strings.Builder
	now := time.Now().Format("2006-01-02 15:04:05")
	for i := range 300 {
		fmt.Fprintf(&text, "%s,订单%d,%s,￥%d.50,%s\n", now, i, []string{"杭州", "北京", "上海市浦东新区"}[i%3], i, []string{"成功", "成功", "失败"}[i%3])
	}
	for _, encoding := range []string{"GBK", "GB18030"} {
		cmd := exec.CommandContext(t.Context(), iconv, "-f", "UTF-8", "-t", encoding)
		cmd.Stdin = strings.NewReader(text.String())
		log, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, log, `
type: spm
time: {format: normal}
columns:
  - {name: city, split: {delimiter: ",", index: 2}}
  - {name: fee, between: {left: "￥", right: ","}}
  - {name: ok, split: {delimiter: ",", index: 4}, translate: {script: "成功 => Y\n* => N"}}
group_by: [city]
result_column: ok
time_column: fee
`)
		r.want(t, "杭州", 100, 100, 0, 100, 149)
		r.want(t, "北京", 100, 100, 0, 100, 150)
		r.want(t, "上海市浦东新区", 100, 0, 100, 0, 151)
	}
}
