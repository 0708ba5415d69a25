package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// reading is what was read at one moment; nil parts could not be read.
type reading struct {
	at    time.Time
	cpu   *cpu.TimesStat
	cores int // 0: not known
	load  *load.AvgStat
	mem   *mem.VirtualMemoryStat
	nets  []netCounters
	// protocols has the counters of /proc/net/snmp and netstat, such as tcp.ActiveOpens.
	protocols map[string]uint64
	mounts    []*disk.UsageStat
	disks     []diskCounters

	fdUsed, procs, oomKills figure
	uptime                  float64 // seconds; 0: not known
}

// figure is a number that may be missing.
type figure struct {
	value uint64
	known bool
}

type netCounters struct {
	net.IOCountersStat
	// shown interfaces have series of their own, counted ones make the total.
	shown, counted bool
}

// diskCounters are the counters of one whole disk since boot.
type diskCounters struct {
	name                  string
	reads, writes         uint64
	readBytes, writeBytes uint64
	readMs, writeMs, ioMs uint64
	inQueue               uint64 // now
}

const (
	coresEvery  = 10 * time.Minute
	mountsEvery = time.Minute
)

func (s *Sampler) read() *reading {
	r := &reading{at: time.Now()}
	if times, err := cpu.TimesWithContext(s.env, false); s.ok("cpu", err, len(times) == 1) {
		r.cpu = &times[0]
	}
	cores, err := s.cores.get(r.at, coresEvery, func() (int, error) { return cpu.CountsWithContext(s.env, true) })
	if s.ok("cores", err, cores > 0) {
		r.cores = cores
	}
	if avg, err := load.AvgWithContext(s.env); s.ok("load", err, avg != nil) {
		r.load = avg
	}
	if vm, err := mem.VirtualMemoryWithContext(s.env); s.ok("memory", err, vm != nil && vm.Total > 0) {
		r.mem = vm
	}
	r.nets = s.readNets()
	r.protocols = s.readProtocols()
	r.mounts = s.readMounts(r.at)
	r.disks = s.readDisks()
	r.fdUsed = s.readField("sys/fs/file-nr", "")
	r.oomKills = s.readField("vmstat", "oom_kill")
	r.procs = s.countProcesses()
	if b, err := os.ReadFile(s.opts.Proc + "/uptime"); err == nil {
		text, _, _ := strings.Cut(string(b), " ")
		r.uptime, _ = strconv.ParseFloat(text, 64)
	}
	return r
}

// ok reports whether a source gave something usable.
func (s *Sampler) ok(what string, err error, usable bool) bool {
	if err == nil && !usable {
		err = errors.New("it has no usable content")
	}
	s.problem(what, err)
	return err == nil
}

func (s *Sampler) readNets() []netCounters {
	all, err := net.IOCountersWithContext(s.env, true)
	if !s.ok("interfaces", err, true) {
		return nil
	}
	// The total counts each packet once: bridges, bonds and containers' ends
	// pass on what a physical interface had already. Where none is physical,
	// as in a container, all but loopback count.
	nets := make([]netCounters, 0, len(all))
	anyPhysical := false
	for _, c := range all {
		n := netCounters{IOCountersStat: c, shown: showsInterface(c), counted: s.isPhysical(c.Name)}
		anyPhysical = anyPhysical || n.counted
		nets = append(nets, n)
	}
	if !anyPhysical {
		for i := range nets {
			nets[i].counted = nets[i].Name != "lo"
		}
	}
	return nets
}

// showsInterface leaves out interfaces that never had a packet, and the ends
// of containers, of which there are many and not for long.
func showsInterface(c net.IOCountersStat) bool {
	for _, prefix := range []string{"veth", "cali", "lxc", "tap", "ifb"} {
		if strings.HasPrefix(c.Name, prefix) {
			return false
		}
	}
	return c.PacketsRecv+c.PacketsSent+c.Errin+c.Errout+c.Dropin+c.Dropout > 0
}

func (s *Sampler) isPhysical(name string) bool {
	yes, known := s.physical[name]
	if !known {
		_, err := os.Lstat(filepath.Join(s.opts.Sys, "class/net", name, "device"))
		yes = err == nil
		s.physical[name] = yes
	}
	return yes
}

// readProtocols reads the counters of TCP and UDP.
func (s *Sampler) readProtocols() map[string]uint64 {
	out := map[string]uint64{}
	stats, err := net.ProtoCountersWithContext(s.env, []string{"tcp", "udp"})
	if s.ok("tcp and udp", err, len(stats) > 0) {
		for _, p := range stats {
			for name, v := range p.Stats {
				if v >= 0 {
					out[p.Protocol+"."+name] = uint64(v)
				}
			}
		}
	}
	b, err := os.ReadFile(s.opts.Proc + "/net/netstat")
	if !s.ok("tcp extensions", err, true) {
		return out
	}
	// Pairs of lines: names, then values.
	lines := strings.Split(string(b), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || names[0] != "TcpExt:" || len(names) != len(values) {
			continue
		}
		for j, name := range names {
			if name == "ListenOverflows" {
				if v, err := strconv.ParseUint(values[j], 10, 64); err == nil {
					out["tcp.ListenOverflows"] = v
				}
			}
		}
	}
	return out
}

