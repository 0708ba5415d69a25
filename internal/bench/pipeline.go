package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// mtailProgram does for mtail what the delimiter rule does: count and sum by two columns.
const mtailProgram = `counter lines by goods, method
counter ms_total by goods, method
/^(?P<date>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}),[^,]*,(?P<goods>[^,]*),[^,]*,(?P<method>[^,]*),(?P<ms>\d+),/ {
  strptime($date, "2006-01-02 15:04:05")
  lines[$goods][$method]++
  ms_total[$goods][$method] += $ms
}
`

// mawkProgram is the same for mawk, by minute.
const mawkProgram = `{ k = substr($1, 1, 16) "," $3 "," $5; n[k]++; s[k] += $6 } END { for (k in n) print k, n[k], s[k] }`

// pipeline compares the agent's log pipeline, file reading and checkpoints
// included, with other tools on one core and the same lines.
func (c *commands) pipeline(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "pharos-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	big, small, asJSON := filepath.Join(dir, "big.log"), filepath.Join(dir, "small.log"), filepath.Join(dir, "json.log")
	if err := generate(big, int64(c.MB)<<20, false); err != nil {
		return err
	}
	if err := generate(small, min(int64(c.MB)<<20, 48<<20), false); err != nil {
		return err
	}
	if err := generate(asJSON, min(int64(c.MB)<<20, 200<<20), true); err != nil {
		return err
	}
	many := filepath.Join(dir, "many")
	if err := os.Mkdir(many, 0o755); err != nil {
		return err
	}
	for i := range 20 {
		if err := generate(filepath.Join(many, fmt.Sprintf("app-%02d.log", i)), min(int64(c.MB)<<20, 200<<20)/20, false); err != nil {
			return err
		}
	}
	progs := filepath.Join(dir, "progs")
	if err := errors.Join(os.Mkdir(progs, 0o755), os.WriteFile(filepath.Join(progs, "trade.mtail"), []byte(mtailProgram), 0o644)); err != nil {
		return err
	}
	one := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "TZ=UTC", "LC_ALL=C")
		return cmd
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours := func(log, rule string, monitors int) *exec.Cmd {
		return exec.CommandContext(ctx, self, "--pipeline", "--log", log, "--rule", rule, "--monitors", strconv.Itoa(monitors))
	}
	rows := []struct {
		name, file string
		cmd        *exec.Cmd
	}{
		{"mtail (regex, count and sum by 2 columns)", small, exec.CommandContext(ctx, "mtail", "--one_shot", "--logtostderr", "--progs", progs, "--logs", small)},
		{"pharos, regex split", big, ours(big, "regex", 1)},
		{"pharos, delimiter split", big, ours(big, "delimiter", 1)},
		{"pharos, delimiter split, 10 monitors on the file", big, ours(big, "delimiter", 10)},
		{"pharos, service indicators by 2 columns", big, ours(big, "service", 1)},
		{"pharos, the same, the result by translation", big, ours(big, "translated", 1)},
		{"pharos, count and 99th percentile by 2 columns", big, ours(big, "p99", 1)},
		{"pharos, largest keys by a column of 100 million values", big, ours(big, "top", 1)},
		{"pharos, largest records", big, ours(big, "records", 1)},
		{"pharos, alarm on lines, one line in five matches", big, ours(big, "match", 1)},
		{"pharos, 20 files, a monitor each", many, ours(many, "delimiter", 20)},
		{"pharos, 20 files, 50 monitors of all types, five on each", many, ours(many, "mixed", 50)},
		{"pharos, lines of JSON (~120 bytes)", asJSON, ours(asJSON, "json", 1)},
		{"mawk -F, (count and sum by minute and 2 columns)", big, exec.CommandContext(ctx, "mawk", "-F,", mawkProgram, big)},
		{"wc -l", big, exec.CommandContext(ctx, "wc", "-l", big)},
	}
	fmt.Printf("%-58s %8s %8s %8s\n", fmt.Sprintf("pipeline, %d MB of ~85-byte lines, one core", c.MB), "MB/s", "× mtail", "peak MB")
	reference := 0.0
	for _, r := range rows {
		if _, err := exec.LookPath(r.cmd.Path); err != nil {
			fmt.Printf("%-58s not installed\n", r.name)
			continue
		}
		size, err := sizeOf(r.file)
		if err != nil {
			return err
		}
		u, err := measure(one(r.cmd))
		if err != nil {
			return err
		}
		// By CPU time: the same as wall time for one core, and undisturbed by neighbours.
		rate := float64(size) / 1e6 / max(u.cpu, time.Millisecond).Seconds()
		if reference == 0 {
			reference = rate
		}
		fmt.Printf("%-58s %8.0f %8.1f %8.0f\n", r.name, rate, rate/reference, u.peakMB)
	}
	return nil
}

// sizeOf is the size of a file, or of the files in a directory.
func sizeOf(path string) (total int64, err error) {
	files, err := filesOf(path)
	for _, f := range files {
		info, statErr := os.Stat(f)
		if statErr != nil {
			return 0, statErr
		}
		total += info.Size()
	}
	return total, err
}

// generate writes trade lines of a few minutes that end now, comma-separated or as JSON.
func generate(path string, size int64, asJSON bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	goods := []string{"clothes", "food", "home", "books", "toys", "garden", "music", "sports"}
	methods := []string{"create", "pay", "refund", "query", "cancel"}
	lines := size / 85
	begin := time.Now().Add(-5 * time.Minute)
	var line []byte
	for written, i := int64(0), int64(0); written < size; i++ {
		at := begin.Add(time.Duration(float64(5*time.Minute) * float64(i) / float64(lines+1)))
		format := ",%016d,%s,trade,%s,%d,Y,user-%08d,%s\n"
		line = line[:0]
		if asJSON {
			format = `","id":"%016d","goods":"%s","method":"%s","ms":%d,"result":"Y","user":"user-%08d","note":"%s"}` + "\n"
			line = append(line, `{"at":"`...)
		}
		line = at.UTC().AppendFormat(line, "2006-01-02 15:04:05")
		line = fmt.Appendf(line, format, i, goods[rng.IntN(len(goods))], methods[rng.IntN(len(methods))],
			rng.IntN(1000), rng.IntN(100_000_000), strings.Repeat("x", 2+rng.IntN(10)))
		n, err := w.Write(line)
		if err != nil {
			return err
		}
		written += int64(n)
	}
	return w.Flush()
}
