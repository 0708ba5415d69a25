package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a `pharos all` in a directory of its own.
type server struct {
	dir, http, grpc string
	cmd             *exec.Cmd
	token           string
	cookies         []*http.Cookie
}

const adminPassword = "bench-Password-1"

func (c *commands) startServer(ctx context.Context, args ...string) (*server, error) {
	s := &server{}
	var err error
	if s.dir, err = os.MkdirTemp("", "pharos-bench-"); err != nil {
		return nil, err
	}
	if s.http, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.grpc, err = freeAddress(); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(ctx, filepath.Join(c.Bin, "pharos"), append([]string{"all", "--data", filepath.Join(s.dir, "data"), "--http", s.http, "--grpc", s.grpc}, args...)...)
	s.cmd.Env = append(os.Environ(), "PHAROS_ADMIN_PASSWORD="+adminPassword)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if err = s.signIn(); err == nil {
			_, _, err = s.value("vector(1)") // compute answers
		}
		if err == nil {
			return s, nil
		}
		if time.Since(begin) > time.Minute {
			text, _ := os.ReadFile(log.Name())
			s.stop()
			return nil, fmt.Errorf("the server did not start: %w\n%s", err, text)
		}
	}
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
	os.RemoveAll(s.dir)
}

func (s *server) signIn() error {
	resp, err := s.send("POST", "/api/v1/session", map[string]string{"username": "admin", "password": adminPassword})
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sign-in answered %s", resp.Status)
	}
	s.cookies = resp.Cookies()
	var answer struct{ Secret string }
	if err := s.decode(s.send("POST", "/api/v1/tokens", map[string]string{"name": "bench", "workspace": "default"}))(&answer); err != nil {
		return err
	}
	s.token = answer.Secret
	return nil
}

func (s *server) send(method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, "http://"+s.http+path, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pharos-Csrf", "1")
	// API tokens are of a workspace; what concerns the installation needs a session.
	if strings.HasPrefix(path, "/prometheus/") {
		req.Header.Set("Authorization", "Bearer "+s.token)
	} else {
		for _, cookie := range s.cookies {
			req.AddCookie(cookie)
		}
	}
	return http.DefaultClient.Do(req)
}

// decode returns a function that reads an answer into out, unless it is an error.
func (s *server) decode(resp *http.Response, err error) func(out any) error {
	return func(out any) error {
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s answered %s: %s", resp.Request.URL.Path, resp.Status, text)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(text, out)
	}
}

func (s *server) call(method, path string, body, out any) error {
	return s.decode(s.send(method, path, body))(out)
}

// value of an instant query that gives one series; false when it gives none.
func (s *server) value(expr string) (float64, bool, error) {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := s.call("GET", "/prometheus/api/v1/query?"+url.Values{"query": {expr}}.Encode(), nil, &answer); err != nil {
		return 0, false, err
	}
	if len(answer.Data.Result) == 0 {
		return 0, false, nil
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil, err
}
