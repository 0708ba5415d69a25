import { describe, expect, it } from 'vitest'
import { registerAt } from './registerAt'

describe('the address in the join command', () => {
  it('is the server’s own, with the page’s host where it names none', () => {
    expect(registerAt('reg.example.com:9191', 'console.example.com')).toBe('reg.example.com:9191')
    expect(registerAt(':9191', 'console.example.com')).toBe('console.example.com:9191')
    expect(registerAt(':9191', '[2001:db8::1]')).toBe('[2001:db8::1]:9191')
    expect(registerAt('', 'console.example.com')).toBe('console.example.com:9090')
  })
})
