/** The form of one value column. */
import { Input, InputNumber, Select } from 'antd'
import type { Report, ReportColumn } from '../api/types'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import { choosesKeys } from './data'

const functions = ['value', 'value_yesterday', 'value_last_week', 'ring_diff', 'ring_pct', 'day_diff', 'day_pct', 'week_diff', 'week_pct', 'a_plus_b', 'a_minus_b', 'a_times_b', 'a_div_b', 'time'] as const

const styles = ['number', 'thousands', 'percent', 'bytes', 'ms'] as const

interface Props {
  column: ReportColumn
  report: Report
  sources: { name: string; figures: string[] }[]
  keys: string[][]
  errors: FieldErrors
  path: string
  onChange: (c: ReportColumn) => void
}

export function ColumnForm({ column: c, report, sources, keys, errors, path, onChange }: Props) {
  const t = useT()
  const at = (field: string) => errors.at(`${path}.${field}`)
  const change = (part: Partial<ReportColumn>) => onChange({ ...c, ...part })
  const format = (part: NonNullable<ReportColumn['format']>) => change({ format: { ...c.format, ...part } })
  const figures = (name?: string) => (sources.find((s) => s.name === name) ?? sources[0])?.figures.map((f) => ({ value: f, label: f })) ?? []
  const two = c.function?.startsWith('a_') ?? false
  const names = sources.map((s) => ({ value: s.name, label: s.name }))
  return (
    <div className="fields">
      <Field label={t('column.header')} bad={at('header_group')}>{(a) => <Input {...a} maxLength={64} value={c.header_group ?? ''} onChange={(e) => change({ header_group: e.target.value || undefined })} />}</Field>
      <Field label={t('column.name')} bad={at('name')}>{(a) => <Input {...a} maxLength={64} value={c.name} onChange={(e) => change({ name: e.target.value })} />}</Field>
      <Field label={t('column.function')} bad={at('function')}>
        {(a) => <Select {...a} value={c.function ?? 'value'} options={functions.map((f) => ({ value: f, label: t(`function.${f}`) }))} onChange={(v) => change({ function: v, ...(v.startsWith('a_') ? {} : { source_b: undefined, figure_b: undefined }), ...(v === 'time' ? { source: undefined, figure: undefined } : {}) })} />}
      </Field>
      {c.function !== 'time' && (
        <>
          <Field label={two ? t('column.sourceA') : t('column.source')} bad={at('source')}>{(a) => <Select {...a} allowClear value={c.source || undefined} placeholder={sources[0]?.name} options={names} onChange={(v?: string) => change({ source: v, figure: undefined })} />}</Field>
          <Field label={t('report.figure')} bad={at('figure')}>{(a) => <Select {...a} allowClear value={c.figure || undefined} options={figures(c.source)} onChange={(v?: string) => change({ figure: v })} />}</Field>
          {two && (
            <>
              <Field label={t('column.sourceB')} bad={at('source_b')}>{(a) => <Select {...a} allowClear value={c.source_b || undefined} placeholder={sources[0]?.name} options={names} onChange={(v?: string) => change({ source_b: v, figure_b: undefined })} />}</Field>
              <Field label={t('column.figureB')} bad={at('figure_b')}>{(a) => <Select {...a} allowClear value={c.figure_b || undefined} options={figures(c.source_b)} onChange={(v?: string) => change({ figure_b: v })} />}</Field>
            </>
          )}
          {choosesKeys(report.type) && <Field label={t('column.keys')} hint={t('column.keys.hint')} bad={at('key_supplement')}>{(a) => <Input {...a} className="mono" placeholder={keys[0]?.map(() => '.').join(',') || '.,value'} value={c.key_supplement ?? ''} onChange={(e) => change({ key_supplement: e.target.value || undefined })} />}</Field>}
          <Field label={t('column.style')} bad={at('format.style')}>{(a) => <Select {...a} value={c.format?.style ?? 'number'} options={styles.map((v) => ({ value: v, label: t(`style.${v}`) }))} onChange={(v) => format({ style: v })} />}</Field>
          <Field label={t('column.decimals')} bad={at('format.decimals')}>{(a) => <InputNumber {...a} min={0} max={6} value={c.format?.decimals ?? null} onChange={(v) => format({ decimals: v ?? undefined })} />}</Field>
          <Field label={t('column.unit')} bad={at('format.unit')}>{(a) => <Input {...a} maxLength={16} value={c.format?.unit ?? ''} onChange={(e) => format({ unit: e.target.value || undefined })} />}</Field>
          <Field label={t('column.orange')} bad={at('orange_threshold')}>{(a) => <InputNumber {...a} style={{ width: '100%' }} value={c.orange_threshold ?? null} onChange={(v) => change({ orange_threshold: v ?? undefined })} />}</Field>
          <Field label={t('column.red')} bad={at('red_threshold')}>{(a) => <InputNumber {...a} style={{ width: '100%' }} value={c.red_threshold ?? null} onChange={(v) => change({ red_threshold: v ?? undefined })} />}</Field>
          {(c.orange_threshold !== undefined || c.red_threshold !== undefined) && <Field label={t('column.direction')} bad={at('direction')}>{(a) => <Select {...a} value={c.direction ?? 'above'} options={(['above', 'below'] as const).map((v) => ({ value: v, label: t(`direction.${v}`) }))} onChange={(v) => change({ direction: v })} />}</Field>}
          <Field label={t('column.diagnosis')} hint={t('column.diagnosis.hint')} bad={at('diagnosis_link')} wide>{(a) => <Input {...a} placeholder="https://…?key=${key}&time=${time}" value={c.diagnosis_link ?? ''} onChange={(e) => change({ diagnosis_link: e.target.value || undefined })} />}</Field>
        </>
      )}
    </div>
  )
}
