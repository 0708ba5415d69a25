/** Calls of the HTTP API: JSON in and out, errors as ApiError, mutations with the headers the server asks for. */
import { localDetail } from '../i18n/details'

export interface Detail {
  field: string
  code: string
  message: string
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: Detail[] = [],
    readonly requestId = '',
  ) {
    super(message)
  }
}

/** onUnauthorized is called when the session has ended; the app shows the sign-in page. */
let onUnauthorized: () => void = () => undefined
export function setUnauthorizedHandler(f: () => void): void {
  onUnauthorized = f
}

/** language that error messages are asked for in. */
let language = 'en'
export function setApiLanguage(l: string): void {
  language = l
}

export type Query = Record<string, string | number | boolean | undefined | null>

export function withQuery(path: string, query?: Query): string {
  const p = new URLSearchParams()
  for (const [k, v] of Object.entries(query ?? {})) {
    if (v !== undefined && v !== null && v !== '') p.set(k, String(v))
  }
  const s = p.toString()
  return s === '' ? path : path + '?' + s
}

function newKey(): string {
  // randomUUID exists in secure contexts only; people also open http://10.x.x.x:8080.
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

async function fail(res: Response): Promise<never> {
  let body: unknown
  try {
    body = await res.json()
  } catch {
    body = null
  }
  const b = (body ?? {}) as { code?: string; message?: string; error?: string; errorType?: string; details?: Detail[]; request_id?: string }
  throw new ApiError(res.status, b.code ?? b.errorType ?? 'http_' + res.status, b.message ?? b.error ?? res.statusText,
    (b.details ?? []).map((d) => ({ ...d, message: localDetail(d.code, d.message, language) })), b.request_id)
}

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': language }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (method !== 'GET') {
    headers['X-Pharos-Csrf'] = '1'
    headers['Idempotency-Key'] = newKey()
  }
  const res = await fetch(path, { method, headers, signal, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body) })
  // Who asks for the session itself sees the answer; telling the app as well would make it ask again.
  if (res.status === 401 && path !== '/api/v1/session' && path !== '/api/v1/me') onUnauthorized()
  if (!res.ok) await fail(res)
  if (res.status === 204) return undefined as T
  const text = await res.text()
  return (text === '' ? undefined : JSON.parse(text)) as T
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => call<T>('GET', withQuery(path, query), undefined, signal)
export const post = <T>(path: string, body?: unknown, signal?: AbortSignal) => call<T>('POST', path, body ?? {}, signal)
export const put = <T>(path: string, body: unknown) => call<T>('PUT', path, body)
export const patch = <T>(path: string, body: unknown) => call<T>('PATCH', path, body)
export const del = <T>(path: string) => call<T>('DELETE', path)

/** inWorkspace is the path of something a workspace owns. */
export function inWorkspace(workspace: string, ...rest: string[]): string {
  return '/api/v1/workspaces/' + [workspace, ...rest].map((p) => encodeURIComponent(p).replaceAll('%3A', ':')).join('/')
}
