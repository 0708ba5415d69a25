/** Which file, and its real lines. */
import { DeleteOutlined, FolderOpenOutlined, PlusOutlined, ReloadOutlined, ScissorOutlined } from '@ant-design/icons'
import { Button, Input, Modal, Popover, Skeleton } from 'antd'
import { useMemo, useState } from 'react'
import type { Column, DryRun, DryRunLine, MonitorSpec } from '../api/types'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import { unescape, fields } from './cut'
import { FilePicker, type Choice } from './FilePicker'
import { Lines, type Picked } from './Lines'
import { freeName, propose, type Proposal } from './propose'
import { ruleText } from './ruleText'

export interface Sample {
  path: string
  lines: string[]
  timeFormat: string
  delimiter: string
  encoding: string
}

interface FileProps {
  spec: MonitorSpec
  change: (p: Partial<MonitorSpec>) => void
  errors: FieldErrors
  agent: string
  loading: boolean
  onChoose: (c: Choice) => void
  onTyped: (path: string) => void
}

export function FileSection({ spec, change, errors, agent, loading, onChoose, onTyped }: FileProps) {
  const t = useT()
  const [picking, setPicking] = useState(false)
  const set = (i: number, p: string) => change({ paths: spec.paths.map((old, j) => (j === i ? p : old)) })
  const dir = (spec.paths[0] ?? '').replace(/\/[^/]*$/, '')
  return (
    <>
      {spec.paths.map((p, i) => (
        <div key={i} style={{ display: 'flex', gap: 8, alignItems: 'flex-start', marginBottom: 8 }}>
          <div style={{ flex: 1, minWidth: 0 }}>
            <Field
              label={i === 0 ? t('editor.field.path') : t('editor.field.pathN', { n: i + 1 })} hint={i === 0 ? t('editor.hint.path') : undefined}
              bad={p === '' ? undefined : (errors.at(`spec.paths[${i}]`) ?? (i === 0 ? errors.at('spec.paths') : undefined))}
            >
              {(a) => (
                <Input {...a} className="mono" placeholder="/var/log/shop/order.log" value={p} onChange={(e) => set(i, e.target.value)}
                  onBlur={() => { if (i === 0) onTyped(p) }} onPressEnter={() => { if (i === 0) onTyped(p) }} />
              )}
            </Field>
          </div>
          <div style={{ paddingTop: 22 }}>
            {i === 0 ? (
              <Button type={p === '' ? 'primary' : 'default'} icon={<FolderOpenOutlined />} loading={loading} onClick={() => setPicking(true)}>{t('editor.choose')}</Button>
            ) : (
              <Button icon={<DeleteOutlined />} aria-label={t('editor.removePath', { n: i + 1 })} onClick={() => change({ paths: spec.paths.filter((_, j) => j !== i) })} />
            )}
          </div>
        </div>
      ))}
      {spec.paths.length < 10 && spec.paths[0] !== '' && (
        <Button size="small" type="link" icon={<PlusOutlined />} onClick={() => change({ paths: [...spec.paths, ''] })}>{t('editor.addPath')}</Button>
      )}
      <FilePicker open={picking} from={dir} agent={agent} onClose={() => setPicking(false)} onChoose={(c) => { setPicking(false); onChoose(c) }} />
    </>
  )
}

interface LinesProps {
  spec: MonitorSpec
  change: (p: Partial<MonitorSpec>) => void
  sample: Sample | null
  setSample: (s: Sample) => void
  dry: DryRun | undefined
  judged: boolean
  loading: boolean
  onReload: () => void
}

/** answers reports whether the dry run is of these lines; a record of several lines is one of its. */
function answers(dry: DryRun | undefined, sample: Sample | null): boolean {
  const lines = (dry?.lines ?? []).reduce((n, l) => n + l.text.split('\n').length, 0)
  return sample !== null && lines === sample.lines.length
}

