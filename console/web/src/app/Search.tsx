/** Finds monitors, rules, agents and pages by a few letters. */
import { SearchOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Input, Modal } from 'antd'
import { useDeferredValue, useState } from 'react'
import { useNavigate } from 'react-router'
import { get, inWorkspace } from '../api/client'
import type { Agent, Dashboard, List, Monitor, Rule } from '../api/types'
import { useT } from '../i18n'
import { sections } from './nav'
import { useSession } from './session'
import { useWorkspace } from './url'

interface Hit {
  id: string
  to: string
  title: string
  detail: string
  kind: string
}

export function Search({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useT()
  return (
    <Modal open={open} onCancel={onClose} footer={null} closable={false} destroyOnHidden title={null} width={640} aria-label={t('shell.search')} style={{ top: 80 }}>
      <SearchBox onClose={onClose} />
    </Modal>
  )
}

function SearchBox({ onClose }: { onClose: () => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const { user } = useSession()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const q = useDeferredValue(text.trim())
  const found = useQuery({
    queryKey: ['search', workspace, q],
    queryFn: async ({ signal }) => {
      const part = { q, page_size: 6 }
      const [monitors, dashboards, rules, agents] = await Promise.all([
        get<List<Monitor>>(inWorkspace(workspace, 'monitors'), part, signal),
        get<List<Dashboard>>(inWorkspace(workspace, 'dashboards'), part, signal),
        get<List<Rule>>(inWorkspace(workspace, 'alarm_rules'), part, signal),
        get<List<Agent>>('/api/v1/agents', part, signal),
      ])
      return { monitors: monitors.items, dashboards: dashboards.items, rules: rules.items, agents: agents.items }
    },
    placeholderData: (old) => old,
  })
  const base = `/w/${encodeURIComponent(workspace)}`
  const hits: Hit[] = [
    ...sections.filter((s) => (!s.admin || user.installation_admin) && t(s.text).toLowerCase().includes(q.toLowerCase())).map((s) => ({
      id: 'p' + s.path, to: s.path === '' ? base : `${base}/${s.path}`, title: t(s.text), detail: 'g ' + s.key, kind: t('search.page'),
    })),
    ...(found.data?.monitors ?? []).map((m) => ({ id: 'm' + m.id, to: `${base}/monitors/${m.name}`, title: m.spec.title, detail: m.name, kind: t('search.monitor') })),
    ...(found.data?.dashboards ?? []).map((d) => ({ id: 'd' + d.id, to: `${base}/dashboards/${d.name}`, title: d.spec.title, detail: d.name, kind: t('search.dashboard') })),
    ...(found.data?.rules ?? []).map((r) => ({ id: 'r' + r.id, to: `${base}/rules/${r.name}`, title: r.spec.title, detail: r.name, kind: t('search.rule') })),
    ...(found.data?.agents ?? []).map((a) => ({ id: 'a' + a.agent_id, to: `${base}/agents/${a.agent_id}`, title: a.host.hostname, detail: a.host.ip, kind: t('search.agent') })),
  ]
  const index = Math.min(at, hits.length - 1)
  const go = (h: Hit | undefined) => {
    if (!h) return
    onClose()
    void navigate(h.to)
  }
  return (
    <div>
      <Input
        autoFocus size="large" prefix={<SearchOutlined />} placeholder={t('shell.search.hint')} value={text} aria-label={t('shell.search')}
        role="combobox" aria-expanded aria-controls="search-hits" aria-activedescendant={hits[index] && 'hit-' + hits[index].id}
        onChange={(e) => { setText(e.target.value); setAt(0) }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') { setAt(Math.min(index + 1, hits.length - 1)); e.preventDefault() }
          if (e.key === 'ArrowUp') { setAt(Math.max(index - 1, 0)); e.preventDefault() }
          if (e.key === 'Enter') go(hits[index])
        }}
      />
      <ul id="search-hits" className="search-hits" role="listbox" aria-label={t('search.results')}>
        {hits.map((h, i) => (
          <li key={h.id} id={'hit-' + h.id} role="option" aria-selected={i === index} onMouseEnter={() => setAt(i)} onClick={() => go(h)}>
            <span className="hit-kind">{h.kind}</span> <span className="hit-title">{h.title}</span> <span className="muted">{h.detail}</span>
          </li>
        ))}
        {hits.length === 0 && <li className="muted" aria-disabled role="option" aria-selected={false}>{t('search.none', { q })}</li>}
      </ul>
    </div>
  )
}
