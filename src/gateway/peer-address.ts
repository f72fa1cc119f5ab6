/**
 * IP addresses as peers and `Host` headers spell them. One address has many spellings (`::1`,
 * `0000:…:0001`, `::ffff:127.0.0.1`, and each transport prefers another): a rule that compares text would miss some.
 */
import { isIPv6 } from 'node:net';

/** The eight groups of an IPv6 address, or undefined when the text is none. */
export function ipv6Groups(text: string): readonly number[] | undefined {
  const [address = ''] = text.split('%');
  if (!isIPv6(address)) return undefined;
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  if (tail === undefined) return before;
  const after = groupsOf(tail);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** The IPv4 address inside `::ffff:a.b.c.d`, which is how a dual-stack socket shows an IPv4 peer. */
function mappedIpv4(groups: readonly number[]): string | undefined {
  const [high = 0, low = 0] = groups.slice(6);
  if (groups[5] !== 0xffff || groups.slice(0, 5).some((group) => group !== 0)) return undefined;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

const IPV4_LOOPBACK = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/** Told without node:net, which an agent's start has no other use for. */
export const isLoopbackIpv4 = (text: string): boolean => IPV4_LOOPBACK.test(text);

/** 127.0.0.0/8, ::1, and IPv4 loopback inside IPv6. Anything that is no address is not loopback. */
export function isLoopbackAddress(text: string): boolean {
  if (isLoopbackIpv4(text)) return true;
  const groups = ipv6Groups(text);
  if (groups === undefined) return false;
  const ipv4 = mappedIpv4(groups);
  if (ipv4 !== undefined) return ipv4.startsWith('127.');
  return groups[7] === 1 && groups.slice(0, 7).every((group) => group === 0);
}

/**
 * What counts as one peer when failures are counted: an IPv4 address, or an IPv6 /64, since whoever has one address of
 * a /64 has all 2^64 of them.
 */
export function peerKey(text: string): string {
  const groups = ipv6Groups(text);
  if (groups === undefined) return text;
  return mappedIpv4(groups) ?? `${hex(groups.slice(0, 4))}::/64`;
}

/** One spelling for each IPv6 address. */
export function canonicalIpv6(text: string): string | undefined {
  const groups = ipv6Groups(text);
  return groups && hex(groups);
}

function hex(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}
