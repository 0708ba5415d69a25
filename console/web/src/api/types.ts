/** The API's objects by the names the pages use; all come from the OpenAPI document. */
import type { components } from './schema'

type S = components['schemas']

export interface List<T> {
  items: T[]
  total: number
  page: number
  page_size: number
}

export type User = S['User']
export type Role = S['WorkspaceRole']['role']
export type Workspace = S['Workspace']
export type Session = Pick<S['SessionState'], 'user' | 'workspaces'>

export type Monitor = S['Monitor']
export type MonitorSpec = S['LogMonitorSpec']
export type Column = S['Column']
export type Translation = S['Translation']
export type TranslationEntry = S['TranslationEntry']
export type TranslationForms = S['TranslationForms']
export type FilterRow = S['FilterRow']
export type Statistic = S['Statistic']
export type StatKind = Statistic['kind']
export type LineCounters = S['LineCounters']
export type DryRun = S['DryRun']
export type DryRunLine = S['DryRunLine']
export type FileEntry = S['FileEntry']
export type Browse = S['Directory']
export type Preview = S['Preview']
export type WindowState = S['WindowState']
export type MonitorWindows = S['MonitorWindows']
export type MonitorAgent = S['MonitorAgent']
export type FileStatus = S['FileState']
export type BadLine = S['BadLine']
export type Favourite = S['Favourite']
export type Template = S['Template']
export type Imported = S['Imported']
export type ImportedItem = S['ImportedItem']
export type Folder = S['Folder']
export type FolderTree = S['Tree']
export type Diagnosis = S['Diagnosis']
export type DiagnosisCheck = S['Check']
export type Evidence = S['Evidence']
export type KeyRow = S['KeyRow']
export type KeyTable = S['KeyTable']
export type MonitorRow = S['MonitorRow']
export type MonitorRows = S['MonitorRows']
export type RowWindow = S['RowWindow']

export type Agent = S['Agent']
export type AgentDetail = S['AgentDetail']
export type AgentTask = S['Task']
export type Overview = S['Overview']

export type Rule = S['Rule']
export type RuleSpec = S['AlarmRuleSpec']
export type RuleCondition = S['RuleCondition']
export type Op = RuleCondition['op']
export type AlarmLevel = NonNullable<RuleSpec['level']>
export type JudgedCondition = S['JudgedCondition']
export type Alert = S['Alert']
export type AlarmEvent = S['Event']
export type Channel = S['Channel']
export type ChannelSpec = S['ChannelSpec']
export type Delivery = S['Delivery']

export type ApiToken = S['Token']
export type NewApiToken = S['NewToken']
export type JoinToken = S['JoinToken']
export type NewJoinToken = S['NewJoinToken']
export type AuditEntry = S['AuditEntry']
