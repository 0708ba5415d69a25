/** Times as people read them: relative, the exact moment on hover; and the bar that chooses a page's range. */
import { CalendarOutlined, LeftOutlined, ReloadOutlined, RightOutlined, ZoomOutOutlined } from '@ant-design/icons'
import { Button, DatePicker, Popover, Select, Space, Tooltip } from 'antd'
import dayjs from 'dayjs'
import { useEffect, useState } from 'react'
import type { TimeState } from '../app/url'
import { usePrefs } from '../app/prefs'
import { full, relative, spoken, toMs, zoneOffsetMs } from '../format/times'
import { useT } from '../i18n'
import { quickRanges, refreshChoices, shift } from '../time/range'

/** useNow ticks so that relative times stay true. */
export function useNow(everyMs = 10_000): number {
  const [now, set] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}

export function Ago({ at }: { at: string | number | null | undefined }) {
  const { zone, language } = usePrefs()
  const now = useNow()
  const ms = toMs(at)
  if (ms === null) return <>–</>
  return (
    <Tooltip title={`${full(ms, zone)} ${zone}`}>
      <time dateTime={new Date(ms).toISOString()}>{relative(ms, now, language)}</time>
    </Tooltip>
  )
}

export function Moment({ at }: { at: string | number | null | undefined }) {
  const { zone } = usePrefs()
  const ms = toMs(at)
  return ms === null ? <>–</> : <time dateTime={new Date(ms).toISOString()} title={zone}>{full(ms, zone)}</time>
}

/** TimeBar chooses range and refresh; both are in the URL. */
export function TimeBar({ time, loading }: { time: TimeState; loading?: boolean }) {
  const t = useT()
  const { zone, language } = usePrefs()
  const [open, setOpen] = useState(false)
  const quick = time.range.to === 'now' && time.range.from.startsWith('now-') ? time.range.from.slice(4) : null
  const text = quick ? t('time.last', { range: spoken(quick, language) }) : `${full(time.span.start, zone).slice(0, 16)} – ${full(time.span.end, zone).slice(0, 16)}`
  // The picker works in the browser's zone; moments are moved so that it shows the person's.
  const toPicker = (ms: number) => dayjs(ms + zoneOffsetMs(ms, zone) + new Date(ms).getTimezoneOffset() * 60_000)
  const fromPicker = (d: dayjs.Dayjs) => {
    const local = d.valueOf() - new Date(d.valueOf()).getTimezoneOffset() * 60_000
    return local - zoneOffsetMs(local - zoneOffsetMs(local, zone), zone)
  }
  return (
    <Space.Compact>
      <Button icon={<LeftOutlined />} aria-label={t('time.back')} title={t('time.back')} onClick={() => time.setRange(shift(time.span, 'back', Date.now()))} />
      <Popover
        trigger="click" open={open} onOpenChange={setOpen} placement="bottomRight"
        content={
          <div className="range-choices">
            <div className="range-quick">
              {quickRanges.map((r) => (
                <Button key={r} type={r === quick ? 'primary' : 'default'} size="small" onClick={() => { time.setRange({ from: 'now-' + r, to: 'now' }); setOpen(false) }}>
                  {t('time.last', { range: spoken(r, language) })}
                </Button>
              ))}
            </div>
            <DatePicker.RangePicker
              showTime aria-label={t('time.custom')} style={{ width: 360 }} value={[toPicker(time.span.start), toPicker(time.span.end)]}
              onChange={(v) => {
                if (!v?.[0] || !v[1]) return
                time.setRange({ from: String(fromPicker(v[0])), to: String(fromPicker(v[1])) })
                setOpen(false)
              }}
            />
            <div className="muted">{t('time.zone', { zone })}</div>
          </div>
        }
      >
        <Button icon={<CalendarOutlined />} aria-label={t('time.range') + ': ' + text}>{text}</Button>
      </Popover>
      <Button icon={<RightOutlined />} aria-label={t('time.forward')} title={t('time.forward')} onClick={() => time.setRange(shift(time.span, 'forward', Date.now()))} />
      <Button icon={<ZoomOutOutlined />} aria-label={t('time.wider')} title={t('time.wider')} onClick={() => time.setRange(shift(time.span, 'wider', Date.now()))} />
      <Select
        aria-label={t('time.refresh')} value={time.refresh} onChange={time.setRefresh} popupMatchSelectWidth={false} style={{ minWidth: 92 }}
        options={refreshChoices.map((r) => ({ value: r, label: r === 'off' ? t('time.off') : t('time.every', { every: spoken(r, language) }) }))}
      />
      <Button icon={<ReloadOutlined />} aria-label={t('action.refresh')} title={t('action.refresh')} loading={loading} onClick={time.now} />
    </Space.Compact>
  )
}
