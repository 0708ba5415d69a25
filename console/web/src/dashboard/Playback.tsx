/** Plays a past range back: every report shows what it showed at the moment. */
import { CaretRightOutlined, PauseOutlined } from '@ant-design/icons'
import { Button, Select, Slider } from 'antd'
import { useEffect, useState } from 'react'
import { usePrefs } from '../app/prefs'
import { full } from '../format/times'
import { useT } from '../i18n'
import type { Span } from '../time/range'

/** speeds are how many seconds of the past go by in one. */
const speeds = [10, 60, 300, 900] as const

export function Playback({ span, moment, onMoment }: { span: Span; moment: number; onMoment: (at: number) => void }) {
  const t = useT()
  const { zone } = usePrefs()
  const [playing, setPlaying] = useState(true)
  const [speed, setSpeed] = useState<number>(60)
  useEffect(() => {
    if (!playing) return
    // Once a second: the reports have to be asked for at each step.
    const timer = setTimeout(() => (moment >= span.end ? setPlaying(false) : onMoment(Math.min(span.end, moment + speed * 1000))), 1000)
    return () => clearTimeout(timer)
  }, [playing, moment, speed, span.end, onMoment])
  return (
    <div className="panel playback" role="group" aria-label={t('dashboard.playback')}>
      <Button shape="circle" icon={playing ? <PauseOutlined /> : <CaretRightOutlined />} aria-label={playing ? t('playback.pause') : t('playback.play')} onClick={() => {
        if (!playing && moment >= span.end) onMoment(span.start)
        setPlaying(!playing)
      }} />
      <Slider style={{ flex: 1 }} min={span.start} max={span.end} step={1000} value={moment} onChange={onMoment} ariaLabelForHandle={t('playback.at')} tooltip={{ formatter: (v) => full(v ?? moment, zone) }} />
      <time className="mono" dateTime={new Date(moment).toISOString()}>{full(moment, zone)}</time>
      <Select aria-label={t('playback.speed')} value={speed} onChange={setSpeed} style={{ width: 110 }} options={speeds.map((v) => ({ value: v, label: `${v} ×` }))} />
    </div>
  )
}
