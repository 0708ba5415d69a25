/** What the form of a channel asks for, by kind, for those that are plain lists of fields. */
import type { ChannelSpec } from '../api/types'
import type { TextKey } from '../i18n'

export type Kind = ChannelSpec['type']

/** FieldDef is a field of a channel's part; path leads to it there. Secrets that are stored stay when left empty. */
export interface FieldDef {
  path: string
  label: TextKey
  kind: 'text' | 'secret' | 'tags' | 'switch' | 'area' | 'pairs' | 'number' | 'select'
  hint?: TextKey
  placeholder?: string
  required?: boolean
  options?: { value: string; label: TextKey }[]
  /** when tells whether the field has a use beside the values of the others. */
  when?: (value: Values) => boolean
}

export type Values = Record<string, unknown>

const robot = (placeholder: string): FieldDef => ({ path: 'url', label: 'channel.robotUrl', kind: 'secret', hint: 'channel.robotUrl.hint', placeholder, required: true })

export const fieldsOf: Partial<Record<Kind, FieldDef[]>> = {
  wecom: [
    robot('https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…'),
    { path: 'at_users', label: 'channel.atUsers', kind: 'tags', hint: 'channel.atUsers.hint' },
  ],
  feishu: [
    robot('https://open.feishu.cn/open-apis/bot/v2/hook/…'),
    { path: 'secret', label: 'channel.signSecret', kind: 'secret', hint: 'channel.signSecret.hint' },
    { path: 'keywords', label: 'channel.keywords', kind: 'tags', hint: 'channel.keywords.hint' },
    { path: 'at_all', label: 'channel.atAll', kind: 'switch' },
  ],
  pagerduty: [
    { path: 'routing_key', label: 'channel.routingKey', kind: 'secret', hint: 'channel.routingKey.hint', required: true },
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.url.default', placeholder: 'https://events.pagerduty.com/v2/enqueue' },
  ],
  alertmanager: [
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.alertmanagerUrl.hint', placeholder: 'http://alertmanager:9093', required: true },
    { path: 'username', label: 'login.username', kind: 'text' },
    { path: 'password', label: 'login.password', kind: 'secret' },
    { path: 'token', label: 'channel.token', kind: 'secret', hint: 'channel.token.hint' },
  ],
  slack: [robot('https://hooks.slack.com/services/…')],
}

/** valueAt reads the value at a path such as phones.to. */
export function valueAt(value: Values, path: string): unknown {
  return path.split('.').reduce<unknown>((v, key) => (v as Values | undefined)?.[key], value)
}

/** withValue returns a copy of value with another one at path. */
export function withValue(value: Values, path: string, next: unknown): Values {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  return { ...value, [key]: rest.length === 0 ? next : withValue((value[key] as Values | undefined) ?? {}, rest.join('.'), next) }
}

/** cleaned leaves out what is empty: it stands for a default, or for a secret that is kept. */
export function cleaned(value: Values): Values {
  const out: Values = {}
  for (const [key, v] of Object.entries(value)) {
    if (v === undefined || v === null || v === '' || v === false || (Array.isArray(v) && v.length === 0)) continue
    if (typeof v === 'object' && !Array.isArray(v)) {
      const inner = cleaned(v as Values)
      if (Object.keys(inner).length > 0) out[key] = inner
    } else out[key] = v
  }
  return out
}

/** complete tells whether everything that is required is there; secrets of a channel that exists may be. */
export function complete(fields: FieldDef[], value: Values, exists: boolean): boolean {
  return fields.every((f) => {
    if (!f.required || (f.when && !f.when(value)) || (exists && f.kind === 'secret')) return true
    const v = valueAt(value, f.path)
    return v !== undefined && v !== '' && !(Array.isArray(v) && v.length === 0)
  })
}

/** pairsText and readPairs turn a map to lines of "Name: value" and back. */
export function pairsText(pairs: Record<string, string> | undefined): string {
  return Object.entries(pairs ?? {}).map(([k, v]) => `${k}: ${v}`).join('\n')
}

export function readPairs(text: string): Record<string, string> | undefined {
  const rows = text.split('\n').map((l) => l.split(':')).filter((p) => p[0]!.trim() !== '')
  return rows.length === 0 ? undefined : Object.fromEntries(rows.map(([k, ...v]) => [k!.trim(), v.join(':').trim()]))
}
