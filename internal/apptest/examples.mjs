/**
 * The examples of the handbook, set up by hand in a real browser: toll
 * stations (cars at one station, cars by station, service indicators by
 * station, the plates that paid most, the dearest passages, an alarm on a
 * plate) and goods sold. What a dashboard, set up by hand too, then shows
 * must equal a count of the files made here.
 *
 *   node examples.mjs PHAROS DIR    DIR is empty and gets data, logs and pictures
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { choose, must, run, signIn, until } from './browser.mjs'

const minute = 60_000
const minutes = 4
const watched = '浙A10007'

/** files writes both logs over the last full minutes and counts what is in them. */
function files(dir) {
  mkdirSync(dir, { recursive: true })
  const first = Math.floor(Date.now() / minute) * minute - minutes * minute
  const stations = ['Hangzhou East', '绍兴', 'Ningbo']
  const goods = ['food', 'book', 'toy']
  const toll = []
  const sold = []
  const want = { first, cars: {}, stations: {}, goods: {}, plates: {}, fees: [], seen: {} }
  const two = (n) => String(n).padStart(2, '0')
  for (let i = 0; i < minutes * 900; i++) {
    // Uneven, so that a number in a wrong place shows.
    const at = first + Math.floor((i * minutes * minute) / (minutes * 900))
    const d = new Date(at)
    const time = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
    const m = Math.floor((at - first) / minute)
    const station = stations[i % 7 < 4 ? 0 : i % 7 < 6 ? 1 : 2]
    const ms = 20 + ((i * 13) % 400)
    const ok = i % 11 !== 0
    const plate = `浙A${10_000 + ((i * 7) % 900)}`
    const fee = 5 + ((i * 31) % 761)
    toll.push(`${time},${plate},${station},G${1 + (i % 5)},hangzhou,${fee},${ms},${ok ? 'Y' : 'N'}`)
    const paid = (want.plates[m] ??= {})
    paid[plate] = (paid[plate] ?? 0) + fee
    want.fees.push({ fee, line: toll.at(-1) })
    if (plate === watched) want.seen[m] = (want.seen[m] ?? 0) + 1
    if (station === stations[0]) want.cars[m] = (want.cars[m] ?? 0) + 1
    const s = ((want.stations[m] ??= {})[station] ??= { total: 0, success: 0, ms: 0 })
    s.total++
    s.success += ok ? 1 : 0
    s.ms += ms
    const kind = goods[i % 5 < 3 ? 0 : i % 5 < 4 ? 1 : 2]
    const cents = (i * 37) % 9973
    sold.push(`${time}|${kind}|order-${i}|${Math.floor(cents / 100)}.${two(cents % 100)}`)
    const g = (want.goods[kind] ??= { count: 0, cents: 0 })
    g.count++
    g.cents += cents
  }
  writeFileSync(join(dir, 'toll.log'), toll.join('\n') + '\n')
  writeFileSync(join(dir, 'goods.log'), sold.join('\n') + '\n')
  return { ...want, toll: join(dir, 'toll.log'), sold: join(dir, 'goods.log') }
}

const [pharos, dir] = process.argv.slice(2)
await run({
  name: 'examples', pharos, dir, limitMs: 5 * minute, stop: () => undefined,
  job: async (given) => {
    await signIn(given, 'lighthouse-' + randomBytes(4).toString('hex'))
    const want = files(join(dir, 'logs'))
    await monitors(given, want)
    await dashboard(given, want)
    await lists(given, want)
  },
})