export function LinesSection({ spec, change, sample, setSample, dry, judged, loading, onReload }: LinesProps) {
  const t = useT()
  const [picked, setPicked] = useState<Picked | null>(null)
  const [pasting, setPasting] = useState<string | null>(null)
  const columns = useMemo(() => (spec.columns ?? []).map((c) => c.name), [spec.columns])
  const lines = useMemo<DryRunLine[]>(() => {
    if (judged && dry?.lines && answers(dry, sample)) return dry.lines
    return (sample?.lines ?? []).map((text) => ({ text, outcome: 'matched', detail: '', time_ms: 0, time_start: 0, time_end: 0, columns: [] }))
  }, [judged, dry, sample])
  const shown = judged && answers(dry, sample)
  const delimiter = sample?.delimiter ?? ''
  const proposals = useMemo(
    () => (picked && sample ? propose(lines.map((l) => l.text), picked.line, picked.piece, delimiter, freeName('c' + ((spec.columns?.length ?? 0) + 1), columns)) : []),
    [picked, sample, lines, delimiter, spec.columns, columns],
  )
  const add = (c: Column) => {
    change({ columns: [...(spec.columns ?? []), c] })
    setPicked(null)
  }
  const splitAll = () => {
    const first = sample?.lines.find((l) => l !== '') ?? ''
    const n = fields(first, unescape(delimiter)).length
    const have = spec.columns ?? []
    const taken = [...columns]
    const more: Column[] = []
    for (let index = 0; index < Math.min(n, 50 - have.length); index++) {
      if (have.some((c) => c.split?.index === index && c.split.delimiter === delimiter)) continue
      const name = freeName('c' + (index + 1), taken)
      taken.push(name)
      more.push({ name, split: { delimiter, index } })
    }
    change({ columns: [...have, ...more] })
  }
  if (!sample) {
    return loading ? <Skeleton active paragraph={{ rows: 6 }} title={false} /> : (
      <div className="row">
        <span className="muted">{t('editor.lines.none')}</span>
        <Button size="small" onClick={() => setPasting('')}>{t('editor.lines.paste')}</Button>
        <PasteLines text={pasting} onClose={() => setPasting(null)} setText={setPasting} onUse={(l) => setSample({ path: spec.paths[0] ?? '', lines: l, timeFormat: '', delimiter: '', encoding: '' })} />
      </div>
    )
  }
  return (
    <>
      <div className="row" style={{ marginBottom: 8 }}>
        <span className="muted">
          {sample.lines.length === 0 ? t('editor.lines.empty', { path: sample.path }) : t('editor.lines.from', { n: sample.lines.length, path: sample.path })}
          {sample.encoding && ` · ${sample.encoding}`}
        </span>
        <span className="spacer" />
        {delimiter !== '' && (
          <Button size="small" icon={<ScissorOutlined />} onClick={splitAll}>{t('editor.lines.splitAll', { delimiter: delimiter === ' ' ? t('editor.space') : delimiter })}</Button>
        )}
        <Button size="small" onClick={() => setPasting(sample.lines.join('\n'))}>{t('editor.lines.paste')}</Button>
        <Button size="small" icon={<ReloadOutlined />} loading={loading} onClick={onReload}>{t('editor.lines.newer')}</Button>
      </div>
      {sample.lines.length > 0 && (
        <>
          <Lines lines={lines} columns={columns} delimiter={delimiter} picked={picked} judged={shown} onPick={setPicked} />
          <p className="muted" style={{ margin: '6px 0 0', fontSize: 12 }}>{t('editor.lines.how')}</p>
        </>
      )}
      <Popover
        open={picked !== null} onOpenChange={(o) => !o && setPicked(null)} trigger="click" placement="bottomLeft" title={t('editor.propose.title')} destroyOnHidden
        content={picked && <ProposalForm key={picked.line + picked.piece.start + '-' + picked.piece.end} proposals={proposals} total={sample.lines.length} taken={columns} onAdd={add} onCancel={() => setPicked(null)} />}
      >
        <span style={{ position: 'fixed', left: picked ? Math.max(8, picked.rect.left) : 0, top: picked ? picked.rect.bottom : 0, width: 1, height: 1, pointerEvents: 'none' }} />
      </Popover>
      <PasteLines text={pasting} onClose={() => setPasting(null)} setText={setPasting} onUse={(l) => setSample({ ...sample, lines: l })} />
    </>
  )
}

function ProposalForm({ proposals, total, taken, onAdd, onCancel }: { proposals: Proposal[]; total: number; taken: string[]; onAdd: (c: Column) => void; onCancel: () => void }) {
  const t = useT()
  const [choice, setChoice] = useState(0)
  const [name, setName] = useState(proposals[0]?.column.name ?? '')
  const p = proposals[choice]
  if (!p) return <p>{t('editor.propose.none')}</p>
  const twice = taken.includes(name)
  const add = () => {
    if (!twice && name !== '') onAdd({ ...p.column, name })
  }
  return (
    <div style={{ width: 440, maxWidth: '90vw' }} onKeyDown={(e) => { if (e.key === 'Escape') onCancel() }}>
      <div role="radiogroup" aria-label={t('editor.propose.title')}>
        {proposals.map((one, i) => (
          <label key={i} className="proposal" style={{ display: 'block', width: 'auto', borderColor: i === choice ? 'var(--accent)' : undefined, cursor: 'pointer' }}>
            <input type="radio" name="proposal" checked={i === choice} onChange={() => setChoice(i)} /> {ruleText(one.column, t)}
            <div className="values">{t('editor.propose.found', { found: one.found, total })} · {one.values.join(' · ')}</div>
          </label>
        ))}
      </div>
      <Field label={t('editor.field.columnName')} bad={twice ? t('editor.columnTwice') : undefined}>
        {(a) => <Input {...a} autoFocus value={name} maxLength={64} onFocus={(e) => e.target.select()} onChange={(e) => setName(e.target.value)} onPressEnter={add} />}
      </Field>
      <div className="row" style={{ marginTop: 10, justifyContent: 'flex-end' }}>
        <Button onClick={onCancel}>{t('action.cancel')}</Button>
        <Button type="primary" disabled={twice || name === ''} onClick={add}>{t('editor.addColumn')}</Button>
      </div>
    </div>
  )
}

function PasteLines({ text, setText, onClose, onUse }: { text: string | null; setText: (t: string) => void; onClose: () => void; onUse: (lines: string[]) => void }) {
  const t = useT()
  return (
    <Modal
      open={text !== null} title={t('editor.lines.pasteTitle')} okText={t('editor.lines.use')} cancelText={t('action.cancel')} width={800} onCancel={onClose}
      onOk={() => { onUse((text ?? '').split('\n').map((l) => l.replace(/\r$/, '')).filter((l) => l !== '').slice(0, 200)); onClose() }}
    >
      <Input.TextArea aria-label={t('editor.lines.pasteTitle')} className="mono" autoSize={{ minRows: 8, maxRows: 16 }} value={text ?? ''} onChange={(e) => setText(e.target.value)} />
    </Modal>
  )
}
