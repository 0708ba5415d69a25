/** Who is signed in, and where they may go. */
import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import { get } from '../api/client'
import type { Session } from '../api/types'
import { useWorkspace } from './url'

export const sessionKey = ['me'] as const

export function useSessionQuery(): UseQueryResult<Session> {
  return useQuery({ queryKey: sessionKey, queryFn: ({ signal }) => get<Session>('/api/v1/me', undefined, signal), retry: false, staleTime: 60_000 })
}

export const SessionContext = createContext<Session | null>(null)

export function useSession(): Session {
  const s = useContext(SessionContext)
  if (!s) throw new Error('useSession needs a signed-in person')
  return s
}

/** useRights tells what the person may do in the workspace shown. */
export function useRights(): { edit: boolean; admin: boolean; installation: boolean } {
  const s = useSession()
  const workspace = useWorkspace()
  const role = s.workspaces.find((w) => w.name === workspace)?.role
  const installation = s.user.installation_admin
  return { installation, admin: installation || role === 'admin', edit: installation || role === 'admin' || role === 'editor' }
}

export function useSignedOut(): () => void {
  const client = useQueryClient()
  return () => {
    client.clear()
    location.assign('/login')
  }
}
