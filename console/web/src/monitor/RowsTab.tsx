/** The records, lines and largest keys that windows of a monitor keep: of a chosen window, or of the whole range. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Alert, Segmented, Select, Table } from 'antd'
import { useState } from 'react'
import { get, inWorkspace } from '../api/client'
import type { Monitor, MonitorRow, MonitorRows, RowWindow } from '../api/types'
import { usePrefs } from '../app/prefs'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { Moment } from '../components/time'
import { exact, share, short } from '../format/numbers'
import { full } from '../format/times'
import { useT } from '../i18n'
import { figureName, figuresOf } from './spec'
import type { Span } from '../time/range'

type Order = '-value' | '-window'

const whole = 'all'

/** reachable is how far pages go; who wants more narrows the range. */
const reachable = 1000

interface Asked extends Span {
  page: number
  size: number
  sort: Order
}

function useRows(monitor: Monitor, a: Asked) {
  const workspace = useWorkspace()
  return useQuery({
    queryKey: ['rows', workspace, monitor.name, a],
    queryFn: ({ signal }) => get<MonitorRows>(inWorkspace(workspace, 'monitors', monitor.name) + '/rows', { start: Math.round(a.start), end: Math.round(a.end), page: a.page, page_size: a.size, sort: a.sort }, signal),
    placeholderData: keepPreviousData,
  })
}

export function RowsTab({ monitor, span }: { monitor: Monitor; span: Span }) {
  switch (monitor.spec.type) {
    case 'match':
      return <Minutes monitor={monitor} span={span} />
    case 'minute_top':
      return <TopKeys monitor={monitor} span={span} />
  }
  return <Records monitor={monitor} span={span} />
}

/** TopKeys are the largest keys of one window, the newest unless another is chosen. */
function TopKeys({ monitor, span }: { monitor: Monitor; span: Span }) {
  const t = useT()
  const { zone, language } = usePrefs()
  const [start, setStart] = useState<number | null>(null)
  const all = useRows(monitor, { ...span, page: 1, size: 1, sort: '-window' })
  const windows = all.data?.windows ?? []
  const one = windows.find((w) => w.window_start_ms === start) ?? windows[0]
  const rows = useRows(monitor, { ...(one ? spanOf(one) : span), page: 1, size: 100, sort: '-window' })
  if (all.isError && !all.data) return <ErrorNote error={all.error} onRetry={() => void all.refetch()} />
  const figure = figuresOf(monitor.spec)[0]!
  const items = one ? (rows.data?.items ?? []).filter((r) => r.window_start_ms === one.window_start_ms) : []
  const most = Math.max(0, ...items.map((r) => r.value))
  const more = (r: MonitorRow) => (r.more ? t(figure.kind === 'avg' ? 'rows.moreLines' : 'rows.more', { more: short(r.more) }) : null)
  return (
    <>
      <div className="row" style={{ marginBottom: 8 }}>
        <Select aria-label={t('rows.window')} style={{ minWidth: 260 }} value={one && start !== null ? String(one.window_start_ms) : whole} onChange={(v) => setStart(v === whole ? null : Number(v))}
          options={[{ value: whole, label: t('rows.newest') }, ...windows.map((w) => ({ value: String(w.window_start_ms), label: `${full(w.window_start_ms, zone)} · ${t(w.exact ? 'rows.keysOf' : 'rows.about', { kept: w.kept, keys: short(w.keys) })}` }))]} />
        {one && <span className="muted">{full(one.window_start_ms, zone)} · {t(one.exact ? 'rows.keysOf' : 'rows.about', { kept: one.kept, keys: short(one.keys) })}</span>}
        {one && <WindowNote window={one} />}
      </div>
      {one && !one.exact && (
        <Alert style={{ marginBottom: 8 }} type="info" showIcon title={one.missed === null ? t('rows.noBound') : t(figure.kind === 'avg' ? 'rows.inexactLines' : 'rows.inexact', { missed: short(one.missed, figure.unit) })} />
      )}
      <Table<MonitorRow>
        size="small" aria-label={t('tab.topKeys')} rowKey="rank" loading={rows.isPending} dataSource={items} scroll={{ x: 'max-content' }} pagination={false}
        locale={{ emptyText: rows.isPending ? ' ' : t('rows.none') }}
        columns={[
          { title: t('rows.rank'), align: 'right', width: 64, dataIndex: 'rank' },
          ...(rows.data?.columns ?? []).map((c, i) => ({ title: c.name, render: (_: unknown, r: MonitorRow) => r.key[i] || '-' })),
          { title: figureName(figure), align: 'right', render: (_, r) => <>{exact(r.value, figure.unit, language)}{more(r) && <div className="muted">{more(r)}</div>}</> },
          { title: '', width: '30%', render: (_, r) => <div className="bar-track" aria-hidden><span className="bar" style={{ width: most > 0 ? `${(100 * Math.max(0, r.value)) / most}%` : 0 }} /></div> },
        ]}
      />
    </>
  )
}

