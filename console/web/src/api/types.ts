/** The API's objects, as the pages use them. */

export interface List<T> {
  items: T[]
  total: number
  page: number
  page_size: number
}

export type Role = 'viewer' | 'editor' | 'admin'

export interface User {
  id: string
  username: string
  display_name: string
  installation_admin: boolean
  disabled: boolean
  must_change_password: boolean
  roles: Record<string, Role>
  language: string
  theme: string
  timezone: string
  version: number
  created_at: string
  last_login_at?: string
}

export interface Workspace {
  name: string
  title: string
  description: string
  role: Role
  version: number
  created_at: string
}

export interface Session {
  user: User
  workspaces: Pick<Workspace, 'name' | 'title' | 'role'>[]
  expires_at?: string
}

export interface Column {
  name: string
  split?: { delimiter: string; index: number }
  between?: { left?: string; left_index?: number; right?: string; right_index?: number }
  regex?: { pattern: string; group?: number }
  line?: boolean
}

export interface FilterRow {
  column: string
  values: string[]
}

export type StatKind = 'count' | 'sum' | 'avg' | 'min' | 'max'

export interface Statistic {
  name?: string
  kind: StatKind
  column?: string
  unit?: string
}

export interface MonitorSpec {
  title: string
  description?: string
  type: 'minute' | 'minute_multi'
  app?: string
  disabled?: boolean
  paths: string[]
  start_at?: 'end' | 'beginning'
  encoding?: 'auto' | 'utf-8' | 'gbk' | 'gb18030'
  symlink_part?: string
  window?: string
  time: { format: string; column?: string; timezone?: string }
  columns?: Column[]
  filters?: { white?: FilterRow[]; black?: FilterRow[] }
  group_by?: string[]
  statistics?: Statistic[]
  key_limit?: number
  flow_limit_kb_min?: number
  scope?: { azs?: string[]; cells?: string[]; instances?: string[] }
  deadline_s?: number
}

export interface Resource<S> {
  id: string
  name: string
  workspace?: string
  version: number
  created_at?: string
  created_by?: string
  updated_at?: string
  updated_by?: string
  spec: S
}

export interface MonitorStatus {
  agents_expected: number
  agents_active: number
  errors: { agent_id: string; host: string; error: string }[]
  last_window_ms?: number
  completeness?: number
  unknown?: string
}

export type Monitor = Resource<MonitorSpec> & { status?: MonitorStatus }

export interface LineCounters {
  read: number
  matched: number
  filtered: number
  unmatched: number
  bad: number
  late: number
  bad_numbers: number
  throttled_bytes: number
  undecodable: number
  cut: number
  keys_dropped: number
}

export interface DryRunColumn {
  name: string
  value: string
  start: number
  end: number
  missing?: boolean
}

export interface DryRunLine {
  text: string
  outcome: 'matched' | 'filtered' | 'unmatched' | 'bad' | 'late'
  detail?: string
  time_ms?: number
  time_start?: number
  time_end?: number
  columns?: DryRunColumn[] | null
}

export interface DryRunTotal {
  window_ms: number
  key?: string[] | null
  figures: (number | null)[]
  lines: number
}

export interface DryRun {
  agent_id?: string
  path?: string
  lines: DryRunLine[] | null
  totals: DryRunTotal[] | null
  counters?: LineCounters
}

export interface FileEntry {
  name: string
  dir?: boolean
  size?: number
  mtime_ms?: number
  symlink?: boolean
  readable?: boolean
}

export interface Browse {
  agent_id?: string
  path: string
  entries: FileEntry[] | null
  more?: boolean
}

export interface Preview {
  agent_id?: string
  path: string
  lines: string[] | null
  time_format?: string
  delimiter?: string
  encoding?: string
}

export interface WindowState {
  window_start_ms: number
  window_ms: number
  settled: boolean
  completeness: number
  lines: number
  lines_bad: number
  lines_late: number
  lines_unmatched: number
  lines_filtered: number
  bad_numbers: number
  throttled_bytes: number
  lost_bytes: number
  keys_dropped: number
  revision: number
}

export interface MonitorWindows {
  windows: WindowState[] | null
  settled_until_ms: number
  expected_agents: number
  missing_agents: string[] | null
  keys: number
  key_limit: number
}

export interface FileStatus {
  path: string
  size_bytes: number
  read_bytes: number
  error?: string
}

export interface BadLine {
  path: string
  reason: string
  text: string
  read_ms: number
}

export interface MonitorAgent {
  agent_id: string
  host?: string
  definition_revision: number
  active: boolean
  error?: string
  files?: FileStatus[] | null
  lines?: LineCounters
  bad_samples?: BadLine[] | null
  watermark_ms?: number
}

