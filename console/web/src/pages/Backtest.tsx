/** What a rule would have done in the past: the alerts, and the last checks one by one. */
import { useMutation } from '@tanstack/react-query'
import { Alert, Button, Collapse, Segmented, Table } from 'antd'
import { useState } from 'react'
import { inWorkspace, post } from '../api/client'
import { labelText } from '../api/prom'
import type { Backtest as Outcome, BacktestCheck, BacktestEpisode, RuleSpec } from '../api/types'
import { usePrefs } from '../app/prefs'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { Moment } from '../components/time'
import { short } from '../format/numbers'
import { spoken } from '../format/times'
import { useT } from '../i18n'
import { JudgedWords } from './conditions'

const spans = { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000 } as const

type SpanName = keyof typeof spans

export function Backtest({ spec, ready }: { spec: RuleSpec; ready: boolean }) {
  const t = useT()
  const workspace = useWorkspace()
  const [span, setSpan] = useState<SpanName>('24h')
  const run = useMutation({
    mutationFn: async () => {
      const end = Date.now()
      const outcome = await post<Outcome>(inWorkspace(workspace, 'alarm_rules') + ':backtest', { spec: { ...spec, title: spec.title || '-', channels: undefined }, start: end - spans[span], end })
      return { outcome, days: spans[span] / spans['24h'] }
    },
  })
  return (
    <>
      <div className="row" style={{ marginBottom: 8 }}>
        <Segmented aria-label={t('backtest.span')} value={span} onChange={setSpan} options={(Object.keys(spans) as SpanName[]).map((s) => ({ value: s, label: t(`backtest.${s}`) }))} />
        <Button disabled={!ready} loading={run.isPending} onClick={() => run.mutate()}>{t('backtest.run')}</Button>
      </div>
      {run.isError && <ErrorNote error={run.error} />}
      {run.data ? <Result outcome={run.data.outcome} days={run.data.days} /> : !run.isError && <p className="muted" style={{ margin: 0 }}>{t('backtest.about')}</p>}
    </>
  )
}

function Result({ outcome: o, days }: { outcome: Outcome; days: number }) {
  const t = useT()
  const { language } = usePrefs()
  const doubts = [
    o.unknown > 0 ? t('backtest.unknown', { n: o.unknown, of: o.checks }) : '',
    o.failed > 0 ? t('backtest.failed', { n: o.failed, why: o.failure ?? '' }) : '',
  ].filter((x) => x !== '')
  return (
    <div className="stack" style={{ gap: 8 }} aria-live="polite">
      <p style={{ margin: 0 }}>
        <strong>{o.all === 0 ? t('backtest.none') : t('backtest.alerts', { n: o.all })}</strong>
        {o.all > 0 && days >= 1 && <> · {t('backtest.perDay', { n: short(o.all / days) })}</>}
        <span className="muted"> · {t('backtest.checks', { n: o.checks, objects: o.objects })}</span>
      </p>
      {doubts.length > 0 && <Alert type="warning" showIcon title={doubts.join('; ')} />}
      {o.episodes.length > 0 && (
        <Table<BacktestEpisode>
          size="small" aria-label={t('backtest.episodes')} rowKey={(e) => `${e.fired_ms}-${JSON.stringify(e.labels)}`} dataSource={o.episodes} pagination={{ pageSize: 10, hideOnSinglePage: true, showSizeChanger: false }} scroll={{ x: 'max-content' }}
          expandable={{ expandRowByClick: true, expandedRowRender: (e) => e.message }}
          columns={[
            { title: t('backtest.fired'), render: (_, e) => <Moment at={e.fired_ms} /> },
            { title: t('backtest.lasted'), render: (_, e) => (e.ended_ms ? spoken(`${Math.round((e.ended_ms - e.fired_ms) / 60_000)}m`, language) : <span className="state-error">{t('backtest.still')}</span>) },
            { title: t('backtest.object'), render: (_, e) => [e.rule, labelText(e.labels, ['app'])].filter(Boolean).join(' · ') || '-' },
            { title: t('backtest.held'), align: 'right', dataIndex: 'true_checks' },
            { title: t('backtest.notices'), align: 'right', dataIndex: 'notices' },
          ]}
        />
      )}
      <Collapse size="small" items={[{ key: 'trace', label: t('backtest.trace', { n: o.trace.length }), children: <Trace checks={o.trace} /> }]} />
    </div>
  )
}

const states = { ok: 'muted', firing: 'state-error', unknown: 'state-warn', inactive: 'muted', error: 'state-warn' } as const

/** Trace are checks, the newest first, each with what it found of every object. */
function Trace({ checks }: { checks: BacktestCheck[] }) {
  const t = useT()
  return (
    <Table<BacktestCheck>
      size="small" aria-label={t('backtest.checksTable')} rowKey="at_ms" dataSource={[...checks].reverse()} pagination={{ pageSize: 15, hideOnSinglePage: true, showSizeChanger: false }} scroll={{ x: 'max-content' }}
      columns={[
        { title: t('backtest.at'), render: (_, c) => <Moment at={c.at_ms} /> },
        { title: t('backtest.result'), render: (_, c) => <span className={states[c.result]}>{t(`backtest.state.${c.result}`)}</span> },
        {
          title: t('backtest.found'), render: (_, c) => (
            <>
              {c.detail}
              {c.objects.map((o, i) => (
                <div key={i}>
                  <span className={o.truth === 'true' ? 'state-error' : o.truth === 'unknown' ? 'state-warn' : 'muted'}>{t(`backtest.truth.${o.truth}`)}</span>{' '}
                  {[o.rule, labelText(o.labels, ['app'])].filter(Boolean).join(' · ')}{' '}
                  {o.conditions.map((x, j) => <code key={j}><JudgedWords condition={x} />{x.completeness < 1 ? ` (${Math.round(x.completeness * 100)} %)` : ''} </code>)}
                </div>
              ))}
              {c.all > c.objects.length && <span className="muted">{t('backtest.more', { n: c.all - c.objects.length })}</span>}
            </>
          ),
        },
      ]}
    />
  )
}