/** Records are the largest of one window or of all, by value or by window. */
function Records({ monitor, span }: { monitor: Monitor; span: Span }) {
  const t = useT()
  const { zone } = usePrefs()
  const [start, setStart] = useState<number | null>(null)
  const [order, setOrder] = useState<Order>('-value')
  const all = useRows(monitor, { ...span, page: 1, size: 1, sort: '-window' })
  const windows = all.data?.windows ?? []
  const one = windows.find((w) => w.window_start_ms === start)
  return (
    <>
      <div className="row" style={{ marginBottom: 8 }}>
        <Select aria-label={t('rows.window')} style={{ minWidth: 260 }} value={one ? String(start) : whole} onChange={(v) => setStart(v === whole ? null : Number(v))}
          options={[{ value: whole, label: t('rows.all') }, ...windows.map((w) => ({ value: String(w.window_start_ms), label: `${full(w.window_start_ms, zone)} · ${t('rows.kept', { kept: w.kept, count: short(w.count) })}` }))]} />
        {!one && <Segmented aria-label={t('rows.order')} value={order} onChange={setOrder} options={[{ value: '-value', label: t('rows.byValue') }, { value: '-window', label: t('rows.byWindow') }]} />}
        {one && <WindowNote window={one} />}
      </div>
      <Rows monitor={monitor} span={one ? spanOf(one) : span} sort={one ? '-window' : order} />
    </>
  )
}

function spanOf(w: RowWindow): Span {
  return { start: w.window_start_ms, end: w.window_start_ms + 1 }
}

/** WindowNote says what a reader of a window's records must know. */
function WindowNote({ window: w }: { window: RowWindow }) {
  const t = useT()
  return (
    <>
      {w.live ? <span className="muted">{t('rows.live')}</span> : w.completeness < 1 && <span className="state-warn">{t('rows.incomplete', { share: share(w.completeness) })}</span>}
    </>
  )
}

/** Minutes are those in which lines matched; each opens to its lines. */
function Minutes({ monitor, span }: { monitor: Monitor; span: Span }) {
  const t = useT()
  const all = useRows(monitor, { ...span, page: 1, size: 1, sort: '-window' })
  if (all.isError && !all.data) return <ErrorNote error={all.error} onRetry={() => void all.refetch()} />
  return (
    <Table<RowWindow>
      size="small" aria-label={t('tab.lines')} rowKey="window_start_ms" loading={all.isPending} dataSource={all.data?.windows ?? []} scroll={{ x: 'max-content' }}
      locale={{ emptyText: all.isPending ? ' ' : t('rows.none') }} pagination={{ pageSize: 20, hideOnSinglePage: true, showSizeChanger: false }}
      expandable={{ expandRowByClick: true, rowExpandable: (w) => w.kept > 0, expandedRowRender: (w) => <Rows monitor={monitor} span={spanOf(w)} sort="-window" /> }}
      columns={[
        { title: t('rows.minute'), render: (_, w) => <Moment at={w.window_start_ms} /> },
        { title: t('rows.count'), align: 'right', render: (_, w) => short(w.count) },
        { title: t('rows.keptOf'), align: 'right', dataIndex: 'kept' },
        { title: '', render: (_, w) => <WindowNote window={w} /> },
      ]}
    />
  )
}

function Rows({ monitor, span, sort }: { monitor: Monitor; span: Span; sort: Order }) {
  const t = useT()
  const { language } = usePrefs()
  const [page, setPage] = useState({ page: 1, size: 20 })
  const rows = useRows(monitor, { ...span, ...page, sort })
  const top = monitor.spec.type === 'row_top'
  const d = rows.data
  if (rows.isError && !d) return <ErrorNote error={rows.error} onRetry={() => void rows.refetch()} />
  return (
    <>
      {d?.text_hidden && <Alert style={{ marginBottom: 8 }} type="info" showIcon title={t('rows.hidden')} />}
      <Table<MonitorRow>
        size="small" aria-label={top ? t('tab.records') : t('tab.lines')} rowKey={(r) => `${r.window_start_ms}-${r.rank}`} loading={rows.isPending} dataSource={d?.items ?? []} scroll={{ x: 'max-content' }}
        locale={{ emptyText: rows.isPending ? ' ' : t('rows.none') }}
        pagination={(d?.total ?? 0) > 20 ? { current: page.page, pageSize: page.size, total: Math.min(d!.total, reachable), pageSizeOptions: [20, 50, 100, 200], showSizeChanger: true, showTotal: () => (d!.total > reachable ? t('rows.tooMany', { n: d!.total, most: reachable }) : t('rows.total', { n: d!.total })), onChange: (p, size) => setPage({ page: p, size }) } : false}
        expandable={{ expandRowByClick: true, rowExpandable: (r) => r.text !== '', expandedRowRender: (r) => <Opened row={r} /> }}
        columns={[
          ...(top ? [
            { title: t('rows.rank'), align: 'right' as const, render: (_: unknown, r: MonitorRow) => r.rank },
            { title: monitor.spec.sort_column ?? '', align: 'right' as const, render: (_: unknown, r: MonitorRow) => exact(r.value, '', language) },
          ] : []),
          { title: t('rows.time'), render: (_: unknown, r: MonitorRow) => <Moment at={r.time_ms} /> },
          ...(d?.columns ?? []).map((c, i) => ({ title: c.name, render: (_: unknown, r: MonitorRow) => r.key[i] || '-' })),
          { title: t('rows.instance'), dataIndex: 'instance' },
          { title: t('rows.line'), render: (_: unknown, r: MonitorRow) => <div className="mono ellipsis" style={{ maxWidth: 520 }}>{r.text}</div> },
        ]}
      />
    </>
  )
}

/** Opened is a row's line as a whole, and where it stood. */
function Opened({ row }: { row: MonitorRow }) {
  const t = useT()
  return (
    <>
      <div className="muted">{row.instance} <code>{row.file}</code>{row.cut && <span className="state-warn"> · {t('rows.cut')}</span>}</div>
      <pre className="mono" style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: '4px 0 0' }}>{row.text}</pre>
    </>
  )
}
