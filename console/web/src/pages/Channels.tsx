/** Where notices go. Secrets are written here and never shown again. */
import { ApiOutlined, PlusOutlined, SendOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { App, Button, Space } from 'antd'
import { useState } from 'react'
import { del, inWorkspace, post } from '../api/client'
import type { Channel, Delivery } from '../api/types'
import { useRights } from '../app/session'
import { useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { errorText, Teach } from '../components/feedback'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { useT } from '../i18n'
import { ChannelForm } from './ChannelForm'

export default function Channels() {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { edit } = useRights()
  const path = inWorkspace(workspace, 'channels')
  const list = useList<Channel>(path)
  const [editing, setEditing] = useState<Channel | 'new' | null>(null)
  const [testing, setTesting] = useState('')
  const create = edit && <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')}>{t('channels.create')}</Button>
  const test = async (c: Channel) => {
    setTesting(c.name)
    try {
      const d = await post<Delivery | undefined>(inWorkspace(workspace, 'channels', c.name) + ':test')
      if (d?.state === 'failed' || d?.error) void message.error(t('channel.test.failed', { error: d.error }), 8)
      else void message.success(t('channel.test.sent', { answer: d?.answer ?? '' }), 5)
    } catch (e) {
      void message.error(errorText(e, t), 8)
    } finally {
      setTesting('')
    }
  }
  const where = (c: Channel) => {
    const s = c.spec
    if (s.webhook) return s.webhook.url
    if (s.mail) return `${s.mail.to.join(', ')} (${s.mail.host}:${s.mail.port})`
    if (s.alertmanager) return s.alertmanager.url
    if (s.pagerduty) return s.pagerduty.url ?? ''
    const phones = (s.gateway ?? s.aliyun ?? s.tencent ?? s.twilio)?.phones
    if (phones) return `${t(phones.use === 'call' ? 'channel.use.call' : 'channel.use.sms')}: ${phones.to.join(', ')}`
    return t('channel.hidden')
  }
  const columns: Column<Channel>[] = [
    { title: t('channel.type'), render: (_, c) => t(`channelType.${c.spec.type}`) },
    { title: t('channel.title'), field: 'title', render: (_, c) => (edit ? <Button type="link" style={{ padding: 0 }} onClick={() => setEditing(c)}>{c.spec.title}</Button> : c.spec.title) },
    { title: t('monitor.name'), field: 'name', render: (_, c) => <code>{c.name}</code> },
    { title: t('channel.where'), render: (_, c) => where(c) },
    { title: t('monitor.state'), render: (_, c) => (c.spec.disabled ? <State kind="paused">{t('monitor.disabled')}</State> : <State kind="ok">{t('channel.enabled')}</State>) },
    { title: t('list.updated'), field: 'updated_at', render: (_, c) => <Ago at={c.updated_at} /> },
    {
      title: '', key: 'act', align: 'right', render: (_, c) => edit && (
        <Space>
          <Button size="small" icon={<SendOutlined />} loading={testing === c.name} aria-label={t('channel.testName', { name: c.name })} onClick={() => void test(c)}>{t('channel.test')}</Button>
          <Button size="small" onClick={() => setEditing(c)} aria-label={t('channel.editName', { name: c.name })}>{t('action.edit')}</Button>
          <Button size="small" danger aria-label={t('channel.deleteName', { name: c.name })} onClick={() => confirm({ title: t('channel.delete.title', { name: c.spec.title }), what: t('channel.delete.what'), ok: t('action.delete'), run: async () => { await del(inWorkspace(workspace, 'channels', c.name)); await client.invalidateQueries({ queryKey: ['channels'] }) }, done: t('done.deleted', { name: c.name }) })}>{t('action.delete')}</Button>
        </Space>
      ),
    },
  ]
  return (
    <Page title={t('nav.channels')} about={t('channels.about')} actions={create}>
      <Panel className="flush" label={t('nav.channels')} extra={<SearchField />}>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.channels')} filtered={false} empty={<Teach title={t('channels.empty')} text={t('channels.empty.text')} image={<ApiOutlined style={{ fontSize: 48 }} />} action={create} command="pharos apply -f examples/dingtalk.yaml" />} />
      </Panel>
      {editing !== null && <ChannelForm key={editing === 'new' ? 'new' : editing.id} channel={editing === 'new' ? undefined : editing} onClose={() => setEditing(null)} />}
    </Page>
  )
}
