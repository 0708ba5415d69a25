/** The translation of a column's values: as a table of entries, or as text that can be copied from rule to rule. */
import { DeleteOutlined, PlusOutlined, SwapOutlined } from '@ant-design/icons'
import { useMutation } from '@tanstack/react-query'
import { Button, Checkbox, Input, Modal, Segmented, Select } from 'antd'
import { useState } from 'react'
import { ApiError, inWorkspace, post } from '../api/client'
import type { Column, Translation, TranslationEntry, TranslationForms } from '../api/types'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { Field } from '../components/Field'
import { useT } from '../i18n'

const matches = ['exact', 'prefix', 'suffix', 'contains', 'regex', 'range'] as const

interface Props {
  column: Column
  onChange: (t: Translation | undefined) => void
}

export function TranslationButton({ column, onChange }: Props) {
  const t = useT()
  const [open, setOpen] = useState(false)
  const set = column.translate !== undefined
  return (
    <>
      <Button type="link" size="small" icon={<SwapOutlined />} style={{ paddingInline: 0 }} aria-label={t(set ? 'translate.changeOf' : 'translate.addOf', { name: column.name })} onClick={() => setOpen(true)}>
        {set ? t('translate.change') : t('translate.add')}
      </Button>
      {open && <Dialog column={column} onClose={() => setOpen(false)} onChange={onChange} />}
    </>
  )
}

const empty: TranslationEntry = { match: 'exact', value: '', to: '' }

function Dialog({ column, onChange, onClose }: Props & { onClose: () => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const asScript = column.translate?.script !== undefined
  const [form, setForm] = useState<'table' | 'text'>(asScript ? 'text' : 'table')
  const [table, setTable] = useState<Translation>(asScript || !column.translate ? { entries: [empty] } : column.translate)
  const [script, setScript] = useState(column.translate?.script ?? '')
  const [ignoreCase, setIgnoreCase] = useState(column.translate?.ignore_case ?? false)
  const convert = useMutation({ mutationFn: (x: Translation) => post<TranslationForms>(inWorkspace(workspace, 'translations:convert'), x) })
  const entries = table.entries ?? []
  const setEntry = (i: number, e: Partial<TranslationEntry>) => setTable({ ...table, entries: entries.map((x, j) => (j === i ? { ...x, ...e } : x)) })
  const current = (): Translation => (form === 'text' ? { script } : { ...table, entries: entries.filter((e) => e.value !== '' || e.to !== ''), constant: table.default === 'constant' ? table.constant : undefined })
  const turn = (to: 'table' | 'text') => {
    const said = current()
    if (!said.script && !said.entries?.length && !said.default) {
      setForm(to)
      return
    }
    convert.mutate(said, {
      onSuccess: (forms) => {
        setScript(forms?.script ?? '')
        setTable(forms?.translation ?? { entries: [empty] })
        setForm(to)
      },
    })
  }
  const keep = () => {
    const said = current()
    const nothing = form === 'text' ? script.trim() === '' : !said.entries?.length && (said.default ?? 'keep') === 'keep'
    if (nothing) {
      onChange(undefined)
      onClose()
      return
    }
    convert.mutate(said, {
      onSuccess: () => {
        onChange({ ...said, ignore_case: ignoreCase || undefined })
        onClose()
      },
    })
  }
  const details = convert.error instanceof ApiError ? convert.error.details : []
  return (
    <Modal open title={t('translate.title', { name: column.name })} width={760} onCancel={onClose} onOk={keep} okText={t('translate.use')} cancelText={t('action.cancel')} confirmLoading={convert.isPending}>
      <p className="muted" style={{ marginTop: 0 }}>{t('translate.about')}</p>
      <Segmented aria-label={t('translate.form')} value={form} onChange={turn} options={[{ value: 'table', label: t('translate.table') }, { value: 'text', label: t('translate.text') }]} style={{ marginBottom: 12 }} />
      {form === 'text' ? (
        <Field label={t('translate.script')} hint={t('translate.script.hint')}>
          {(a) => <Input.TextArea {...a} className="mono" rows={10} value={script} placeholder={'200 => Y\n^5\\d\\d$ ~> server_error\n[100,200) #> informational\n* => N'} onChange={(e) => setScript(e.target.value)} />}
        </Field>
      ) : (
        <>
          <table className="plain-table">
            <thead><tr><th style={{ width: 150 }}>{t('translate.match')}</th><th>{t('translate.value')}</th><th>{t('translate.to')}</th><th /></tr></thead>
            <tbody>
              {entries.map((e, i) => {
                const bad = details.find((d) => d.field.startsWith(`translation.entries[${i}].`))
                return (
                  <tr key={i}>
                    <td><Select aria-label={t('translate.n', { n: i + 1, what: t('translate.match') })} style={{ width: '100%' }} value={e.match ?? 'exact'} onChange={(match) => setEntry(i, { match })} options={matches.map((m) => ({ value: m, label: t(`match.${m}`) }))} /></td>
                    <td>
                      <Input aria-label={t('translate.n', { n: i + 1, what: t('translate.value') })} className="mono" value={e.value} status={bad ? 'error' : undefined} placeholder={e.match === 'range' ? '[100,200)' : e.match === 'regex' ? '^5\\d\\d$' : undefined} onChange={(x) => setEntry(i, { value: x.target.value })} />
                      {bad && <div className="field"><div className="bad" role="alert">{bad.message}</div></div>}
                    </td>
                    <td><Input aria-label={t('translate.n', { n: i + 1, what: t('translate.to') })} className="mono" value={e.to} onChange={(x) => setEntry(i, { to: x.target.value })} /></td>
                    <td><Button type="text" icon={<DeleteOutlined />} aria-label={t('translate.remove', { n: i + 1 })} onClick={() => setTable({ ...table, entries: entries.filter((_, j) => j !== i) })} /></td>
                  </tr>
                )
              })}
            </tbody>
          </table>
          <Button style={{ margin: '8px 0 12px' }} icon={<PlusOutlined />} onClick={() => setTable({ ...table, entries: [...entries, empty] })}>{t('translate.addEntry')}</Button>
          <div className="row">
            <span className="nowrap">{t('translate.default')}</span>
            <Select aria-label={t('translate.default')} style={{ width: 190 }} value={table.default ?? 'keep'} onChange={(d) => setTable({ ...table, default: d })} options={(['keep', 'drop_line', 'constant'] as const).map((d) => ({ value: d, label: t(`otherwise.${d}`) }))} />
            {table.default === 'constant' && <Input aria-label={t('translate.constant')} className="mono" style={{ width: 190 }} value={table.constant ?? ''} onChange={(e) => setTable({ ...table, constant: e.target.value })} />}
          </div>
        </>
      )}
      <Checkbox style={{ marginTop: 12 }} checked={ignoreCase} onChange={(e) => setIgnoreCase(e.target.checked)}>{t('translate.ignoreCase')}</Checkbox>
      {convert.isError && !details.some((d) => d.field.includes('.entries[')) && <div style={{ marginTop: 12 }}><ErrorNote error={details.length > 0 ? new Error(details.map((d) => d.message).join('\n')) : convert.error} /></div>}
    </Modal>
  )
}
