/** Browses the directories of an agent for a log file. */
import { FileTextOutlined, FolderFilled, FolderOpenOutlined, LinkOutlined, LockOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Breadcrumb, Button, Input, Modal, Select, Skeleton } from 'antd'
import { useEffect, useState } from 'react'
import { get, inWorkspace, post } from '../api/client'
import type { Agent, Browse, FileEntry, List } from '../api/types'
import { useWorkspace } from '../app/url'
import { ErrorNote } from '../components/feedback'
import { Ago } from '../components/time'
import { short } from '../format/numbers'
import { useT } from '../i18n'

export interface Choice {
  agent: string
  path: string
}

function join(dir: string, name: string): string {
  if (name.startsWith('/')) return name
  return dir === '' || dir === '/' ? '/' + name : dir + '/' + name
}

export function FilePicker({ open, from, agent, onClose, onChoose }: { open: boolean; from: string; agent: string; onClose: () => void; onChoose: (c: Choice) => void }) {
  const t = useT()
  return (
    <Modal open={open} onCancel={onClose} title={t('picker.title')} footer={null} width={720} destroyOnHidden>
      <Browser from={from} agent={agent} onChoose={onChoose} />
    </Modal>
  )
}

function Browser({ from, agent: first, onChoose }: { from: string; agent: string; onChoose: (c: Choice) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const [agent, setAgent] = useState(first)
  const [path, setPath] = useState(from)
  const [after, setAfter] = useState('')
  const [filter, setFilter] = useState('')
  const agents = useQuery({ queryKey: ['agents', 'picker'], queryFn: ({ signal }) => get<List<Agent>>('/api/v1/agents', { page_size: 100, sort: 'hostname' }, signal) })
  const dir = useQuery({
    queryKey: ['browse', workspace, agent, path, after],
    queryFn: ({ signal }) => post<Browse>(inWorkspace(workspace, 'log_files:browse'), { agent_id: agent || undefined, path, after }, signal),
  })
  const go = (p: string) => {
    setPath(p)
    setAfter('')
    setFilter('')
  }
  // One root is no choice: go right in.
  const only = path === '' && dir.data?.entries.length === 1 ? dir.data.entries[0] : undefined
  useEffect(() => {
    if (only?.dir) setPath(join('', only.name))
  }, [only])
  const here = dir.data?.path ?? path
  const parts = here.split('/').filter((p) => p !== '')
  const entries = (dir.data?.entries ?? []).filter((e) => e.name.toLowerCase().includes(filter.toLowerCase()))
  const icon = (e: FileEntry) => (e.readable === false ? <LockOutlined /> : e.symlink ? <LinkOutlined /> : e.dir ? <FolderFilled /> : <FileTextOutlined />)
  return (
    <div>
      <div className="row" style={{ marginBottom: 8 }}>
        <Select
          style={{ minWidth: 220 }} aria-label={t('picker.agent')} value={agent} onChange={(a) => { setAgent(a); go('') }}
          options={[{ value: '', label: t('picker.anyAgent') }, ...(agents.data?.items ?? []).map((a) => ({ value: a.agent_id, label: `${a.host.hostname} ${a.host.ip}` }))]}
        />
        <Input aria-label={t('picker.filter')} placeholder={t('picker.filter')} value={filter} onChange={(e) => setFilter(e.target.value)} style={{ flex: 1, minWidth: 160 }} allowClear />
      </div>
      <Breadcrumb
        items={[
          { title: <Button type="link" size="small" icon={<FolderOpenOutlined />} onClick={() => go('')}>{t('picker.roots')}</Button> },
          ...parts.map((p, i) => ({ title: <Button type="link" size="small" onClick={() => go('/' + parts.slice(0, i + 1).join('/'))}>{p}</Button> })),
        ]}
      />
      {dir.isError ? (
        <ErrorNote error={dir.error} onRetry={() => void dir.refetch()} />
      ) : !dir.data ? (
        <Skeleton active paragraph={{ rows: 6 }} title={false} />
      ) : (
        <ul className="files" aria-label={t('picker.files')}>
          {entries.map((e) => {
            const full = join(here, e.name)
            return (
              <li key={e.name}>
                <button
                  type="button" disabled={e.readable === false} title={e.readable === false ? t('picker.unreadable') : full}
                  onClick={() => (e.dir ? go(full) : onChoose({ agent: agent || dir.data.agent_id || '', path: full }))}
                >
                  {icon(e)} <span>{e.name}{e.dir && !e.name.endsWith('/') ? '/' : ''}</span>
                  <span className="size">{e.dir ? '' : short(e.size, 'bytes') + ' · '}{e.mtime_ms ? <Ago at={e.mtime_ms} /> : null}</span>
                </button>
              </li>
            )
          })}
          {entries.length === 0 && <li className="muted" style={{ padding: 12 }}>{t('picker.empty')}</li>}
        </ul>
      )}
      {dir.data?.more && <Button style={{ marginTop: 8 }} onClick={() => setAfter(dir.data.entries?.at(-1)?.name ?? '')}>{t('picker.more')}</Button>}
    </div>
  )
}