// readMounts reads how full the local filesystems are.
func (s *Sampler) readMounts(now time.Time) []*disk.UsageStat {
	points, err := s.mounts.get(now, mountsEvery, s.localMounts)
	if !s.ok("mounts", err, true) {
		return nil
	}
	usage := make([]*disk.UsageStat, 0, len(points))
	for _, p := range points {
		u, err := disk.UsageWithContext(s.env, p)
		if s.ok("mount "+p, err, true) && u.Total > 0 {
			usage = append(usage, u)
		}
	}
	return usage
}

// localMounts returns where the machine's own filesystems are mounted, each
// once. Network filesystems are left out: statfs on them can hang for ever.
func (s *Sampler) localMounts() ([]string, error) {
	parts, err := disk.PartitionsWithContext(s.env, true)
	if err != nil {
		return nil, err
	}
	byDevice := map[string]int{}
	var points []string
	for _, p := range parts {
		local := strings.HasPrefix(p.Device, "/dev/") && !strings.HasPrefix(p.Device, "/dev/loop") && !strings.HasPrefix(p.Device, "/dev/fuse")
		switch {
		case p.Fstype == "squashfs", p.Fstype == "iso9660", p.Fstype == "devtmpfs", p.Fstype == "tmpfs":
			continue
		case !local && p.Fstype != "zfs" && p.Mountpoint != "/":
			continue
		case strings.HasPrefix(p.Fstype, "nfs"), p.Fstype == "cifs", p.Fstype == "9p", p.Fstype == "ceph", p.Fstype == "rootfs":
			continue
		}
		if info, err := os.Stat(p.Mountpoint); err != nil || !info.IsDir() {
			continue // a container's /etc/hosts and the like, or out of reach
		}
		// Of bind mounts the shortest path tells most.
		if i, ok := byDevice[p.Device]; ok {
			if len(p.Mountpoint) < len(points[i]) {
				points[i] = p.Mountpoint
			}
			continue
		}
		byDevice[p.Device] = len(points)
		points = append(points, p.Mountpoint)
	}
	return points, nil
}

// readDisks reads /proc/diskstats. gopsutil would look up serial numbers and
// labels of each device every time.
func (s *Sampler) readDisks() []diskCounters {
	b, err := os.ReadFile(s.opts.Proc + "/diskstats")
	if !s.ok("disks", err, true) {
		return nil
	}
	const sector = 512 // the kernel's unit here, whatever the disk has
	var out []diskCounters
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 14 || !s.isWhole(f[2]) {
			continue
		}
		var n [11]uint64
		bad := error(nil)
		for i := range n {
			v, err := strconv.ParseUint(f[3+i], 10, 64)
			bad = errors.Join(bad, err)
			n[i] = v
		}
		if !s.ok("disk "+f[2], bad, true) || n[0]+n[4] == 0 {
			continue
		}
		out = append(out, diskCounters{name: f[2], reads: n[0], readBytes: n[2] * sector, readMs: n[3],
			writes: n[4], writeBytes: n[6] * sector, writeMs: n[7], inQueue: n[8], ioMs: n[9]})
	}
	return out
}

// isWhole tells disks from their partitions and from devices made of memory or files.
func (s *Sampler) isWhole(name string) bool {
	yes, known := s.whole[name]
	if !known {
		if !strings.HasPrefix(name, "loop") && !strings.HasPrefix(name, "ram") && !strings.HasPrefix(name, "zram") {
			_, err := os.Stat(filepath.Join(s.opts.Sys, "block", name))
			yes = err == nil
		}
		s.whole[name] = yes
	}
	return yes
}

// readField reads a number from a file of procfs: the first one, or the one after a name.
func (s *Sampler) readField(file, name string) figure {
	b, err := os.ReadFile(s.opts.Proc + "/" + file)
	if err != nil {
		return figure{} // older kernels don't have all of them
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if name != "" && (len(f) < 2 || string(f[0]) != name) {
			continue
		}
		if name != "" {
			f = f[1:]
		}
		if len(f) > 0 {
			v, err := strconv.ParseUint(string(f[0]), 10, 64)
			return figure{v, err == nil}
		}
	}
	return figure{}
}

func (s *Sampler) countProcesses() figure {
	dir, err := os.Open(s.opts.Proc)
	if !s.ok("processes", err, true) {
		return figure{}
	}
	defer dir.Close()
	n := uint64(0)
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if name[0] >= '1' && name[0] <= '9' {
				n++
			}
		}
		if errors.Is(err, io.EOF) {
			return figure{n, n > 0}
		}
		if err != nil {
			s.problem("processes", fmt.Errorf("cannot list %q: %w", s.opts.Proc, err))
			return figure{}
		}
	}
}
