/** What fires now, and what happened. */
import { BellOutlined, CheckOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { App, Button, Input, Modal, Select, Tabs } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { inWorkspace, post } from '../api/client'
import type { AlarmEvent, Alert } from '../api/types'
import { useRights } from '../app/session'
import { useTime, useUrlStates, useWorkspace } from '../app/url'
import { errorText, Teach } from '../components/feedback'
import { Labels, ListTable, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { AlertState, Level } from '../components/state'
import { Ago, Moment, TimeBar } from '../components/time'
import { share } from '../format/numbers'
import { useT } from '../i18n'
import { EventTrend } from './EventTrend'
import { ConditionText, ruleAt } from './conditions'

const levels = ['P0', 'P1', 'P2', 'P3', 'P4']

export default function Alerts() {
  const t = useT()
  const [params, set] = useUrlStates()
  const tab = params.get('tab') ?? 'firing'
  return (
    <Page title={t('nav.alerts')} about={t('alerts.about')}>
      <Tabs activeKey={tab} destroyOnHidden onChange={(k) => set({ tab: k === 'firing' ? undefined : k, page: undefined, sort: undefined, state: undefined, type: undefined })} items={[
        { key: 'firing', label: t('alerts.tab.now'), children: <AlertList /> },
        { key: 'history', label: t('alerts.tab.history'), children: <History /> },
      ]} />
    </Page>
  )
}

function LevelFilter() {
  const t = useT()
  const [params, set] = useUrlStates()
  return (
    <Select aria-label={t('rule.level')} style={{ width: 150 }} value={params.get('level') ?? ''} onChange={(v) => set({ level: v, page: undefined })}
      options={[{ value: '', label: t('alerts.allLevels') }, ...levels.map((l) => ({ value: l, label: `${l} ${t(`level.${l}` as 'level.P0')}` }))]} />
  )
}

export function AlertList({ rule }: { rule?: string }) {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const state = params.get('state') ?? 'firing'
  const level = params.get('level') ?? ''
  const list = useList<Alert>(inWorkspace(workspace, 'alerts'), { state: state === 'all' ? '' : state, level, rule }, 5000)
  const [taking, setTaking] = useState<Alert | null>(null)
  const base = `/w/${encodeURIComponent(workspace)}`
  const columns: Column<Alert>[] = [
    { title: t('rule.level'), field: 'level', render: (_, a) => <Level level={a.level} /> },
    { title: t('alert.state'), render: (_, a) => <AlertState state={a.state} /> },
    { title: t('alert.rule'), render: (_, a) => <Link to={base + ruleAt(a.rule)}>{a.title || a.rule}</Link> },
    { title: t('alert.object'), render: (_, a) => <Labels labels={a.object} /> },
    { title: t('alert.values'), render: (_, a) => <ConditionText conditions={a.conditions ?? []} /> },
    { title: t('alert.since'), field: 'started_ms', render: (_, a) => <Ago at={a.started_ms} /> },
    { title: t('alert.checks'), align: 'right', dataIndex: 'checks' },
    { title: t('alert.taken'), render: (_, a) => (a.acknowledged_by ? <span title={a.acknowledge_note}>{a.acknowledged_by}, <Ago at={a.acknowledged_ms} /></span> : a.state === 'firing' && edit ? <Button size="small" icon={<CheckOutlined />} onClick={() => setTaking(a)}>{t('alert.take')}</Button> : '–') },
  ]
  return (
    <Panel className="flush" label={t('alerts.tab.now')} extra={
      <>
        {!rule && <LevelFilter />}
        <Select aria-label={t('alert.state')} style={{ width: 140 }} value={state} onChange={(v) => set({ state: v === 'firing' ? undefined : v, page: undefined })}
          options={[{ value: 'firing', label: t('alert.firing') }, { value: 'recovered', label: t('alert.recovered') }, { value: 'closed', label: t('alert.closed') }, { value: 'all', label: t('alerts.allStates') }]} />
      </>
    }>
      <ListTable list={list} columns={columns} rowKey="id" label={t('alerts.tab.now')} filtered={level !== '' || state !== 'firing'}
        empty={<Teach title={t('alerts.calm')} text={t('alerts.calm.text')} image={<BellOutlined style={{ fontSize: 48 }} />} action={edit && !rule && <Link to={`${base}/rules/new`}><Button>{t('rules.create')}</Button></Link>} />} />
      <Take alert={taking} onClose={() => setTaking(null)} />
    </Panel>
  )
}

function Take({ alert, onClose }: { alert: Alert | null; onClose: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const [note, setNote] = useState('')
  return (
    <Modal
      open={alert !== null} title={t('alert.take.title', { name: alert?.title ?? '' })} okText={t('alert.take')} cancelText={t('action.cancel')} onCancel={onClose}
      onOk={async () => {
        try {
          await post(inWorkspace(workspace, 'alerts', alert!.id) + ':acknowledge', { note })
          await client.invalidateQueries({ queryKey: ['alerts'] })
          setNote('')
          onClose()
        } catch (e) {
          void message.error(errorText(e, t))
        }
      }}
    >
      <p>{t('alert.take.what')}</p>
      <Input.TextArea aria-label={t('alert.take.note')} placeholder={t('alert.take.note')} maxLength={500} value={note} onChange={(e) => setNote(e.target.value)} />
    </Modal>
  )
}

const day = { from: 'now-1d', to: 'now' }

function History() {
  const time = useTime(day)
  return (
    <>
      <div className="row" style={{ justifyContent: 'flex-end', marginBottom: 12 }}><TimeBar time={time} /></div>
      <EventHistory span={time.span} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })} />
    </>
  )
}

