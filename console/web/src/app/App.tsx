/** Routes, and who may see them. */
import { useQueryClient } from '@tanstack/react-query'
import { App as AntApp, ConfigProvider, Spin } from 'antd'
import en from 'antd/locale/en_US'
import zh from 'antd/locale/zh_CN'
import dayjs from 'dayjs'
import 'dayjs/locale/zh-cn'
import { lazy, useEffect, type ReactNode } from 'react'
import { createBrowserRouter, Navigate, Outlet, RouterProvider, useLocation, useParams } from 'react-router'
import { ApiError, setUnauthorizedHandler } from '../api/client'
import { ErrorNote } from '../components/feedback'
import Login from '../pages/Login'
import NotFound from '../pages/NotFound'
import { usePrefs, type Language, type Theme } from './prefs'
import { SessionContext, sessionKey, useSessionQuery } from './session'
import { Shell } from './Shell'
import { themeFor } from './theme'

const pages = {
  Home: lazy(() => import('../pages/Home')),
  Agents: lazy(() => import('../pages/Agents')),
  AgentPage: lazy(() => import('../pages/AgentPage')),
  Hosts: lazy(() => import('../pages/Hosts')),
  HostPage: lazy(() => import('../pages/HostPage')),
  Monitors: lazy(() => import('../pages/Monitors')),
  MonitorPage: lazy(() => import('../pages/MonitorPage')),
  MonitorEditor: lazy(() => import('../monitor/Editor')),
  Dashboards: lazy(() => import('../pages/Dashboards')),
  DashboardPage: lazy(() => import('../pages/DashboardPage')),
  DashboardEditor: lazy(() => import('../dashboard/Editor')),
  Explore: lazy(() => import('../pages/Explore')),
  Alerts: lazy(() => import('../pages/Alerts')),
  Rules: lazy(() => import('../pages/Rules')),
  RulePage: lazy(() => import('../pages/RulePage')),
  RuleEditor: lazy(() => import('../pages/RuleEditor')),
  Channels: lazy(() => import('../pages/Channels')),
  Masking: lazy(() => import('../pages/Masking')),
  Deliveries: lazy(() => import('../pages/Deliveries')),
  Tokens: lazy(() => import('../pages/Tokens')),
  Join: lazy(() => import('../pages/Join')),
  Users: lazy(() => import('../pages/Users')),
  Workspaces: lazy(() => import('../pages/Workspaces')),
  Audit: lazy(() => import('../pages/Audit')),
  Profile: lazy(() => import('../pages/Profile')),
}

/** SignedIn lets those through who have a session and a password of their own. */
function SignedIn() {
  const session = useSessionQuery()
  const location = useLocation()
  const { setPrefs } = usePrefs()
  const user = session.data?.user
  useEffect(() => {
    if (!user) return
    const p: { language?: Language; theme?: Theme; zone?: string } = {}
    if (user.language === 'en' || user.language === 'zh-CN') p.language = user.language
    if (user.theme === 'light' || user.theme === 'dark' || user.theme === 'system') p.theme = user.theme
    if (user.timezone) p.zone = user.timezone
    setPrefs(p)
    // Only when the person changes: later choices are made here and sent to the server.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [user?.id])
  if (session.isPending) return <Spin fullscreen aria-label="Pharos" />
  if (session.isError) {
    if (session.error instanceof ApiError && session.error.status === 401) {
      return <Navigate to={'/login?next=' + encodeURIComponent(location.pathname + location.search)} replace />
    }
    return <div style={{ padding: 32 }}><ErrorNote error={session.error} onRetry={() => void session.refetch()} /></div>
  }
  if (session.data.user.must_change_password) return <Navigate to="/login" replace />
  return <SessionContext.Provider value={session.data}><Outlet /></SessionContext.Provider>
}

function FirstWorkspace() {
  const session = useSessionQuery()
  const first = session.data?.workspaces[0]?.name ?? 'default'
  return <Navigate to={'/w/' + encodeURIComponent(first)} replace />
}

/** Fresh makes a new page for another object, so that nothing of the one before stays. */
function Fresh({ children }: { children: (key: string) => ReactNode }) {
  const p = useParams()
  return children(`${p.workspace}/${p.name ?? p.id ?? ''}`)
}

const router = createBrowserRouter([
  { path: '/login', element: <Login /> },
  {
    element: <SignedIn />,
    children: [
      { path: '/', element: <FirstWorkspace /> },
      {
        path: '/w/:workspace',
        element: <Shell />,
        children: [
          { index: true, element: <pages.Home /> },
          { path: 'agents', element: <pages.Agents /> },
          { path: 'agents/:id', element: <pages.AgentPage /> },
          { path: 'hosts', element: <pages.Hosts /> },
          { path: 'hosts/:name', element: <pages.HostPage /> },
          { path: 'monitors', element: <pages.Monitors /> },
          { path: 'monitors/new', element: <pages.MonitorEditor key="new" /> },
          { path: 'monitors/:name', element: <Fresh>{(k) => <pages.MonitorPage key={k} />}</Fresh> },
          { path: 'monitors/:name/edit', element: <Fresh>{(k) => <pages.MonitorEditor key={k} />}</Fresh> },
          { path: 'dashboards', element: <pages.Dashboards /> },
          { path: 'dashboards/new', element: <pages.DashboardEditor key="new" /> },
          { path: 'dashboards/:name', element: <Fresh>{(k) => <pages.DashboardPage key={k} />}</Fresh> },
          { path: 'dashboards/:name/edit', element: <Fresh>{(k) => <pages.DashboardEditor key={k} />}</Fresh> },
          { path: 'explore', element: <pages.Explore /> },
          { path: 'alerts', element: <pages.Alerts /> },
          { path: 'rules', element: <pages.Rules /> },
          { path: 'rules/new', element: <pages.RuleEditor key="new" /> },
          { path: 'rules/:name', element: <Fresh>{(k) => <pages.RulePage key={k} />}</Fresh> },
          { path: 'rules/:name/edit', element: <Fresh>{(k) => <pages.RuleEditor key={k} />}</Fresh> },
          { path: 'channels', element: <pages.Channels /> },
          { path: 'deliveries', element: <pages.Deliveries /> },
          { path: 'masking', element: <pages.Masking /> },
          { path: 'tokens', element: <pages.Tokens /> },
          { path: 'join', element: <pages.Join /> },
          { path: 'users', element: <pages.Users /> },
          { path: 'workspaces', element: <pages.Workspaces /> },
          { path: 'audit', element: <pages.Audit /> },
          { path: 'profile', element: <pages.Profile /> },
          { path: '*', element: <NotFound /> },
        ],
      },
      { path: '*', element: <NotFound /> },
    ],
  },
])

export function App() {
  const { dark, language } = usePrefs()
  const client = useQueryClient()
  useEffect(() => {
    setUnauthorizedHandler(() => {
      if (location.pathname !== '/login') void client.invalidateQueries({ queryKey: sessionKey })
    })
  }, [client])
  useEffect(() => {
    dayjs.locale(language === 'zh-CN' ? 'zh-cn' : 'en')
  }, [language])
  return (
    <ConfigProvider button={{ autoInsertSpace: false }} theme={themeFor(dark)} locale={language === 'zh-CN' ? zh : en}>
      <AntApp>
        <RouterProvider router={router} />
      </AntApp>
    </ConfigProvider>
  )
}
