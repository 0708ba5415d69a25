import { describe, expect, it } from 'vitest'
import { indices } from './bytes'
import { exact, parseDuration, promDuration, share, short } from './numbers'
import { full, relative, spoken, zoneOffsetMs } from './times'

describe('numbers', () => {
  it('shortens for people and keeps the unit', () => {
    expect(short(12_345, '1/s')).toBe('12.3 k/s')
    expect(short(999)).toBe('999')
    expect(short(1_500_000, 'CNY')).toBe('1.5 M CNY')
    expect(short(1536, 'bytes')).toBe('1.5 KiB')
    expect(short(90_000, 'ms')).toBe('1.5 min')
    expect(short(0.25, '%')).toBe('0.25 %')
    expect(short(null)).toBe('–')
    expect(short(NaN, 'ms')).toBe('–')
    expect(exact(1234567.891, 'ms')).toBe('1,234,567.891 ms')
  })
  it('never rounds a share up to the whole', () => {
    expect(share(1)).toBe('100 %')
    expect(share(0.99999)).toBe('99.9 %')
    expect(share(null)).toBe('–')
  })
  it('reads and writes durations', () => {
    expect(parseDuration('1m15s')).toBe(75_000)
    expect(parseDuration('1.5h')).toBe(5_400_000)
    expect(parseDuration('m1')).toBeNull()
    expect(promDuration(300_000)).toBe('5m')
    expect(promDuration(1500)).toBe('1500ms')
    expect(spoken('1h', 'en')).toBe('1 h')
    expect(spoken('15m', 'zh-CN')).toBe('15 分钟')
  })
})

describe('times', () => {
  const at = Date.UTC(2026, 10, 23, 16, 30, 5)
  it('shows the person’s zone', () => {
    expect(full(at, 'UTC')).toBe('2026-11-23 16:30:05')
    expect(full(at, 'Asia/Shanghai')).toBe('2026-11-24 00:30:05')
    expect(zoneOffsetMs(at, 'Asia/Shanghai')).toBe(8 * 3_600_000)
    expect(zoneOffsetMs(at, 'Asia/Kolkata')).toBe(5.5 * 3_600_000)
  })
  it('says how long ago', () => {
    expect(relative(at - 90_000, at, 'en')).toBe('1 min. ago')
    expect(relative(at - 7_200_000, at, 'zh-CN')).toBe('2小时前')
  })
})

describe('indices', () => {
  it('turns UTF-8 offsets into string indices', () => {
    const text = 'a￥50,来自😀b'
    const bytes = new TextEncoder().encode(text)
    const at = indices(text)
    for (let i = 0; i <= text.length; i++) {
      if (i > 0 && text.codePointAt(i - 1)! > 0xffff) continue
      const offset = new TextEncoder().encode(text.slice(0, i)).length
      expect(at(offset)).toBe(i)
    }
    expect(at(bytes.length + 5)).toBe(text.length)
    expect(at(2)).toBe(1)
  })
  it('is the identity on plain text, within its limits', () => {
    const at = indices('abc')
    expect([at(-1), at(0), at(2), at(9)]).toEqual([0, 0, 2, 3])
  })
})
