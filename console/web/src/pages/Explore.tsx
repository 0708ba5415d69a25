/** Asks anything in PromQL: several queries, as chart and table. */
import { DeleteOutlined, PlayCircleOutlined, PlusOutlined } from '@ant-design/icons'
import { useQueries } from '@tanstack/react-query'
import { Alert, Button, Segmented, Skeleton, Table } from 'antd'
import { lazy, Suspense, useMemo, useState } from 'react'
import { labelText, queryInstant, queryRange, type PromResult } from '../api/prom'
import { usePrefs } from '../app/prefs'
import { useTime, useUrlStates, useWorkspace } from '../app/url'
import { TimeChart, type ChartSeries } from '../charts'
import { errorText, Teach } from '../components/feedback'
import { Page, Panel } from '../components/page'
import { Moment, TimeBar } from '../components/time'
import { exact, promDuration } from '../format/numbers'
import { spoken } from '../format/times'
import { useT } from '../i18n'
import { stepFor } from '../time/range'

const PromEditor = lazy(() => import('../components/PromEditor'))

const letters = 'ABCDEFGHIJ'

/** differing leaves those labels that tell a result's series apart; all of them when there is one series. */
function differing(r: PromResult, labels: Record<string, string>): Record<string, string> {
  if (r.series.length < 2) return labels
  return Object.fromEntries(Object.entries(labels).filter(([k, v]) => r.series.some((s) => s.labels[k] !== v)))
}

interface Row {
  key: string
  query: string
  labels: Record<string, string>
  at: number
  value: number | null
}

