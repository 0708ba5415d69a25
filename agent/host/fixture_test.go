package host

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// fixture is a machine made of files, with one counter of each kind to set.
type fixture struct {
	user, nice, system, idle, iowait, irq, softirq, steal, guest int

	rxBytes, rxPackets, rxErrors, rxDrops, txBytes, txPackets, txErrors, txDrops int

	active, passive, fails, established, out, again, overflows int
	udpIn, noPorts, udpErrors, udpOut                          int

	reads, readSectors, readMs, writes, writeSectors, writeMs, inQueue, ioMs int

	oomKills int
}

func (f fixture) write(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{
		"proc/stat":    fmt.Sprintf("cpu  %d %d %d %d %d %d %d %d %d 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nctxt 5\n", f.user, f.nice, f.system, f.idle, f.iowait, f.irq, f.softirq, f.steal, f.guest),
		"proc/cpuinfo": "processor\t: 0\nprocessor\t: 1\nprocessor\t: 2\n",
		"proc/loadavg": "0.50 1.25 2.75 1/100 4242\n",
		"proc/meminfo": "MemTotal:       1000 kB\nMemFree:         200 kB\nMemAvailable:    600 kB\nBuffers:          50 kB\nCached:          300 kB\nSReclaimable:     40 kB\n",
		"proc/net/dev": "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
			"    lo: 5000 50 0 0 0 0 0 0 5000 50 0 0 0 0 0 0\n" +
			fmt.Sprintf("  eth0: %d %d %d %d 0 0 0 0 %d %d %d %d 0 0 0 0\n", f.rxBytes, f.rxPackets, f.rxErrors, f.rxDrops, f.txBytes, f.txPackets, f.txErrors, f.txDrops) +
			fmt.Sprintf(" veth1: %d 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth9: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", f.rxBytes),
		"proc/net/snmp": "Ip: Forwarding DefaultTTL\nIp: 1 64\n" +
			"Tcp: RtoAlgorithm ActiveOpens PassiveOpens AttemptFails CurrEstab OutSegs RetransSegs\n" +
			fmt.Sprintf("Tcp: 1 %d %d %d %d %d %d\n", f.active, f.passive, f.fails, f.established, f.out, f.again) +
			"Udp: InDatagrams NoPorts InErrors OutDatagrams\n" + fmt.Sprintf("Udp: %d %d %d %d\n", f.udpIn, f.noPorts, f.udpErrors, f.udpOut),
		"proc/net/netstat": fmt.Sprintf("TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 7 %d\nIpExt: InNoRoutes\nIpExt: 0\n", f.overflows),
		"proc/diskstats": fmt.Sprintf(" 254 0 vda %d 1 %d %d %d 1 %d %d %d %d 99\n", f.reads, f.readSectors, f.readMs, f.writes, f.writeSectors, f.writeMs, f.inQueue, f.ioMs) +
			" 254 1 vda1 9 1 9 9 9 1 9 9 9 9 9\n   7 0 loop0 9 1 9 9 9 1 9 9 9 9 9\n",
		"proc/self/mountinfo": "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n28 27 0:25 / /tmp rw - tmpfs tmpfs rw\n" +
			"29 27 254:0 /x /usr rw - ext4 /dev/vda rw\n30 27 0:40 / /srv rw - nfs4 server:/x rw\n31 27 7:0 / /opt ro - squashfs /dev/loop0 ro\n",
		"proc/sys/fs/file-nr": "1234\t0\t9999\n",
		"proc/vmstat":         fmt.Sprintf("nr_free_pages 5\noom_kill %d\n", f.oomKills),
		"proc/uptime":         "4321.50 1.00\n",
		"proc/1/x":            "", "proc/22/x": "", "proc/333/x": "",
		"sys/block/vda/x": "", "sys/class/net/eth0/device/x": "",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func fixtureSampler(dir string) *Sampler {
	return New(Options{Proc: filepath.Join(dir, "proc"), Sys: filepath.Join(dir, "sys"), Logger: slog.New(slog.DiscardHandler)})
}

// emitted returns what two readings ten seconds apart give, by name and label value.
func emitted(before, now *reading) map[string]float64 {
	if before != nil {
		now.at = before.at.Add(10 * time.Second)
	}
	e := emitter{atMs: 1000}
	e.host(before, now)
	return byName(e.series)
}

func byName(series []*pharosv1.SampleSeries) map[string]float64 {
	out := map[string]float64{}
	for _, s := range series {
		name := s.GetName()
		for _, label := range slices.Sorted(maps.Keys(s.GetLabels())) {
			name += " " + label + "=" + s.GetLabels()[label]
		}
		out[name] = s.GetValue()
	}
	return out
}

var firstMoment = fixture{user: 1000, nice: 100, system: 500, idle: 8000, iowait: 100, irq: 50, softirq: 50, steal: 10, guest: 300,
	rxBytes: 10_000, rxPackets: 100, rxErrors: 1, rxDrops: 2, txBytes: 20_000, txPackets: 200, txErrors: 3, txDrops: 4,
	active: 10, passive: 20, fails: 3, established: 5, out: 1000, again: 10, overflows: 2,
	udpIn: 100, noPorts: 1, udpErrors: 2, udpOut: 50,
	reads: 100, readSectors: 1000, readMs: 500, writes: 200, writeSectors: 4000, writeMs: 900, inQueue: 1, ioMs: 700, oomKills: 1}

var secondMoment = fixture{user: 1400, nice: 120, system: 600, idle: 8380, iowait: 140, irq: 60, softirq: 70, steal: 40, guest: 600,
	rxBytes: 30_000, rxPackets: 150, rxErrors: 2, rxDrops: 4, txBytes: 60_000, txPackets: 300, txErrors: 4, txDrops: 5,
	active: 30, passive: 50, fails: 8, established: 7, out: 1200, again: 20, overflows: 7,
	udpIn: 300, noPorts: 11, udpErrors: 7, udpOut: 150,
	reads: 150, readSectors: 3000, readMs: 1000, writes: 250, writeSectors: 8000, writeMs: 1400, inQueue: 3, ioMs: 1200, oomKills: 3}

func TestEveryFigureFromTwoReadings(t *testing.T) {
	dir := t.TempDir()
	firstMoment.write(t, dir)
	s := fixtureSampler(dir)
	before := s.read()
	secondMoment.write(t, dir)
	got := emitted(before, s.read())

	want := map[string]float64{
		// 1000 ticks in all: 400 user (guest is in it), 20 nice, 100 system, 380 idle, 40 wait, 10 irq, 20 soft, 30 steal.
		"sys_cpu_total_cores": 3, "sys_cpu_util": 55, "sys_cpu_sys": 10, "sys_cpu_user": 40, "sys_cpu_steal": 3, "sys_cpu_wait": 4,
		"sys_load_load1": 0.5, "sys_load_load5": 1.25, "sys_load_load15": 2.75,
		"sys_mem_total": 1000 * 1024, "sys_mem_used": (1000 - 200 - 50 - 340) * 1024, "sys_mem_util": 41,
		"sys_traffic_bytin": 2000, "sys_traffic_bytout": 4000, "sys_traffic_pktin": 5, "sys_traffic_pktout": 10, "sys_traffic_pktdrp": 0.3, "sys_traffic_pkterr": 0.2,
		"sys_traffic_bytin iface=eth0": 2000, "sys_traffic_bytout iface=eth0": 4000, "sys_traffic_pktin iface=eth0": 5,
		"sys_traffic_pktout iface=eth0": 10, "sys_traffic_pktdrp iface=eth0": 0.3, "sys_traffic_pkterr iface=eth0": 0.2,
		"sys_traffic_bytin iface=lo": 0, "sys_traffic_bytout iface=lo": 0, "sys_traffic_pktin iface=lo": 0,
		"sys_traffic_pktout iface=lo": 0, "sys_traffic_pktdrp iface=lo": 0, "sys_traffic_pkterr iface=lo": 0,
		"sys_tcp_active": 2, "sys_tcp_pasive": 3, "sys_tcp_AtmpFail": 0.5, "sys_tcp_CurrEstab": 7, "sys_tcp_lisove": 0.5, "sys_tcp_retran": 5,
		"sys_udp_idgm": 20, "sys_udp_odgm": 10, "sys_udp_idmerr": 0.5, "sys_udp_noport": 1,
		"sys_io_rio device=vda": 5, "sys_io_wio device=vda": 5, "sys_io_rbytes device=vda": 102400, "sys_io_wbytes device=vda": 204800,
		"sys_io_rqsize device=vda": 30, "sys_io_qusize device=vda": 3, "sys_io_await device=vda": 10, "sys_io_svctm device=vda": 5,
		"sys_fd_used": 1234, "sys_proc_count": 3, "sys_uptime_s": 4321.5, "sys_mem_oom_kills": 2,
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		t.Fatal(err)
	}
	want["sys_partition_btotl mount=/"] = float64(st.Blocks) * float64(st.Bsize)
	want["sys_partition_itotl mount=/"] = float64(st.Files)
	for _, name := range []string{"util", "bfree", "bused", "ifree", "iutil"} { // these move while the test runs
		name = "sys_partition_" + name + " mount=/"
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	for name, v := range want {
		if g, ok := got[name]; !ok || math.Abs(g-v) > 1e-9 {
			t.Errorf("%s is %v (there: %v), want %v", name, g, ok, v)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("unexpected series: %v", got)
	}
}

func TestFirstReadingGivesNoRates(t *testing.T) {
	dir := t.TempDir()
	firstMoment.write(t, dir)
	got := emitted(nil, fixtureSampler(dir).read())
	for _, name := range []string{"sys_cpu_util", "sys_traffic_bytin", "sys_tcp_active", "sys_io_rio device=vda", "sys_mem_oom_kills"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s has a value after one reading", name)
		}
	}
	if got["sys_mem_total"] != 1000*1024 {
		t.Error("what needs one reading only is missing")
	}
}

func TestCounterResetIsAbsent(t *testing.T) {
	for _, c := range []struct {
		change func(*fixture)
		absent []string
		still  []string
	}{
		{func(f *fixture) { f.system = 1 }, []string{"sys_cpu_util", "sys_cpu_user", "sys_cpu_wait"}, []string{"sys_load_load1"}},
		{func(f *fixture) { f.rxBytes = 1 }, []string{"sys_traffic_bytin", "sys_traffic_bytin iface=eth0"}, []string{"sys_traffic_bytout", "sys_traffic_bytin iface=lo"}},
		{func(f *fixture) { f.active = 1 }, []string{"sys_tcp_active"}, []string{"sys_tcp_pasive"}},
		{func(f *fixture) { f.again = 0 }, []string{"sys_tcp_retran"}, []string{"sys_tcp_active"}},
		{func(f *fixture) { f.out = firstMoment.out }, []string{"sys_tcp_retran"}, nil}, // nothing sent: no share
		{func(f *fixture) { f.udpErrors = 0 }, []string{"sys_udp_idmerr"}, []string{"sys_udp_idgm"}},
		{func(f *fixture) { f.reads = 1 }, []string{"sys_io_rio device=vda", "sys_io_await device=vda"}, []string{"sys_io_qusize device=vda"}},
		{func(f *fixture) { f.reads, f.writes = firstMoment.reads, firstMoment.writes }, []string{"sys_io_await device=vda", "sys_io_svctm device=vda", "sys_io_rqsize device=vda"}, []string{"sys_io_rio device=vda"}},
		{func(f *fixture) { f.oomKills = 0 }, []string{"sys_mem_oom_kills"}, nil},
		{func(f *fixture) { f.iowait = 90 }, nil, []string{"sys_cpu_util", "sys_cpu_wait"}}, // may go back a little
	} {
		dir := t.TempDir()
		firstMoment.write(t, dir)
		s := fixtureSampler(dir)
		before := s.read()
		next := secondMoment
		c.change(&next)
		next.write(t, dir)
		got := emitted(before, s.read())
		for _, name := range c.absent {
			if v, ok := got[name]; ok {
				t.Errorf("%s is %v after a reset", name, v)
			}
		}
		for _, name := range c.still {
			if v, ok := got[name]; !ok || v < 0 {
				t.Errorf("%s is missing or negative: %v", name, v)
			}
		}
	}
}

func TestUnreadableIsAbsentNotZero(t *testing.T) {
	dir := t.TempDir()
	firstMoment.write(t, dir)
	s := fixtureSampler(dir)
	before := s.read()
	for _, f := range []string{"diskstats", "net/dev", "meminfo", "net/netstat", "vmstat", "sys/fs/file-nr"} {
		if err := os.Remove(filepath.Join(dir, "proc", f)); err != nil {
			t.Fatal(err)
		}
	}
	got := emitted(before, s.read())
	for _, name := range []string{"sys_io_qusize device=vda", "sys_traffic_bytin", "sys_mem_total", "sys_tcp_lisove", "sys_mem_oom_kills", "sys_fd_used"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v though it can't be read", name, v)
		}
	}
	if _, ok := got["sys_tcp_active"]; !ok {
		t.Error("one unreadable file took others with it")
	}
}
