package host

import (
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// emitter turns readings into series of one moment.
type emitter struct {
	atMs   int64
	series []*pharosv1.SampleSeries
}

func (e *emitter) add(name string, labels map[string]string, value float64) {
	e.series = append(e.series, &pharosv1.SampleSeries{Name: name, Labels: labels, TimeMs: e.atMs, Value: value})
}

// host emits the figures of a reading, and rates if there is one before.
func (e *emitter) host(before, now *reading) {
	e.gauges(now)
	e.partitions(now)
	if before == nil {
		return
	}
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return
	}
	e.cpu(before, now)
	e.traffic(before, now, seconds)
	e.protocols(before, now, seconds)
	e.disks(before, now, seconds)
	if b, n := before.oomKills, now.oomKills; b.known && n.known && n.value >= b.value {
		e.add("sys_mem_oom_kills", nil, float64(n.value-b.value))
	}
}

func (e *emitter) gauges(r *reading) {
	if r.cores > 0 {
		e.add("sys_cpu_total_cores", nil, float64(r.cores))
	}
	if r.load != nil {
		e.add("sys_load_load1", nil, r.load.Load1)
		e.add("sys_load_load5", nil, r.load.Load5)
		e.add("sys_load_load15", nil, r.load.Load15)
	}
	if m := r.mem; m != nil {
		// Cached has the reclaimable slab in it, as with free(1).
		used := float64(m.Total) - float64(m.Free) - float64(m.Buffers) - float64(m.Cached)
		e.add("sys_mem_total", nil, float64(m.Total))
		e.add("sys_mem_used", nil, used)
		e.add("sys_mem_util", nil, 100*used/float64(m.Total))
	}
	if v, ok := r.protocols["tcp.CurrEstab"]; ok {
		e.add("sys_tcp_CurrEstab", nil, float64(v))
	}
	for name, f := range map[string]figure{"sys_fd_used": r.fdUsed, "sys_proc_count": r.procs} {
		if f.known {
			e.add(name, nil, float64(f.value))
		}
	}
	if r.uptime > 0 {
		e.add("sys_uptime_s", nil, r.uptime)
	}
}

func (e *emitter) partitions(r *reading) {
	for _, u := range r.mounts {
		mount := map[string]string{"mount": u.Path}
		e.add("sys_partition_util", mount, u.UsedPercent)
		e.add("sys_partition_bfree", mount, float64(u.Free))
		e.add("sys_partition_bused", mount, float64(u.Used))
		e.add("sys_partition_btotl", mount, float64(u.Total))
		if u.InodesTotal > 0 { // some filesystems have none to count
			e.add("sys_partition_ifree", mount, float64(u.InodesFree))
			e.add("sys_partition_itotl", mount, float64(u.InodesTotal))
			e.add("sys_partition_iutil", mount, u.InodesUsedPercent)
		}
	}
}

// cpu emits shares of all cores' time, in percent.
func (e *emitter) cpu(before, now *reading) {
	if before.cpu == nil || now.cpu == nil {
		return
	}
	b, n := before.cpu, now.cpu
	// The kernel counts guests' time within user and nice, so it isn't added.
	user, nice, system, irq, soft, steal := n.User-b.User, n.Nice-b.Nice, n.System-b.System, n.Irq-b.Irq, n.Softirq-b.Softirq, n.Steal-b.Steal
	if min(user, nice, system, irq, soft, steal) < 0 {
		return
	}
	// These two may go back a little when a core sleeps.
	idle, wait := max(0, n.Idle-b.Idle), max(0, n.Iowait-b.Iowait)
	all := user + nice + system + irq + soft + steal + idle + wait
	if all <= 0 {
		return
	}
	e.add("sys_cpu_util", nil, 100*(user+nice+system+irq+soft)/all)
	e.add("sys_cpu_sys", nil, 100*system/all)
	e.add("sys_cpu_user", nil, 100*user/all)
	e.add("sys_cpu_steal", nil, 100*steal/all)
	e.add("sys_cpu_wait", nil, 100*wait/all)
}

