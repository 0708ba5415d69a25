/** The figures of each key over the range, from the server page by page. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Input, Table } from 'antd'
import { useState } from 'react'
import { get, inWorkspace } from '../api/client'
import type { KeyRow, KeyTable, Monitor } from '../api/types'
import { usePrefs } from '../app/prefs'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { exact, short } from '../format/numbers'
import { useT } from '../i18n'
import type { Span } from '../time/range'
import { isMergeable } from './series'
import { figureName, figuresOf } from './spec'
import { useDebounced } from './useDebounced'

const totalKey = '__total__'

export function KeysTable({ monitor, span }: { monitor: Monitor; span: Span }) {
  const t = useT()
  const workspace = useWorkspace()
  const { language } = usePrefs()
  const stats = figuresOf(monitor.spec)
  const first = figureName(stats[0]!)
  const [page, setPage] = useState({ page: 1, size: 20 })
  const [sort, setSort] = useState('-' + first)
  const [text, setText] = useState('')
  const q = useDebounced(text, 300)
  const keys = useQuery({
    queryKey: ['keys', workspace, monitor.name, span, page, sort, q],
    queryFn: ({ signal }) => get<KeyTable>(inWorkspace(workspace, 'monitors', monitor.name) + '/keys', { start: Math.round(span.start), end: Math.round(span.end), page: page.page, page_size: page.size, sort, q }, signal),
    placeholderData: keepPreviousData,
  })
  const groups = monitor.spec.group_by ?? []
  if (keys.isError && !keys.data) return <ErrorNote error={keys.error} onRetry={() => void keys.refetch()} />
  const isTotal = (r: KeyRow) => r.key[0] === totalKey
  const rows = keys.data ? [keys.data.total_row, ...keys.data.items] : []
  return (
    <>
      {groups.length > 0 && <Input allowClear style={{ width: 260, marginBottom: 8 }} aria-label={t('keys.find')} placeholder={t('keys.find')} value={text} onChange={(e) => { setText(e.target.value); setPage({ ...page, page: 1 }) }} />}
      <Table<KeyRow>
        size="small" aria-label={t('tab.keys')} rowKey={(r) => (isTotal(r) ? totalKey : JSON.stringify(r.key))} loading={keys.isPending} dataSource={rows} scroll={{ x: 'max-content' }} showSorterTooltip={false}
        locale={{ emptyText: keys.isPending ? ' ' : t('keys.none') }}
        pagination={(keys.data?.total ?? 0) > 20 ? { current: page.page, pageSize: page.size, total: keys.data!.total, pageSizeOptions: [20, 50, 100], showSizeChanger: true, showTotal: (n) => t('keys.total', { n }) } : false}
        onChange={(p, _, s) => {
          const one = Array.isArray(s) ? s[0] : s
          setPage({ page: p.current ?? 1, size: p.pageSize ?? 20 })
          setSort(one?.order ? (one.order === 'descend' ? '-' : '') + String(one.columnKey) : '-' + first)
        }}
        columns={[
          ...(groups.length === 0
            ? [{ title: t('keys.key'), render: () => t('monitor.total') }]
            : groups.map((g, i) => ({ title: g, key: i === 0 ? 'key' : 'key' + i, sorter: i === 0, sortOrder: i === 0 && sort.replace('-', '') === 'key' ? (sort.startsWith('-') ? ('descend' as const) : ('ascend' as const)) : null, render: (_: unknown, r: KeyRow) => (isTotal(r) ? (i === 0 ? <strong>{t('monitor.total')}</strong> : '') : (r.key[i] ?? '-')) }))),
          ...stats.map((s, i) => {
            const f = figureName(s)
            return {
              title: <span title={isMergeable(s) ? undefined : t('monitor.largest')}>{f + (s.unit ? ` (${s.unit})` : '') + (isMergeable(s) ? '' : ' ↑')}</span>, key: f, align: 'right' as const, sorter: true, sortOrder: sort.replace('-', '') === f ? (sort.startsWith('-') ? ('descend' as const) : ('ascend' as const)) : null,
              render: (_: unknown, r: KeyRow) => <span title={exact(r.figures[i], s.unit, language)}>{short(r.figures[i])}</span>,
            }
          }),
        ]}
      />
    </>
  )
}
