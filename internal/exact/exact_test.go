package exact

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/apptest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	apptest.Cleanup()
	os.Exit(code)
}

// plan of a run.
type plan struct {
	agents, files int // files of each agent
	lines         int64
	kills         int
	rotateBytes   int64
}

func choose() plan {
	if os.Getenv("PHAROS_SOAK") != "" {
		return plan{agents: 3, files: 6, lines: 1_100_000, kills: 100, rotateBytes: 2 << 20}
	}
	return plan{agents: 2, files: 3, lines: 200_000, kills: 10, rotateBytes: 1 << 20}
}

// cluster is an installation of separate processes.
type cluster struct {
	dir, bin string
	api      *apptest.API
	killable []*apptest.Process
	vessels  []*apptest.Process
}

func startCluster(t *testing.T, agents int) *cluster {
	c := &cluster{dir: t.TempDir(), bin: apptest.Binaries(t)}
	server := filepath.Join(c.dir, "server")
	for _, d := range []string{server, filepath.Join(c.dir, "logs")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pharos, agent := filepath.Join(c.bin, "pharos"), filepath.Join(c.bin, "pharos-agent")
	env := []string{"PHAROS_CLUSTER_KEY_FILE=" + filepath.Join(server, "cluster.key"), "PHAROS_ADMIN_PASSWORD=exact-Password-1"}
	registerAddr, httpAddr := apptest.Address(t), apptest.Address(t)
	db := filepath.Join(server, "meta.db")
	start := func(name, path string, args ...string) *apptest.Process {
		return apptest.Start(t, c.dir, name, path, env, args...)
	}
	register := start("register", pharos, "register", "--data", server, "--db", db, "--grpc", registerAddr)
	start("console", pharos, "console", "--data", server, "--db", db, "--http", httpAddr, "--register", registerAddr)
	compute := start("compute", pharos, "compute", "--data", filepath.Join(c.dir, "compute"), "--grpc", apptest.Address(t), "--register", registerAddr)
	for i := range 2 {
		c.vessels = append(c.vessels, start(fmt.Sprintf("vessel-%d", i), pharos, "vessel", "--data", filepath.Join(c.dir, fmt.Sprintf("vessel-%d", i)),
			"--grpc", apptest.Address(t), "--register", registerAddr))
	}
	c.api = apptest.SignIn(t, "http://"+httpAddr, "exact-Password-1")
	var token struct{ Secret string }
	if err := c.api.Call("POST", "/api/v1/join_tokens", map[string]any{"label": "test"}, &token); err != nil {
		t.Fatal(err)
	}
	c.killable = append(c.killable, register, compute)
	c.killable = append(c.killable, c.vessels...)
	for i := range agents {
		c.killable = append(c.killable, start(fmt.Sprintf("agent-%d", i), agent, "--data", filepath.Join(c.dir, fmt.Sprintf("agent-%d", i)),
			"--register", registerAddr, "--join-token", token.Secret, "--root", c.logs(i), "--label", "az="+zone(i)))
	}
	return c
}

// zone is where an agent stands.
func zone(agent int) string { return []string{"east", "west"}[agent%2] }

// logs is the directory of an agent's files: all agents run on this machine, so
// each is allowed only its own.
func (c *cluster) logs(agent int) string { return filepath.Join(c.dir, "logs", strconv.Itoa(agent)) }

func (c *cluster) apply(t *testing.T, agents int) {
	for _, w := range watches {
		// The pattern matches the directories of all agents; an agent's roots keep it to its own.
		spec := maps.Clone(w.spec)
		spec["title"], spec["paths"], spec["start_at"] = w.name, []string{filepath.Join(c.dir, "logs", "*", "*.log")}, "beginning"
		spec["time"], spec["columns"] = map[string]any{"format": "normal"}, columns
		if err := c.api.Call("POST", "/api/v1/workspaces/default/monitors", map[string]any{"name": w.name, "spec": spec}, nil); err != nil {
			t.Fatal(err)
		}
	}
	apptest.Eventually(t, 60*time.Second, func() error {
		for _, w := range watches {
			var answer struct {
				Items []struct {
					Active bool `json:"active"`
				} `json:"items"`
			}
			if err := c.api.Call("GET", "/api/v1/workspaces/default/monitors/"+w.name+"/agents", nil, &answer); err != nil {
				return err
			}
			active := 0
			for _, a := range answer.Items {
				if a.Active {
					active++
				}
			}
			if active != agents {
				return fmt.Errorf("monitor %s is active on %d of %d agents", w.name, active, agents)
			}
		}
		return nil
	})
}

// TestExact is the promise of Pharos. PHAROS_SOAK=1 makes it long.
func TestExact(t *testing.T) {
	if testing.Short() {
		t.Skip("exactness runs without -short")
	}
	p := choose()
	c := startCluster(t, p.agents)
	var writers []*writer
	for a := range p.agents {
		if err := os.MkdirAll(c.logs(a), 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range p.files {
			w, err := newWriter(filepath.Join(c.logs(a), fmt.Sprintf("trade-%d.log", f)), zone(a), uint64(a*100+f), f%2 == 1)
			if err != nil {
				t.Fatal(err)
			}
			writers = append(writers, w)
		}
	}
	c.apply(t, p.agents)

	// Event times run through half an hour that ends now, so that windows settle and late lines occur.
	rng := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	from := time.Now().Add(-30 * time.Minute)
	rounds := 20 * p.kills
	perRound := int(p.lines/int64(rounds)/int64(len(writers))) + 1
	kills := map[string]int{}
	var down *apptest.Process
	for round := range rounds {
		at := from.Add(time.Duration(float64(30*time.Minute) * float64(round) / float64(rounds)))
		for i, w := range writers {
			when := at
			if rng.IntN(50) == 0 { // a straggler that was long buffered
				when = at.Add(-time.Duration(rng.IntN(1200)) * time.Second)
			}
			if err := w.write(perRound, when); err != nil {
				t.Fatal(err)
			}
			if w.size > p.rotateBytes && rng.IntN(3) == 0 {
				if err := w.rotate(); err != nil {
					t.Fatalf("writer %d: %v", i, err)
				}
			}
		}
		switch round % 20 {
		case 5:
			down = c.killable[rng.IntN(len(c.killable))]
			down.Kill()
			kills[down.Name]++
		case 8 + rng.IntN(3):
			if down != nil {
				down.Restart()
				down = nil
			}
		case 15:
			if down != nil {
				down.Restart()
				down = nil
			}
			// A machine that hangs for a moment: connections stand, nothing moves.
			v := c.vessels[rng.IntN(len(c.vessels))]
			v.Pause()
			time.AfterFunc(700*time.Millisecond, v.Continue)
		}
		// Real time passes between the rounds, or nothing would be in flight when a process dies.
		time.Sleep(time.Duration(40+rng.IntN(80)) * time.Millisecond)
	}
	if down != nil {
		down.Restart()
	}
	want, ms, dear := map[key]total{}, map[key][]float64{}, map[int64][]record{}
	var lines int64
	for _, w := range writers {
		lines += w.lines
		for window, lines := range w.dear {
			dear[window] = append(dear[window], lines...)
		}
		for k, v := range w.ms {
			ms[k] = append(ms[k], v...)
		}
		for k, v := range w.wrote {
			sum := want[k]
			want[k] = total{sum.lines + v.lines, sum.cents + v.cents}
		}
	}
	t.Logf("%d lines in %d files, %d windows and keys; killed with -9: %v", lines, len(writers), len(want), kills)
	apptest.Eventually(t, 120*time.Second, func() error {
		for _, w := range watches {
			if err := c.compare(w, want); err != nil {
				return fmt.Errorf("monitor %s: %w", w.name, err)
			}
		}
		if err := c.compareRecords(dear); err != nil {
			return fmt.Errorf("monitor dear: %w", err)
		}
		if err := c.compareTop(want); err != nil {
			return fmt.Errorf("monitor best: %w", err)
		}
		return c.compareSketches(ms)
	})
}
