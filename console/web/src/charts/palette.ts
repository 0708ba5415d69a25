/** Colours of series. They differ in lightness as well as hue, so that people who confuse hues can tell them apart; none is a state colour. */
export const seriesColors = {
  light: ['#0072b2', '#b5570a', '#6a51a3', '#00796b', '#a6376b', '#8a6d00', '#2b4c9b', '#7f4a2e', '#3d7d9a', '#4f6228'],
  dark: ['#56b4e9', '#e69f4d', '#b39ddb', '#4dc4ae', '#e58ab4', '#d9c04a', '#8fa8f5', '#c99b7d', '#7fd0ec', '#b5cf7a'],
} as const

export type Mode = keyof typeof seriesColors

export const stateColors = {
  light: { ok: '#1a7f4b', warn: '#a15c00', error: '#c62828', none: '#5b6675', accent: '#1259c3' },
  dark: { ok: '#4cc38a', warn: '#f0b429', error: '#ff7b72', none: '#95a1b0', accent: '#6ea8fe' },
} as const

export function seriesColor(i: number, mode: Mode): string {
  const all = seriesColors[mode]
  return all[i % all.length]!
}
