/** The table of columns: rule, values on the sample, name. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Input, InputNumber, Select, Space } from 'antd'
import type { Column, DryRun, MonitorSpec } from '../api/types'
import { usePrefs } from '../app/prefs'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import type { Sample } from './FileSection'
import { readSpaces, showSpaces } from './cut'
import { columnColor } from './Lines'
import { freeName } from './propose'
import { TranslationButton } from './Translation'
import { removeColumn, renameColumn } from './spec'

const kinds = ['split', 'between', 'json', 'kv', 'regex', 'fixed', 'line', 'formula'] as const

type Kind = (typeof kinds)[number]

function kindOf(c: Column): Kind {
  return c.formula !== undefined ? 'formula' : (kinds.find((k) => c[k]) ?? 'line')
}

/** withKind changes the kind of a rule and keeps what else is said of the column. */
function withKind({ name, from, translate }: Column, kind: Kind, delimiter: string): Column {
  const rest = { name, from, translate }
  switch (kind) {
    case 'split':
      return { ...rest, split: { delimiter: delimiter || ',', index: 0 } }
    case 'between':
      return { ...rest, between: { left: '', right: '' } }
    case 'json':
      return { ...rest, json: { path: '' } }
    case 'kv':
      return { ...rest, kv: { key: '' } }
    case 'regex':
      return { ...rest, regex: { pattern: '', group: 1 } }
    case 'fixed':
      return { ...rest, fixed: { offset: 0, length: 1 } }
    case 'line':
      return { ...rest, line: true }
    case 'formula':
      return { name, translate, formula: '' }
  }
}

interface Props {
  spec: MonitorSpec
  setSpec: (f: (old: MonitorSpec) => MonitorSpec) => void
  errors: FieldErrors
  sample: Sample | null
  dry: DryRun | undefined
}

