/** What the rule makes of the lines shown, and the YAML that says the same. */
import { LoadingOutlined } from '@ant-design/icons'
import { Alert, Spin, Tabs } from 'antd'
import { lazy, Suspense } from 'react'
import { ApiError } from '../api/client'
import type { DryRun, MonitorSpec } from '../api/types'
import { usePrefs } from '../app/prefs'
import { ErrorNote } from '../components/feedback'
import { Panel } from '../components/page'
import { exact, short } from '../format/numbers'
import { clock } from '../format/times'
import { useT } from '../i18n'
import { figureName, figuresOf, keepsLines } from './spec'

const YamlTab = lazy(() => import('./YamlTab'))

interface Props {
  name: string
  workspace: string
  spec: MonitorSpec
  dry: DryRun | undefined
  error: unknown
  running: boolean
  runnable: boolean
}

export function Result({ name, workspace, spec, dry, error, running, runnable }: Props) {
  const t = useT()
  return (
    <Panel label={t('result.title')}>
      <Tabs
        size="small"
        items={[
          { key: 'result', label: t('result.title'), children: <Figures spec={spec} dry={dry} error={error} running={running} runnable={runnable} /> },
          { key: 'yaml', label: 'YAML', children: <Suspense fallback={<Spin />}><YamlTab name={name || 'name'} workspace={workspace} spec={spec} /></Suspense> },
        ]}
      />
    </Panel>
  )
}

/** KeptLines are the lines that would leave the machine, as they would. */
function KeptLines({ rows }: { rows: NonNullable<DryRun['totals']> }) {
  const t = useT()
  return (
    <>
      <p style={{ margin: '0 0 4px' }}>{t('result.kept')}</p>
      <pre className="mono" style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: '0 0 8px', fontSize: 12 }}>{rows.flatMap((r) => r.kept ?? []).slice(0, 20).join('\n')}</pre>
    </>
  )
}

function Figures({ spec, dry, error, running, runnable }: { spec: MonitorSpec; dry: DryRun | undefined; error: unknown; running: boolean; runnable: boolean }) {
  const t = useT()
  const { zone, language } = usePrefs()
  if (!runnable) return <p className="muted">{t('result.none')}</p>
  if (error && error instanceof ApiError && error.details.length > 0) {
    return <Alert type="warning" showIcon title={t('result.incomplete')} description={<ul style={{ paddingInlineStart: 16, margin: 0 }}>{error.details.map((d) => <li key={d.field}>{d.message}</li>)}</ul>} />
  }
  if (error) return <ErrorNote error={error} />
  if (!dry) return <Spin />
  const counts = { matched: 0, filtered: 0, unmatched: 0, bad: 0, late: 0 }
  for (const l of dry.lines ?? []) counts[l.outcome]++
  const stats = figuresOf(spec)
  const keys = keepsLines(spec.type) ? [] : (spec.group_by ?? [])
  const rows = (dry.totals ?? []).toSorted((a, b) => b.window_ms - a.window_ms || b.lines - a.lines)
  const at = (ms: number) => {
    const c = clock(ms, zone)
    return `${c.hour}:${c.minute}${c.second === '00' ? '' : ':' + c.second}`
  }
  return (
    <>
      <p style={{ margin: '0 0 8px' }} aria-live="polite">
        {running && <><LoadingOutlined aria-label={t('result.running')} /> </>}
        {t('result.lines', { matched: counts.matched, total: dry.lines?.length ?? 0 })}
        {(['filtered', 'unmatched', 'bad', 'late'] as const).filter((o) => counts[o] > 0).map((o) => <span key={o} className={o === 'filtered' ? 'muted' : 'state-warn'}> · {t('result.outcome', { n: counts[o], outcome: t(`outcome.${o}`) })}</span>)}
        {(dry.counters?.bad_numbers ?? 0) > 0 && <span className="state-warn"> · {t('result.badNumbers', { n: dry.counters!.bad_numbers })}</span>}
      </p>
      {keepsLines(spec.type) && rows.length > 0 && <KeptLines rows={rows} />}
      {spec.type === 'match' && rows.length > 0 ? null : rows.length === 0 ? <p className="muted">{t('result.noFigures')}</p> : (
        <div style={{ overflowX: 'auto' }}>
          <table className="plain-table" aria-label={t('result.figures')}>
            <thead><tr><th>{t('result.window')}</th>{keys.map((k) => <th key={k}>{k}</th>)}{stats.map((s, i) => <th key={i} className="num">{figureName(s)}{s.unit ? ` (${s.unit})` : ''}</th>)}</tr></thead>
            <tbody>
              {rows.slice(0, 100).map((r, i) => (
                <tr key={i}>
                  <td>{at(r.window_ms)}</td>
                  {keys.map((k, j) => <td key={k} className="ellipsis" title={r.key[j]}>{r.key?.[j] ?? '–'}</td>)}
                  {stats.map((_, j) => <td key={j} className="num" title={exact(r.figures[j], '', language)}>{short(r.figures[j])}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p className="muted" style={{ fontSize: 12 }}>{t('result.note')}</p>
    </>
  )
}
