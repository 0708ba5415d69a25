/** Files that an agent reads, and lines it could not use. */
import { Progress } from 'antd'
import type { BadLine, FileStatus } from '../api/types'
import { State } from '../components/state'
import { Ago } from '../components/time'
import { share, short } from '../format/numbers'
import { useT } from '../i18n'

export function Files({ files }: { files: FileStatus[] }) {
  const t = useT()
  if (files.length === 0) return <p className="muted">{t('files.none')}</p>
  return (
    <table className="plain-table">
      <thead><tr><th>{t('files.path')}</th><th className="num">{t('files.size')}</th><th className="num">{t('files.read')}</th><th>{t('files.progress')}</th><th>{t('task.state')}</th></tr></thead>
      <tbody>
        {files.map((f) => {
          const part = f.size_bytes > 0 ? Math.min(1, f.read_bytes / f.size_bytes) : 1
          return (
            <tr key={f.path}>
              <td><code>{f.path}</code></td>
              <td className="num">{short(f.size_bytes, 'bytes')}</td>
              <td className="num">{short(f.read_bytes, 'bytes')}</td>
              <td style={{ minWidth: 140 }}><Progress percent={part * 100} size="small" showInfo={false} status="normal" aria-label={f.path} /> {share(part)}</td>
              <td>{f.error ? <State kind="error">{f.error}</State> : <State kind="ok">{t('files.ok')}</State>}</td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

export function BadSamples({ samples }: { samples: BadLine[] }) {
  const t = useT()
  if (samples.length === 0) return null
  return (
    <>
      <h3 style={{ fontSize: 13, margin: '12px 0 4px' }}>{t('bad.title')}</h3>
      <table className="plain-table">
        <thead><tr><th>{t('bad.reason')}</th><th>{t('bad.line')}</th><th>{t('files.path')}</th><th>{t('bad.when')}</th></tr></thead>
        <tbody>
          {samples.map((b, i) => (
            <tr key={i}><td className="nowrap">{b.reason}</td><td style={{ overflowWrap: 'anywhere' }}><code>{b.text}</code></td><td><code>{b.path}</code></td><td className="nowrap"><Ago at={b.read_ms} /></td></tr>
          ))}
        </tbody>
      </table>
    </>
  )
}
