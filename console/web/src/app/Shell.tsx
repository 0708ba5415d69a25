/** The frame around every page: navigation, workspace, search, person. */
import { BulbOutlined, GlobalOutlined, LogoutOutlined, QuestionCircleOutlined, SearchOutlined, UserOutlined } from '@ant-design/icons'
import { Button, Dropdown, Layout, Menu, Select, Skeleton, Tooltip } from 'antd'
import { Suspense, useState } from 'react'
import { Link, Outlet, useLocation, useNavigate } from 'react-router'
import { del, patch } from '../api/client'
import { useT } from '../i18n'
import { Boundary } from './Boundary'
import { KeyHelp, useKeys } from './keys'
import { groups, sections } from './nav'
import { usePrefs, type Language, type Theme } from './prefs'
import { Search } from './Search'
import { useSession, useSignedOut } from './session'
import { useWorkspace } from './url'

export function Shell() {
  const t = useT()
  const session = useSession()
  const workspace = useWorkspace()
  const navigate = useNavigate()
  const location = useLocation()
  const { language, theme, dark, setPrefs } = usePrefs()
  const signedOut = useSignedOut()
  const [searching, setSearching] = useState(false)
  const [help, setHelp] = useState(false)
  const [narrow, setNarrow] = useState(false)
  const base = `/w/${encodeURIComponent(workspace)}`
  const visible = sections.filter((s) => !s.admin || session.user.installation_admin)
  const current = location.pathname.slice(base.length + 1).split('/')[0] ?? ''
  useKeys({
    '/': () => setSearching(true),
    '?': () => setHelp(true),
    ...Object.fromEntries(visible.map((s) => ['g ' + s.key, () => void navigate(s.path === '' ? base : `${base}/${s.path}`)])),
  })
  const choose = (p: { language?: Language; theme?: Theme }) => {
    setPrefs(p)
    // The browser has the choice already; keeping it with the user is for other browsers.
    void patch('/api/v1/me', p).catch(() => undefined)
  }
  // A wall shows the page alone.
  if (new URLSearchParams(location.search).get('wall') === '1') {
    return <div className="content wall"><Boundary key={location.pathname}><Suspense fallback={<div className="page"><Skeleton active paragraph={{ rows: 8 }} /></div>}><Outlet key={workspace} /></Suspense></Boundary></div>
  }
  return (
    <Layout className="shell">
      <a className="skip" href="#main">{t('shell.skip')}</a>
      <Layout.Sider theme={dark ? 'dark' : 'light'} width={208} collapsedWidth={56} collapsible collapsed={narrow} onCollapse={setNarrow} breakpoint="lg" className="sider">
        <Link to={base} className="brand" aria-label={t('shell.brand')}>
          <img src="/favicon.svg" alt="" width={26} height={26} />
          {!narrow && <span>Pharos</span>}
        </Link>
        <nav aria-label={t('shell.nav')}>
          <Menu
            mode="inline" selectedKeys={[current]} theme={dark ? 'dark' : 'light'}
            items={groups.map((g) => ({
              type: 'group' as const, key: g, label: narrow ? null : t(g),
              children: visible.filter((s) => s.group === g).map((s) => ({
                key: s.path, icon: s.icon, label: <Link to={s.path === '' ? base : `${base}/${s.path}`}>{t(s.text)}</Link>,
              })),
            })).filter((g) => g.children.length > 0)}
          />
        </nav>
      </Layout.Sider>
      <Layout>
        <Layout.Header className="topbar">
          <Select
            aria-label={t('shell.workspace')} value={workspace} style={{ minWidth: 160 }} showSearch={{ optionFilterProp: 'label' }} popupMatchSelectWidth={false}
            options={session.workspaces.map((w) => ({ value: w.name, label: w.title || w.name }))}
            onChange={(w) => void navigate(`/w/${encodeURIComponent(w)}/${current}`)}
          />
          <Button className="search-button" icon={<SearchOutlined />} onClick={() => setSearching(true)} aria-label={t('shell.search.hint') + ' /'}>
            <span className="search-hint">{t('shell.search.hint')}</span> <kbd>/</kbd>
          </Button>
          <div className="spacer" />
          <Tooltip title={t('shell.help')}>
            <Button type="text" icon={<QuestionCircleOutlined />} aria-label={t('shell.help')} onClick={() => setHelp(true)} />
          </Tooltip>
          <Dropdown
            trigger={['click']}
            menu={{
              selectable: true, selectedKeys: [language],
              items: [{ key: 'en', label: 'English' }, { key: 'zh-CN', label: '简体中文' }],
              onClick: (e) => choose({ language: e.key as Language }),
            }}
          >
            <Button type="text" icon={<GlobalOutlined />} aria-label={t('shell.language')} title={t('shell.language')} />
          </Dropdown>
          <Dropdown
            trigger={['click']}
            menu={{
              selectable: true, selectedKeys: [theme],
              items: (['light', 'dark', 'system'] as const).map((k) => ({ key: k, label: t(`theme.${k}`) })),
              onClick: (e) => choose({ theme: e.key as Theme }),
            }}
          >
            <Button type="text" icon={<BulbOutlined />} aria-label={t('shell.theme')} title={t('shell.theme')} />
          </Dropdown>
          <Dropdown
            trigger={['click']}
            menu={{
              items: [
                { key: 'profile', icon: <UserOutlined />, label: <Link to={`${base}/profile`}>{t('shell.profile')}</Link> },
                { type: 'divider' },
                { key: 'out', icon: <LogoutOutlined />, label: t('shell.signout'), onClick: () => void del('/api/v1/session').finally(signedOut) },
              ],
            }}
          >
            <Button type="text" icon={<UserOutlined />} aria-label={t('shell.user', { name: session.user.username })}>{session.user.username}</Button>
          </Dropdown>
        </Layout.Header>
        <div className="content">
          <Boundary key={location.pathname}>
            <Suspense fallback={<div className="page"><Skeleton active paragraph={{ rows: 8 }} /></div>}>
              <Outlet key={workspace} />
            </Suspense>
          </Boundary>
        </div>
      </Layout>
      <Search open={searching} onClose={() => setSearching(false)} />
      <KeyHelp open={help} onClose={() => setHelp(false)} />
    </Layout>
  )
}
