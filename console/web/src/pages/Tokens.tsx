/** API tokens: for scripts, Grafana and the command line. */
import { KeyOutlined, PlusOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { Button, Input, Select } from 'antd'
import { useState } from 'react'
import { del, post } from '../api/client'
import type { ApiToken, NewApiToken, Role } from '../api/types'
import { useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { Teach } from '../components/feedback'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { SecretModal } from '../components/Secret'
import { Ago, Moment } from '../components/time'
import { useT } from '../i18n'
import { expiry, ExpirySelect } from './expiry'

const roles: Role[] = ['viewer', 'editor', 'admin']

export default function Tokens() {
  const t = useT()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const confirm = useConfirm()
  const list = useList<ApiToken>('/api/v1/tokens', { workspace })
  const [open, setOpen] = useState(false)
  const [secret, setSecret] = useState<string | null>(null)
  const [form, setForm] = useState({ name: '', role: 'viewer' as Role, days: 90 })
  const create = <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)}>{t('tokens.create')}</Button>
  const columns: Column<ApiToken>[] = [
    { title: t('token.name'), field: 'name', dataIndex: 'name' },
    { title: t('token.user'), dataIndex: 'user' },
    { title: t('token.role'), render: (_, k) => t(`role.${k.role}`) },
    { title: t('list.created'), field: 'created_at', render: (_, k) => <Ago at={k.created_at} /> },
    { title: t('token.expires'), render: (_, k) => (k.expires_at ? <Moment at={k.expires_at} /> : t('token.never')) },
    { title: t('token.used'), render: (_, k) => (k.last_used_at ? <Ago at={k.last_used_at} /> : t('token.unused')) },
    { title: '', key: 'act', align: 'right', render: (_, k) => <Button size="small" danger aria-label={t('token.deleteName', { name: k.name })} onClick={() => confirm({ title: t('token.delete.title', { name: k.name }), what: t('token.delete.what'), ok: t('action.delete'), run: async () => { await del(`/api/v1/tokens/${k.id}`); await client.invalidateQueries({ queryKey: ['tokens'] }) }, done: t('done.deleted', { name: k.name }) })}>{t('action.delete')}</Button> },
  ]
  return (
    <Page title={t('nav.tokens')} about={t('tokens.about', { workspace })} actions={create}>
      <Panel className="flush" label={t('nav.tokens')} extra={<SearchField />}>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.tokens')} filtered={false} empty={<Teach title={t('tokens.empty')} text={t('tokens.empty.text')} image={<KeyOutlined style={{ fontSize: 48 }} />} action={create} command={`curl -H "Authorization: Bearer TOKEN" '${location.origin}/prometheus/api/v1/query?query=sys_cpu_util'`} />} />
      </Panel>
      <FormModal open={open} title={t('tokens.create')} ok={t('token.make')} ready={form.name.trim() !== ''} onClose={() => setOpen(false)}
        onSave={async () => {
          const k = await post<NewApiToken>('/api/v1/tokens', { name: form.name.trim(), workspace, role: form.role, expires_at: expiry(form.days) })
          await client.invalidateQueries({ queryKey: ['tokens'] })
          setForm({ ...form, name: '' })
          setSecret(k.secret)
        }}>
        {(e) => (
          <>
            <Field label={t('token.name')} hint={t('token.name.hint')} bad={e.at('name')}>{(a) => <Input {...a} autoFocus maxLength={64} value={form.name} onChange={(x) => setForm({ ...form, name: x.target.value })} />}</Field>
            <Field label={t('token.role')} hint={t(`role.${form.role}.hint`)} bad={e.at('role')}>{(a) => <Select {...a} style={{ width: '100%' }} value={form.role} onChange={(role) => setForm({ ...form, role })} options={roles.map((r) => ({ value: r, label: t(`role.${r}`) }))} />}</Field>
            <ExpirySelect days={form.days} bad={e.at('expires_at')} onChange={(days) => setForm({ ...form, days })} />
          </>
        )}
      </FormModal>
      <SecretModal secret={secret} title={t('tokens.made')} onClose={() => setSecret(null)} />
    </Page>
  )
}
