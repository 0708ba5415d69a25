package agent

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// hostInfo describes the machine.
func (a *Agent) hostInfo() *pharosv1.HostInfo {
	info := &pharosv1.HostInfo{Hostname: a.opts.Hostname, Ip: a.opts.IP, Os: osName(), Arch: runtime.GOARCH, Cpus: int32(runtime.NumCPU()),
		Labels: a.opts.Labels, Timezone: timezone()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		info.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		info.MemoryBytes = uint64(s.Totalram) * uint64(s.Unit)
	}
	return info
}

// seriesLabels are the labels that register gives this agent's series, as far
// as they are known here.
func (a *Agent) seriesLabels() map[string]string {
	labels := map[string]string{"agent": a.state.ID(), "host": a.opts.Hostname, "instance": a.opts.Hostname, "ip": a.opts.IP}
	for _, name := range []string{"az", "cell", "unit", "env", "version"} {
		labels[name] = a.opts.Labels[name]
	}
	return labels
}

// ownIP is the address the machine would send from; nothing is sent.
func ownIP() string {
	for _, target := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		if c, err := net.Dial("udp", target); err == nil {
			addr, ok := c.LocalAddr().(*net.UDPAddr)
			c.Close()
			if ok {
				return addr.IP.String()
			}
		}
	}
	return ""
}

// osName is the distribution's name.
func osName() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return runtime.GOOS
}

// timezone is the IANA name of the machine's zone, or its offset.
func timezone() string {
	if name := time.Local.String(); name != "Local" && name != "" {
		return name
	}
	if target, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(target, "/zoneinfo/"); ok {
			return name
		}
	}
	return time.Now().Format("-07:00")
}

// meter measures what this process costs.
type meter struct {
	mu   sync.Mutex
	at   time.Time
	used time.Duration
}

// cores is the CPU used since the last call, in cores.
func (m *meter) cores() float64 {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	now, used := time.Now(), time.Duration(r.Utime.Nano()+r.Stime.Nano())
	m.mu.Lock()
	defer m.mu.Unlock()
	since, spent := now.Sub(m.at), used-m.used
	first := m.at.IsZero()
	m.at, m.used = now, used
	if first || since <= 0 {
		return 0
	}
	return spent.Seconds() / since.Seconds()
}

// rss is the memory this process has resident, in bytes.
func rss() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
