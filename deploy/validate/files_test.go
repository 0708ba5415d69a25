package validate

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"sigs.k8s.io/yaml"
)

// stages reads the Dockerfile.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("Dockerfile: %s", w.Short)
	}
	all, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDockerfile(t *testing.T) {
	var names []string
	for _, stage := range stages(t) {
		var entry, command []string
		for _, c := range stage.Commands {
			switch c := c.(type) {
			case *instructions.CopyCommand:
				if c.From != "" {
					if !slices.Contains(names, c.From) {
						t.Errorf("stage %s copies from %q, which is no stage before it", stage.Name, c.From)
					}
					continue
				}
				for _, source := range c.SourcePaths {
					if found, err := filepath.Glob(filepath.Join(root, source)); err != nil || len(found) == 0 {
						t.Errorf("stage %s copies %q, which is not in the repository", stage.Name, source)
					}
				}
			case *instructions.EntrypointCommand:
				entry = c.CmdLine
			case *instructions.CmdCommand:
				command = c.CmdLine
			}
		}
		if entry != nil {
			line := slices.Concat(entry, command)
			args := line[1:]
			if stage.Name == "agent" { // Compose and the chart add --register
				args = append(args, "--register", "pharos:9090")
			}
			checkCommand(t, "Dockerfile "+stage.Name, filepath.Base(line[0]), args, nil)
		}
		names = append(names, stage.Name)
	}
	for _, want := range []string{"server", "agent"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no stage %s", want)
		}
	}
}

func TestCompose(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join(root, "deploy", "compose"))
	if err != nil {
		t.Fatal(err)
	}
	load := func(env types.Mapping) (*types.Project, error) {
		return loader.LoadWithContext(context.Background(), types.ConfigDetails{WorkingDir: dir, Environment: env,
			ConfigFiles: types.ToConfigFiles([]string{filepath.Join(dir, "compose.yaml")})},
			func(o *loader.Options) { o.Profiles = []string{"*"}; o.SetProjectName("pharos", true) })
	}
	if _, err := load(nil); err == nil || !strings.Contains(err.Error(), "_PASSWORD") {
		t.Errorf("Compose starts without passwords: %v", err)
	}
	project, err := load(types.Mapping{"POSTGRES_PASSWORD": "p", "CLICKHOUSE_PASSWORD": "c", "PHAROS_ADMIN_PASSWORD": "a", "PHAROS_JOIN_TOKEN": "t"})
	if err != nil {
		t.Fatal(err)
	}
	docker := map[string]bool{}
	for _, s := range stages(t) {
		docker[s.Name] = true
	}
	for name, service := range project.Services {
		if service.Build == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !docker[service.Build.Target] {
			t.Errorf("%s: the Dockerfile has no stage %q", name, service.Build.Target)
		}
		binary := map[string]string{"server": "pharos", "agent": "pharos-agent"}[service.Build.Target]
		var vars []string
		for v := range service.Environment {
			vars = append(vars, v)
		}
		checkCommand(t, "Compose "+name, binary, service.Command, vars)
		i := slices.Index(service.Command, "--register")
		if i >= 0 {
			host, _, _ := strings.Cut(service.Command[i+1], ":")
			if _, ok := project.Services[host]; !ok {
				t.Errorf("%s: there is no service %s", name, host)
			}
		}
	}
	if db := *project.Services["pharos"].Environment["PHAROS_DB"]; db != "postgres://pharos:p@postgres:5432/pharos?sslmode=disable" {
		t.Errorf("PHAROS_DB is %s", db)
	}
}

// TestSystemd lets systemd read the units, with the binaries of this tree in
// the place of the installed ones.
func TestSystemd(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(root, "deploy", "systemd", "*.service"))
	if err != nil || len(units) != 2 {
		t.Fatalf("%q, %v", units, err)
	}
	abs, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range units {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		started := false
		for line := range strings.Lines(string(b)) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
				words := strings.Fields(command)
				checkCommand(t, name, filepath.Base(words[0]), words[1:], nil)
				started = true
			}
		}
		if !started {
			t.Errorf("%s starts nothing", name)
		}
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			t.Log("systemd-analyze is not installed; only the command line was checked")
			continue
		}
		unit := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(b), "/usr/bin/", abs+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
		// It tells unknown directives and ends well: what it says about our unit is what counts.
		out, _ := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, name) {
				t.Errorf("systemd-analyze: %s", strings.TrimSpace(line))
			}
		}
	}
}

// TestChartMetadata checks that values.yaml has no key the templates don't read.
func TestChartMetadata(t *testing.T) {
	chart := filepath.Join(root, "deploy", "helm", "pharos")
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	var values map[string]map[string]json.RawMessage
	b, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &values); err != nil {
		t.Fatal(err)
	}
	for section, keys := range values {
		for key := range keys {
			if !strings.Contains(text.String(), ".Values."+section+"."+key) {
				t.Errorf("no template reads %s.%s", section, key)
			}
		}
	}
}
