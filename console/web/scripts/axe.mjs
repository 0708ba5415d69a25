/**
 * Checks every page with axe, in both themes. Ends with status 1 when something
 * serious is wrong.
 *
 *   PHAROS_PASSWORD=… node scripts/axe.mjs URL
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { launch, open, pages, settings, settled } from './pages.mjs'

const s = settings()
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await launch(s)
let bad = 0
try {
  for (const theme of process.env.THEMES?.split(',') ?? ['light', 'dark']) {
    const { context, page } = await open(browser, s, theme, 'en')
    for (const [name, path] of await pages(page)) {
      await page.goto(s.url + path)
      await settled(page)
      // Evaluated, not added as a script: the console's content security policy refuses those.
      await page.evaluate(axe)
      const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }))
      for (const v of found.violations) {
        if (v.impact !== 'serious' && v.impact !== 'critical') continue
        bad++
        console.log(`${name} (${theme}): ${v.id}: ${v.help}`)
        for (const n of v.nodes.slice(0, 3)) console.log(`    ${n.target.join(' ')}\n      ${n.failureSummary?.split('\n').slice(1, 2).join(' ').trim()}`)
      }
    }
    await context.close()
  }
} finally {
  await browser.close()
}
console.log(bad === 0 ? 'axe found nothing serious' : `axe found ${bad} serious things`)
process.exitCode = bad === 0 ? 0 : 1
