// Package client holds the commands of pharos that talk to a running
// installation over its HTTP API: login, apply, get, delete, export, query,
// tail and agents. They can do nothing that the API can't.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Connection says which installation a command talks to and as whom. What is
// not given comes from the file that login writes.
type Connection struct {
	Server    string `help:"Address of the console, such as http://127.0.0.1:8080." env:"PHAROS_SERVER" placeholder:"URL"`
	Token     string `help:"API token. Default: the one that login stored." env:"PHAROS_TOKEN"`
	Workspace string `short:"w" help:"Workspace. Default: the one chosen at login." env:"PHAROS_WORKSPACE"`
	Output    string `short:"o" help:"Output format." enum:"table,json,yaml" default:"table" env:"PHAROS_OUTPUT"`

	out io.Writer
}

// stored is the file that login writes.
type stored struct {
	Server    string `yaml:"server"`
	Token     string `yaml:"token"`
	Workspace string `yaml:"workspace"`
}

func storedPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the place of the login file: %w", err)
	}
	return filepath.Join(dir, "pharos", "login.yaml"), nil
}

func loadStored() (stored, error) {
	var s stored
	path, err := storedPath()
	if err != nil {
		return s, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read login: %w", err)
	}
	if err := yaml.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("cannot read login file %q: %w", path, err)
	}
	return s, nil
}

func (s stored) save() (string, error) {
	path, err := storedPath()
	if err != nil {
		return "", err
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("cannot write login: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("cannot write login: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("cannot write login: %w", err)
	}
	return path, nil
}

// resolve fills in what was not given.
func (c *Connection) resolve() error {
	if c.out == nil {
		c.out = os.Stdout
	}
	if c.Server == "" || c.Token == "" || c.Workspace == "" {
		s, err := loadStored()
		if err != nil {
			return err
		}
		if c.Server == "" {
			c.Server = s.Server
		}
		if c.Token == "" && s.Server == c.Server {
			c.Token = s.Token
		}
		if c.Workspace == "" {
			c.Workspace = s.Workspace
		}
	}
	if c.Server == "" {
		c.Server = "http://127.0.0.1:8080"
	}
	if c.Workspace == "" {
		c.Workspace = "default"
	}
	c.Server = strings.TrimRight(c.Server, "/")
	if c.Token == "" {
		return errors.New("no API token: run `pharos login`, or give --token or PHAROS_TOKEN")
	}
	return nil
}

// ws is the API path of the workspace, followed by rest.
func (c *Connection) ws(rest string) string {
	return "/api/v1/workspaces/" + url.PathEscape(c.Workspace) + rest
}

// apiError is the API's answer to a refused request.
type apiError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	Details   []struct {
		Field   string `json:"field"`
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"details"`
	status int
}

func (e *apiError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", e.Message, e.Code)
	for _, d := range e.Details {
		fmt.Fprintf(&b, "\n  %s: %s", d.Field, d.Message)
	}
	return b.String()
}

// do sends a request and returns the answer's stream. body is encoded as JSON
// unless nil.
func (c *Connection) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("cannot write request: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	target := c.Server + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set("X-Pharos-Workspace", c.Workspace)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach Pharos at %s: %w", c.Server, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot read answer: %w", err)
	}
	e := &apiError{status: resp.StatusCode}
	if json.Unmarshal(text, e) != nil || e.Message == "" {
		var prom struct{ ErrorType, Error string }
		if json.Unmarshal(text, &prom) == nil && prom.Error != "" {
			return nil, fmt.Errorf("%s (%s)", prom.Error, prom.ErrorType)
		}
		return nil, fmt.Errorf("%s %s answered %s", method, path, resp.Status)
	}
	return nil, e
}

// call sends a request and decodes its answer into out unless nil.
func (c *Connection) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("cannot read answer of %s: %w", path, err)
	}
	return nil
}

// list reads all pages of a list.
func (c *Connection) list(ctx context.Context, path string) ([]map[string]any, error) {
	var all []map[string]any
	for page := 1; ; page++ {
		var answer struct {
			Items []map[string]any `json:"items"`
			Total int              `json:"total"`
		}
		query := url.Values{"page": {fmt.Sprint(page)}, "page_size": {"100"}}
		if err := c.call(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.Items...)
		if len(all) >= answer.Total || len(answer.Items) == 0 {
			return all, nil
		}
	}
}
