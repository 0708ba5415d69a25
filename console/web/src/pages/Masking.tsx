/** What of lines must not leave any machine, whatever the monitors of the workspace say. */
import { EyeInvisibleOutlined, PlusOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { Button, Checkbox, Input, Space } from 'antd'
import { useState } from 'react'
import { del, inWorkspace, post, put } from '../api/client'
import type { MaskingPolicy } from '../api/types'
import { useRights } from '../app/session'
import { useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { Teach } from '../components/feedback'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { Ago } from '../components/time'
import { nameOf } from '../dashboard/data'
import { useT } from '../i18n'
import { masks, Replacements } from '../monitor/LineRules'

export default function Masking() {
  const t = useT()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { edit } = useRights()
  const list = useList<MaskingPolicy>(inWorkspace(workspace, 'masking'))
  const [editing, setEditing] = useState<MaskingPolicy | 'new' | null>(null)
  const create = edit && <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('masking.create')}</Button>
  const refresh = () => client.invalidateQueries({ queryKey: ['masking'] })
  const columns: Column<MaskingPolicy>[] = [
    { title: t('masking.title'), field: 'title', render: (_, p) => (edit ? <Button type="link" style={{ padding: 0 }} onClick={() => setEditing(p)}>{p.spec.title}</Button> : p.spec.title) },
    { title: t('monitor.name'), field: 'name', render: (_, p) => <code>{p.name}</code> },
    { title: t('masking.always'), render: (_, p) => masks.filter((m) => p.spec.always?.includes(m)).map((m) => t(`mask.${m}`)).join(', ') || '–' },
    { title: t('masking.replace'), render: (_, p) => <>{(p.spec.replace ?? []).map((r, i) => <div key={i}><code>{r.pattern}</code> → <code>{r.with}</code></div>)}</> },
    { title: t('list.updated'), field: 'updated_at', render: (_, p) => <Ago at={p.updated_at} /> },
    {
      title: '', key: 'act', align: 'right', render: (_, p) => edit && (
        <Space>
          <Button size="small" aria-label={t('masking.editName', { name: p.name })} onClick={() => setEditing(p)}>{t('action.edit')}</Button>
          <Button size="small" danger aria-label={t('masking.deleteName', { name: p.name })} onClick={() => confirm({ title: t('masking.delete.title', { name: p.spec.title }), what: t('masking.delete.what'), ok: t('action.delete'), run: async () => { await del(inWorkspace(workspace, 'masking', p.name)); await refresh() }, done: t('done.deleted', { name: p.name }) })}>{t('action.delete')}</Button>
        </Space>
      ),
    },
  ]
  return (
    <Page title={t('nav.masking')} about={t('masking.about')} actions={create}>
      <Panel className="flush" label={t('nav.masking')} extra={<SearchField />}>
        <ListTable list={list} columns={columns} rowKey="name" label={t('nav.masking')} filtered={false} empty={<Teach title={t('masking.empty')} text={t('masking.empty.text')} image={<EyeInvisibleOutlined style={{ fontSize: 48 }} />} action={create} />} />
      </Panel>
      {editing !== null && <PolicyForm key={editing === 'new' ? 'new' : editing.name} policy={editing === 'new' ? undefined : editing} onClose={() => setEditing(null)} onSaved={refresh} />}
    </Page>
  )
}

function PolicyForm({ policy, onClose, onSaved }: { policy?: MaskingPolicy; onClose: () => void; onSaved: () => Promise<void> }) {
  const t = useT()
  const workspace = useWorkspace()
  const [spec, setSpec] = useState(policy?.spec ?? { title: '', always: [...masks] })
  const [typed, setTyped] = useState('')
  const name = policy?.name ?? (typed || nameOf(spec.title) || 'masking')
  const clean = { title: spec.title.trim(), always: spec.always?.length ? spec.always : undefined, replace: spec.replace?.length ? spec.replace : undefined }
  return (
    <FormModal
      open title={policy ? t('masking.edit', { name: policy.spec.title }) : t('masking.create')} ok={policy ? t('action.save') : t('masking.add')} ready={clean.title !== ''} width={640} onClose={onClose}
      onSave={async () => {
        if (policy) await put(inWorkspace(workspace, 'masking', policy.name), { version: policy.version, spec: clean })
        else await post(inWorkspace(workspace, 'masking'), { name, spec: clean })
        await onSaved()
      }}
    >
      {(e) => (
        <>
          <Field label={t('masking.title')} bad={e.at('spec.title')}>{(a) => <Input {...a} maxLength={64} value={spec.title} onChange={(x) => setSpec({ ...spec, title: x.target.value })} />}</Field>
          <Field label={t('monitor.name')} hint={policy ? t('editor.hint.nameFixed') : undefined} bad={e.at('name')}>{(a) => <Input {...a} className="mono" disabled={!!policy} maxLength={63} value={name} onChange={(x) => setTyped(x.target.value)} />}</Field>
          <Field label={t('masking.always')} hint={t('masking.always.hint')} bad={e.below('spec.always')}>
            {(a) => <Checkbox.Group value={spec.always ?? []} onChange={(on) => setSpec({ ...spec, always: masks.filter((m) => on.includes(m)) })} options={masks.map((m, i) => ({ value: m, label: t(`mask.${m}`), id: i === 0 ? a.id : undefined }))} />}
          </Field>
          <Replacements list={spec.replace ?? []} path="spec.replace" errors={e} onChange={(replace) => setSpec({ ...spec, replace })} />
        </>
      )}
    </FormModal>
  )
}
