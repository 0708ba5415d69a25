/** What the form of a channel asks for, by kind, for those that are plain lists of fields. */
import type { ChannelSpec } from '../api/types'
import type { TextKey } from '../i18n'

export type Kind = ChannelSpec['type']

/** FieldDef is a field of a channel's part; path leads to it there. Secrets that are stored stay when left empty. */
export interface FieldDef {
  path: string
  label: TextKey
  kind: 'text' | 'secret' | 'tags' | 'switch' | 'area' | 'pairs' | 'lines' | 'levels' | 'number' | 'select'
  hint?: TextKey
  placeholder?: string
  required?: boolean
  options?: { value: string; label: TextKey }[]
  /** when tells whether the field has a use beside the values of the others. */
  when?: (value: Values) => boolean
}

export type Values = Record<string, unknown>

const robot = (placeholder: string): FieldDef => ({ path: 'url', label: 'channel.robotUrl', kind: 'secret', hint: 'channel.robotUrl.hint', placeholder, required: true })

const calls = (v: Values) => valueAt(v, 'phones.use') === 'call'

const phones: FieldDef[] = [
  { path: 'phones.use', label: 'channel.use', kind: 'select', options: [{ value: 'sms', label: 'channel.use.sms' }, { value: 'call', label: 'channel.use.call' }] },
  { path: 'phones.to', label: 'channel.phones', kind: 'tags', hint: 'channel.phones.hint', placeholder: '+8613812345678', required: true },
  { path: 'phones.levels', label: 'channel.levels', kind: 'levels', hint: 'channel.levels.hint' },
  { path: 'phones.per_day', label: 'channel.perDay', kind: 'number', hint: 'channel.perDay.hint' },
]

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
  gateway: [
    ...phones,
    { path: 'method', label: 'channel.method', kind: 'select', options: [{ value: 'POST', label: 'channel.method.POST' }, { value: 'GET', label: 'channel.method.GET' }, { value: 'PUT', label: 'channel.method.PUT' }] },
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.template.hint', placeholder: 'https://sms.example.com/send?to=${to}', required: true },
    { path: 'headers', label: 'channel.headers', kind: 'pairs', placeholder: 'Authorization: Bearer ${secret}' },
    { path: 'body', label: 'channel.body', kind: 'area', hint: 'channel.body.hint', placeholder: '{"to": "${to}", "text": "${text}"}', when: (v) => v.method !== 'GET' },
    { path: 'secret', label: 'channel.secret', kind: 'secret', hint: 'channel.secret.hint' },
    { path: 'success', label: 'channel.success', kind: 'text', hint: 'channel.success.hint', placeholder: '"code":0' },
  ],
  aliyun: [
    ...phones,
    { path: 'access_key_id', label: 'channel.accessKeyId', kind: 'text', required: true },
    { path: 'access_key_secret', label: 'channel.accessKeySecret', kind: 'secret', required: true },
    { path: 'sign_name', label: 'channel.signName', kind: 'text', required: true, when: (v) => !calls(v) },
    { path: 'template', label: 'channel.template', kind: 'text', placeholder: 'SMS_123456789', required: true },
    { path: 'show_number', label: 'channel.showNumber', kind: 'text', when: calls },
    { path: 'params', label: 'channel.params', kind: 'pairs', hint: 'channel.params.hint', placeholder: 'title: ${title:35}' },
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.url.default', placeholder: 'https://dysmsapi.aliyuncs.com' },
  ],
  tencent: [
    ...phones,
    { path: 'secret_id', label: 'channel.secretId', kind: 'text', required: true },
    { path: 'secret_key', label: 'channel.secretKey', kind: 'secret', required: true },
    { path: 'app_id', label: 'channel.appId', kind: 'text', placeholder: '1400006666', required: true },
    { path: 'sign_name', label: 'channel.signName', kind: 'text', required: true, when: (v) => !calls(v) },
    { path: 'template', label: 'channel.template', kind: 'text', required: true },
    { path: 'params', label: 'channel.params', kind: 'lines', hint: 'channel.paramLines.hint', placeholder: '${title:12}' },
    { path: 'region', label: 'channel.region', kind: 'text', placeholder: 'ap-guangzhou' },
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.url.default', placeholder: 'https://sms.tencentcloudapi.com' },
  ],
  twilio: [
    ...phones,
    { path: 'account_sid', label: 'channel.accountSid', kind: 'text', placeholder: 'AC…', required: true },
    { path: 'auth_token', label: 'channel.authToken', kind: 'secret', required: true },
    { path: 'from', label: 'channel.fromNumber', kind: 'text', hint: 'channel.fromNumber.hint', placeholder: '+15005550006', required: true },
    { path: 'url', label: 'channel.url', kind: 'text', hint: 'channel.url.default', placeholder: 'https://api.twilio.com' },
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

/** readLines turns text to its lines that are not empty. */
export function readLines(text: string): string[] {
  return text.split('\n').map((l) => l.trim()).filter((l) => l !== '')
}
