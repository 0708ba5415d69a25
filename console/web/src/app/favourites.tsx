/** What a person wants at hand: the star that marks it, and the list on the home page. */
import { StarFilled, StarOutlined } from '@ant-design/icons'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { Link } from 'react-router'
import { call, get, inWorkspace } from '../api/client'
import type { Favourite } from '../api/types'
import { errorText, Loaded } from '../components/feedback'
import { Panel } from '../components/page'
import { useT } from '../i18n'
import { useWorkspace } from './url'

type FavouriteKind = Favourite['kind']

function useFavourites() {
  const workspace = useWorkspace()
  return useQuery({ queryKey: ['favourites', workspace], queryFn: ({ signal }) => get<{ items: Favourite[] }>(inWorkspace(workspace, 'favourites'), undefined, signal), staleTime: 30_000 })
}

/** Star marks something as a favourite, or no longer. */
export function Star({ kind, name, small }: { kind: FavouriteKind; name: string; small?: boolean }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const favourites = useFavourites()
  const marked = favourites.data?.items.some((f) => f.kind === kind && f.name === name) ?? false
  const toggle = useMutation({
    mutationFn: () => call(marked ? 'DELETE' : 'PUT', inWorkspace(workspace, 'favourites', kind, name)),
    onSuccess: () => client.invalidateQueries({ queryKey: ['favourites'] }),
    onError: (e) => void message.error(errorText(e, t)),
  })
  const text = marked ? t('favourite.remove') : t('favourite.add')
  return (
    <Button
      type="text" size={small ? 'small' : undefined} aria-pressed={marked} aria-label={text} title={text} disabled={!favourites.data} loading={toggle.isPending}
      icon={marked ? <StarFilled className="star" /> : <StarOutlined />} onClick={() => toggle.mutate()}
    />
  )
}

const pages: Record<FavouriteKind, string> = { monitor: 'monitors', dashboard: 'dashboards', agent: 'agents', host: 'hosts' }

/** Favourites is the list on the home page; it is not there while nothing is marked. */
export function Favourites() {
  const t = useT()
  const workspace = useWorkspace()
  const favourites = useFavourites()
  if (favourites.data?.items.length === 0) return null
  return (
    <Panel title={t('favourite.title')}>
      <Loaded query={favourites} rows={1}>
        {(d) => (
          <ul className="favourites">
            {d.items.map((f) => (
              <li key={f.kind + f.name}>
                <Star kind={f.kind} name={f.name} small />
                {f.gone ? <span className="muted">{t('favourite.gone', { name: f.title })}</span> : <Link to={`/w/${encodeURIComponent(workspace)}/${pages[f.kind]}/${encodeURIComponent(f.name)}`}>{f.title}</Link>}
                <span className="muted">{t(`favourite.${f.kind}`)}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Panel>
  )
}
