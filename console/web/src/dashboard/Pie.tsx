/** The shares of keys as a ring beside their list, which has the numbers. */
import { PieChart } from 'echarts/charts'
import { TooltipComponent } from 'echarts/components'
import { init, use as register } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useRef } from 'react'
import { usePrefs } from '../app/prefs'
import { seriesColor, stateColors } from '../charts/palette'

register([PieChart, TooltipComponent, CanvasRenderer])

export interface Slice {
  name: string
  value: number
  text: string
  /** rest is drawn in a neutral colour. */
  rest?: boolean
}

export default function Pie({ slices, label, height }: { slices: Slice[]; label: string; height: number }) {
  const { dark } = usePrefs()
  const box = useRef<HTMLDivElement>(null)
  const mode = dark ? 'dark' : 'light'
  useEffect(() => {
    const c = init(box.current!)
    const look = new ResizeObserver(() => c.resize())
    look.observe(box.current!)
    c.setOption({
      animation: false, aria: { enabled: true, label: { description: label } },
      tooltip: { trigger: 'item', appendTo: 'body', backgroundColor: dark ? '#1d2530' : '#fff', textStyle: { color: dark ? '#e6edf3' : '#1f2933', fontSize: 12 }, formatter: (p: { dataIndex: number; percent: number }) => `${slices[p.dataIndex]!.text} (${p.percent} %)` },
      series: [{
        type: 'pie', radius: ['52%', '88%'], label: { show: false }, emphasis: { scale: false }, itemStyle: { borderColor: dark ? '#141b24' : '#fff', borderWidth: 1 },
        data: slices.map((s, i) => ({ name: s.name.replaceAll('<', '‹'), value: Math.max(0, s.value), itemStyle: { color: s.rest ? stateColors[mode].none : seriesColor(i, mode) } })),
      }],
    })
    return () => {
      look.disconnect()
      c.dispose()
    }
  }, [slices, dark, mode, label])
  return <div ref={box} role="img" aria-label={label} style={{ height, minWidth: 120 }} />
}