export default function Explore() {
  const t = useT()
  const { language } = usePrefs()
  const workspace = useWorkspace()
  const time = useTime()
  const [params, set] = useUrlStates()
  const asked = useMemo(() => {
    const q = params.get('q')
    return q === null ? [] : q.split('\n')
  }, [params])
  const [drafts, setDrafts] = useState(() => (asked.length > 0 ? asked : ['']))
  const view = params.get('view') ?? 'chart'
  const step = stepFor(time.span, 1000, 300)
  const start = Math.floor(time.span.start / step) * step
  const run = (list = drafts) => {
    time.now()
    set({ q: list.map((d) => d.replaceAll('\n', ' ').trim()).join('\n').replace(/^\n+$/, '') }, true)
  }
  const results = useQueries({
    queries: asked.map((expr) => ({
      queryKey: ['explore', workspace, expr, view, start, time.span.end, step],
      enabled: expr !== '', retry: false,
      queryFn: ({ signal }: { signal: AbortSignal }): Promise<PromResult> =>
        view === 'chart' ? queryRange(workspace, { expr, start, end: time.span.end, step }, signal) : queryInstant(workspace, expr, time.span.end, signal),
      placeholderData: (old: PromResult | undefined) => old,
    })),
  })
  const many = asked.filter((a) => a !== '').length > 1
  const series: ChartSeries[] = results.flatMap((r, i) => (r.data?.type === 'matrix' ? r.data.series : []).slice(0, 100).map((s) => {
    const rest = differing(r.data!, s.labels)
    const name = s.labels.__name__ && !rest.__name__ && Object.keys(rest).length > 0 ? labelText(rest) : (s.labels.__name__ ?? '') + (Object.keys(rest).some((k) => k !== '__name__') ? `{${labelText(rest)}}` : s.labels.__name__ ? '' : '{}')
    return { name: many ? `${letters[i]}: ${name}` : name, points: s.points }
  }))
  const count = results.reduce((n, r) => n + (r.data?.series.length ?? 0), 0)
  const rows: Row[] = results.flatMap((r, i) => (r.data && r.data.type !== 'matrix' ? r.data.series : []).map((s, j) => ({ key: `${i}-${j}`, query: letters[i]!, labels: s.labels, at: s.points[0]?.[0] ?? 0, value: s.points[0]?.[1] ?? null })))
  const loading = results.some((r) => r.isFetching)
  return (
    <Page title={t('nav.explore')} about={t('explore.about')} actions={<TimeBar time={time} loading={loading} />}>
      <Panel label={t('explore.queries')}>
        {drafts.map((d, i) => (
          <div key={i} style={{ marginBottom: 8 }}>
            <div className="row" style={{ flexWrap: 'nowrap', alignItems: 'flex-start' }}>
              <span className="mono muted" style={{ paddingTop: 6, width: 14 }}>{letters[i]}</span>
              <Suspense fallback={<Skeleton.Input active block />}>
                <PromEditor value={d} workspace={workspace} label={t('explore.query', { n: letters[i]! })} onChange={(v) => setDrafts((old) => old.map((x, j) => (j === i ? v : x)))} onRun={(v) => run(drafts.map((x, j) => (j === i ? v : x)))} />
              </Suspense>
              {drafts.length > 1 && (
                <Button icon={<DeleteOutlined />} aria-label={t('explore.remove', { n: letters[i]! })} onClick={() => { const rest = drafts.filter((_, j) => j !== i); setDrafts(rest); run(rest) }} />
              )}
            </div>
            {results[i]?.error && asked[i] !== '' && <Alert style={{ marginTop: 6, marginLeft: 22 }} type="error" showIcon role="alert" title={errorText(results[i].error, t)} />}
            {results[i]?.data?.warnings.map((w) => <Alert key={w} style={{ marginTop: 6, marginLeft: 22 }} type="warning" showIcon title={w} />)}
          </div>
        ))}
        <div className="row" style={{ marginLeft: 22 }}>
          <Button type="primary" icon={<PlayCircleOutlined />} onClick={() => run()}>{t('explore.run')}</Button>
          {drafts.length < 10 && <Button icon={<PlusOutlined />} onClick={() => setDrafts([...drafts, ''])}>{t('explore.add')}</Button>}
          <span className="muted">{t('explore.keys')}</span>
        </div>
      </Panel>
      {asked.every((a) => a === '') ? (
        <Panel><Teach title={t('explore.empty')} text={t('explore.empty.text')} command="pharos query 'sys_cpu_util' --start -1h --step 1m" action={<Button onClick={() => { setDrafts(['sys_cpu_util']); run(['sys_cpu_util']) }}>{t('explore.try')} <code style={{ marginInlineStart: 6 }}>sys_cpu_util</code></Button>} /></Panel>
      ) : (
        <Panel
          title={t('explore.result', { n: count })} label={t('explore.result', { n: count })}
          extra={<>{view === 'chart' && <span className="muted">{t('explore.step', { step: spoken(promDuration(step), language) })}</span>}<Segmented aria-label={t('explore.view')} value={view} onChange={(v) => set({ view: v === 'chart' ? undefined : String(v) })} options={[{ value: 'chart', label: t('explore.chart') }, { value: 'table', label: t('explore.table') }]} /></>}
        >
          {view === 'chart' ? (
            <TimeChart title={asked.join(', ')} series={series} span={time.span} height={360} onZoom={(s) => time.setRange({ from: String(s.start), to: String(s.end) })} />
          ) : (
            <Table<Row>
              size="small" dataSource={rows} virtual={rows.length > 200} scroll={rows.length > 200 ? { y: 560, x: 800 } : { x: 'max-content' }} pagination={false} loading={loading && rows.length === 0} locale={{ emptyText: t('explore.noSeries') }} showSorterTooltip={false}
              columns={[
                ...(many ? [{ title: '', width: 40, dataIndex: 'query' }] : []),
                { title: t('explore.series'), render: (_: unknown, r: Row) => <code>{r.labels.__name__ ?? ''}{Object.keys(r.labels).some((k) => k !== '__name__') ? `{${labelText(r.labels)}}` : ''}</code> },
                { title: t('explore.time'), width: 190, render: (_: unknown, r: Row) => <Moment at={r.at} /> },
                { title: t('explore.value'), align: 'right' as const, width: 180, sorter: (a: Row, b: Row) => (a.value ?? -Infinity) - (b.value ?? -Infinity), render: (_: unknown, r: Row) => exact(r.value, '', language) },
              ]}
            />
          )}
          {view === 'chart' && count > 100 && <p className="muted">{t('explore.many', { n: count })}</p>}
        </Panel>
      )}
    </Page>
  )
}
