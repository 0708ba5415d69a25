/** Time, filters, keys and figures of a monitor. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Input, Segmented, Select } from 'antd'
import { useMemo } from 'react'
import type { DryRun, FilterRow, MonitorSpec, StatKind, Statistic } from '../api/types'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { Moment } from '../components/time'
import { usePrefs } from '../app/prefs'
import { spoken } from '../format/times'
import { useT } from '../i18n'
import { MaskFields, MatchFields, TopFields, TopN } from './LineRules'
import { figureName, figuresOf, groupLabels, hasList, isGrouped, measureOf, secondWindows, timeFormats, topKinds, windows, withMeasure, type Measure } from './spec'

export interface SectionProps {
  spec: MonitorSpec
  change: (p: Partial<MonitorSpec>) => void
  errors: FieldErrors
}

const zones: string[] = Intl.supportedValuesOf('timeZone')

export const zoneOptions = ['UTC', ...zones.filter((z) => z !== 'UTC')].map((z) => ({ value: z, label: z }))

export function TimeSection({ spec, change, errors, detected, dry }: SectionProps & { detected: string | undefined; dry: DryRun | undefined }) {
  const t = useT()
  const columns = (spec.columns ?? []).map((c) => ({ value: c.name, label: c.name }))
  const good = dry?.lines?.filter((l) => l.time_ms) ?? []
  const last = good.at(-1)
  return (
    <>
      <div className="fields">
        <Field label={t('editor.field.timeFormat')} hint={detected === undefined || (!detected && good.length > 0) ? undefined : detected ? t('editor.detected', { format: detected }) : t('editor.undetected')} bad={errors.at('spec.time.format')}>
          {(a) => (
            <Select {...a} style={{ width: '100%' }} value={spec.time.format} onChange={(format) => change({ time: { ...spec.time, format } })}
              options={timeFormats.map((f) => ({ value: f, label: t(`timeFormat.${f}`) }))} />
          )}
        </Field>
        {spec.time.format !== 'receive' && (
          <>
            {spec.time.format === 'custom' && (
              <Field label={t('editor.field.layout')} hint={t('editor.hint.layout')} bad={errors.at('spec.time.layout')}>
                {(a) => <Input {...a} className="mono" maxLength={100} placeholder="yyyy/MM/dd HH:mm:ss" value={spec.time.layout ?? ''} onChange={(e) => change({ time: { ...spec.time, layout: e.target.value || undefined } })} />}
              </Field>
            )}
            <Field label={t('editor.field.timeColumn')} hint={t('editor.hint.timeColumn')} bad={errors.at('spec.time.column')}>
              {(a) => (
                <Select {...a} style={{ width: '100%' }} showSearch value={spec.time.column ?? ''} onChange={(c) => change({ time: { ...spec.time, column: c || undefined } })}
                  options={[{ value: '', label: t('editor.lineStart') }, ...columns]} />
              )}
            </Field>
            <Field label={t('editor.field.timezone')} hint={t('editor.hint.timezone')} bad={errors.at('spec.time.timezone')}>
              {(a) => (
                <Select {...a} style={{ width: '100%' }} showSearch allowClear value={spec.time.timezone ?? ''} onChange={(z?: string) => change({ time: { ...spec.time, timezone: z || undefined } })}
                  options={[{ value: '', label: t('editor.agentZone') }, ...zoneOptions]} />
              )}
            </Field>
          </>
        )}
      </div>
      {dry && (
        <p className={good.length === 0 ? 'state-error' : 'muted'} style={{ margin: '10px 0 0' }}>
          {t('editor.timesFound', { n: good.length, total: dry.lines?.length ?? 0 })}
          {last && <> · {t('editor.lastTime')} <Moment at={last.time_ms} /></>}
        </p>
      )}
    </>
  )
}

export function FilterSection({ spec, change, errors, dry }: SectionProps & { dry: DryRun | undefined }) {
  const t = useT()
  const values = useMemo(() => {
    const out = new Map<string, Set<string>>()
    for (const l of dry?.lines ?? []) {
      for (const c of l.columns ?? []) {
        if (c.missing) continue
        const s = out.get(c.name) ?? new Set<string>()
        if (s.size < 50) s.add(c.value)
        out.set(c.name, s)
      }
    }
    return out
  }, [dry])
  const set = (kind: 'white' | 'black', rows: FilterRow[]) => change({ filters: { ...spec.filters, [kind]: rows } })
  const list = (kind: 'white' | 'black') => {
    const rows = spec.filters?.[kind] ?? []
    return (
      <div style={{ marginBottom: 8 }}>
        {rows.map((r, i) => {
          const bad = r.column === '' || r.values.length === 0 ? undefined : errors.below(`spec.filters.${kind}[${i}]`)
          return (
            <div key={i} style={{ marginBottom: 8 }}>
              <div className="row" style={{ flexWrap: 'nowrap' }}>
                <span className="nowrap" style={{ minWidth: 72 }}>{t(`filter.${kind}`)}</span>
                <Select aria-label={t('filter.column')} style={{ width: 170 }} showSearch value={r.column || undefined} placeholder={t('filter.column')} options={(spec.columns ?? []).map((c) => ({ value: c.name, label: c.name }))}
                  onChange={(column) => set(kind, rows.map((x, j) => (j === i ? { ...x, column } : x)))} />
                <span className="nowrap">{kind === 'white' ? t('filter.is') : t('filter.isNot')}</span>
                <Select aria-label={t('filter.values')} mode="tags" style={{ flex: 1, minWidth: 160 }} value={r.values} placeholder={t('filter.values')} tokenSeparators={[',']}
                  options={[...(values.get(r.column) ?? [])].map((v) => ({ value: v, label: v }))} onChange={(v: string[]) => set(kind, rows.map((x, j) => (j === i ? { ...x, values: v } : x)))} />
                <Button type="text" icon={<DeleteOutlined />} aria-label={t('filter.remove')} onClick={() => set(kind, rows.filter((_, j) => j !== i))} />
              </div>
              {bad && <div className="field"><div className="bad" role="alert">{bad}</div></div>}
            </div>
          )
        })}
      </div>
    )
  }
  const add = (kind: 'white' | 'black') => set(kind, [...(spec.filters?.[kind] ?? []), { column: '', values: [] }])
  const none = !spec.filters?.white?.length && !spec.filters?.black?.length
  return (
    <>
      {none && <p className="muted" style={{ margin: '0 0 8px' }}>{t('filter.none')}</p>}
      {list('white')}
      {list('black')}
      <div className="row">
        <Button icon={<PlusOutlined />} disabled={!spec.columns?.length} onClick={() => add('white')}>{t('filter.addWhite')}</Button>
        <Button icon={<PlusOutlined />} disabled={!spec.columns?.length} onClick={() => add('black')}>{t('filter.addBlack')}</Button>
      </div>
    </>
  )
}

const kinds: StatKind[] = ['count', 'sum', 'avg', 'min', 'max', 'ratio', 'occurrences', 'p50', 'p75', 'p90', 'p95', 'p99', 'p999', 'distinct', 'success', 'fail', 'success_rate']

const measures: Measure[] = ['figures', 'service', 'second', 'keys', 'top', 'match']

/** FiguresSection asks what is measured, by which keys and how often; `saved` is the monitor as it is, whose type is for good. */
export function FiguresSection({ spec, change, errors, saved }: SectionProps & { saved?: MonitorSpec }) {
  const t = useT()
  const { language } = usePrefs()
  const columns = (spec.columns ?? []).map((c) => ({ value: c.name, label: c.name }))
  const measure = measureOf(spec.type)
  const keyless = saved !== undefined && saved.type !== 'spm' && !hasList(saved.type) && !isGrouped(saved)
  const choices = measure === 'second' ? secondWindows : windows
  return (
    <>
      <div className="fields" style={{ marginBottom: 12 }}>
        <Field label={t('editor.field.measure')} hint={t(`measureHint.${measure}`)} bad={errors.at('spec.type')} wide>
          {(a) => (
            <Segmented id={a.id} disabled={saved !== undefined} value={measure} onChange={(m) => change(withMeasure(spec, m))}
              options={measures.map((m) => ({ value: m, label: t(`measure.${m}`) }))} />
          )}
        </Field>
        {measure !== 'match' && <Field label={measure === 'top' ? t('editor.field.recordColumns') : t('editor.field.groupBy')} hint={measure === 'top' ? t('editor.hint.recordColumns') : keyless ? t('editor.hint.groupFixed') : t('editor.hint.groupBy')} bad={errors.below('spec.group_by')} wide>
          {(a) => (
            <Select {...a} mode="multiple" style={{ width: '100%' }} disabled={keyless} value={spec.group_by ?? []} maxCount={8} placeholder={measure === 'top' ? t('editor.noRecordColumns') : t('editor.noGroup')} onChange={(g: string[]) => change({ group_by: g })}
              options={[
                { label: t('editor.group.columns'), options: columns },
                { label: t('editor.group.labels'), options: groupLabels.map((l) => ({ value: l, label: l })) },
              ]} />
          )}
        </Field>}
        {measure !== 'match' && <Field label={t('editor.field.window')} hint={t('editor.hint.window')} bad={errors.at('spec.window')}>
          {(a) => <Select {...a} style={{ width: '100%' }} value={spec.window ?? choices[0]} onChange={(window) => change({ window })} options={choices.map((w) => ({ value: w, label: t('editor.perWindow', { window: spoken(w, language) }) }))} />}
        </Field>}
        {measure === 'keys' && <TopN spec={spec} change={change} errors={errors} most={100} label={t('top.keys')} />}
        {measure === 'top' && <TopFields spec={spec} change={change} errors={errors} />}
        {columns.length > 0 && measure !== 'match' && measure !== 'top' && (
          <Field label={t('editor.field.weight')} hint={t('editor.hint.weight')} bad={errors.at('spec.weight_column')}>
            {(a) => <Select {...a} style={{ width: '100%' }} showSearch allowClear value={spec.weight_column} placeholder={t('editor.noWeight')} options={columns} onChange={(c?: string) => change({ weight_column: c })} />}
          </Field>
        )}
        {measure === 'service' && (
          <>
            <Field label={t('editor.field.result')} hint={t('editor.hint.result')} bad={errors.at('spec.result_column')}>
              {(a) => <Select {...a} style={{ width: '100%' }} showSearch value={spec.result_column} placeholder={t('figure.chooseColumn')} options={columns} onChange={(c) => change({ result_column: c })} />}
            </Field>
            <Field label={t('editor.field.took')} hint={t('editor.hint.took')} bad={errors.at('spec.time_column')}>
              {(a) => <Select {...a} style={{ width: '100%' }} showSearch allowClear value={spec.time_column} placeholder={t('editor.noTook')} options={columns} onChange={(c?: string) => change({ time_column: c })} />}
            </Field>
          </>
        )}
      </div>
      {measure === 'match' && <MatchFields spec={spec} change={change} errors={errors} />}
      {(measure === 'match' || measure === 'top') && <MaskFields spec={spec} change={change} errors={errors} />}
      {measure === 'match' ? null : measure === 'top' ? (
        <p className="muted" style={{ margin: 0 }}>{t('top.series')}</p>
      ) : measure === 'service' ? (
        <ul className="plain-list" aria-label={t('figure.kind')}>
          {figuresOf(spec).map((s) => <li key={s.name}><code>{s.name}</code> <span className="muted">{t(`service.${s.name as ServiceFigure}`)}</span></li>)}
        </ul>
      ) : <FigureTable spec={spec} change={change} errors={errors} one={measure === 'keys'} />}
    </>
  )
}