async function monitors({ page, http, say }, want) {
  const region = (name) => page.getByRole('region', { name, exact: true })
  const label = (text, inside = page) => inside.getByLabel(text, { exact: true })
  const button = (name, inside = page) => inside.getByRole('button', { name })
  const create = async (title, file, columns, more) => {
    await page.goto(`http://${http}/w/default/monitors/new`)
    await label('Log file').fill(file)
    await label('Log file').press('Enter')
    await until('lines of the file', 30, async () => (await region('Lines of the file').locator('li').count()) >= 10)
    await button('Split all by').click()
    const names = page.getByRole('textbox', { name: /^Name of column \d+$/ })
    await until('columns', 10, async () => (await names.count()) > 0)
    for (const [old, name] of Object.entries(columns)) {
      const all = await names.evaluateAll((inputs) => inputs.map((i) => i.value))
      must(all.includes(old), `no column ${old} among ${all}`)
      await names.nth(all.indexOf(old)).fill(name)
    }
    await page.getByText('More options: start, encoding, limits, scope').click()
    await choose(page, label('Start in files that exist already'), 'From the beginning')
    await more(region('Keys and figures'))
    await label('Title', region('Name')).fill(title)
    await until(`a dry run of ${title}`, 20, async () => (await page.getByText(/of \d+ lines counted/).count()) === 1)
    await button('Create monitor').click()
    await page.waitForURL(/monitors\/\w+\?from=/)
    say(`created: ${title}`)
  }
  await create('Cars at Hangzhou East', want.toll, { c3: 'station' }, async () => {
    const filter = region('Filter')
    await button('Keep only lines where…', filter).click()
    await choose(page, label('Column', filter), 'station')
    await label('Exact values', filter).fill('Hangzhou East')
    await label('Exact values', filter).press('Enter')
    await label('Exact values', filter).press('Escape')
  })
  await create('Cars by station', want.toll, { c3: 'station' }, (keys) => choose(page, label('Group by', keys), 'station'))
  await create('Toll service', want.toll, { c3: 'station', c7: 'took', c8: 'result' }, async (keys) => {
    await keys.getByText('Service indicators', { exact: true }).click()
    await choose(page, label('Group by', keys), 'station')
    await choose(page, label('Result', keys), 'result')
    await choose(page, label('Time taken', keys), 'took')
  })
  await create('Plates that paid most', want.toll, { c2: 'plate', c6: 'fee' }, async (keys) => {
    await keys.getByText('Largest keys', { exact: true }).click()
    await choose(page, label('Group by', keys), 'plate')
    await choose(page, label('Figure 1: Figure', keys), 'Sum')
    await choose(page, label('Figure 1: Of column', keys), 'fee')
  })
  await create('Dearest passages', want.toll, { c3: 'station', c6: 'fee' }, async (keys) => {
    await keys.getByText('Largest records', { exact: true }).click()
    await choose(page, label('Order by', keys), 'fee')
  })
  await create('Wanted plate', want.toll, { c2: 'plate' }, async (keys) => {
    await keys.getByText('Alarm on lines', { exact: true }).click()
    await label('Title of the alarm', keys).fill('The plate was seen')
    const filter = region('Filter')
    await button('Keep only lines where…', filter).click()
    await choose(page, label('Column', filter), 'plate')
    await label('Exact values', filter).fill(watched)
    await label('Exact values', filter).press('Enter')
    await label('Exact values', filter).press('Escape')
  })
  await create('Goods sold', want.sold, { c2: 'goods', c4: 'amount' }, async (keys) => {
    await choose(page, label('Group by', keys), 'goods')
    await button('Add a figure', keys).click()
    await choose(page, label('Figure 2: Figure', keys), 'Sum')
    await choose(page, label('Figure 2: Of column', keys), 'amount')
  })
}

async function dashboard({ page, http, say }, want) {
  const label = (text, inside = page) => inside.getByLabel(text, { exact: true })
  const button = (name, inside = page) => inside.getByRole('button', { name })
  await page.goto(`http://${http}/w/default/dashboards`)
  await page.getByRole('link', { name: 'New dashboard' }).first().click()
  await page.waitForURL(/dashboards\/new/)
  await label('Title').fill('Toll stations')
  const form = page.getByRole('dialog')
  const report = async (name, type, monitor, figure) => {
    await button('Add a report').first().click()
    await label('Name', form).fill(name)
    await choose(page, label('Type', form), type)
    await button('Add a monitor', form).click()
    await choose(page, label('Source 1', form), monitor)
    if (figure) await choose(page, label('Figure', form.getByRole('region', { name: 'Sources' })), figure)
  }
  await report('Cars', 'Last 10 minutes', 'Cars at Hangzhou East')
  await report('Stations', 'Keys by minutes', 'Toll service')
  await report('Goods', 'Bars', 'Goods sold', 'sum_amount')
  await report('Share of stations', 'Shares', 'Cars by station')
  await button('Create dashboard').click()
  await page.waitForURL(/dashboards\/toll-stations$/)
  say('dashboard made by hand')

  const end = want.first + minutes * minute
  const address = `http://${http}/w/default/dashboards/toll-stations?from=${want.first}&to=${end}`
  const shown = (name) => page.locator(`section[data-report="${name}"]`)
  const number = (text) => Number((text ?? '').replaceAll(/[^0-9.-]/g, ''))
  const exact = (cells) => cells.evaluateAll((all) => all.map((c) => c.querySelector('[title]')?.getAttribute('title') ?? c.textContent))
  // The last window settles a few seconds after the file was read to its end.
  const sum = Object.values(want.goods).reduce((n, g) => n + g.cents, 0)
  await until('the goods are all there', 90, async () => {
    await page.goto(address)
    await shown('Goods').locator('.share-list li').first().waitFor({ timeout: 5000 }).catch(() => undefined)
    const all = await exact(shown('Goods').locator('.share-list li .num'))
    return Math.round(all.reduce((n, v) => n + number(v), 0) * 100) === sum
  })
  for (const [kind, g] of Object.entries(want.goods)) {
    const row = shown('Goods').locator('.share-list li').filter({ has: page.locator('.name', { hasText: kind }) })
    const [got] = await exact(row.locator('.num'))
    must(Math.round(number(got) * 100) === g.cents, `${kind}: the page says ${got}, the file has ${g.cents / 100}`)
  }
  const cars = await shown('Cars').locator('tbody tr.ant-table-row').evaluateAll((rows) => rows.map((r) => [r.querySelector('time')?.getAttribute('datetime'), r.querySelectorAll('td')[1]?.querySelector('[title]')?.getAttribute('title')]))
  for (let m = 0; m < minutes; m++) {
    const row = cars.find(([at]) => Date.parse(at) === want.first + m * minute)
    must(row && number(row[1]) === want.cars[m], `cars in minute ${m}: the page says ${row?.[1]}, the file has ${want.cars[m]}`)
  }
  // Newest first, five figures a minute: total, success, fail, success_rate, avg_ms.
  const stations = await shown('Stations').locator('tbody tr.ant-table-row').evaluateAll((rows) => rows.map((r) => [...r.querySelectorAll('td')].map((c) => c.querySelector('[title]')?.getAttribute('title') ?? c.textContent)))
  must(stations.length === 3, `three stations, not ${stations.length}`)
  for (const [name, ...cells] of stations) {
    for (let m = 0; m < minutes; m++) {
      const s = want.stations[m][name]
      const got = cells.slice((minutes - 1 - m) * 5, (minutes - m) * 5).map(number)
      const right = [s.total, s.success, s.total - s.success, (100 * s.success) / s.total, s.ms / s.total]
      must(right.every((v, i) => Math.abs(v - got[i]) < 1e-6), `${name} in minute ${m}: the page says ${got}, the file has ${right}`)
    }
  }
  const total = Object.values(want.stations).flatMap((s) => Object.values(s)).reduce((n, s) => n + s.total, 0)
  const shares = await exact(shown('Share of stations').locator('.share-list li .num:not(.muted)'))
  must(shares.length === 3 && shares.reduce((n, v) => n + number(v), 0) === total, `stations together: the page says ${shares}, the file has ${total}`)
  must((await page.locator('section.report .trust.state-warn').count()) === 0, 'a report doubts its numbers: ' + (await page.locator('section.report .trust.state-warn').allInnerTexts()).join('; '))
  say(`the dashboard shows what is in the files: ${total} cars at 3 stations, ${(sum / 100).toFixed(2)} of goods`)
}

