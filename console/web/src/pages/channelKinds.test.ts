import { describe, expect, it } from 'vitest'
import { cleaned, complete, fieldsOf, pairsText, readPairs, valueAt, withValue } from './channelKinds'

describe('fields of a channel', () => {
  it('read and write values below others without changing what was there', () => {
    const before = { phones: { use: 'sms', to: ['+1'] } }
    const after = withValue(withValue(before, 'phones.use', 'call'), 'a.b', 1)
    expect(after).toEqual({ phones: { use: 'call', to: ['+1'] }, a: { b: 1 } })
    expect(before.phones.use).toBe('sms')
    expect(valueAt(after, 'phones.use')).toBe('call')
    expect(valueAt({}, 'phones.use')).toBeUndefined()
  })
  it('leave out what is empty', () => {
    expect(cleaned({ a: '', b: [], c: { d: '', e: undefined }, f: false, g: 0, h: ['x'], i: { j: 'k' } })).toEqual({ g: 0, h: ['x'], i: { j: 'k' } })
  })
  it('are complete with what is required, or with the secret that is stored', () => {
    expect(complete(fieldsOf.wecom!, {}, false)).toBe(false)
    expect(complete(fieldsOf.wecom!, { url: 'https://x' }, false)).toBe(true)
    expect(complete(fieldsOf.wecom!, {}, true)).toBe(true)
  })
  it('keep colons in values of pairs', () => {
    expect(readPairs('A: b:c\n\n D : e ')).toEqual({ A: 'b:c', D: 'e' })
    expect(pairsText({ A: 'b:c', D: 'e' })).toBe('A: b:c\nD: e')
    expect(readPairs(' \n')).toBeUndefined()
  })
})
