/**
 * Takes a picture of every page in both themes and both languages.
 *
 *   PHAROS_PASSWORD=… node scripts/screenshots.mjs URL FOLDER
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { launch, open, pages, settings, settled } from './pages.mjs'

const s = settings()
const only = process.env.ONLY?.split(',')
await mkdir(s.folder, { recursive: true })
const browser = await launch(s)
let failed = 0
try {
  for (const theme of ['light', 'dark']) {
    for (const language of ['en', 'zh-CN']) {
      if (process.env.VARIANT && process.env.VARIANT !== `${theme}-${language}`) continue
      const { context, page } = await open(browser, s, theme, language)
      page.on('pageerror', (e) => {
        failed++
        console.error(`error on ${page.url()}: ${e.message}`)
      })
      for (const [name, path] of await pages(page)) {
        if (only && !only.includes(name)) continue
        await page.goto(s.url + path)
        await settled(page)
        // As high as the page, so that what sticks to the window's edges stands where it belongs.
        const height = await page.evaluate(() => document.documentElement.scrollHeight)
        await page.setViewportSize({ width: 1440, height: Math.min(3000, Math.max(900, height)) })
        await settled(page)
        await page.screenshot({ path: join(s.folder, `${name}-${theme}-${language}.png`) })
        await page.setViewportSize({ width: 1440, height: 900 })
      }
      await context.close()
    }
  }
} finally {
  await browser.close()
}
if (failed > 0) process.exitCode = 1