func (e *emitter) traffic(before, now *reading, seconds float64) {
	old := make(map[string]*netCounters, len(before.nets))
	for i := range before.nets {
		old[before.nets[i].Name] = &before.nets[i]
	}
	names := [...]string{"sys_traffic_bytin", "sys_traffic_bytout", "sys_traffic_pktin", "sys_traffic_pktout", "sys_traffic_pktdrp", "sys_traffic_pkterr"}
	values := func(c *netCounters) [len(names)]uint64 {
		return [...]uint64{c.BytesRecv, c.BytesSent, c.PacketsRecv, c.PacketsSent, c.Dropin + c.Dropout, c.Errin + c.Errout}
	}
	var total [len(names)]float64
	var broken [len(names)]bool
	counted := false
	for i := range now.nets {
		c := &now.nets[i]
		b := old[c.Name]
		if b == nil {
			continue
		}
		iface := map[string]string{"iface": c.Name}
		from, to := values(b), values(c)
		for j, name := range names {
			if to[j] < from[j] {
				broken[j] = broken[j] || c.counted
				continue
			}
			rate := float64(to[j]-from[j]) / seconds
			if c.shown {
				e.add(name, iface, rate)
			}
			if c.counted {
				total[j] += rate
				counted = true
			}
		}
	}
	for j, name := range names {
		if counted && !broken[j] {
			e.add(name, nil, total[j])
		}
	}
}

func (e *emitter) protocols(before, now *reading, seconds float64) {
	delta := func(counter string) (float64, bool) {
		b, okB := before.protocols[counter]
		n, okN := now.protocols[counter]
		return float64(n) - float64(b), okB && okN && n >= b
	}
	for _, m := range [...]struct{ name, counter string }{
		{"sys_tcp_active", "tcp.ActiveOpens"},
		{"sys_tcp_pasive", "tcp.PassiveOpens"},
		{"sys_tcp_AtmpFail", "tcp.AttemptFails"},
		{"sys_tcp_lisove", "tcp.ListenOverflows"},
		{"sys_udp_idgm", "udp.InDatagrams"},
		{"sys_udp_odgm", "udp.OutDatagrams"},
		{"sys_udp_idmerr", "udp.InErrors"},
		{"sys_udp_noport", "udp.NoPorts"},
	} {
		if d, ok := delta(m.counter); ok {
			e.add(m.name, nil, d/seconds)
		}
	}
	again, ok1 := delta("tcp.RetransSegs")
	sent, ok2 := delta("tcp.OutSegs")
	if ok1 && ok2 && sent > 0 {
		e.add("sys_tcp_retran", nil, 100*again/sent)
	}
}

func (e *emitter) disks(before, now *reading, seconds float64) {
	old := make(map[string]diskCounters, len(before.disks))
	for _, d := range before.disks {
		old[d.name] = d
	}
	for _, n := range now.disks {
		device := map[string]string{"device": n.name}
		e.add("sys_io_qusize", device, float64(n.inQueue))
		b, ok := old[n.name]
		if !ok || n.reads < b.reads || n.writes < b.writes || n.readBytes < b.readBytes || n.writeBytes < b.writeBytes ||
			n.readMs < b.readMs || n.writeMs < b.writeMs || n.ioMs < b.ioMs {
			continue
		}
		reads, writes := float64(n.reads-b.reads), float64(n.writes-b.writes)
		readBytes, writeBytes := float64(n.readBytes-b.readBytes), float64(n.writeBytes-b.writeBytes)
		e.add("sys_io_rio", device, reads/seconds)
		e.add("sys_io_wio", device, writes/seconds)
		e.add("sys_io_rbytes", device, readBytes/seconds)
		e.add("sys_io_wbytes", device, writeBytes/seconds)
		// Means of requests exist only where there was one.
		if requests := reads + writes; requests > 0 {
			e.add("sys_io_rqsize", device, (readBytes+writeBytes)/1024/requests)
			e.add("sys_io_await", device, float64(n.readMs-b.readMs+n.writeMs-b.writeMs)/requests)
			e.add("sys_io_svctm", device, float64(n.ioMs-b.ioMs)/requests)
		}
	}
}

// self emits what the agent costs and holds.
func (e *emitter) self(l *pharosv1.AgentLoad) {
	e.add("self_agent_cpu_cores", nil, l.GetCpuCores())
	e.add("self_agent_rss_bytes", nil, float64(l.GetRssBytes()))
	e.add("self_agent_lines_total", nil, float64(l.GetLinesTotal()))
	e.add("self_agent_bytes_total", nil, float64(l.GetBytesTotal()))
	e.add("self_agent_unacked_revisions", nil, float64(l.GetUnackedRevisions()))
	e.add("self_agent_unacked_bytes", nil, float64(l.GetUnackedBytes()))
	e.add("self_agent_dropped_windows", nil, float64(l.GetDroppedWindows()))
	e.add("self_agent_files_open", nil, float64(l.GetFilesOpen()))
}
