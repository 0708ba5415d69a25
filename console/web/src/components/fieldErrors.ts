import { ApiError, type Detail } from '../api/client'

/** FieldErrors finds what the server said about a field of the form. */
export class FieldErrors {
  constructor(private readonly details: readonly Detail[] = []) {}

  static of(e: unknown): FieldErrors {
    return new FieldErrors(e instanceof ApiError ? e.details : [])
  }

  /** at is the message for exactly this field. Paths may come with a leading "body." */
  at(path: string): string | undefined {
    return this.details.find((d) => d.field === path || d.field === 'body.' + path)?.message
  }

  /** below is the first message for the field or a part of it. */
  below(path: string): string | undefined {
    return this.at(path) ?? this.details.find((d) => strip(d.field).startsWith(path + '.') || strip(d.field).startsWith(path + '['))?.message
  }

  /** rest are the messages for fields that the form does not show under one of the paths. */
  rest(paths: readonly string[]): Detail[] {
    return this.details.filter((d) => !paths.some((p) => strip(d.field) === p || strip(d.field).startsWith(p + '.') || strip(d.field).startsWith(p + '[')))
  }

  get any(): boolean {
    return this.details.length > 0
  }
}

function strip(field: string): string {
  return field.startsWith('body.') ? field.slice(5) : field
}
