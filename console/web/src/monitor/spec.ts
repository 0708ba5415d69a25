/** A monitor's spec while it is edited: what is left out when it is saved, names, labels. */
import type { MonitorSpec, Statistic } from '../api/types'

export const groupLabels = ['host', 'ip', 'az', 'cell', 'instance', 'unit', 'env', 'version', 'agent'] as const

export const timeFormats = ['normal', 'iso8601', 'apache', '_long_', 'short long', 'monthfirst', 'monthfirst2', 'revert', 'custom', 'receive'] as const

export const windows = ['1s', '5s', '10s', '15s', '30s', '1m', '5m', '10m', '15m', '30m', '1h'] as const

export const secondWindows = ['1s', '5s', '10s', '15s', '30s'] as const

/** Measure is what a person chooses; with the keys it makes the type. */
export type Measure = 'figures' | 'service' | 'second' | 'keys' | 'top' | 'match'

export function measureOf(type: MonitorSpec['type']): Measure {
  if (type === 'spm') return 'service'
  if (type === 'row_top') return 'top'
  if (type === 'minute_top') return 'keys'
  if (type === 'match') return 'match'
  return type === 'second' || type === 'second_multi' ? 'second' : 'figures'
}

/** withMeasure changes what is measured and what can't stay with it. */
export function withMeasure(s: MonitorSpec, m: Measure): Partial<MonitorSpec> {
  const own = s.statistics?.length ? s.statistics : [{ kind: 'count' as const }]
  const bare = { result_column: undefined, time_column: undefined, weight_column: m === 'top' || m === 'match' ? undefined : s.weight_column, top_n: undefined, sort_column: undefined, match: undefined, window: '1m' }
  switch (m) {
    case 'service':
      return { ...bare, type: 'spm', statistics: undefined, masking: undefined }
    case 'second':
      return { ...bare, type: 'second', statistics: own, masking: undefined, window: '1s', key_limit: undefined, deadline_s: undefined }
    case 'keys':
      return { ...bare, type: 'minute_top', statistics: [own.find((x) => topKinds.includes(x.kind)) ?? { kind: 'count' }], top_n: 10, masking: undefined }
    case 'top':
      return { ...bare, type: 'row_top', statistics: undefined, top_n: 10 }
    case 'match':
      return { ...bare, type: 'match', statistics: undefined, group_by: undefined, match: { title: s.title, level: 'P2', min_lines_chat: 1 } }
  }
  return { ...bare, type: 'minute', statistics: own, masking: undefined }
}

/** defaultsOf are the limits that a type has when nothing else is said. */
export function defaultsOf(type: MonitorSpec['type']): { keys: number; deadline: number } {
  return measureOf(type) === 'second' ? { keys: 500, deadline: 10 } : { keys: 1000, deadline: 60 }
}

/** topKinds are the figures that keys can be ordered by without storing all of them. */
export const topKinds: readonly Statistic['kind'][] = ['count', 'sum', 'avg', 'max', 'occurrences', 'success', 'fail']

/** hasList reports whether windows of the type carry a list in place of series by key. */
export function hasList(type: MonitorSpec['type']): boolean {
  return keepsLines(type) || type === 'minute_top'
}

/** keepsLines reports whether windows of the type carry lines. */
export function keepsLines(type: MonitorSpec['type']): boolean {
  return type === 'row_top' || type === 'match'
}

/** mayHaveRules reports whether alarm rules can judge a monitor of the type. */
export function mayHaveRules(type: MonitorSpec['type']): boolean {
  return measureOf(type) !== 'second' && type !== 'match'
}

/** figuresOf are a monitor's figures: its own, or those that its type has. */
export function figuresOf(s: MonitorSpec): Statistic[] {
  if (s.type === 'match') return []
  if (s.type === 'row_top') return [{ name: 'count', kind: 'count' }, { name: 'max', kind: 'max', column: s.sort_column }]
  if (s.type !== 'spm') return s.statistics?.length ? s.statistics : [{ kind: 'count' }]
  const column = s.result_column
  const out: Statistic[] = [
    { name: 'total', kind: 'count' }, { name: 'success', kind: 'success', column }, { name: 'fail', kind: 'fail', column },
    { name: 'success_rate', kind: 'success_rate', column, unit: '%' },
  ]
  if (s.time_column) out.push({ name: 'avg_ms', kind: 'avg', column: s.time_column, unit: 'ms' })
  return out
}

