/** What monitors that keep lines have of their own: which records, the alarm on matches, and what is masked. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Checkbox, Input, InputNumber, Segmented, Select } from 'antd'
import { Link } from 'react-router'
import { get, inWorkspace } from '../api/client'
import type { Channel, List, MonitorSpec } from '../api/types'
import { useWorkspace } from '../app/url'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import type { SectionProps } from './sections'

/** TopFields ask which records of a window are kept. */
export function TopFields({ spec, change, errors }: SectionProps) {
  const t = useT()
  const columns = (spec.columns ?? []).map((c) => ({ value: c.name, label: c.name }))
  return (
    <>
      <Field label={t('top.sortColumn')} hint={t('top.sortColumn.hint')} bad={errors.at('spec.sort_column')}>
        {(a) => <Select {...a} style={{ width: '100%' }} showSearch value={spec.sort_column} placeholder={t('figure.chooseColumn')} options={columns} onChange={(c) => change({ sort_column: c })} />}
      </Field>
      <TopN spec={spec} change={change} errors={errors} most={200} label={t('top.n')} />
    </>
  )
}

/** TopN asks how many records or keys of a window are listed. */
export function TopN({ spec, change, errors, most, label }: SectionProps & { most: number; label: string }) {
  const t = useT()
  return (
    <Field label={label} hint={t('top.n.hint', { most })} bad={errors.at('spec.top_n')}>
      {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={1} max={most} precision={0} value={spec.top_n ?? 10} onChange={(v) => change({ top_n: v ?? 10 })} />}
    </Field>
  )
}

type Match = NonNullable<MonitorSpec['match']>

/** MatchFields are the alarm of a monitor of type match: from how many lines on it fires, who is told, and what. */
export function MatchFields({ spec, change, errors }: SectionProps) {
  const t = useT()
  const workspace = useWorkspace()
  const channels = useQuery({ queryKey: ['channels', 'all', workspace], queryFn: ({ signal }) => get<List<Channel>>(inWorkspace(workspace, 'channels'), { page_size: 100 }, signal) })
  const m: Match = spec.match ?? { title: '', level: 'P2' }
  const set = (p: Partial<Match>) => change({ match: { ...m, ...p } })
  const at = (f: string) => errors.at('spec.match.' + f)
  const count = (field: 'min_lines_chat' | 'min_lines_sms', hint: string) => (
    <Field label={t(`match.${field}`)} hint={hint} bad={at(field)}>
      {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={1} precision={0} placeholder={t('match.never')} value={m[field] || null} onChange={(v) => set({ [field]: v ?? undefined })} />}
    </Field>
  )
  const names = (field: 'channels' | 'sms_channels', on: boolean, hint: string) => (
    <Field label={t(`match.${field}`)} bad={errors.below('spec.match.' + field)} hint={channels.data?.total === 0 ? <Link to={`/w/${encodeURIComponent(workspace)}/channels`}>{t('rule.makeChannel')}</Link> : hint}>
      {(a) => <Select {...a} mode="multiple" style={{ width: '100%' }} disabled={!on} value={m[field] ?? []} onChange={(v: string[]) => set({ [field]: v })} options={(channels.data?.items ?? []).map((c) => ({ value: c.name, label: `${c.spec.title} (${c.name})` }))} />}
    </Field>
  )
  const custom = m.text_mode === 'custom'
  return (
    <>
      {!spec.filters?.white?.length && <Alert style={{ marginBottom: 12 }} type="warning" showIcon title={t('match.everyLine')} />}
      <div className="fields" style={{ marginBottom: 12 }}>
        <Field label={t('match.title')} hint={t('match.title.hint')} bad={at('title')}>
          {(a) => <Input {...a} maxLength={100} value={m.title} onChange={(e) => set({ title: e.target.value })} />}
        </Field>
        <Field label={t('rule.level')} hint={t('rule.level.hint')} bad={at('level')}>
          {(a) => <Select {...a} style={{ width: '100%' }} value={m.level} onChange={(level) => set({ level })} options={(['P0', 'P1', 'P2'] as const).map((l) => ({ value: l, label: `${l} · ${t(`level.${l}`)}` }))} />}
        </Field>
        {count('min_lines_chat', t('match.min.hint'))}
        {names('channels', !!m.min_lines_chat, t('match.channels.hint'))}
        {count('min_lines_sms', t('match.min.hint'))}
        {names('sms_channels', !!m.min_lines_sms, t('match.sms_channels.hint'))}
        <Field label={t('match.maxLines')} hint={t('match.maxLines.hint')} bad={at('max_lines')}>
          {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={0} max={20} precision={0} value={m.max_lines ?? 3} onChange={(v) => set({ max_lines: v ?? 3 })} />}
        </Field>
        <Field label={t('match.textMode')} bad={at('text_mode')}>
          {(a) => <Segmented<'default' | 'custom'> id={a.id} value={custom ? 'custom' : 'default'} onChange={(v) => set({ text_mode: v })} options={(['default', 'custom'] as const).map((v) => ({ value: v, label: t(`match.text.${v}`) }))} />}
        </Field>
        {custom && (
          <>
            <Field label={t('match.textPattern')} hint={t('match.textPattern.hint')} bad={at('text_pattern')} wide>
              {(a) => <Input {...a} className="mono" maxLength={2000} placeholder="order (?P<order>\d+) failed: (?P<why>.*)" value={m.text_pattern ?? ''} onChange={(e) => set({ text_pattern: e.target.value })} />}
            </Field>
            <Field label={t('match.customText')} hint={t('match.customText.hint')} bad={at('custom_text')} wide>
              {(a) => <Input.TextArea {...a} className="mono" maxLength={1000} autoSize={{ minRows: 1, maxRows: 5 }} placeholder="${order}: ${why}" value={m.custom_text ?? ''} onChange={(e) => set({ custom_text: e.target.value })} />}
            </Field>
          </>
        )}
        <Field label={t('rule.emergencyText')} hint={t('rule.emergencyText.hint')} bad={at('emergency_text')}>
          {(a) => <Input.TextArea {...a} maxLength={500} autoSize={{ minRows: 1, maxRows: 5 }} value={m.emergency_text} onChange={(e) => set({ emergency_text: e.target.value })} />}
        </Field>
        <Field label={t('rule.emergencyLink')} bad={at('emergency_link')}>
          {(a) => <Input {...a} maxLength={500} placeholder="https://" value={m.emergency_link} onChange={(e) => set({ emergency_link: e.target.value })} />}
        </Field>
      </div>
    </>
  )
}