export interface KeyRow {
  key: string[]
  figures: (number | null)[]
}

export interface KeyTable extends List<KeyRow> {
  total_row: KeyRow
}

export interface AgentTask {
  task_id: string
  monitor_id: string
  monitor?: string
  definition_revision: number
  error?: string
  files?: FileStatus[] | null
  watermark_ms?: number
  lines?: LineCounters
  bad_samples?: BadLine[] | null
}

export interface Agent {
  id: string
  hostname: string
  ip: string
  os?: string
  kernel?: string
  arch?: string
  cpus?: number
  memory_bytes?: number
  timezone?: string
  labels?: Record<string, string>
  health: string
  reason?: string
  version?: string
  connected?: boolean
  last_seen_ms?: number
  started_ms?: number
  clock_offset_ms?: number
  plan_revision?: number
  wanted_plan_revision?: number
  vessel?: string
  load?: {
    cpu_cores: number
    rss_bytes: number
    lines_total: number
    bytes_total: number
    unacked_revisions: number
    unacked_bytes: number
    dropped_windows: number
    files_open: number
  }
  tasks?: AgentTask[] | null
  task_count?: number
  error_count?: number
  problems?: string[] | null
}

export type AlarmLevel = 'P0' | 'P1' | 'P2' | 'P3' | 'P4'
export type Op = 'gt' | 'ge' | 'lt' | 'le' | 'eq' | 'ne'

export interface RuleCondition {
  monitor?: string
  figure?: string
  total?: boolean
  keys?: Record<string, string[]>
  expr?: string
  op: Op
  threshold: number
}

export interface RuleSpec {
  title: string
  description?: string
  disabled?: boolean
  level?: AlarmLevel
  every?: string
  join?: 'all' | 'any'
  conditions: RuleCondition[]
  for?: number
  recover_after?: number
  min_completeness?: number
  wait?: string
  channels?: string[]
  repeat_every?: string
  emergency_text?: string
  emergency_link?: string
}

export type Rule = Resource<RuleSpec> & { status?: { state: string; alerts: number; detail?: string; checked_ms?: number } }

export interface ChannelSpec {
  title: string
  type: 'dingtalk' | 'webhook' | 'mail'
  disabled?: boolean
  dingtalk?: { url?: string; secret?: string; keywords?: string[]; at_mobiles?: string[]; at_all?: boolean }
  webhook?: { url: string; headers?: Record<string, string>; access_key?: string; secret_key?: string }
  mail?: { host: string; port: number; tls?: string; username?: string; password?: string; from: string; to: string[] }
}

export type Channel = Resource<ChannelSpec>

export interface JudgedCondition {
  source: string
  op: string
  threshold: number
  value?: number | null
  result: string
  unit?: string
  completeness: number
}

export interface Alert {
  id: string
  rule_id: string
  rule: string
  title: string
  level: string
  state: string
  object: Record<string, string> | null
  started_ms: number
  ended_ms: number
  checks: number
  conditions: JudgedCondition[] | null
  message: string
  acknowledged_by: string
  acknowledged_ms: number
  acknowledge_note: string
}

export interface AlarmEvent {
  id: string
  alert_id: string
  rule: string
  title: string
  type: string
  level: string
  object: Record<string, string> | null
  time_ms: number
  started_ms: number
  conditions: JudgedCondition[] | null
  completeness: number
  message: string
}

export interface Delivery {
  id: string
  event_id: string
  more_event_ids: string[] | null
  channel: string
  state: string
  attempts: number
  created_ms: number
  next_attempt_ms: number
  sent_ms: number
  answer: string
  error: string
}

export interface ApiToken {
  id: string
  name: string
  user: string
  workspace: string
  role: Role
  created_at: string
  expires_at?: string
  last_used_at?: string
  secret?: string
}

export interface JoinToken {
  id: string
  label: string
  created_at?: string
  created_by: string
  expires_at?: string
  uses: number
  secret?: string
}

export interface AuditEntry {
  id: number
  time_ms: number
  actor: string
  action: string
  kind: string
  workspace: string
  name: string
  object_id: string
  before?: unknown
  after?: unknown
  request_id: string
}

export interface Problem {
  kind: string
  object?: string
  agent_id?: string
  message: string
}

export interface Overview {
  agents: { total: number; healthy: number; abnormal: number; clock_skew: number }
  freshness_ms: number | null
  settle_delay_ms: number | null
  lines_per_second: number | null
  bytes_per_second: number | null
  monitors: number
  alarms: Record<string, number>
  disk_bytes: number | null
  problems: Problem[]
}