/** isGrouped reports whether the monitor has series by key; of row_top group_by are columns of its records. */
export function isGrouped(s: MonitorSpec): boolean {
  return !hasList(s.type) && (s.group_by?.length ?? 0) > 0
}

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
  return s.kind === 'count' || (s.kind === 'occurrences' && !s.column) ? s.kind : seriesLabel(`${s.kind}_${s.column ?? ''}`)
}

/** nameFrom makes a monitor's name from its title, or from its file when the title has no Latin letters. */
export function nameFrom(title: string, path: string): string {
  const slug = (s: string) => s.toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^[^a-z]+/, '').replace(/_+$/, '').slice(0, 63)
  return slug(title) || slug((path.split('/').pop() ?? '').replace(/\.[^.]*$/, ''))
}

function typeOf(s: MonitorSpec): MonitorSpec['type'] {
  switch (measureOf(s.type)) {
    case 'service':
      return 'spm'
    case 'second':
      return isGrouped(s) ? 'second_multi' : 'second'
    case 'keys':
      return 'minute_top'
    case 'top':
      return 'row_top'
    case 'match':
      return 'match'
  }
  return isGrouped(s) ? 'minute_multi' : 'minute'
}

/** cleanFigure keeps what the figure's kind has a use for. */
function cleanFigure(x: Statistic): Statistic {
  return {
    name: x.name || undefined, kind: x.kind, column: x.kind === 'count' ? undefined : x.column || undefined,
    divisor: x.kind === 'ratio' ? x.divisor || undefined : undefined, text: x.kind === 'occurrences' ? x.text || undefined : undefined,
    unit: x.unit || undefined,
  }
}

/** cleanMatch leaves out what is empty, and what the mode of text has no use for. */
function cleanMatch(m: NonNullable<MonitorSpec['match']>): MonitorSpec['match'] {
  const custom = m.text_mode === 'custom'
  const names = (list?: string[] | null) => (list?.length ? list : undefined)
  return {
    title: m.title.trim(), level: m.level, text_mode: custom ? 'custom' : undefined, text_pattern: custom ? m.text_pattern || undefined : undefined,
    custom_text: custom ? m.custom_text || undefined : undefined, max_lines: m.max_lines === 3 ? undefined : m.max_lines,
    min_lines_chat: m.min_lines_chat || undefined, channels: m.min_lines_chat ? names(m.channels) : undefined,
    min_lines_sms: m.min_lines_sms || undefined, sms_channels: m.min_lines_sms ? names(m.sms_channels) : undefined,
    emergency_text: m.emergency_text || undefined, emergency_link: m.emergency_link || undefined,
  }
}

/** cleanSpec leaves out what is empty or at its default, so that the YAML says only what was decided. */
export function cleanSpec(s: MonitorSpec): MonitorSpec {
  const rows = (list?: { column: string; values: string[] }[]) => (list && list.length > 0 ? list : undefined)
  const filters = { white: rows(s.filters?.white), black: rows(s.filters?.black) }
  const scope = {
    envs: s.scope?.envs?.length ? s.scope.envs : undefined,
    azs: s.scope?.azs?.length ? s.scope.azs : undefined,
    cells: s.scope?.cells?.length ? s.scope.cells : undefined,
    instances: s.scope?.instances?.length ? s.scope.instances : undefined,
  }
  const masking = { without: s.masking?.without?.length ? s.masking.without : undefined, replace: s.masking?.replace?.length ? s.masking.replace : undefined }
  const any = (o: Record<string, unknown>) => Object.values(o).some((v) => v !== undefined)
  const out: MonitorSpec = {
    title: s.title.trim(),
    description: s.description || undefined,
    index: Object.keys(s.index ?? {}).length > 0 ? s.index : undefined,
    type: typeOf(s),
    app: s.app === 'default' ? undefined : s.app || undefined,
    disabled: s.disabled || undefined,
    paths: s.paths.map((p) => p.trim()).filter((p) => p !== ''),
    start_at: s.start_at === 'end' ? undefined : s.start_at,
    multiline_start: s.multiline_start || undefined,
    encoding: s.encoding === 'auto' ? undefined : s.encoding,
    symlink_part: s.symlink_part || undefined,
    window: s.window,
    time: { format: s.time.format, layout: s.time.format === 'custom' ? s.time.layout : undefined, column: s.time.column || undefined, timezone: s.time.timezone || undefined },
    columns: s.columns?.length ? s.columns : undefined,
    filters: any(filters) ? filters : undefined,
    group_by: s.group_by?.length ? s.group_by : undefined,
    statistics: s.type === 'spm' || keepsLines(s.type) ? undefined : s.statistics?.map(cleanFigure),
    top_n: (s.type === 'row_top' || s.type === 'minute_top') && s.top_n !== 10 ? s.top_n : undefined,
    sort_column: s.type === 'row_top' ? s.sort_column || undefined : undefined,
    match: s.type === 'match' && s.match ? cleanMatch(s.match) : undefined,
    masking: keepsLines(s.type) && any(masking) ? masking : undefined,
    result_column: s.type === 'spm' ? s.result_column || undefined : undefined,
    time_column: s.type === 'spm' ? s.time_column || undefined : undefined,
    weight_column: keepsLines(s.type) ? undefined : s.weight_column || undefined,
    key_limit: s.key_limit && s.key_limit !== defaultsOf(s.type).keys ? s.key_limit : undefined,
    flow_limit_kb_min: s.flow_limit_kb_min || undefined,
    scope: any(scope) ? scope : undefined,
    deadline_s: s.deadline_s && s.deadline_s !== defaultsOf(s.type).deadline ? s.deadline_s : undefined,
  }
  return JSON.parse(JSON.stringify(out)) as MonitorSpec
}

