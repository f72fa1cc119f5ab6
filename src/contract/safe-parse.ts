/** Checks what a stranger sent. Free of zod: the schema comes from whoever has loaded it. */
export type Checked<T, I> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly error: { readonly issues: readonly I[] } };

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/**
 * As zod's own, but it never throws. zod compares the `length` of whatever has one, also where it wanted a string: a
 * `length` that is an object without a usable `toString` makes the comparison itself fail.
 */
export function safeParse<T, I extends Issue>(
  schema: { safeParse(value: unknown): Checked<T, I> },
  value: unknown,
): Checked<T, I | Issue> {
  try {
    return schema.safeParse(value);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    return {
      success: false,
      error: { issues: [{ path: [], message: 'a field has a value of the wrong type' }] },
    };
  }
}