type ServiceFigure = 'total' | 'success' | 'fail' | 'success_rate' | 'avg_ms'

function FigureTable({ spec, change, errors, one }: SectionProps & { one: boolean }) {
  const t = useT()
  const columns = (spec.columns ?? []).map((c) => ({ value: c.name, label: c.name }))
  const stats = spec.statistics ?? []
  const set = (i: number, s: Partial<Statistic>) => change({ statistics: stats.map((x, j) => (j === i ? { ...x, ...s } : x)) })
  return (
    <>
      <table className="plain-table">
        <thead>
          <tr><th style={{ width: 150 }}>{t('figure.kind')}</th><th>{t('figure.column')}</th><th>{t('figure.name')}</th><th style={{ width: 110 }}>{t('figure.unit')}</th><th /></tr>
        </thead>
        <tbody>
          {stats.map((s, i) => {
            const bad = errors.below(`spec.statistics[${i}]`)
            const label = t('figure.n', { n: i + 1 })
            const unit = s.kind === 'success_rate' ? '%' : undefined
            return (
              <tr key={i}>
                <td><Select aria-label={`${label}: ${t('figure.kind')}`} style={{ width: '100%' }} value={s.kind} popupMatchSelectWidth={false} options={(one ? topKinds : kinds).map((k) => ({ value: k, label: t(`stat.${k}`) }))}
                  onChange={(kind) => set(i, { kind, name: undefined, unit: kind === 'success_rate' ? '%' : s.unit === unit ? undefined : s.unit })} /></td>
                <td>
                  <FigureColumns figure={s} label={label} columns={columns} bad={bad !== undefined} set={(x) => set(i, x)} />
                  {bad && <div className="field"><div className="bad" role="alert">{bad}</div></div>}
                </td>
                <td><Input aria-label={`${label}: ${t('figure.name')}`} className="mono" value={s.name ?? ''} placeholder={figureName(s)} maxLength={63} onChange={(e) => set(i, { name: e.target.value || undefined })} /></td>
                <td><Input aria-label={`${label}: ${t('figure.unit')}`} value={s.unit ?? ''} placeholder="ms, CNY" onChange={(e) => set(i, { unit: e.target.value || undefined })} /></td>
                <td><Button type="text" disabled={stats.length === 1} icon={<DeleteOutlined />} aria-label={t('figure.remove', { n: i + 1 })} onClick={() => change({ statistics: stats.filter((_, j) => j !== i) })} /></td>
              </tr>
            )
          })}
        </tbody>
      </table>
      {errors.at('spec.statistics') && <div className="field"><div className="bad" role="alert">{errors.at('spec.statistics')}</div></div>}
      {!one && stats.length < 10 && <Button style={{ marginTop: 8 }} icon={<PlusOutlined />} onClick={() => change({ statistics: [...stats, { kind: columns.length > 0 ? 'sum' : 'count' }] })}>{t('figure.add')}</Button>}
    </>
  )
}

