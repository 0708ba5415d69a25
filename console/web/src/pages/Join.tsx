/** Adds agents: the command to run, and the tokens that admit them. */
import { PlusOutlined } from '@ant-design/icons'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Button, Input, Typography } from 'antd'
import { useState } from 'react'
import { del, get, post } from '../api/client'
import type { JoinToken, NewJoinToken, Overview } from '../api/types'
import { useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { Teach } from '../components/feedback'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { ListTable, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { SecretModal } from '../components/Secret'
import { Ago, Moment } from '../components/time'
import { useT } from '../i18n'
import { expiry, ExpirySelect } from './expiry'
import { registerAt } from './registerAt'

export default function Join() {
  const t = useT()
  const client = useQueryClient()
  const confirm = useConfirm()
  const list = useList<JoinToken>('/api/v1/join_tokens')
  const [open, setOpen] = useState(false)
  const [secret, setSecret] = useState<string | null>(null)
  const [form, setForm] = useState({ label: '', days: 7 })
  const workspace = useWorkspace()
  const overview = useQuery({ queryKey: ['overview', workspace], queryFn: ({ signal }) => get<Overview>('/api/v1/overview', { workspace }, signal) })
  const register = registerAt(overview.data?.register_address ?? '', location.hostname)
  const command = (token: string) => `pharos-agent --register ${register} --join-token ${token}`
  const create = <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)}>{t('join.create')}</Button>
  const columns: Column<JoinToken>[] = [
    { title: t('join.label'), render: (_, k) => k.label || '–' },
    { title: t('list.created'), render: (_, k) => <Ago at={k.created_at} /> },
    { title: t('join.by'), dataIndex: 'created_by' },
    { title: t('token.expires'), render: (_, k) => (k.expires_at ? <Moment at={k.expires_at} /> : t('token.never')) },
    { title: t('join.uses'), align: 'right', dataIndex: 'uses' },
    { title: '', key: 'act', align: 'right', render: (_, k) => <Button size="small" danger aria-label={t('token.deleteName', { name: k.label || k.id })} onClick={() => confirm({ title: t('join.delete.title', { name: k.label || k.id }), what: t('join.delete.what'), ok: t('action.delete'), run: async () => { await del(`/api/v1/join_tokens/${k.id}`); await client.invalidateQueries({ queryKey: ['join_tokens'] }) } })}>{t('action.delete')}</Button> },
  ]
  return (
    <Page title={t('nav.join')} about={t('join.about')} actions={create}>
      <Panel title={t('join.how')}>
        <ol style={{ margin: 0, paddingInlineStart: 20, lineHeight: 2 }}>
          <li>{t('join.step1')}</li>
          <li>{t('join.step2')} <Typography.Text code copyable={{ text: command('TOKEN'), tooltips: [t('action.copy'), t('action.copied')] }}>{command('TOKEN')}</Typography.Text></li>
          <li>{t('join.step3')}</li>
        </ol>
      </Panel>
      <Panel className="flush" title={t('join.tokens')}>
        <ListTable list={list} columns={columns} rowKey="id" label={t('join.tokens')} filtered={false} empty={<Teach title={t('join.empty')} text={t('join.empty.text')} action={create} />} />
      </Panel>
      <FormModal open={open} title={t('join.create')} ok={t('token.make')} ready onClose={() => setOpen(false)}
        onSave={async () => {
          const k = await post<NewJoinToken>('/api/v1/join_tokens', { label: form.label, expires_at: expiry(form.days) })
          await client.invalidateQueries({ queryKey: ['join_tokens'] })
          setSecret(k.secret)
        }}>
        {(e) => (
          <>
            <Field label={t('join.label')} hint={t('join.label.hint')} bad={e.at('label')}>{(a) => <Input {...a} autoFocus maxLength={100} value={form.label} onChange={(x) => setForm({ ...form, label: x.target.value })} />}</Field>
            <ExpirySelect days={form.days} bad={e.at('expires_at')} onChange={(days) => setForm({ ...form, days })} />
          </>
        )}
      </FormModal>
      <SecretModal secret={secret} title={t('join.made')} onClose={() => setSecret(null)}>
        <div>
          <div className="muted">{t('join.run')}</div>
          <Typography.Paragraph code copyable={{ text: command(secret ?? ''), tooltips: [t('action.copy'), t('action.copied')] }}>{command(secret ?? '')}</Typography.Paragraph>
        </div>
      </SecretModal>
    </Page>
  )
}
