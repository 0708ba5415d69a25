package validate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the top of the source tree.
var root = filepath.Join("..", "..")

// bin is the directory with the binaries: $PHAROS_BIN, or built for this run.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if bin = os.Getenv("PHAROS_BIN"); bin == "" {
		dir, err := os.MkdirTemp("", "pharos-deploy-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		for _, name := range []string{"pharos", "pharos-agent"} {
			cmd := exec.Command("go", "build", "-o", filepath.Join(bin, name), "./cmd/"+name)
			cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", name, err, out)
				return 1
			}
		}
	}
	return m.Run()
}

var (
	flagLine = regexp.MustCompile(`(?m)^ {1,6}(?:-\w, )?--([a-z][a-z-]*)(=\S+)?`)
	variable = regexp.MustCompile(`\$(PHAROS_[A-Z_]+)`)
)

// known are the flags and variables that a command's --help lists. The value of
// a flag tells whether it takes a value.
type known struct {
	flags map[string]bool
	vars  map[string]bool
}

func help(t *testing.T, binary string, role ...string) known {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, binary), slices.Concat(role, []string{"--help"})...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v --help: %v\n%s", binary, role, err, out)
	}
	k := known{map[string]bool{}, map[string]bool{}}
	for _, m := range flagLine.FindAllStringSubmatch(string(out), -1) {
		k.flags[m[1]] = m[2] != ""
	}
	for _, m := range variable.FindAllStringSubmatch(string(out), -1) {
		k.vars[m[1]] = true
	}
	if len(k.flags) < 5 || len(k.vars) < 5 {
		t.Fatalf("%s %v --help is not understood:\n%s", binary, role, out)
	}
	return k
}

// checkCommand checks the arguments and variables that a container or unit
// starts a binary with.
func checkCommand(t *testing.T, where, binary string, args []string, vars []string) {
	t.Helper()
	var role []string
	if binary == "pharos" {
		if len(args) == 0 {
			t.Fatalf("%s: pharos is started without a role", where)
		}
		role, args = args[:1], args[1:]
	}
	k := help(t, binary, role...)
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		takes, ok := k.flags[name]
		switch {
		case !strings.HasPrefix(args[i], "--"):
			t.Errorf("%s: %q is no flag", where, args[i])
		case !ok:
			t.Errorf("%s: %s %v has no flag --%s", where, binary, role, name)
		case !takes && given:
			t.Errorf("%s: --%s takes no value", where, name)
		case takes && !given:
			if i++; i == len(args) || args[i] == "" || strings.HasPrefix(args[i], "--") {
				t.Errorf("%s: --%s has no value", where, name)
			}
		case takes && value == "":
			t.Errorf("%s: --%s has an empty value", where, name)
		}
	}
	for _, v := range vars {
		if strings.HasPrefix(v, "PHAROS_") && !k.vars[v] {
			t.Errorf("%s: %s %v does not read %s", where, binary, role, v)
		}
	}
}
