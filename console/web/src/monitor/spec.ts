/** A monitor's spec while it is edited: what is left out when it is saved, names, labels. */
import type { MonitorSpec, Statistic } from '../api/types'

export const groupLabels = ['host', 'ip', 'az', 'cell', 'instance', 'unit', 'env', 'version', 'agent'] as const

export const timeFormats = ['normal', 'iso8601', 'apache', '_long_', 'short long', 'monthfirst', 'monthfirst2', 'revert', 'receive'] as const

export const windows = ['1s', '5s', '10s', '15s', '30s', '1m', '5m', '10m', '15m', '30m', '1h'] as const

const reserved = ['tenant', 'workspace', 'app', 'app_service', 'instance', 'ip', 'host', 'az', 'cell', 'unit', 'env', 'cluster', 'namespace', 'pod', 'container', 'version', 'agent']

export function emptySpec(): MonitorSpec {
  return { title: '', type: 'minute', paths: [''], window: '1m', time: { format: 'normal' }, columns: [], statistics: [{ kind: 'count' }] }
}

/** seriesLabel is the label a column becomes in series, as the server makes it. */
export function seriesLabel(column: string): string {
  if (reserved.includes(column)) return 'c_' + column
  let out = ''
  let plain = false
  for (const c of column) {
    const code = c.codePointAt(0)!
    if (/[A-Za-z0-9_]/.test(c)) {
      out += c
      plain = true
    } else if (code < 128) out += '_'
    else {
      out += 'u' + code.toString(16) + '_'
      plain = true
    }
  }
  if (!plain || /^[0-9]/.test(out) || out.startsWith('__')) out = 'c_' + out.replace(/^_+/, '')
  return out
}

/** groupLabel is the label of a group_by entry: a label of the agent stays, a column is turned. */
export function groupLabel(entry: string): string {
  return (groupLabels as readonly string[]).includes(entry) ? entry : seriesLabel(entry)
}

/** figureName is a figure's name in series. */
export function figureName(s: Statistic): string {
  if (s.name) return s.name
  return s.kind === 'count' ? 'count' : seriesLabel(`${s.kind}_${s.column ?? ''}`)
}

/** nameFrom makes a monitor's name from its title, or from its file when the title has no Latin letters. */
export function nameFrom(title: string, path: string): string {
  const slug = (s: string) => s.toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^[^a-z]+/, '').replace(/_+$/, '').slice(0, 63)
  return slug(title) || slug((path.split('/').pop() ?? '').replace(/\.[^.]*$/, ''))
}

/** cleanSpec leaves out what is empty or at its default, so that the YAML says only what was decided. */
export function cleanSpec(s: MonitorSpec): MonitorSpec {
  const rows = (list?: { column: string; values: string[] }[]) => (list && list.length > 0 ? list : undefined)
  const filters = { white: rows(s.filters?.white), black: rows(s.filters?.black) }
  const scope = {
    azs: s.scope?.azs?.length ? s.scope.azs : undefined,
    cells: s.scope?.cells?.length ? s.scope.cells : undefined,
    instances: s.scope?.instances?.length ? s.scope.instances : undefined,
  }
  const any = (o: Record<string, unknown>) => Object.values(o).some((v) => v !== undefined)
  const out: MonitorSpec = {
    title: s.title.trim(),
    description: s.description || undefined,
    type: s.group_by && s.group_by.length > 0 ? 'minute_multi' : 'minute',
    app: s.app === 'default' ? undefined : s.app || undefined,
    disabled: s.disabled || undefined,
    paths: s.paths.map((p) => p.trim()).filter((p) => p !== ''),
    start_at: s.start_at === 'end' ? undefined : s.start_at,
    encoding: s.encoding === 'auto' ? undefined : s.encoding,
    symlink_part: s.symlink_part || undefined,
    window: s.window,
    time: { format: s.time.format, column: s.time.column || undefined, timezone: s.time.timezone || undefined },
    columns: s.columns?.length ? s.columns : undefined,
    filters: any(filters) ? filters : undefined,
    group_by: s.group_by?.length ? s.group_by : undefined,
    statistics: s.statistics?.map((x) => ({ name: x.name || undefined, kind: x.kind, column: x.kind === 'count' ? undefined : x.column || undefined, unit: x.unit || undefined })),
    key_limit: s.key_limit && s.key_limit !== 1000 ? s.key_limit : undefined,
    flow_limit_kb_min: s.flow_limit_kb_min || undefined,
    scope: any(scope) ? scope : undefined,
    deadline_s: s.deadline_s && s.deadline_s !== 60 ? s.deadline_s : undefined,
  }
  return JSON.parse(JSON.stringify(out)) as MonitorSpec
}

/** renameColumn renames a column wherever the spec uses it. */
export function renameColumn(s: MonitorSpec, index: number, name: string): MonitorSpec {
  const old = s.columns?.[index]?.name
  if (old === undefined) return s
  const swap = (c: string) => (c === old && old !== '' ? name : c)
  return {
    ...s,
    columns: s.columns?.map((c, i) => (i === index ? { ...c, name } : c)),
    time: { ...s.time, column: s.time.column === undefined ? undefined : swap(s.time.column) },
    group_by: s.group_by?.map(swap),
    statistics: s.statistics?.map((x) => (x.column === undefined ? x : { ...x, column: swap(x.column) })),
    filters: s.filters && {
      white: s.filters.white?.map((r) => ({ ...r, column: swap(r.column) })),
      black: s.filters.black?.map((r) => ({ ...r, column: swap(r.column) })),
    },
  }
}

/** removeColumn removes a column and what used it. */
export function removeColumn(s: MonitorSpec, index: number): MonitorSpec {
  const name = s.columns?.[index]?.name
  const others = s.columns?.filter((_, i) => i !== index)
  if (others?.some((c) => c.name === name)) return { ...s, columns: others }
  return {
    ...s,
    columns: others,
    time: s.time.column === name ? { ...s.time, column: undefined } : s.time,
    group_by: s.group_by?.filter((g) => g !== name),
    statistics: s.statistics?.map((x) => (x.column === name ? { ...x, column: undefined } : x)),
    filters: s.filters && { white: s.filters.white?.filter((r) => r.column !== name), black: s.filters.black?.filter((r) => r.column !== name) },
  }
}