interface FigureColumnsProps {
  figure: Statistic
  label: string
  columns: { value: string; label: string }[]
  bad: boolean
  set: (s: Partial<Statistic>) => void
}

/** FigureColumns are what a figure is made of: nothing, a column, two of them, or a text and where it stands. */
function FigureColumns({ figure: s, label, columns, bad, set }: FigureColumnsProps) {
  const t = useT()
  const status = bad ? 'error' : undefined
  const choose = (name: string, value: string | undefined, onChange: (c: string) => void) => (
    <Select aria-label={`${label}: ${name}`} style={{ width: '100%' }} showSearch value={value} placeholder={t('figure.chooseColumn')} status={status} options={columns} onChange={onChange} />
  )
  const column = choose(t('figure.column'), s.column, (c) => set({ column: c, name: undefined }))
  switch (s.kind) {
    case 'count':
      return <span className="muted">{t('figure.lines')}</span>
    case 'ratio':
      return <div className="row" style={{ flexWrap: 'nowrap' }}>{column}<span aria-hidden>÷</span>{choose(t('figure.divisor'), s.divisor, (divisor) => set({ divisor }))}</div>
    case 'occurrences':
      return (
        <div className="row" style={{ flexWrap: 'nowrap' }}>
          <Input aria-label={`${label}: ${t('figure.text')}`} className="mono" value={s.text ?? ''} placeholder={t('figure.text')} status={status} maxLength={256} onChange={(e) => set({ text: e.target.value })} />
          <span className="nowrap">{t('figure.in')}</span>
          <Select aria-label={`${label}: ${t('figure.column')}`} style={{ minWidth: 110 }} value={s.column ?? ''} options={[{ value: '', label: t('figure.wholeLine') }, ...columns]} onChange={(c) => set({ column: c || undefined, name: undefined })} />
        </div>
      )
  }
  return column
}
