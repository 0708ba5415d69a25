package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoServerInside keeps what only servers need out of the agent.
func TestNoServerInside(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/pharos-stack/pharos/"
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if own, ok := strings.CutPrefix(dep, module); ok {
			switch top, _, _ := strings.Cut(own, "/"); top {
			case "agent", "cmd", "internal", "proto":
			default:
				t.Errorf("the agent contains the tier %s", dep)
			}
		}
		for _, bad := range []string{"database/sql", "github.com/uptrace/bun", "modernc.org/", "github.com/jackc/", "github.com/ClickHouse/",
			"k8s.io/", "github.com/VictoriaMetrics/", "github.com/prometheus/", "github.com/cockroachdb/", "github.com/danielgtaylor/",
			module + "internal/meta", module + "internal/enroll", module + "internal/resource"} {
			if strings.HasPrefix(dep, bad) {
				t.Errorf("the agent contains %s", dep)
			}
		}
	}
}

func TestBinaryIsSmallAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin := filepath.Join(dir, "pharos-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v9", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 30<<20 {
		t.Errorf("the binary has %d MB", info.Size()>>20)
	}
	config := filepath.Join(dir, "agent.yaml")
	for _, c := range []struct {
		yaml string
		args []string
		env  string
		want string
	}{
		{args: []string{"--version"}, want: "v9"},
		{want: "--register"},
		{args: []string{"--register", "127.0.0.1:1"}, want: "join token"},
		{args: []string{"--register", "127.0.0.1:1", "--join-token", "nonsense"}, want: "cannot read join token"},
		{args: []string{"--register", "127.0.0.1:1"}, env: "PHAROS_JOIN_TOKEN=nonsense", want: "cannot read join token"},
		{yaml: "register: 127.0.0.1:1\njoin_token: nonsense\n", want: "cannot read join token"},
		{yaml: "register: 127.0.0.1:1\nroot: [relative]\ninsecure: true\n", want: `"relative"`},
		{yaml: "regster: 127.0.0.1:1\n", want: "regster"},
	} {
		if c.yaml != "" {
			if err := os.WriteFile(config, []byte(c.yaml), 0o644); err != nil {
				t.Fatal(err)
			}
			c.args = append(c.args, "--config", config)
		}
		cmd := exec.Command(bin, append(c.args, "--data", filepath.Join(dir, "data"))...)
		cmd.Env = append(os.Environ(), c.env)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%v %q: %v %s, want %q", c.args, c.yaml, err, out, c.want)
		}
	}
}