/** lists looks at the pages of what keeps lists: keys, records, lines. */
async function lists({ page, http, say }, want) {
  const end = want.first + minutes * minute
  const rows = (name) => page.getByRole('table', { name, exact: true }).locator('tbody tr.ant-table-row')
  const cells = (list) => list.evaluateAll((all) => all.map((r) => [...r.querySelectorAll('td')].map((c) => c.textContent ?? '')))
  const number = (text) => Number(text.replaceAll(/[^0-9.-]/g, ''))
  const open = (name, from, to) => page.goto(`http://${http}/w/default/monitors/${name}?from=${from}&to=${to}`)
  for (let m = 0; m < minutes; m++) {
    const paid = Object.entries(want.plates[m]).sort(([, a], [, b]) => b - a)
    await open('plates_that_paid_most', want.first + m * minute, want.first + (m + 1) * minute)
    await until('the largest keys', 30, async () => (await rows('Largest keys').count()) === 10)
    const shown = await cells(rows('Largest keys'))
    for (const [i, row] of shown.entries()) {
      must(number(row[2]) === paid[i][1] && want.plates[m][row[1]] === paid[i][1], `plate ${i + 1} of minute ${m}: the page says ${row}, the file has ${paid[i]}`)
    }
    must((await page.getByText(`10 of ${paid.length} keys`).count()) > 0, `minute ${m} does not tell of ${paid.length} keys`)
  }
  await open('dearest_passages', want.first, end)
  await until('the dearest records', 30, async () => (await rows('Records').count()) === 20)
  const dearest = want.fees.map((f) => f.fee).sort((a, b) => b - a)
  // Ten of each minute are kept; the largest of all are among them.
  const shown = await cells(rows('Records'))
  for (const [i, row] of shown.slice(0, 10).entries()) {
    must(number(row[2]) === dearest[i], `record ${i + 1}: the page says ${row}, the file has ${dearest[i]}`)
    must(want.fees.some((f) => f.line === row.at(-1)), `record ${i + 1} has a line that is not in the file: ${row.at(-1)}`)
  }
  await open('wanted_plate', want.first, end)
  await until('the minutes in which the plate was seen', 30, async () => (await rows('Lines').count()) === Object.keys(want.seen).length)
  const seen = await cells(rows('Lines'))
  must(seen.reduce((n, r) => n + number(r[2]), 0) === Object.values(want.seen).reduce((n, v) => n + v, 0), `the plate: the page says ${seen}, the file has ${JSON.stringify(want.seen)}`)
  say('the pages list the plates that paid most, the dearest passages and where the plate was seen')
}
