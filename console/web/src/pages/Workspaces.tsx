/** Workspaces: each has its own monitors, rules, channels and data. */
import { PlusOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Space } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { del, post, put } from '../api/client'
import type { Workspace } from '../api/types'
import { sessionKey } from '../app/session'
import { useConfirm } from '../components/confirm'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { Ago } from '../components/time'
import { useT } from '../i18n'

export default function Workspaces() {
  const t = useT()
  const { message } = App.useApp()
  const client = useQueryClient()
  const confirm = useConfirm()
  const list = useList<Workspace>('/api/v1/workspaces')
  const [editing, setEditing] = useState<Workspace | 'new' | null>(null)
  const [form, setForm] = useState({ name: '', title: '', description: '' })
  const old = editing === 'new' ? null : editing
  const edit = (w: Workspace | 'new') => {
    setForm(w === 'new' ? { name: '', title: '', description: '' } : { name: w.name, title: w.title, description: w.description })
    setEditing(w)
  }
  const refresh = () => Promise.all([client.invalidateQueries({ queryKey: ['workspaces'] }), client.invalidateQueries({ queryKey: sessionKey })])
  const columns: Column<Workspace>[] = [
    { title: t('workspace.title'), field: 'title', render: (_, w) => <Link to={`/w/${encodeURIComponent(w.name)}`}>{w.title || w.name}</Link> },
    { title: t('monitor.name'), field: 'name', render: (_, w) => <code>{w.name}</code> },
    { title: t('editor.field.description'), render: (_, w) => w.description || '–' },
    { title: t('list.created'), render: (_, w) => <Ago at={w.created_at} /> },
    { title: '', key: 'act', align: 'right', render: (_, w) => (
      <Space>
        <Button size="small" aria-label={t('workspace.editName', { name: w.name })} onClick={() => edit(w)}>{t('action.edit')}</Button>
        {w.name !== 'default' && <Button size="small" danger aria-label={t('workspace.deleteName', { name: w.name })} onClick={() => confirm({ title: t('workspace.delete.title', { name: w.title || w.name }), what: t('workspace.delete.what'), ok: t('action.delete'), run: async () => { await del(`/api/v1/workspaces/${encodeURIComponent(w.name)}`); await refresh() }, done: t('done.deleted', { name: w.name }) })}>{t('action.delete')}</Button>}
      </Space>
    ) },
  ]
  return (
    <Page title={t('nav.workspaces')} about={t('workspaces.about')} actions={<Button type="primary" icon={<PlusOutlined />} onClick={() => edit('new')}>{t('workspaces.create')}</Button>}>
      <Panel className="flush" label={t('nav.workspaces')} extra={<SearchField />}>
        <ListTable list={list} columns={columns} rowKey="name" label={t('nav.workspaces')} filtered={false} empty={null} />
      </Panel>
      <FormModal open={editing !== null} title={old ? t('workspace.edit', { name: old.name }) : t('workspaces.create')} ok={old ? t('action.save') : t('workspace.create')} ready={form.name !== '' && form.title !== ''} onClose={() => setEditing(null)}
        onSave={async () => {
          if (old) await put(`/api/v1/workspaces/${encodeURIComponent(old.name)}`, { version: old.version, title: form.title, description: form.description })
          else await post('/api/v1/workspaces', form)
          await refresh()
          void message.success(t('workspace.saved', { name: form.name }))
        }}>
        {(e) => (
          <>
            <Field label={t('workspace.title')} bad={e.at('title')}>{(a) => <Input {...a} maxLength={64} value={form.title} onChange={(x) => setForm({ ...form, title: x.target.value })} />}</Field>
            <Field label={t('monitor.name')} hint={old ? t('editor.hint.nameFixed') : t('workspace.name.hint')} bad={e.at('name')}>{(a) => <Input {...a} className="mono" disabled={!!old} maxLength={63} value={form.name} onChange={(x) => setForm({ ...form, name: x.target.value })} />}</Field>
            <Field label={t('editor.field.description')} bad={e.at('description')}>{(a) => <Input.TextArea {...a} maxLength={500} value={form.description} onChange={(x) => setForm({ ...form, description: x.target.value })} />}</Field>
          </>
        )}
      </FormModal>
    </Page>
  )
}
