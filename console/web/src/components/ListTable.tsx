/** A table of an API list: page, order and filters are in the URL, rows come from the server. */
import { SearchOutlined } from '@ant-design/icons'
import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { Input, Table } from 'antd'
import type { ColumnType, TableProps } from 'antd/es/table'
import { useEffect, useState, type ReactNode } from 'react'
import { get, type Query } from '../api/client'
import type { List } from '../api/types'
import { useUrlStates } from '../app/url'
import { useT } from '../i18n'
import { ErrorNote } from './feedback'

export interface Column<T> extends ColumnType<T> {
  /** field the server sorts by. */
  field?: string
}

export interface ListState {
  page: number
  pageSize: number
  sort: string
  q: string
}

/** useList reads one page of a list as the URL says; filters are added to the request. */
export function useList<T>(path: string, filters: Query = {}, refreshMs: number | false = 15_000, pageSize = 20): { query: UseQueryResult<List<T>>; state: ListState } {
  const [params] = useUrlStates()
  const state: ListState = {
    page: Math.max(1, Number(params.get('page')) || 1), pageSize: Math.min(100, Number(params.get('page_size')) || pageSize), sort: params.get('sort') ?? '', q: params.get('q') ?? '',
  }
  const query = useQuery({
    queryKey: [path.split('/').pop(), path, state, filters],
    queryFn: ({ signal }) => get<List<T>>(path, { page: state.page, page_size: state.pageSize, sort: state.sort, q: state.q, ...filters }, signal),
    placeholderData: keepPreviousData, refetchInterval: refreshMs,
  })
  return { query, state }
}

interface Props<T> {
  list: { query: UseQueryResult<List<T>>; state: ListState }
  columns: Column<T>[]
  rowKey: string | ((row: T) => string)
  /** empty is shown when there is nothing at all, without any filter. */
  empty: ReactNode
  filtered: boolean
  label: string
  expandable?: TableProps<T>['expandable']
  /** selection lets rows be chosen, over all pages. */
  selection?: { keys: string[]; onChange: (keys: string[]) => void }
}

export function ListTable<T extends object>({ list, columns, rowKey, empty, filtered, label, expandable, selection }: Props<T>) {
  const t = useT()
  const [, set] = useUrlStates()
  const { query, state } = list
  const data = query.data
  if (query.isError && !data) return <div style={{ padding: 16 }}><ErrorNote error={query.error} onRetry={() => void query.refetch()} /></div>
  if (data && data.total === 0 && !filtered && state.q === '') return <>{empty}</>
  const field = state.sort.replace(/^-/, '')
  const total = data?.total ?? 0
  return (
    <>
      {query.isError && <div style={{ padding: 16 }}><ErrorNote error={query.error} onRetry={() => void query.refetch()} /></div>}
      <Table<T>
        size="small" rowKey={rowKey} loading={query.isPending} dataSource={data?.items ?? []} aria-label={label} expandable={expandable} rowSelection={selection && { selectedRowKeys: selection.keys, preserveSelectedRowKeys: true, onChange: (keys) => selection.onChange(keys.map(String)) }} scroll={{ x: 'max-content' }}
        locale={{ emptyText: query.isPending ? ' ' : t('list.noMatch') }} showSorterTooltip={false}
        columns={columns.map((c) => ({ ...c, sorter: c.field ? true : undefined, key: c.field ?? c.key, sortOrder: c.field && c.field === field ? (state.sort.startsWith('-') ? 'descend' : 'ascend') : null }))}
        onChange={(p, _, sorter) => {
          const s = Array.isArray(sorter) ? sorter[0] : sorter
          const key = s?.order ? String(s.columnKey) : ''
          set({ page: (p.current ?? 1) > 1 ? String(p.current) : undefined, page_size: p.pageSize && p.pageSize !== 20 ? String(p.pageSize) : undefined, sort: key === '' ? undefined : (s!.order === 'descend' ? '-' : '') + key })
        }}
        pagination={total > 20 ? { current: state.page, pageSize: state.pageSize, total, showSizeChanger: true, pageSizeOptions: [20, 50, 100], showTotal: (n) => t('list.total', { n }) } : false}
      />
    </>
  )
}

/** SearchField filters a list by text; it waits until typing pauses. */
export function SearchField({ label }: { label?: string }) {
  const t = useT()
  const [params, set] = useUrlStates()
  const current = params.get('q') ?? ''
  const [text, setText] = useState(current)
  useEffect(() => {
    if (text === current) return
    const timer = setTimeout(() => set({ q: text, page: undefined }), 300)
    return () => clearTimeout(timer)
  }, [text, current, set])
  return <Input allowClear prefix={<SearchOutlined />} style={{ width: 240 }} aria-label={label ?? t('list.search')} placeholder={label ?? t('list.search')} value={text} onChange={(e) => setText(e.target.value)} />
}

export function Labels({ labels }: { labels: Record<string, string> | null | undefined }) {
  // The default app covers everything and tells nothing.
  const all = Object.entries(labels ?? {}).filter(([k, v]) => !(k === 'app' && v === 'default'))
  if (all.length === 0) return <>–</>
  return <span className="labels">{all.map(([k, v]) => <span key={k} className="label"><span className="muted">{k}=</span>{v}</span>)}</span>
}
