/** How this installation is: agents, freshness, intake, alarms, problems. */
import { FileSearchOutlined, PlusOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button } from 'antd'
import { Link } from 'react-router'
import { get, inWorkspace } from '../api/client'
import type { Alert, List, Overview } from '../api/types'
import { Favourites } from '../app/favourites'
import { useRights } from '../app/session'
import { useTime, useWorkspace } from '../app/url'
import { PromChart } from '../charts'
import { Loaded } from '../components/feedback'
import { Labels } from '../components/ListTable'
import { Figure, Page, Panel } from '../components/page'
import { Level, State } from '../components/state'
import { Ago, TimeBar } from '../components/time'
import { short } from '../format/numbers'
import { useT } from '../i18n'
import { ConditionText, ruleAt } from './conditions'

const levels = ['P0', 'P1', 'P2', 'P3', 'P4'] as const

function at(o: Overview, level: (typeof levels)[number]): number {
  return o.alarms_firing[level.toLowerCase() as Lowercase<typeof level>]
}

const intake = [{ expr: 'sum(rate(self_agent_lines_total[1m]))', area: true, name: 'lines/s' }]

export default function Home() {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const time = useTime(undefined, '10s')
  const base = `/w/${encodeURIComponent(workspace)}`
  const overview = useQuery({ queryKey: ['overview', workspace], queryFn: ({ signal }) => get<Overview>('/api/v1/overview', { workspace }, signal), refetchInterval: 5000 })
  const alerts = useQuery({ queryKey: ['alerts', 'home', workspace], queryFn: ({ signal }) => get<List<Alert>>(inWorkspace(workspace, 'alerts'), { state: 'firing', page_size: 10 }, signal), refetchInterval: 5000 })
  const zoom = (s: { start: number; end: number }) => time.setRange({ from: String(s.start), to: String(s.end) })
  const watch = <Link to={`${base}/monitors/new`}><Button type="primary" size="large" icon={<PlusOutlined />}>{t('home.watch')}</Button></Link>
  return (
    <Page title={t('home.title')} actions={<TimeBar time={time} />}>
      <Loaded query={overview}>
        {(o) => {
          const firing = levels.reduce((n, l) => n + (at(o, l)), 0)
          return (
            <>
              {o.monitors === 0 && edit && (
                <Panel className="first" label={t('home.watch')}>
                  <div style={{ display: 'flex', gap: 16, alignItems: 'center' }}>
                    <FileSearchOutlined style={{ fontSize: 36 }} aria-hidden />
                    <div><h2 style={{ fontSize: 17 }}>{t('home.first')}</h2><div className="muted">{t('home.first.text')}</div></div>
                  </div>
                  {watch}
                </Panel>
              )}
              <Favourites />
              <div className="figures">
                <Figure name={t('nav.agents')} value={<Link to={`${base}/agents`}>{o.agents.total}</Link>} hint={
                  <>
                    <State kind="ok">{t('home.healthy', { n: o.agents.healthy })}</State>
                    {o.agents.abnormal > 0 && <div><State kind="error">{t('home.abnormal', { n: o.agents.abnormal })}</State></div>}
                    {o.agents.clock_skew > 0 && <div><State kind="clock">{t('home.skewed', { n: o.agents.clock_skew })}</State></div>}
                  </>
                } />
                <Figure name={t('home.freshness')} value={short(o.freshness_ms, 'ms')} hint={t('home.freshness.hint')} state={(o.freshness_ms ?? 0) > 5000 ? 'warn' : undefined} />
                <Figure name={t('home.lines')} value={short(o.lines_per_second, '1/s')} hint={short(o.bytes_per_second, 'bytes/s')} />
                <Figure name={t('home.settle')} value={short(o.settle_delay_ms, 'ms')} hint={t('home.settle.hint')} state={(o.settle_delay_ms ?? 0) > 60_000 ? 'warn' : undefined} />
                <Figure name={t('home.firing')} value={<Link to={`${base}/alerts`}>{firing}</Link>} state={firing > 0 ? 'error' : undefined} hint={firing === 0 ? <State kind="ok">{t('home.calm')}</State> : <span className="row" style={{ gap: 4 }}>{levels.filter((l) => at(o, l) > 0).map((l) => <span key={l}><Level level={l} /> {at(o, l)}</span>)}</span>} />
                <Figure name={t('home.disk')} value={short(o.disk_bytes, 'bytes')} />
              </div>
              <div className="grid-2">
                <Panel title={t('home.lines')}>
                  <PromChart title={t('home.lines')} unit="1/s" height={190} span={time.span} onZoom={zoom} group="home" lines={intake} legend={false} />
                </Panel>
                <Panel title={t('home.problems')}>
                  {o.problems.length === 0 ? <State kind="ok">{t('home.noProblems')}</State> : (
                    <ul style={{ margin: 0, paddingInlineStart: 0, listStyle: 'none' }}>
                      {o.problems.slice(0, 12).map((p, i) => <li key={p.code + i} style={{ padding: '3px 0' }}><State kind="error">{p.object}</State> <span>{p.message}</span></li>)}
                    </ul>
                  )}
                </Panel>
              </div>
              <div style={{ height: 16 }} />
              <Panel title={t('home.firing')} extra={<Link to={`${base}/alerts`}>{t('home.all')}</Link>}>
                <Loaded query={alerts} rows={3}>
                  {(a) => a.items.length === 0 ? <State kind="ok">{t('home.calm')}</State> : (
                    <table className="plain-table" aria-label={t('home.firing')}>
                      <thead><tr><th>{t('rule.level')}</th><th>{t('alert.rule')}</th><th>{t('alert.object')}</th><th>{t('alert.values')}</th><th>{t('alert.since')}</th></tr></thead>
                      <tbody>{a.items.map((x) => <tr key={x.id}><td><Level level={x.level} /></td><td><Link to={base + ruleAt(x.rule)}>{x.title || x.rule}</Link></td><td><Labels labels={x.object} /></td><td><ConditionText conditions={x.conditions ?? []} /></td><td className="nowrap"><Ago at={x.started_ms} /></td></tr>)}</tbody>
                    </table>
                  )}
                </Loaded>
              </Panel>
              {o.monitors > 0 && edit && <div>{watch}</div>}
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}
