package clickhouse

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// The engine as an npm package; see the package comment of chdbserver.
const (
	libVersion = "26.7.3-stable.1"
	libPackage = "@chdb/lib-linux-x64-gnu"
)

var shared struct {
	once sync.Once
	dsn  string
	err  error
	stop func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

// server returns the address of the server all tests share, without database:
// that of PHAROS_TEST_CLICKHOUSE (such as clickhouse://user:password@host:9000), or
// an engine of our own. Without either, the test is skipped.
func server(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.dsn = os.Getenv("PHAROS_TEST_CLICKHOUSE"); shared.dsn == "" {
			shared.dsn, shared.stop, shared.err = startEngine()
		}
	})
	if shared.err != nil {
		t.Skipf("SKIPPED: ClickHouse suite: %v (set PHAROS_TEST_CLICKHOUSE to a server's address to run it there)", shared.err)
	}
	return shared.dsn
}

var databases struct {
	sync.Mutex
	n int
}

// database returns the address of a database that is empty and dropped at the end of the test.
func database(t *testing.T) string {
	t.Helper()
	dsn := server(t)
	databases.Lock()
	databases.n++
	name := fmt.Sprintf("pharos_test_%d_%d", os.Getpid(), databases.n)
	databases.Unlock()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	t.Cleanup(func() {
		options, err := driver.ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := driver.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Errorf("cannot drop database %s: %v", name, err)
		}
	})
	return u.String()
}

// startEngine runs chdbserver on an empty directory.
func startEngine() (dsn string, stop func(), err error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", nil, errors.New("the engine's library is for linux/amd64")
	}
	lib, err := engineLibrary()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "pharos-chdb-")
	if err != nil {
		return "", nil, err
	}
	binary := filepath.Join(dir, "chdbserver")
	if out, err := exec.Command("go", "build", "-o", binary, "./chdbserver").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("cannot build chdbserver: %v: %s", err, out)
	}
	cmd := exec.Command(binary, "-lib", lib, "-dir", dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		stdin.Close()
		_ = cmd.Wait()
		os.RemoveAll(dir)
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("chdbserver did not start: %w", err)
	}
	return "http://" + strings.TrimSpace(addr), stop, nil
}

// engineLibrary returns the path of libchdb.so in the cache ($PHAROS_CACHE or
// ~/.cache/pharos), fetched with npm if it is not there.
func engineLibrary() (string, error) {
	cache := os.Getenv("PHAROS_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(base, "pharos")
	}
	dir := filepath.Join(cache, "chdb-"+libVersion)
	lib := filepath.Join(dir, "libchdb.so")
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "chdb-fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "pack", libPackage+"@"+libVersion)
	npm.Dir = tmp
	if out, err := npm.CombinedOutput(); err != nil {
		last := out[max(0, len(out)-200):]
		return "", fmt.Errorf("npm can't fetch %s %s: %v: %s", libPackage, libVersion, err, strings.ReplaceAll(strings.TrimSpace(string(last)), "\n", " "))
	}
	packs, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(packs) != 1 {
		return "", fmt.Errorf("npm left %d packages: %v", len(packs), err)
	}
	if err := unpack(packs[0], filepath.Join(tmp, "lib")); err != nil {
		return "", fmt.Errorf("cannot unpack %s: %w", libPackage, err)
	}
	if err := os.Rename(filepath.Join(tmp, "lib"), dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return lib, nil
}

// unpack writes the files of an npm package, all of which lie in one folder, to dir.
func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for archive := tar.NewReader(gz); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		out, err := os.OpenFile(filepath.Join(dir, path.Base(header.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, archive)
		if err = errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
