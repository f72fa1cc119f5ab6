/** Who a turn belongs to, and which conversation it is part of; free of zod. */

/** What a client sent as `session_id`: the reference's clients may send numbers and null, and get them back. */
export type SessionId = string | number | null;

/**
 * Whose turn it is. A named client chose its `client_id`, and may come back for what it missed under the same
 * credential; an unnamed one exists as long as its socket.
 */
export interface ClientKey {
  readonly key: string;
  readonly isNamed: boolean;
  readonly clientId: string;
}

export function namedClient(clientId: string, credentialId: string): ClientKey {
  return { key: `n:${credentialId}:${clientId}`, isNamed: true, clientId };
}

export function unnamedClient(boot: number, counter: number): ClientKey {
  return { key: `a:${boot}:${counter}`, isNamed: false, clientId: `ws-${counter}` };
}

export function parseClientKey(key: string): ClientKey {
  const [kind = '', middle = '', ...rest] = key.split(':');
  if (kind === 'n') return { key, isNamed: true, clientId: rest.join(':') };
  return { key, isNamed: false, clientId: `ws-${rest.join(':') || middle}` };
}