export function EventHistory({ rule, span, onZoom }: { rule?: string; span: { start: number; end: number }; onZoom?: (s: { start: number; end: number }) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const [params, set] = useUrlStates()
  const type = params.get('type') ?? ''
  const level = params.get('level') ?? ''
  const list = useList<AlarmEvent>(inWorkspace(workspace, 'alarm_events'), { type, level, rule, start: Math.round(span.start), end: Math.round(span.end) })
  const base = `/w/${encodeURIComponent(workspace)}`
  const columns: Column<AlarmEvent>[] = [
    { title: t('event.time'), field: 'time_ms', render: (_, e) => <Moment at={e.time_ms} /> },
    { title: t('rule.level'), render: (_, e) => <Level level={e.level} /> },
    { title: t('event.type'), render: (_, e) => <AlertState state={e.type} /> },
    { title: t('alert.rule'), render: (_, e) => (e.rule ? <Link to={base + ruleAt(e.rule)}>{e.title || e.rule}</Link> : e.title) },
    { title: t('alert.object'), render: (_, e) => <Labels labels={e.object} /> },
    { title: t('alert.values'), render: (_, e) => <ConditionText conditions={e.conditions ?? []} /> },
    { title: t('monitor.completeness'), align: 'right', render: (_, e) => share(e.completeness) },
    { title: '', key: 'deliveries', render: (_, e) => <Link to={`${base}/deliveries?event=${e.id}`}>{t('event.deliveries')}</Link> },
  ]
  return (
    <>
      <Panel title={t('history.trend')}><EventTrend rule={rule} level={level} span={span} onZoom={onZoom} /></Panel>
      <Panel className="flush" label={t('alerts.tab.history')} extra={
        <>
          {!rule && <LevelFilter />}
          <Select aria-label={t('event.type')} style={{ width: 140 }} value={type} onChange={(v) => set({ type: v, page: undefined })}
            options={[{ value: '', label: t('event.allTypes') }, ...(['firing', 'repeat', 'recovered', 'closed', 'acknowledged', 'test'] as const).map((k) => ({ value: k, label: t(`alert.${k}`) }))]} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="id" label={t('alerts.tab.history')} filtered={type !== '' || level !== ''} empty={<Teach title={t('history.empty')} text={t('history.empty.text')} />} />
      </Panel>
    </>
  )
}
