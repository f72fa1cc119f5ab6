/**
 * `${NAME}` and `${NAME:-default}` inside text. An unset NAME without default is an error; as in a shell, the default
 * also stands in for an empty value. One pass: what a variable holds is never substituted again.
 */
const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;
/** Looks meant as a variable, but would be left as it is: `${NAME-x}`, `${NAME:?x}`, `${NAME`. */
const NEARLY = /\$\{[A-Z_][A-Z0-9_]*(?=[^A-Za-z0-9_.])(?!\}|:-[^}]*\})/;

export interface Substitution {
  readonly text: string;
  readonly used: readonly { readonly name: string; readonly value: string }[];
  readonly missing: readonly string[];
  /** The beginning of something that is written almost like a variable. */
  readonly odd: string | undefined;
}

export function substitute(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): Substitution | undefined {
  if (!text.includes('${')) return undefined;
  const used: { name: string; value: string }[] = [];
  const missing: string[] = [];
  // No variable ends behind the last brace; each search for one there would run to the end of the text.
  const end = text.lastIndexOf('}') + 1;
  const result = text.slice(0, end).replace(VARIABLE, (_, name: string, fallback: string | undefined) => {
    const set = Object.hasOwn(env, name) ? env[name] : undefined;
    const value = fallback !== undefined && (set === undefined || set === '') ? fallback : set;
    if (value === undefined) missing.push(name);
    else used.push({ name, value });
    return value ?? '';
  });
  // Without what was understood, so that the search ends at the first hit instead of trying each against the whole text.
  const rest = text.slice(0, end).replace(VARIABLE, '') + text.slice(end);
  return { text: result + text.slice(end), used, missing, odd: NEARLY.exec(rest)?.[0] };
}