/** MaskFields say what of kept lines never leaves the machine. */
export function MaskFields({ spec, change, errors }: SectionProps) {
  const t = useT()
  const without = spec.masking?.without ?? []
  const replace = spec.masking?.replace ?? []
  const set = (p: Partial<NonNullable<MonitorSpec['masking']>>) => change({ masking: { ...spec.masking, ...p } })
  return (
    <div style={{ marginBottom: 12 }}>
      <Field label={t('mask.title')} hint={t('mask.hint')} bad={errors.below('spec.masking.without')}>
        {(a) => (
          <Checkbox.Group value={masks.filter((m) => !without.includes(m))} onChange={(on) => set({ without: masks.filter((m) => !on.includes(m)) })}
            options={masks.map((m, i) => ({ value: m, label: t(`mask.${m}`), id: i === 0 ? a.id : undefined }))} />
        )}
      </Field>
      <Replacements list={replace} path="spec.masking.replace" errors={errors} onChange={(list) => set({ replace: list })} />
    </div>
  )
}

export const masks = ['mobile', 'id_card', 'bank_card', 'email'] as const

export type Replacement = NonNullable<NonNullable<MonitorSpec['masking']>['replace']>[number]

/** Replacements are patterns with what stands in their place. */
export function Replacements({ list, path, errors, onChange }: { list: readonly Replacement[]; path: string; errors: FieldErrors; onChange: (list: Replacement[]) => void }) {
  const t = useT()
  return (
    <>
      {list.map((r, i) => {
        const bad = errors.below(`${path}[${i}]`)
        return (
          <div key={i} style={{ marginTop: 8 }}>
            <div className="row" style={{ flexWrap: 'nowrap' }}>
              <Input className="mono" aria-label={t('mask.pattern', { n: i + 1 })} placeholder="token=\w+" maxLength={500} status={bad && 'error'} value={r.pattern} onChange={(e) => onChange(list.map((x, j) => (j === i ? { ...x, pattern: e.target.value } : x)))} />
              <span className="nowrap" aria-hidden>→</span>
              <Input className="mono" aria-label={t('mask.with', { n: i + 1 })} placeholder="token=***" maxLength={200} value={r.with ?? ''} onChange={(e) => onChange(list.map((x, j) => (j === i ? { ...x, with: e.target.value } : x)))} />
              <Button type="text" icon={<DeleteOutlined />} aria-label={t('mask.remove', { n: i + 1 })} onClick={() => onChange(list.filter((_, j) => j !== i))} />
            </div>
            {bad && <div className="field"><div className="bad" role="alert">{bad}</div></div>}
          </div>
        )
      })}
      {list.length < 10 && <Button style={{ marginTop: 8 }} icon={<PlusOutlined />} onClick={() => onChange([...list, { pattern: '', with: '***' }])}>{t('mask.add')}</Button>}
    </>
  )
}
