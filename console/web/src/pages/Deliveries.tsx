/** Every notice to every channel, with what the receiver said. */
import { RedoOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Select } from 'antd'
import { Link } from 'react-router'
import { inWorkspace, post } from '../api/client'
import type { Delivery } from '../api/types'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { errorText, Teach } from '../components/feedback'
import { ListTable, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { useT } from '../i18n'

export default function Deliveries() {
  const t = useT()
  const workspace = useWorkspace()
  const { message } = App.useApp()
  const client = useQueryClient()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const state = params.get('state') ?? ''
  const channel = params.get('channel') ?? ''
  const event = params.get('event') ?? ''
  const list = useList<Delivery>(inWorkspace(workspace, 'deliveries'), { state, channel, event_id: event }, 5000)
  const again = async (d: Delivery) => {
    try {
      await post(inWorkspace(workspace, 'deliveries', d.id) + ':again')
      await client.invalidateQueries({ queryKey: ['deliveries'] })
      void message.success(t('delivery.again.done'))
    } catch (e) {
      void message.error(errorText(e, t), 8)
    }
  }
  const columns: Column<Delivery>[] = [
    { title: t('delivery.state'), render: (_, d) => (d.state === 'sent' ? <State kind="ok">{t('delivery.sent')}</State> : d.state === 'failed' ? <State kind="error">{t('delivery.failed')}</State> : d.state === 'withheld' ? <State kind="clock">{t('delivery.withheld')} ({d.reason})</State> : <State kind="clock">{t('delivery.queued')}</State>) },
    { title: t('delivery.channel'), render: (_, d) => <code>{d.channel}</code> },
    { title: t('delivery.created'), field: 'created_ms', render: (_, d) => <Ago at={d.created_ms} /> },
    { title: t('delivery.attempts'), align: 'right', dataIndex: 'attempts' },
    { title: t('delivery.sentAt'), render: (_, d) => (d.sent_ms ? <Ago at={d.sent_ms} /> : d.state === 'queued' ? <>{t('delivery.next')} <Ago at={d.next_attempt_ms} /></> : '–') },
    { title: t('delivery.events'), align: 'right', render: (_, d) => 1 + (d.more_event_ids?.length ?? 0) },
    { title: t('delivery.answer'), render: (_, d) => <span style={{ overflowWrap: 'anywhere' }} className={d.error ? 'state-error' : ''}>{d.error || d.answer || '–'}</span> },
    { title: '', key: 'act', align: 'right', render: (_, d) => edit && d.state === 'failed' && <Button size="small" icon={<RedoOutlined />} aria-label={t('delivery.againTo', { channel: d.channel })} onClick={() => void again(d)}>{t('delivery.again')}</Button> },
  ]
  return (
    <Page title={t('nav.deliveries')} about={t('deliveries.about')}>
      <Panel className="flush" label={t('nav.deliveries')} extra={
        <>
          {event && <Button onClick={() => set({ event: undefined })}>{t('delivery.allEvents')}</Button>}
          <Input allowClear style={{ width: 200 }} aria-label={t('delivery.channel')} placeholder={t('delivery.channel')} defaultValue={channel} onPressEnter={(e) => set({ channel: e.currentTarget.value, page: undefined })} onClear={() => set({ channel: undefined })} />
          <Select aria-label={t('delivery.state')} style={{ width: 140 }} value={state} onChange={(v) => set({ state: v, page: undefined })} options={[{ value: '', label: t('delivery.all') }, ...(['sent', 'queued', 'failed', 'withheld'] as const).map((s) => ({ value: s, label: t(`delivery.${s}`) }))]} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.deliveries')} filtered={state !== '' || channel !== '' || event !== ''}
          empty={<Teach title={t('deliveries.empty')} text={t('deliveries.empty.text')} action={<Link to={`/w/${encodeURIComponent(workspace)}/channels`}><Button>{t('nav.channels')}</Button></Link>} />} />
      </Panel>
    </Page>
  )
}
