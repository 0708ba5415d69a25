/** All alarm rules of the workspace. */
import { NotificationOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Select } from 'antd'
import { Link } from 'react-router'
import { inWorkspace } from '../api/client'
import type { Rule } from '../api/types'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { Teach } from '../components/feedback'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { AlertState, Level } from '../components/state'
import { Ago } from '../components/time'
import { useT } from '../i18n'
import { conditionsOf, conditionWords } from './conditions'

export function ruleState(r: Rule): string {
  return r.spec.disabled ? 'disabled' : r.status.state
}

export default function Rules() {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const state = params.get('state') ?? ''
  const level = params.get('level') ?? ''
  const list = useList<Rule>(inWorkspace(workspace, 'alarm_rules'), { state, level }, 10_000)
  const base = `/w/${encodeURIComponent(workspace)}/rules`
  const create = edit && <Link to={`${base}/new`}><Button type="primary" icon={<PlusOutlined />}>{t('rules.create')}</Button></Link>
  const columns: Column<Rule>[] = [
    { title: t('rule.level'), field: 'level', render: (_, r) => <Level level={r.spec.level ?? 'P2'} /> },
    { title: t('alert.state'), field: 'state', render: (_, r) => <AlertState state={ruleState(r)} /> },
    { title: t('rule.title'), field: 'title', render: (_, r) => <Link to={`${base}/${r.name}`}>{r.spec.title}</Link> },
    { title: t('monitor.name'), field: 'name', render: (_, r) => <code>{r.name}</code> },
    { title: t('rule.conditions'), render: (_, r) => <div>{conditionsOf(r.spec).map((c, i) => <div key={i}><code>{conditionWords(c, t)}</code></div>)}</div> },
    { title: t('rule.firing'), align: 'right', field: 'alerts', render: (_, r) => r.status.alerts },
    { title: t('rule.every'), align: 'right', render: (_, r) => r.spec.every ?? '1m' },
    { title: t('rule.channels'), render: (_, r) => r.spec.channels?.join(', ') || <span className="state-warn">{t('rule.noChannels')}</span> },
    { title: t('list.updated'), field: 'updated_at', render: (_, r) => <Ago at={r.updated_at} /> },
  ]
  return (
    <Page title={t('nav.rules')} about={t('rules.about')} actions={create}>
      <Panel className="flush" label={t('nav.rules')} extra={
        <>
          <SearchField />
          <Select aria-label={t('rule.level')} style={{ width: 120 }} value={level} onChange={(v) => set({ level: v, page: undefined })} options={[{ value: '', label: t('alerts.allLevels') }, ...['P0', 'P1', 'P2', 'P3', 'P4'].map((l) => ({ value: l, label: l }))]} />
          <Select aria-label={t('alert.state')} style={{ width: 140 }} value={state} onChange={(v) => set({ state: v, page: undefined })} options={[{ value: '', label: t('alerts.allStates') }, ...(['ok', 'firing', 'unknown', 'error', 'inactive', 'disabled'] as const).map((k) => ({ value: k, label: t(`alert.${k}`) }))]} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="id" label={t('nav.rules')} filtered={state !== '' || level !== ''} empty={<Teach title={t('rules.empty')} text={t('rules.empty.text')} image={<NotificationOutlined style={{ fontSize: 48 }} />} action={create} command="pharos apply -f examples/shop/pharos/rules.yaml" />} />
      </Panel>
    </Page>
  )
}
