/**
 * The main job of Pharos as a newcomer does it, in a real browser against the
 * real program: sign in with the one-time password, point Pharos at a log that
 * another process writes, cut columns, see exact figures by key, make a
 * DingTalk channel and an alarm rule, get the signed notice that it fires and
 * the one that it recovered.
 *
 *   node mainjob.mjs PHAROS DIR     runs the test; DIR is empty and gets data, logs and pictures
 *   node mainjob.mjs --write FILE   is the other process: it writes the log and counts what it wrote
 */
import { fork } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { appendFileSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { choose, must, run, signIn, until } from './browser.mjs'

const here = fileURLToPath(import.meta.url)
const windowMs = 10_000
const limitMs = 6 * 60_000

if (process.argv[2] === '--write') write(process.argv[3])
else await main(process.argv[2], process.argv[3])

/**
 * write appends comma-separated lines with the present local time until its
 * parent ends it. It tallies them by window and key in whole cents, answers
 * {tally: windowStart} with them and stops failing payments at {mend: true}.
 */
function write(file) {
  const goods = ['food', 'book', 'toy']
  const tallies = new Map()
  let mended = false
  let n = 0
  const two = (x, width = 2) => String(x).padStart(width, '0')
  const tick = () => {
    const now = new Date()
    const start = Math.floor(now.getTime() / windowMs) * windowMs
    const tally = tallies.get(start) ?? {}
    tallies.set(start, tally)
    const at = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}.${two(now.getMilliseconds(), 3)}`
    let text = ''
    for (let i = 0; i < 3; i++, n++) {
      const good = goods[n % goods.length]
      const result = !mended && n % 5 === 0 ? 'N' : 'Y'
      const cents = (n * 37) % 9_973
      text += `${at},${randomBytes(6).toString('hex')},${good},trade,create,${n % 90},${result},${Math.floor(cents / 100)}.${two(cents % 100)}\n`
      const key = `${good} ${result}`
      tally[key] ??= { count: 0, cents: 0 }
      tally[key].count++
      tally[key].cents += cents
    }
    appendFileSync(file, text)
  }
  tick()
  setInterval(tick, 100)
  process.on('message', (m) => {
    if (m.mend) mended = true
    if (m.tally) process.send({ tally: tallies.get(m.tally) ?? {} })
  })
  process.on('disconnect', () => process.exit())
}

/** robot is a receiver shaped like DingTalk's, which refuses what is not signed rightly. */
async function robot(secret) {
  const got = []
  const server = createServer((req, res) => {
    const parts = []
    req.on('data', (d) => parts.push(d))
    req.on('end', () => {
      const q = new URL(req.url, 'http://robot').searchParams
      const ts = q.get('timestamp') ?? ''
      const sign = createHmac('sha256', secret).update(`${ts}\n${secret}`).digest('base64')
      const one = { ok: false, why: '', title: '', text: '' }
      try {
        const body = JSON.parse(Buffer.concat(parts).toString('utf8'))
        one.title = body.markdown?.title ?? ''
        one.text = body.markdown?.text ?? ''
        if (req.method !== 'POST') one.why = 'method ' + req.method
        else if (q.get('access_token') !== 'main-job') one.why = 'access token is lost'
        else if (Math.abs(Date.now() - Number(ts)) > 60_000) one.why = `timestamp ${ts} is not now`
        else if (q.get('sign') !== sign) one.why = `sign ${q.get('sign')} is not ${sign}`
        else if (body.msgtype !== 'markdown' || !one.title || !one.text.includes('#')) one.why = 'not a markdown message: ' + JSON.stringify(body)
        else one.ok = true
      } catch (e) {
        one.why = String(e)
      }
      got.push(one)
      res.setHeader('Content-Type', 'application/json')
      res.end(JSON.stringify(one.ok ? { errcode: 0, errmsg: 'ok' } : { errcode: 310000, errmsg: one.why }))
    })
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const next = (what, seconds, from) =>
    until(what, seconds, () => {
      const bad = got.find((g) => !g.ok)
      must(!bad, `the robot refused a notice: ${bad?.why}`)
      return got.slice(from).find((g) => g.title.toLowerCase().includes(what))
    })
  return { url: `http://127.0.0.1:${server.address().port}/robot/send?access_token=main-job`, got, next, close: () => server.close() }
}

async function main(pharos, dir) {
  const log = join(dir, 'logs', 'trade.log')
  mkdirSync(join(dir, 'logs'), { recursive: true })
  const writer = fork(here, ['--write', log])
  const secret = 'SEC' + randomBytes(16).toString('hex')
  const receiver = await robot(secret)
  const stop = () => {
    receiver.close()
    writer.kill()
  }
  await run({ name: 'mainjob', pharos, dir, limitMs, stop, job: (given) => job({ ...given, log, secret, receiver, writer }) })
}

async function job({ page, say, http, log, secret, receiver, writer, password }) {
  const region = (name) => page.getByRole('region', { name, exact: true })
  const label = (text, inside = page) => inside.getByLabel(text, { exact: true })
  const button = (name, inside = page) => inside.getByRole('button', { name })

  // The first sign-in asks for a password of one's own.
  await signIn({ page, http, password }, 'lighthouse-' + randomBytes(4).toString('hex'))
  say('signed in, password changed')

  // A new monitor on the other process's file.
  await page.goto(`http://${http}/w/default/monitors`)
  await button('Watch a log file').or(page.getByRole('link', { name: 'Watch a log file' })).first().click()
  await page.waitForURL(/monitors\/new/)
  await label('Log file').fill(log)
  await label('Log file').press('Enter')
  const lines = region('Lines of the file').locator('li')
  await until('real lines of the file', 30, async () => (await lines.count()) >= 10)
  must((await lines.first().innerText()).includes(',trade,create,'), 'the lines shown are not those of the file')

  // One column by a click on its word, the others by splitting all.
  const word = await lines.first().locator('.text').evaluate((el) => {
    const walk = document.createTreeWalker(el, NodeFilter.SHOW_TEXT)
    for (let node = walk.nextNode(), field = 0; node; node = walk.nextNode()) {
      for (let i = 0; i < node.data.length; i++) {
        if (node.data[i] === ',') field++
        else if (field === 2) {
          const r = document.createRange()
          r.setStart(node, i + 1)
          r.setEnd(node, i + 2)
          const box = r.getBoundingClientRect()
          return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
        }
      }
    }
    return null
  })
  must(word, 'the line has no third field')
  await page.mouse.click(word.x, word.y)
  await label('Column name').fill('goods')
  await button('Add column').click()
  await button('Split all by').click()
  const names = page.getByRole('textbox', { name: /^Name of column \d+$/ })
  await until('eight columns', 10, async () => (await names.count()) === 8)
  for (const [old, name] of [['c7', 'result'], ['c8', 'amount']]) {
    const all = await names.evaluateAll((inputs) => inputs.map((i) => i.value))
    must(all.includes(old), `no column ${old} among ${all}`)
    await names.nth(all.indexOf(old)).fill(name)
  }
  await until('columns coloured in the lines', 20, async () => (await region('Lines of the file').locator('[data-column=result]').count()) >= 10)
  say('real lines seen and cut into columns')

  const keys = region('Keys and figures')
  await choose(page, label('Group by'), 'goods', 'result')
  await choose(page, label('Window'), /^Every 10 s/)
  await button('Add a figure', keys).click()
  await choose(page, label('Figure 2: Figure', keys).or(label('Figure 2: Kind', keys)), 'Sum')
  await choose(page, label('Figure 2: Column', keys).or(label('Figure 2: Of column', keys)), 'amount')
  await label('Title', region('Name')).fill('Trades by goods and result')
  const dry = page.getByRole('table', { name: 'Figures of the dry run' })
  await until('a dry run by goods and result', 20, async () => (await dry.count()) === 1 && /goods[\s\S]*result[\s\S]*sum_amount[\s\S]*food/.test(await dry.innerText()))
  await button('Create monitor').click()
  await page.waitForURL(/monitors\/trades_by_goods_and_result(\?|$)/)
  say('dry run seen, monitor created')

  // A whole window after the first figures, against what the writer says of it.
  const api = (path) => page.evaluate(async (p) => { const r = await fetch(p); return r.ok ? r.json() : { failed: r.status } }, path)
  const monitor = '/api/v1/workspaces/default/monitors/trades_by_goods_and_result'
  const states = async () => (await api(`${monitor}/windows?start=${Date.now() - 300_000}&end=${Date.now()}`)).windows ?? []
  await until('first figures', 60, async () => (await states()).some((w) => w.lines > 0))
  const first = (Math.floor(Date.now() / windowMs) + 1) * windowMs
  await until(`window ${new Date(first).toISOString()} settles complete`, 45, async () => (await states()).some((w) => w.window_start_ms === first && w.settled && w.completeness === 1))
  const tally = await new Promise((done) => { writer.once('message', (m) => done(m.tally)); writer.send({ tally: first }) })
  must(Object.keys(tally).length === 6, 'the writer wrote no six keys: ' + JSON.stringify(tally))
  await page.goto(`http://${http}/w/default/monitors/trades_by_goods_and_result?from=${first}&to=${first + windowMs}`)
  const table = region('Details').locator('.ant-table-tbody tr.ant-table-row')
  await until('seven rows of keys', 30, async () => (await table.count()) === 7)
  const rows = await table.evaluateAll((trs) => trs.map((tr) => [...tr.querySelectorAll('td')].map((td) => td.querySelector('[title]')?.title || td.innerText.trim())))
  const number = (s) => Number(s.replaceAll(',', ''))
  const sum = { count: 0, cents: 0 }
  for (const [key, want] of Object.entries(tally)) {
    const row = rows.find((r) => `${r[0]} ${r[1]}` === key)
    must(row, `key ${key} is not in the table: ${JSON.stringify(rows)}`)
    must(number(row[2]) === want.count && Math.round(number(row[3]) * 100) === want.cents, `key ${key}: the page says ${row[2]} lines and ${row[3]}, the writer ${want.count} and ${want.cents / 100}`)
    sum.count += want.count
    sum.cents += want.cents
  }
  const total = rows.find((r) => r[0] === 'Total')
  must(total && number(total[2]) === sum.count && Math.round(number(total[3]) * 100) === sum.cents, `the total on the page is ${total?.slice(2)}, the writer's ${sum.count} and ${sum.cents / 100}`)
  say(`keys and total of a finished window are the writer's: ${sum.count} lines, ${(sum.cents / 100).toFixed(2)}`)

  await page.goto(`http://${http}/w/default/monitors/trades_by_goods_and_result?from=now-5m&to=now`)
  const chart = page.locator('section', { has: page.locator('svg.band') }).first()
  await until('a chart with the six keys', 30, async () => /food · Y/.test(await chart.innerText()) && (await chart.locator('canvas, svg:not(.band)').count()) > 0)
  await until('a complete stretch in the completeness band', 45, async () => (await page.locator('svg.band title').allTextContents()).some((s) => s.includes('Complete (100 %)')))
  await until('completeness 100 %', 20, async () => /Completeness\s+100\s?%/.test(await page.locator('.figures').first().innerText()))
  say('chart, completeness band and figures seen')

  // A DingTalk channel, tried with its button.
  await page.goto(`http://${http}/w/default/channels`)
  await button('Add a channel').first().click()
  const dialog = page.getByRole('dialog')
  await label('Title', dialog).fill('Local robot')
  await label('Robot URL', dialog).fill(receiver.url)
  await label('Signing secret', dialog).fill(secret)
  await button('Create channel', dialog).click()
  await dialog.waitFor({ state: 'hidden' })
  await page.getByRole('row').filter({ hasText: 'local_robot' }).locator('button', { hasText: 'Send test' }).click()
  await page.getByText('Test notice delivered.').waitFor()
  await receiver.next('test', 10, 0)
  say('test notice arrived, rightly signed')

  // A rule on failing payments. It fires, because some fail.
  await page.goto(`http://${http}/w/default/monitors/trades_by_goods_and_result`)
  await button('Create alarm rule').or(page.getByRole('link', { name: 'Create alarm rule' })).first().click()
  await page.waitForURL(/rules\/new/)
  await choose(page, label('Only result'), 'N')
  await label('Threshold').fill('0')
  await label('Recover after').fill('1')
  const who = region('Name and notices')
  await label('Title', who).fill('Payments fail')
  await choose(page, label('Channels', who), 'local_robot')
  // On the past first: it would have fired.
  const past = region('On the past')
  await until('the rule would have fired', 100, async () => {
    await button('Try it', past).click()
    await until('the trial ends', 20, async () => /\d+ checks of \d+ objects/.test(await past.innerText()))
    return /\d+ alerts/.test(await past.innerText())
  })
  must(receiver.got.every((g) => !g.title.toLowerCase().includes('firing')), 'the trial told somebody')
  say(`the rule was tried on the past: ${/\d+ alerts.*/.exec(await past.innerText())[0]}`)
  const before = receiver.got.length
  await button('Create rule').click()
  await page.waitForURL(/rules\/payments_fail(\?|$)/)
  say('alarm rule created')
  const firing = await receiver.next('firing', 100, before)
  must(firing.text.includes('Payments fail') && /food|book|toy/.test(firing.text), 'the notice names neither rule nor key: ' + firing.text)
  await page.goto(`http://${http}/w/default/alerts`)
  await page.getByRole('link', { name: 'Payments fail' }).or(page.getByText('Payments fail')).first().waitFor()
  say(`firing notice arrived, rightly signed: ${firing.title}`)

  // Somebody takes care of it.
  await button('Acknowledge').first().click()
  await label('Note, such as what you are doing', page.getByRole('dialog')).fill('I look into the payments')
  await button('Acknowledge', page.getByRole('dialog')).click()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await page.getByRole('cell').filter({ hasText: 'admin' }).first().waitFor()
  say('alert acknowledged')

  writer.send({ mend: true })
  const after = receiver.got.length
  const recovered = await receiver.next('recovered', 150, after)
  must(recovered.text.includes('Payments fail'), 'the notice does not name the rule: ' + recovered.text)
  await page.goto(`http://${http}/w/default/alerts?tab=history`)
  const history = page.locator('#main')
  for (const what of ['Recovered', 'Acknowledged', 'Firing']) await until(`"${what}" in the history`, 20, async () => (await history.innerText()).includes(what))
  say(`recovery notice arrived, rightly signed: ${recovered.title}`)
}
