import { useEffect, useState } from 'react'

/** useDebounced follows a value once it has stayed the same for ms. */
export function useDebounced<T>(value: T, ms: number): T {
  const [settled, set] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return settled
}
