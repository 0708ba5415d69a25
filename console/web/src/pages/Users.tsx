/** Who may sign in, and what they may do in which workspace. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Select, Space, Switch } from 'antd'
import { useState } from 'react'
import { del, get, post, put } from '../api/client'
import type { List, Role, User, Workspace } from '../api/types'
import { useSession } from '../app/session'
import { useConfirm } from '../components/confirm'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { useT } from '../i18n'

export default function Users() {
  const t = useT()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { user: me } = useSession()
  const list = useList<User>('/api/v1/users')
  const [editing, setEditing] = useState<User | 'new' | null>(null)
  const columns: Column<User>[] = [
    { title: t('user.name'), field: 'username', render: (_, u) => <Button type="link" style={{ padding: 0 }} onClick={() => setEditing(u)}>{u.username}</Button> },
    { title: t('user.display'), render: (_, u) => u.display_name || '–' },
    { title: t('monitor.state'), render: (_, u) => (u.disabled ? <State kind="paused">{t('monitor.disabled')}</State> : u.must_change_password ? <State kind="clock">{t('user.mustChange')}</State> : <State kind="ok">{t('user.active')}</State>) },
    { title: t('user.roles'), render: (_, u) => (u.installation_admin ? <strong>{t('user.admin')}</strong> : <span className="labels">{(Object.entries(u.roles) as [string, Role][]).map(([w, r]) => <span key={w} className="label"><span className="muted">{w}:</span> {t(`role.${r}`)}</span>)}</span>) },
    { title: t('user.lastLogin'), render: (_, u) => <Ago at={u.last_login_at} /> },
    { title: '', key: 'act', align: 'right', render: (_, u) => (
      <Space>
        <Button size="small" aria-label={t('user.editName', { name: u.username })} onClick={() => setEditing(u)}>{t('action.edit')}</Button>
        {u.id !== me.id && <Button size="small" danger aria-label={t('user.deleteName', { name: u.username })} onClick={() => confirm({ title: t('user.delete.title', { name: u.username }), what: t('user.delete.what'), ok: t('action.delete'), run: async () => { await del(`/api/v1/users/${u.id}`); await client.invalidateQueries({ queryKey: ['users'] }) }, done: t('done.deleted', { name: u.username }) })}>{t('action.delete')}</Button>}
      </Space>
    ) },
  ]
  return (
    <Page title={t('nav.users')} about={t('users.about')} actions={<Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('users.create')}</Button>}>
      <Panel className="flush" label={t('nav.users')} extra={<SearchField />}>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.users')} filtered={false} empty={null} />
      </Panel>
      {editing !== null && <UserForm key={editing === 'new' ? 'new' : editing.id} user={editing === 'new' ? undefined : editing} onClose={() => setEditing(null)} />}
    </Page>
  )
}

function UserForm({ user, onClose }: { user?: User; onClose: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const client = useQueryClient()
  const workspaces = useQuery({ queryKey: ['workspaces', 'choices'], queryFn: ({ signal }) => get<List<Workspace>>('/api/v1/workspaces', { page_size: 100 }, signal) })
  const [form, setForm] = useState({ username: user?.username ?? '', password: '', display_name: user?.display_name ?? '', installation_admin: user?.installation_admin ?? false, disabled: user?.disabled ?? false })
  const [roles, setRoles] = useState<[string, Role][]>(() => Object.entries(user?.roles ?? { default: 'viewer' }) as [string, Role][])
  const save = async () => {
    const body = { display_name: form.display_name || undefined, installation_admin: form.installation_admin, roles: Object.fromEntries(roles.filter(([w]) => w !== '')), password: form.password || undefined }
    if (user) await put(`/api/v1/users/${user.id}`, { ...body, version: user.version, disabled: form.disabled })
    else await post('/api/v1/users', { ...body, username: form.username.trim() })
    await client.invalidateQueries({ queryKey: ['users'] })
    void message.success(t('user.saved', { name: form.username }))
  }
  const names = (workspaces.data?.items ?? []).map((w) => ({ value: w.name, label: w.title || w.name }))
  return (
    <FormModal open title={user ? t('user.edit', { name: user.username }) : t('users.create')} ok={user ? t('action.save') : t('user.create')} ready={form.username.trim() !== '' && (!!user || form.password !== '')} onClose={onClose} onSave={save}>
      {(e) => (
        <>
          <Field label={t('login.username')} bad={e.at('username')}>{(a) => <Input {...a} disabled={!!user} autoComplete="off" maxLength={64} value={form.username} onChange={(x) => setForm({ ...form, username: x.target.value })} />}</Field>
          <Field label={t('user.display')} bad={e.at('display_name')}>{(a) => <Input {...a} maxLength={64} value={form.display_name} onChange={(x) => setForm({ ...form, display_name: x.target.value })} />}</Field>
          <Field label={user ? t('user.newPassword') : t('login.password')} hint={user ? t('user.newPassword.hint') : t('user.password.hint')} bad={e.at('password')}>{(a) => <Input.Password {...a} autoComplete="new-password" value={form.password} onChange={(x) => setForm({ ...form, password: x.target.value })} />}</Field>
          <Field label={t('user.admin')} hint={t('user.admin.hint')} bad={e.at('installation_admin')}>{(a) => <Switch id={a.id} checked={form.installation_admin} onChange={(v) => setForm({ ...form, installation_admin: v })} />}</Field>
          {!form.installation_admin && (
            <div className="field">
              <span className="label" style={{ border: 0, background: 'none', padding: 0 }}>{t('user.roles')}</span>
              {roles.map(([w, r], i) => (
                <div key={i} className="row" style={{ marginBottom: 6, flexWrap: 'nowrap' }}>
                  <Select aria-label={t('user.workspaceN', { n: i + 1 })} style={{ flex: 1 }} value={w} options={names} onChange={(v) => setRoles(roles.map((x, j) => (j === i ? [v, x[1]] : x)))} />
                  <Select aria-label={t('user.roleN', { n: i + 1 })} style={{ width: 150 }} value={r} options={(['viewer', 'editor', 'admin'] as const).map((k) => ({ value: k, label: t(`role.${k}`) }))} onChange={(v) => setRoles(roles.map((x, j) => (j === i ? [x[0], v] : x)))} />
                  <Button type="text" icon={<DeleteOutlined />} aria-label={t('user.removeRole', { n: i + 1 })} onClick={() => setRoles(roles.filter((_, j) => j !== i))} />
                </div>
              ))}
              {e.below('roles') && <div className="bad" role="alert">{e.below('roles')}</div>}
              <Button size="small" icon={<PlusOutlined />} onClick={() => setRoles([...roles, [names.find((n) => !roles.some(([w]) => w === n.value))?.value ?? '', 'viewer']])}>{t('user.addRole')}</Button>
            </div>
          )}
          {user && <Field label={t('user.disabled')} hint={t('user.disabled.hint')} bad={e.at('disabled')}>{(a) => <Switch id={a.id} checked={form.disabled} onChange={(v) => setForm({ ...form, disabled: v })} />}</Field>}
        </>
      )}
    </FormModal>
  )
}
