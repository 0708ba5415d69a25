/** Signs in to a running console and names its pages. Used by screenshots.mjs and axe.mjs. */
import { chromium } from 'playwright-core'

/** settings reads what to drive from the arguments: URL [FOLDER], with PHAROS_USER, PHAROS_PASSWORD and CHROMIUM. */
export function settings() {
  const [url = 'http://127.0.0.1:8080', folder = '../../docs/screenshots'] = process.argv.slice(2)
  return {
    url: url.replace(/\/$/, ''),
    folder,
    user: process.env.PHAROS_USER ?? 'admin',
    password: process.env.PHAROS_PASSWORD ?? process.env.PHAROS_ADMIN_PASSWORD ?? '',
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  }
}

export async function launch(s) {
  return chromium.launch({ executablePath: s.executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
}

/** open signs in by the form, as a person would, and returns a page in the theme and language. */
export async function open(browser, s, theme, language) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: language, colorScheme: theme, reducedMotion: 'reduce' })
  await context.addInitScript((prefs) => localStorage.setItem('pharos-prefs', JSON.stringify(prefs)), { theme, language })
  const page = await context.newPage()
  await page.goto(s.url + '/login')
  await page.locator('input[name=username]').fill(s.user)
  await page.locator('input[name=password]').fill(s.password)
  await page.locator('button[type=submit]').click()
  await page.waitForURL(/\/w\//, { timeout: 15_000 })
  // The user's own choice on the server wins over the browser's; make it this one.
  await api(page, 'PATCH', '/api/v1/me', { theme, language })
  return { context, page }
}

/** api calls the HTTP API within the page's session. */
export function api(page, method, path, body) {
  return page.evaluate(
    async ([m, p, b]) => {
      const res = await fetch(p, { method: m, headers: { 'Content-Type': 'application/json', 'X-Pharos-Csrf': '1' }, body: b === undefined ? undefined : JSON.stringify(b) })
      return res.ok && res.status !== 204 ? res.json() : null
    },
    [method, path, body],
  )
}

/** pages lists every page; those of one object use the first that exists. */
export async function pages(page, workspace = 'default') {
  const base = `/w/${workspace}`
  const ws = `/api/v1/workspaces/${workspace}`
  const first = async (path) => (await api(page, 'GET', path))?.items?.[0]
  const [monitor, dashboard, rule, agent] = [await first(`${ws}/monitors?sort=name`), await first(`${ws}/dashboards?sort=name`), await first(`${ws}/alarm_rules?sort=name`), await first('/api/v1/agents')]
  return [
    ['home', base],
    ['monitors', `${base}/monitors`],
    ...(monitor ? [['monitor', `${base}/monitors/${monitor.name}`], ['monitor-agents', `${base}/monitors/${monitor.name}?tab=agents`], ['monitor-diagnosis', `${base}/monitors/${monitor.name}?tab=diagnosis`], ['monitor-edit', `${base}/monitors/${monitor.name}/edit`]] : []),
    ['monitor-new', `${base}/monitors/new`],
    ['dashboards', `${base}/dashboards`],
    ...(dashboard ? [['dashboard', `${base}/dashboards/${dashboard.name}?from=now-15m&to=now&compare=day`], ['dashboard-edit', `${base}/dashboards/${dashboard.name}/edit`]] : []),
    ['dashboard-new', `${base}/dashboards/new`],
    ['explore', `${base}/explore?q=${encodeURIComponent(monitor ? `${monitor.name}:${monitor.spec.statistics?.[0]?.name ?? 'count'}` : 'sys_cpu_util')}`],
    ['explore-table', `${base}/explore?q=sys_cpu_util&view=table`],
    ['alerts', `${base}/alerts`],
    ['alarm-history', `${base}/alerts?tab=history`],
    ['rules', `${base}/rules`],
    ...(rule ? [['rule', `${base}/rules/${rule.name}`], ['rule-edit', `${base}/rules/${rule.name}/edit`]] : []),
    ['rule-new', `${base}/rules/new${monitor ? `?monitor=${monitor.name}` : ''}`],
    ['channels', `${base}/channels`],
    ['deliveries', `${base}/deliveries`],
    ['agents', `${base}/agents`],
    ...(agent ? [['agent', `${base}/agents/${agent.agent_id}`]] : []),
    ['hosts', `${base}/hosts`],
    ...(agent ? [['host', `${base}/hosts/${agent.host.hostname}`]] : []),
    ['join', `${base}/join`],
    ['tokens', `${base}/tokens`],
    ['users', `${base}/users`],
    ['workspaces', `${base}/workspaces`],
    ['audit', `${base}/audit`],
    ['profile', `${base}/profile`],
  ]
}

/** settled waits until the page has stopped loading: no skeletons, no spinning parts. */
export async function settled(page) {
  await page.locator('main h1').waitFor({ timeout: 15_000 })
  await page.waitForFunction(() => !document.querySelector('.ant-skeleton-active, .ant-spin-spinning, [aria-busy="true"]'), undefined, { timeout: 15_000 }).catch(() => undefined)
  await page.waitForLoadState('networkidle', { timeout: 2500 }).catch(() => undefined)
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
}
