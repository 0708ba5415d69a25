/**
 * niceScale is the round maximum at or above `max` and the step that reaches
 * it in about `parts` parts; binary steps are round in KiB, MiB and so on.
 */
export function niceScale(max: number, parts: number, binary = false): { max: number; step: number } {
  const top = max > 0 ? max : 1
  const rough = top / parts
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = binary && rough >= 1 ? 2 ** Math.ceil(Math.log2(rough)) : ([1, 2, 2.5, 5, 10].find((m) => m * power >= rough) ?? 10) * power
  return { max: step * Math.ceil(top / step - 1e-9), step }
}
