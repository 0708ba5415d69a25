/**
 * Takes the pictures that the README shows, of the sample shop that runs for
 * screenshots.sh: home.png, monitor.png, dashboard.png, editor.png.
 *
 *   PHAROS_PASSWORD=… node pictures.mjs URL FOLDER
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { launch, open, settings, settled } from '../../console/web/scripts/pages.mjs'

const s = settings()
const pictures = [
  { name: 'monitor', theme: 'light', path: '/w/default/monitors/shop_trades?from=now-5m&to=now', height: 1000 },
  { name: 'dashboard', theme: 'light', path: '/w/default/dashboards/shop?from=now-15m&to=now', height: 1180 },
  { name: 'editor', theme: 'light', path: '/w/default/monitors/shop_trades/edit', height: 1120 },
  { name: 'home', theme: 'dark', path: '/w/default?from=now-15m&to=now', height: 760 },
]

await mkdir(s.folder, { recursive: true })
const browser = await launch(s)
try {
  for (const { name, theme, path, height } of pictures) {
    const { context, page } = await open(browser, s, theme, 'en')
    await page.setViewportSize({ width: 1440, height })
    await page.goto(s.url + path)
    await settled(page)
    if (name === 'editor') await page.locator('[data-column=goods]').first().waitFor()
    await page.screenshot({ path: join(s.folder, `${name}.png`) })
    await context.close()
  }
} finally {
  await browser.close()
}
