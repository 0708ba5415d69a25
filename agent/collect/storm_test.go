package collect

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// TestRotationStorm rotates a log as fast as it can while the agent looks at it
// as fast as it can, so that a rotation falls between any two of its steps.
func TestRotationStorm(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for _, how := range []struct {
		name   string
		rotate func(log, to string) error
	}{
		{"copy and truncate", copyTruncate},
		{"rename", os.Rename},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *logrule.Spec) { s.Window = logrule.Duration(time.Hour) })
			w.write("x.log", 3)
			w.start()
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
			for round := range rounds {
				plan := make([]string, 60)
				for i := range plan {
					plan[i] = w.lines(1 + rng.IntN(6))
				}
				done := make(chan error, 1)
				go func() { done <- writeStorm(w.path("x.log"), round, plan, how.rotate) }()
				var err error
				for running := true; running; {
					select {
					case err = <-done:
						running = false
					default:
					}
					w.c.drainEvents()
					if rng.IntN(4) == 0 {
						w.c.discover()
					}
					w.c.readAll(w.now)
					if rng.IntN(50) == 0 {
						w.c.checkpoint()
						w.deliver()
					}
					if rng.IntN(400) == 0 { // what is on disk is enough to go on
						w.crash()
						w.start()
					}
				}
				w.must(err)
				w.settle() // rotated files are let go
				if o := w.outcome("m1-1"); o.lost != 0 || o.doubled != 0 || o.lostBytes != 0 {
					t.Fatalf("round %d: of %d lines %+v", round, w.written, o)
				}
				old, err := filepath.Glob(w.path("x.log.*"))
				w.must(err)
				for _, name := range old { // their inodes come again
					w.must(os.Remove(name))
				}
			}
		})
	}
}

// writeStorm writes each text in two pieces and rotates between them.
func writeStorm(log string, round int, texts []string, rotate func(log, to string) error) error {
	for i, text := range texts {
		f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		for _, piece := range []string{text[:len(text)/3], text[len(text)/3:]} {
			if _, err := f.WriteString(piece); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
		if i == len(texts)-1 {
			break // a log that is gone for long is a new one when it comes again
		}
		if err := rotate(log, fmt.Sprintf("%s.%d", log, round*len(texts)+i)); err != nil {
			return err
		}
	}
	return nil
}

func copyTruncate(log, to string) error {
	b, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		return err
	}
	return os.Truncate(log, 0)
}

// TestUnreadLogIsCopied walks through what the storm meets by chance: a log of
// which nothing was read is copied and truncated between two steps of the agent.
func TestUnreadLogIsCopied(t *testing.T) {
	for name, steps := range map[string]func(w *world, p *path){
		"copied before, truncated after a look": func(w *world, p *path) {
			w.copy("x.log", "x.log.1")
			w.c.look(p)
			if len(p.generations) != 1 {
				t.Errorf("the copy of what is still to be read is read, too: %d generations", len(p.generations))
			}
			w.truncate("x.log")
			w.write("x.log", 3)
			w.c.look(p)
		},
		"between look and read": func(w *world, p *path) {
			w.c.look(p)
			w.copy("x.log", "x.log.1")
			w.truncate("x.log")
			w.write("x.log", 30)
			w.c.readGeneration(p, p.live(), w.now)
		},
		"twice between look and read": func(w *world, p *path) {
			w.c.look(p)
			for i, n := range []int{2, 4} {
				w.copy("x.log", fmt.Sprintf("x.log.%d", 2-i))
				w.truncate("x.log")
				w.write("x.log", n)
			}
			w.c.readGeneration(p, p.live(), w.now)
		},
		"between reading and accepting a block": func(w *world, p *path) {
			w.c.look(p)
			g := p.live()
			block, err := os.ReadFile(w.path("x.log"))
			w.must(err)
			w.copy("x.log", "x.log.1")
			w.truncate("x.log")
			w.write("x.log", 30)
			if w.c.accept(p, g, 0, block) {
				t.Error("a block that is gone was accepted")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.append("x.log", "")
			w.start()
			w.write("x.log", 10)
			steps(w, w.c.paths[w.path("x.log")])
			w.settle()
			if o := w.outcome("m1-1"); o.lost != 0 || o.doubled != 0 || o.lostBytes != 0 {
				t.Errorf("of %d lines %+v", w.written, o)
			}
		})
	}
}
