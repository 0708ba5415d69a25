// Package apptest runs the real binaries of Pharos as real processes for
// end-to-end tests: it builds them once, starts, kills and restarts them, and
// speaks to them only over their public interfaces.
package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var build struct {
	once sync.Once
	dir  string
	err  error
}

// Binaries builds pharos and pharos-agent from this tree and returns the
// directory they are in. PHAROS_BIN names a directory that has them already.
func Binaries(t testing.TB) string {
	if dir := os.Getenv("PHAROS_BIN"); dir != "" {
		return dir
	}
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "pharos-bin-"); build.err != nil {
			return
		}
		for _, name := range []string{"pharos", "pharos-agent"} {
			cmd := exec.Command("go", "build", "-o", filepath.Join(build.dir, name), "./cmd/"+name)
			cmd.Dir = Root()
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				build.err = fmt.Errorf("cannot build %s: %w\n%s", name, err, out)
				return
			}
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

// Cleanup removes what Binaries built; call it from TestMain.
func Cleanup() {
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
}

// Root is the top of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Address returns a free loopback address.
func Address(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Process is a program that can be killed and started again with the same
// arguments. It is killed when the test ends.
type Process struct {
	Name string

	t    testing.TB
	path string
	args []string
	env  []string
	log  string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a binary of Binaries (or any path). Its output goes to
// <logDir>/<name>.log, which is shown when the test fails.
func Start(t testing.TB, logDir, name, path string, env []string, args ...string) *Process {
	p := &Process{Name: name, t: t, path: path, args: args, env: env, log: filepath.Join(logDir, name+".log")}
	p.Restart()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("--- last output of %s:\n%s", name, p.tail())
		}
	})
	return p
}

func (p *Process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-6000):])
}

// Restart starts the process, which must not be running.
func (p *Process) Restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("cannot start %s: %v", p.Name, err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	p.cmd, p.done = cmd, done
}

// Kill ends the process with kill -9 and waits until it is gone.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop asks the process to end and waits until it has.
func (p *Process) Stop() { p.signal(syscall.SIGTERM) }

// Pause stops and Continue resumes its execution, as a machine that hangs does.
func (p *Process) Pause()    { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *Process) Continue() { p.cmd.Process.Signal(syscall.SIGCONT) }

// Pid of the running process.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *Process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd.Process.Signal(sig)
	<-p.done
}

// Eventually polls until ok returns nil; it fails the test with its last error
// after the time is over.
func Eventually(t testing.TB, within time.Duration, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// API speaks to a console as the user admin: to /prometheus with an API token
// of the default workspace, to the rest with the session.
type API struct {
	Base    string
	Token   string
	cookies []*http.Cookie
}

// SignIn waits for the console at base, signs in as admin and makes a token
// for the default workspace.
func SignIn(t testing.TB, base, password string) *API {
	t.Helper()
	a := &API{Base: base}
	Eventually(t, 60*time.Second, func() error {
		resp, err := a.send("POST", "/api/v1/session", map[string]string{"username": "admin", "password": password})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			text, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("sign-in answered %s: %s", resp.Status, text)
		}
		a.cookies = resp.Cookies()
		return nil
	})
	resp, err := a.send("POST", "/api/v1/tokens", map[string]string{"name": "test", "workspace": "default"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Secret string }
	text, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(text, &answer); err != nil || answer.Secret == "" {
		t.Fatalf("cannot make a token: %s: %s", resp.Status, text)
	}
	a.Token = answer.Secret
	return a
}

func (a *API) send(method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, a.Base+path, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pharos-Csrf", "1")
	if strings.HasPrefix(path, "/prometheus/") {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	} else {
		for _, c := range a.cookies {
			req.AddCookie(c)
		}
	}
	return http.DefaultClient.Do(req)
}

// Call sends a request and decodes the answer into out unless nil.
func (a *API) Call(method, path string, body, out any) error {
	resp, err := a.send(method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Series is one result of a range query: window start in Unix seconds → value.
type Series struct {
	Labels map[string]string
	Points map[int64]string
}

// Range evaluates expr from start to end (Unix seconds) every step seconds.
func (a *API) Range(expr string, start, end, step int64) ([]Series, error) {
	q := url.Values{"query": {expr}, "start": {strconv.FormatInt(start, 10)}, "end": {strconv.FormatInt(end, 10)}, "step": {strconv.FormatInt(step, 10)}}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := a.Call("GET", "/prometheus/api/v1/query_range?"+q.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	var out []Series
	for _, r := range answer.Data.Result {
		s := Series{Labels: r.Metric, Points: map[int64]string{}}
		for _, p := range r.Values {
			s.Points[int64(p[0].(float64))] = p[1].(string)
		}
		out = append(out, s)
	}
	return out, nil
}