export function ColumnsSection({ spec, setSpec, errors, sample, dry }: Props) {
  const t = useT()
  const { dark } = usePrefs()
  const columns = spec.columns ?? []
  const replace = (i: number, c: Column) => setSpec((old) => ({ ...old, columns: old.columns?.map((x, j) => (j === i ? c : x)) }))
  const values = (name: string) => {
    const seen = new Set<string>()
    let missing = 0
    for (const l of dry?.lines ?? []) {
      const c = l.columns?.find((x) => x.name === name)
      if (!c || c.missing) missing++
      else if (seen.size < 5) seen.add(c.value)
    }
    return { seen: [...seen], missing, total: dry?.lines?.length ?? 0 }
  }
  return (
    <>
      {columns.length === 0 ? (
        <p className="muted" style={{ margin: '0 0 8px' }}>{t('editor.columns.none')}</p>
      ) : (
        <div style={{ overflowX: 'auto' }}>
          <table className="plain-table">
            <thead>
              <tr><th style={{ width: 150 }}>{t('editor.columns.name')}</th><th style={{ width: 110 }}>{t('editor.columns.kind')}</th><th>{t('editor.columns.rule')}</th><th>{t('editor.columns.values')}</th><th /></tr>
            </thead>
            <tbody>
              {columns.map((c, i) => {
                const kind = kindOf(c)
                const v = values(c.name)
                const bad = errors.below(`spec.columns[${i}]`)
                return (
                  <tr key={i}>
                    <td>
                      <Input
                        aria-label={t('editor.columns.nameOf', { n: i + 1 })} style={columnColor(i, dark ? 'dark' : 'light')} className="mono" value={c.name} maxLength={64}
                        status={errors.at(`spec.columns[${i}].name`) ? 'error' : undefined} onChange={(e) => setSpec((old) => renameColumn(old, i, e.target.value))}
                      />
                    </td>
                    <td>
                      <Select aria-label={t('editor.columns.kindOf', { name: c.name })} value={kind} style={{ width: '100%' }} onChange={(k) => replace(i, withKind(c, k, sample?.delimiter ?? ''))}
                        options={kinds.map((k) => ({ value: k, label: t(`kind.${k}`) }))} />
                      {columns.length > 1 && kind !== 'formula' && (
                        <Select aria-label={t('editor.columns.fromOf', { name: c.name })} value={c.from ?? ''} style={{ width: '100%', marginTop: 4 }} size="small" popupMatchSelectWidth={false} onChange={(f) => replace(i, { ...c, from: f || undefined })}
                          options={[{ value: '', label: t('editor.columns.ofLine') }, ...columns.filter((x) => x.name !== c.name && x.name !== '' && x.formula === undefined).map((x) => ({ value: x.name, label: t('editor.columns.ofColumn', { name: x.name }) }))]} />
                      )}
                    </td>
                    <td>
                      <RuleInputs column={c} onChange={(x) => replace(i, x)} />
                      <TranslationButton column={c} onChange={(translate) => replace(i, { ...c, translate })} />
                      {bad && <div className="field"><div className="bad" role="alert">{bad}</div></div>}
                    </td>
                    <td className="mono" style={{ maxWidth: 260, overflowWrap: 'anywhere' }}>
                      {v.seen.map((s, j) => <span key={j} className="label ellipsis" title={s} style={{ marginInlineEnd: 4 }}>{s === '' ? t('editor.columns.emptyValue') : s}</span>)}
                      {v.missing > 0 && <span className="state-warn">{t('editor.columns.missing', { n: v.missing, total: v.total })}</span>}
                    </td>
                    <td><Button type="text" icon={<DeleteOutlined />} aria-label={t('editor.columns.remove', { name: c.name })} title={t('editor.columns.remove', { name: c.name })} onClick={() => setSpec((old) => removeColumn(old, i))} /></td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      )}
      {columns.length < 50 && (
        <Button
          style={{ marginTop: 8 }} icon={<PlusOutlined />}
          onClick={() => setSpec((old) => ({ ...old, columns: [...(old.columns ?? []), withKind({ name: freeName('c' + (columns.length + 1), columns.map((c) => c.name)) }, 'split', sample?.delimiter ?? '')] }))}
        >
          {t('editor.columns.add')}
        </Button>
      )}
    </>
  )
}

function RuleInputs({ column, onChange }: { column: Column; onChange: (c: Column) => void }) {
  const t = useT()
  const { split, between, regex, json, kv, fixed, formula } = column
  const label = (what: string) => `${column.name}: ${what}`
  if (split) {
    return (
      <Space.Compact>
        <Input aria-label={label(t('rule.delimiter'))} prefix={<span className="muted">{t('rule.delimiter')}</span>} className="mono" style={{ width: 130 }} value={showSpaces(split.delimiter)} title={split.delimiter.includes(' ') ? t('rule.spaces') : undefined}
          onChange={(e) => onChange({ ...column, split: { ...split, delimiter: readSpaces(e.target.value) } })} />
        <InputNumber aria-label={label(t('rule.field'))} prefix={<span className="muted">{t('rule.field')}</span>} style={{ width: 120 }} min={-100} max={1000} precision={0}
          value={split.index < 0 ? split.index : split.index + 1}
          onChange={(n) => onChange({ ...column, split: { ...split, index: n === null || n === 0 ? 0 : n < 0 ? n : n - 1 } })} />
      </Space.Compact>
    )
  }
  if (between) {
    return (
      <Space orientation="vertical" size={4}>
        <Space.Compact>
          <Input aria-label={label(t('rule.left'))} prefix={<span className="muted">{t('rule.left')}</span>} placeholder={t('rule.lineStart')} className="mono" style={{ width: 190 }} value={showSpaces(between.left ?? '')}
            onChange={(e) => onChange({ ...column, between: { ...between, left: readSpaces(e.target.value) || undefined } })} />
          <InputNumber aria-label={label(t('rule.leftIndex'))} prefix={<span className="muted">#</span>} style={{ width: 76 }} min={1} max={1000} precision={0} value={between.left_index || 1}
            onChange={(n) => onChange({ ...column, between: { ...between, left_index: n ?? 1 } })} />
        </Space.Compact>
        <Space.Compact>
          <Input aria-label={label(t('rule.right'))} prefix={<span className="muted">{t('rule.right')}</span>} placeholder={t('rule.lineEnd')} className="mono" style={{ width: 190 }} value={showSpaces(between.right ?? '')}
            onChange={(e) => onChange({ ...column, between: { ...between, right: readSpaces(e.target.value) || undefined } })} />
          <InputNumber aria-label={label(t('rule.rightIndex'))} prefix={<span className="muted">#</span>} style={{ width: 76 }} min={1} max={1000} precision={0} value={between.right_index || 1}
            onChange={(n) => onChange({ ...column, between: { ...between, right_index: n ?? 1 } })} />
        </Space.Compact>
      </Space>
    )
  }
  if (regex) {
    return (
      <Space.Compact style={{ width: '100%' }}>
        <Input aria-label={label(t('rule.pattern'))} className="mono" placeholder="status=(\d+)" value={regex.pattern} onChange={(e) => onChange({ ...column, regex: { ...regex, pattern: e.target.value } })} />
        <InputNumber aria-label={label(t('rule.group'))} prefix={<span className="muted">{t('rule.group')}</span>} style={{ width: 110 }} min={0} max={50} precision={0} value={regex.group ?? 0}
          onChange={(n) => onChange({ ...column, regex: { ...regex, group: n ?? 0 } })} />
      </Space.Compact>
    )
  }
  if (json) {
    return <Input aria-label={label(t('rule.path'))} prefix={<span className="muted">{t('rule.path')}</span>} className="mono" placeholder="order.items[0].price" value={json.path} onChange={(e) => onChange({ ...column, json: { path: e.target.value } })} />
  }
  if (kv) {
    const set = (part: Partial<typeof kv>) => onChange({ ...column, kv: { ...kv, ...part } })
    return (
      <Space.Compact>
        <Input aria-label={label(t('rule.key'))} prefix={<span className="muted">{t('rule.key')}</span>} className="mono" style={{ width: 150 }} placeholder="cost" value={kv.key} onChange={(e) => set({ key: e.target.value })} />
        <Input aria-label={label(t('rule.assign'))} title={t('rule.assign')} className="mono" style={{ width: 50 }} placeholder="=" value={showSpaces(kv.assign ?? '')} onChange={(e) => set({ assign: readSpaces(e.target.value) || undefined })} />
        <Input aria-label={label(t('rule.separator'))} title={t('rule.separator')} className="mono" style={{ width: 70 }} placeholder="␣" value={showSpaces(kv.separator ?? '')} onChange={(e) => set({ separator: readSpaces(e.target.value) || undefined })} />
      </Space.Compact>
    )
  }
  if (fixed) {
    return (
      <Space.Compact>
        <InputNumber aria-label={label(t('rule.offset'))} prefix={<span className="muted">{t('rule.offset')}</span>} style={{ width: 140 }} min={0} max={100_000} precision={0} value={fixed.offset ?? 0} onChange={(n) => onChange({ ...column, fixed: { ...fixed, offset: n ?? 0 } })} />
        <InputNumber aria-label={label(t('rule.length'))} prefix={<span className="muted">{t('rule.length')}</span>} style={{ width: 130 }} min={1} max={100_000} precision={0} value={fixed.length} onChange={(n) => onChange({ ...column, fixed: { ...fixed, length: n ?? 1 } })} />
      </Space.Compact>
    )
  }
  if (formula !== undefined) {
    return <Input aria-label={label(t('kind.formula'))} prefix={<span className="muted">=</span>} className="mono" placeholder="amount / count" title={t('rule.formula')} maxLength={500} value={formula} onChange={(e) => onChange({ ...column, formula: e.target.value })} />
  }
  return <span className="muted">{column.from ? t('rule.wholeColumn', { name: column.from }) : t('rule.line')}</span>
}
