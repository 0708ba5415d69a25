/** What the browser tests share: a running Pharos, a browser, and a picture when something fails. */
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createRequire } from 'node:module'
import { connect, createServer as listenOn } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** free finds a loopback port that nobody uses. */
export function free() {
  return new Promise((done) => {
    const s = listenOn().listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => done(`127.0.0.1:${port}`))
    })
  })
}

/** until polls a condition; what it returns when true is the answer. */
export async function until(what, seconds, ok) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const answer = await ok()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise((done) => setTimeout(done, 250))
  }
}

export function must(condition, message) {
  if (!condition) throw new Error(message)
}

/** choose opens a choice field and chooses options by their text. */
export async function choose(page, field, ...texts) {
  const select = field.locator('xpath=ancestor-or-self::*[contains(concat(" ", @class, " "), " ant-select ")][1]')
  const open = page.locator('.ant-select-dropdown:not(.ant-select-dropdown-hidden)')
  const once = async () => {
    await select.click()
    for (const text of texts) await open.locator('.ant-select-item-option').filter({ hasText: text }).first().click()
    // The list of a field of several values stays open.
    await field.press('Escape')
    await open.waitFor({ state: 'hidden' })
  }
  // A list may be drawn anew, as when a dry run ends, between finding an option and the click on it.
  await until(`${texts} is chosen`, 30, async () => {
    await once()
    const there = (await select.textContent()) ?? ''
    return texts.every((text) => (text instanceof RegExp ? text.test(there) : there.includes(text)))
  })
}

/**
 * run starts Pharos in dir and a browser, and does job({page, say, http,
 * password}) within limitMs. stop ends what the test itself has started. On
 * failure a picture and the program's output stay in dir.
 */
export async function run({ name, pharos, dir, limitMs, stop, job }) {
  const { chromium } = createRequire(join(fileURLToPath(import.meta.url), '../../../console/web/package.json'))('playwright-core')
  const started = Date.now()
  const say = (text) => console.log(`${name}: ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s  ${text}`)
  const [http, grpc] = [await free(), await free()]
  const env = { ...process.env }
  delete env.PHAROS_ADMIN_PASSWORD
  const server = spawn(pharos, ['all', '--data', join(dir, 'data'), '--http', http, '--grpc', grpc], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = createWriteStream(join(dir, 'pharos.log'))
  let said = ''
  server.stdout.on('data', (d) => (said += d))
  server.stdout.pipe(output, { end: false })
  server.stderr.pipe(output, { end: false })
  let browser
  let page
  let over = false
  const crashed = []
  const deadline = setTimeout(() => fail(new Error(`not done within ${limitMs / 60_000} minutes`)), limitMs)

  const end = () => {
    over = true
    clearTimeout(deadline)
    stop()
    server.kill('SIGKILL')
  }
  async function fail(error) {
    if (over) return
    over = true
    const picture = join(dir, 'failed.png')
    console.error(`${name}: FAILED: ${error.message}`)
    for (const c of crashed) console.error(`${name}: error in the page: ${c}`)
    if (page) await page.screenshot({ path: picture }).then(() => console.error(`${name}: picture: ${picture}`), () => undefined)
    console.error(`${name}: the program's output: ${join(dir, 'pharos.log')}`)
    await browser?.close().catch(() => undefined)
    end()
    process.exit(1)
  }
  process.on('SIGINT', () => fail(new Error('interrupted')))
  process.on('SIGTERM', () => fail(new Error('ended from outside')))
  server.on('exit', (code) => { if (!over) void fail(new Error(`pharos ended by itself with ${code}`)) })

  try {
    const password = await until('one-time password on stdout', 60, () => /one-time password\s+(\S+)/.exec(said)?.[1])
    await until('the console listens', 30, () => new Promise((done) => { const c = connect(Number(http.split(':')[1]), '127.0.0.1', () => { c.destroy(); done(true) }).on('error', () => done(false)) }))
    say('pharos runs and printed its one-time password')

    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'] })
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en', reducedMotion: 'reduce' })
    page = await context.newPage()
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (e) => crashed.push(`${page.url()}: ${e.message}`))
    // As long as the form of a new monitor asks whether to leave, the test wants to stay.
    page.on('dialog', (d) => d.dismiss())
    await job({ page, say, http, password })
    must(crashed.length === 0, 'errors in the pages:\n' + crashed.join('\n'))
    say('done')
    await browser.close()
    end()
    process.exit(0)
  } catch (error) {
    await fail(error)
  }
}

/** signIn signs in with the one-time password and chooses one of one's own. */
export async function signIn({ page, http, password }, mine) {
  const label = (text) => page.getByLabel(text, { exact: true })
  await page.goto(`http://${http}/`)
  await page.locator('input[name=username]').fill('admin')
  await page.locator('input[name=password]').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await label('New password').fill(mine)
  await label('New password again').fill(mine)
  await page.getByRole('button', { name: 'Change password' }).click()
  await page.waitForURL(/\/w\/default/)
}
