/** One alarm rule: its judgement against the data, its alerts and their history. */
import { DeleteOutlined, EditOutlined, PauseCircleOutlined, PlayCircleOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Tabs } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { del, get, inWorkspace, post } from '../api/client'
import type { Rule } from '../api/types'
import { useRights } from '../app/session'
import { useTime, useUrlStates, useWorkspace } from '../app/url'
import { ChartLoading } from '../charts'
import { useConfirm } from '../components/confirm'
import { errorText, Loaded } from '../components/feedback'
import { Facts, Page, Panel } from '../components/page'
import { AlertState, Level } from '../components/state'
import { Ago, TimeBar } from '../components/time'
import { useT } from '../i18n'
import { AlertList, EventHistory } from './Alerts'
import { conditionWords, partsOf } from './conditions'
import { RulePreview } from './RulePreview'
import { ruleState } from './Rules'

const Yaml = lazy(() => import('../components/ResourceYaml'))

const threeHours = { from: 'now-3h', to: 'now' }

export default function RulePage() {
  const { name = '' } = useParams()
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const client = useQueryClient()
  const confirm = useConfirm()
  const { edit } = useRights()
  const time = useTime(threeHours)
  const [params, set] = useUrlStates()
  const tab = params.get('tab') ?? 'alerts'
  const path = inWorkspace(workspace, 'alarm_rules', name)
  const rule = useQuery({ queryKey: ['rule', workspace, name], queryFn: ({ signal }) => get<Rule>(path, undefined, signal), refetchInterval: 10_000 })
  const r = rule.data
  const base = `/w/${encodeURIComponent(workspace)}/rules`
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ['alarm_rules'] })
    return client.invalidateQueries({ queryKey: ['rule', workspace, name] })
  }
  const enable = useMutation({ mutationFn: () => post(path + ':enable'), onSuccess: refresh, onError: (e) => void message.error(errorText(e, t)) })
  const zoom = (s: { start: number; end: number }) => time.setRange({ from: String(s.start), to: String(s.end) })
  return (
    <Page
      title={r?.spec.title ?? name} about={r?.spec.description} extra={r && <><Level level={r.spec.level ?? 'P2'} /> <AlertState state={ruleState(r)} /></>}
      actions={
        <>
          <TimeBar time={time} />
          {edit && r && (
            <>
              <Link to={`${base}/${name}/edit`}><Button icon={<EditOutlined />}>{t('action.edit')}</Button></Link>
              {r.spec.disabled
                ? <Button icon={<PlayCircleOutlined />} loading={enable.isPending} onClick={() => enable.mutate()}>{t('action.enable')}</Button>
                : <Button icon={<PauseCircleOutlined />} onClick={() => confirm({ title: t('rule.disable.title', { name: r.spec.title }), what: t('rule.disable.what'), ok: t('action.disable'), run: async () => { await post(path + ':disable'); await refresh() } })}>{t('action.disable')}</Button>}
              <Button danger icon={<DeleteOutlined />} onClick={() => confirm({ title: t('rule.delete.title', { name: r.spec.title }), what: t('rule.delete.what'), ok: t('action.delete'), run: async () => { await del(path); void client.invalidateQueries({ queryKey: ['alarm_rules'] }); await navigate(base) }, done: t('done.deleted', { name }) })}>{t('action.delete')}</Button>
            </>
          )}
        </>
      }
    >
      <Loaded query={rule}>
        {(d) => (
          <>
            {!d.spec.channels?.length && <Alert style={{ marginBottom: 16 }} type="warning" showIcon title={t('rule.noChannels.warn')} />}
            <Panel title={t('rule.judged')}>
              <RulePreview spec={d.spec} span={time.span} onZoom={zoom} />
            </Panel>
            <Panel title={t('rule.what')}>
              <Facts items={[
                ...partsOf(d.spec).map((p): [string, ReactNode] => [p.name || t('rule.conditions'), (
                  <span key={p.name}>
                    {p.conditions.map((c, i) => <div key={i}>{i > 0 && <span className="muted">{p.join === 'any' ? t('rule.or') : t('rule.and')} </span>}<code>{conditionWords(c, t)}</code></div>)}
                    <span className="muted">{p.of ? t('rule.ofChecks', { n: p.for || 1, of: p.of }) : t('rule.checks', { n: p.for || 1 })}</span>
                  </span>
                )]),
                [t('rule.every'), d.spec.every ?? '1m'], [t('rule.recoverAfter'), t('rule.checks', { n: d.spec.recover_after || 2 })],
                [t('rule.channels'), d.spec.channels?.join(', ')], [t('rule.repeat'), d.spec.repeat_every ?? t('rule.never')], [t('rule.checked'), <Ago key="a" at={d.status?.checked_ms} />], [t('rule.detail'), d.status?.detail],
              ]} />
            </Panel>
            <Tabs activeKey={tab} destroyOnHidden onChange={(k) => set({ tab: k === 'alerts' ? undefined : k, page: undefined, sort: undefined })} items={[
              { key: 'alerts', label: t('rule.tab.alerts'), children: <AlertList rule={name} /> },
              { key: 'history', label: t('alerts.tab.history'), children: <EventHistory rule={name} span={time.span} onZoom={zoom} /> },
              { key: 'yaml', label: 'YAML', children: <Panel label="YAML"><Suspense fallback={<ChartLoading />}><Yaml kind="AlarmRule" name={name} workspace={workspace} spec={d.spec} /></Suspense></Panel> },
            ]} />
          </>
        )}
      </Loaded>
    </Page>
  )
}
