/** What keeps a monitor from working: checks in the order of the data's way, with causes, evidence and advice. */
import { ReloadOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Alert, Button } from 'antd'
import { Link } from 'react-router'
import { get, inWorkspace } from '../api/client'
import type { DiagnosisCheck, Diagnosis, Evidence, Monitor } from '../api/types'
import { usePrefs } from '../app/prefs'
import { useRights } from '../app/session'
import { useWorkspace } from '../app/url'
import { Loaded } from '../components/feedback'
import { State, type Kind } from '../components/state'
import { Ago } from '../components/time'
import { full } from '../format/times'
import { useT } from '../i18n'
import { adviceOf, causeText, judge } from './diagnosis'

const kinds: Record<DiagnosisCheck['state'], Kind> = { ok: 'ok', warning: 'warn', problem: 'error', unknown: 'unknown' }

export function DiagnosisTab({ monitor }: { monitor: Monitor }) {
  const t = useT()
  const workspace = useWorkspace()
  const { zone } = usePrefs()
  const { edit } = useRights()
  const base = `/w/${encodeURIComponent(workspace)}`
  const diagnosis = useQuery({
    queryKey: ['diagnosis', workspace, monitor.name, monitor.version],
    queryFn: ({ signal }) => get<Diagnosis>(inWorkspace(workspace, 'monitors', monitor.name) + '/diagnosis', undefined, signal),
    refetchInterval: 15_000,
  })
  return (
    <Loaded query={diagnosis}>
      {(d) => {
        const found = judge(d.checks)
        return (
          <>
            <div className="row" style={{ marginBottom: 12, justifyContent: 'space-between' }}>
              <Alert
                showIcon style={{ flex: 1 }} type={found.problems > 0 ? 'error' : found.warnings > 0 ? 'warning' : 'success'}
                title={found.problems + found.warnings > 0 ? t('diagnosis.found', found) : t('diagnosis.allWell')}
                description={found.problems > 1 ? t('diagnosis.first') : undefined}
              />
              <Button icon={<ReloadOutlined />} loading={diagnosis.isFetching} onClick={() => void diagnosis.refetch()}>{t('diagnosis.again')}</Button>
            </div>
            <table className="plain-table" aria-label={t('tab.diagnosis')}>
              <thead><tr><th>{t('diagnosis.check')}</th><th>{t('diagnosis.state')}</th><th>{t('diagnosis.cause')}</th><th>{t('diagnosis.evidence')}</th></tr></thead>
              <tbody>
                {d.checks.map((c) => (
                  <tr key={c.code}>
                    <td className="nowrap">{t(`check.${c.code}`)}</td>
                    <td><State kind={kinds[c.state]}>{t(`diagnosis.state.${c.state}`)}</State></td>
                    <td style={{ minWidth: 260, maxWidth: 480 }}>
                      {causeText(c, t)}
                      {adviceOf(c, t) && <div className="muted">{adviceOf(c, t)}</div>}
                      {c.section !== '' && edit && <Link to={`${base}/monitors/${monitor.name}/edit#${c.section}`}>{t('diagnosis.mend')}</Link>}
                    </td>
                    <td style={{ overflowWrap: 'anywhere' }}>{c.evidence.map((e, i) => <Seen key={i} evidence={e} base={base} />)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            <p className="muted">{t('diagnosis.looked', { time: full(d.since_ms, zone) })}</p>
          </>
        )
      }}
    </Loaded>
  )
}

/** Seen is one piece of evidence: who, which file, what it says. */
function Seen({ evidence: e, base }: { evidence: Evidence; base: string }) {
  const t = useT()
  return (
    <div className="seen">
      {e.agent_id && <><Link to={`${base}/agents/${encodeURIComponent(e.agent_id)}`}>{e.host || e.agent_id}</Link>{' '}</>}
      {e.name && <><Link to={`${base}/rules/${encodeURIComponent(e.name)}`}>{e.name}</Link>{' '}</>}
      {e.path && <><code>{e.path}</code>{' '}</>}
      {e.text && <span className={e.name ? undefined : 'mono'}>{e.text}</span>}
      {e.holds && <span>{e.holds.length > 0 ? t('diagnosis.holds', { names: e.holds.join(', ') }) : t('diagnosis.holdsNothing')}</span>}
      {e.time_ms ? <span className="muted"> · <Ago at={e.time_ms} /></span> : null}
    </div>
  )
}
