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
	rounds := 150
	if testing.Short() {
		rounds = 15
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