/** indexTexts writes the index of a monitor as name=value; indexOf reads what people type. */
export function indexTexts(index: MonitorSpec['index']): string[] {
  return Object.entries(index ?? {}).map(([name, value]) => `${name}=${value}`)
}

export function indexOf(texts: readonly string[]): MonitorSpec['index'] {
  const pairs = texts.map((x) => /^([^=:]+)[=:](.+)$/.exec(x)).filter((m) => m !== null)
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs.map((m) => [m[1]!.trim(), m[2]!.trim()]))
}

/** renameInFormula writes another name wherever a formula names a column. */
export function renameInFormula(formula: string, old: string, name: string): string {
  if (old === '' || name === '') return formula
  const written = /^[\p{L}_][\p{L}\p{Nd}_]*$/u.test(name) ? name : `"${name}"`
  return formula.replaceAll(/"([^"]*)"|[\p{L}_][\p{L}\p{Nd}_]*/gu, (word, quoted: string | undefined) => ((quoted ?? word) === old ? written : word))
}

/** renameColumn renames a column wherever the spec uses it. */
export function renameColumn(s: MonitorSpec, index: number, name: string): MonitorSpec {
  const old = s.columns?.[index]?.name
  if (old === undefined) return s
  const swap = (c: string) => (c === old && old !== '' ? name : c)
  return {
    ...s,
    weight_column: s.weight_column === undefined ? undefined : swap(s.weight_column),
    columns: s.columns?.map((c, i) => ({ ...c, formula: c.formula === undefined ? undefined : renameInFormula(c.formula, old, name), from: c.from === undefined ? undefined : swap(c.from), ...(i === index ? { name } : {}) })),
    time: { ...s.time, column: s.time.column === undefined ? undefined : swap(s.time.column) },
    group_by: s.group_by?.map(swap),
    statistics: s.statistics?.map((x) => ({ ...x, column: x.column === undefined ? undefined : swap(x.column), divisor: x.divisor === undefined ? undefined : swap(x.divisor) })),
    result_column: s.result_column === undefined ? undefined : swap(s.result_column),
    time_column: s.time_column === undefined ? undefined : swap(s.time_column),
    sort_column: s.sort_column === undefined ? undefined : swap(s.sort_column),
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
    columns: others?.map((c) => (c.from === name ? { ...c, from: undefined } : c)),
    time: s.time.column === name ? { ...s.time, column: undefined } : s.time,
    group_by: s.group_by?.filter((g) => g !== name),
    statistics: s.statistics?.map((x) => ({ ...x, column: x.column === name ? undefined : x.column, divisor: x.divisor === name ? undefined : x.divisor })),
    result_column: s.result_column === name ? undefined : s.result_column,
    time_column: s.time_column === name ? undefined : s.time_column,
    weight_column: s.weight_column === name ? undefined : s.weight_column,
    sort_column: s.sort_column === name ? undefined : s.sort_column,
    filters: s.filters && { white: s.filters.white?.filter((r) => r.column !== name), black: s.filters.black?.filter((r) => r.column !== name) },
  }
}
