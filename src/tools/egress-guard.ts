/**
 * Whatever an agent fetches for a model goes past here: tools, media, URLs of MCP servers. A URL is judged by its form,
 * by the lists of the agent and by the addresses its name has; the connection is then made to one of those very
 * addresses. Judged and resolved apart, a name could point somewhere else by the time the connection is made.
 */
import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { AppError } from '../contract/errors.ts';
import { addressProblem, isLinkLocal, toAddress } from './egress-address.ts';
import { matchesPattern } from './name-pattern.ts';

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

export interface EgressGuardOptions {
  /**
   * `host` (on any port) or `host:port`, `*.host` for what is below it. Wins over `denyHosts`. An exact one may be private;
   * a link-local one only in digits.
   */
  readonly allowHosts: readonly string[];
  readonly denyHosts: readonly string[];
  /** Of hosts that `allowHosts` does not name. */
  readonly ports: readonly number[] | 'any';
  readonly resolve?: Resolve;
}

export interface EgressTarget {
  readonly url: URL;
  /** Never empty. */
  readonly addresses: readonly ResolvedAddress[];
  /** For the connection: gives the addresses that were judged, whatever the name says by now. */
  readonly lookup: LookupFunction;
}

export interface EgressGuard {
  /** Judges, resolves once and pins. Throws `egress.blocked`, and `egress.failed` where the name has no address. */
  check(url: string | URL): Promise<EgressTarget>;
  /** For whoever connects by other means: the same without the pin. */
  checkUrl(url: string): Promise<void>;
}

interface HostRule {
  readonly host: string;
  readonly port: number | undefined;
}

const DENIED = 'it is in tools.web.deny_hosts';
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };
/** Names that mean this machine or its network, whatever a resolver says. */
const LOCAL_NAMES = ['localhost', '*.localhost', '*.local', '*.internal', '*.localdomain', '*.home.arpa'];

export function createEgressGuard(options: EgressGuardOptions): EgressGuard {
  const rules = {
    allow: options.allowHosts.map(toRule),
    deny: options.denyHosts.map(toRule),
    ports: options.ports,
  };
  const resolve = options.resolve ?? resolveBySystem;
  const check = async (given: string | URL): Promise<EgressTarget> => {
    const { url, host, port } = readUrl(given);
    const named = ruleFor(rules.allow, host, port);
    if (named === undefined) refuseUnnamed(host, port, rules);
    const literal = toAddress(host);
    const addresses = literal === undefined ? await resolveAll(host, resolve) : [literalAddress(literal)];
    const mayBePrivate = named !== undefined && !named.host.includes('*');
    for (const { address } of addresses) {
      if (mayBePrivate && (literal !== undefined || !isLinkLocal(address))) continue;
      if (named === undefined && ruleFor(rules.deny, address, port)) throw blocked(host, DENIED, address);
      const problem = addressProblem(address);
      if (problem !== undefined) throw blocked(host, `it is ${problem}`, address);
    }
    return { url, addresses, lookup: pinned(addresses) };
  };
  return { check, checkUrl: async (url) => void (await check(url)) };
}

function readUrl(given: string | URL): { url: URL; host: string; port: number } {
  const text = String(given);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new AppError('egress.blocked', 'This is no URL; give one such as https://example.org/page');
  }
  const port = url.port === '' ? DEFAULT_PORTS[url.protocol] : Number(url.port);
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  if (port === undefined) throw blocked(host, `only http and https are fetched, not ${url.protocol}`);
  if (url.username !== '' || url.password !== '') throw blocked(host, 'a name or password stands in the URL');
  if (host === '') throw blocked(host, 'it has no host');
  // 2130706433, 0x7f.1, 017700000001 and digits of other scripts all mean an address: nobody writes them in good faith.
  const isOddLiteral = toAddress(host) !== undefined && !isWrittenPlainly(text, url.hostname);
  if (isOddLiteral) throw blocked(host, 'its address is written in an unusual form');
  return { url, host, port };
}

function isWrittenPlainly(text: string, hostname: string): boolean {
  const [, authority = ''] = /^\s*[a-z]+:\/\/([^/?#\\]*)/i.exec(text) ?? [];
  const written = authority.replace(/:\d*$/, '').toLowerCase();
  return written === hostname || (hostname.startsWith('[') && toAddress(written) === toAddress(hostname));
}

function refuseUnnamed(
  host: string,
  port: number,
  rules: { readonly deny: readonly HostRule[]; readonly ports: readonly number[] | 'any' },
): void {
  if (ruleFor(rules.deny, host, port)) throw blocked(host, DENIED);
  if (LOCAL_NAMES.some((name) => matchesPattern(name, host))) {
    throw blocked(host, 'its name means this machine or its network');
  }
  if (rules.ports !== 'any' && !rules.ports.includes(port)) {
    throw blocked(host, `port ${port} is not one of ${rules.ports.join(', ')}`);
  }
}

async function resolveAll(host: string, resolve: Resolve): Promise<readonly ResolvedAddress[]> {
  try {
    const addresses = await resolve(host);
    if (addresses.length > 0) return addresses;
  } catch (cause) {
    throw new AppError('egress.failed', `The host ${shown(host)} cannot be found`, { cause });
  }
  throw new AppError('egress.failed', `The host ${shown(host)} has no address`);
}

async function resolveBySystem(host: string): Promise<readonly ResolvedAddress[]> {
  return systemLookup(host, { all: true, verbatim: true });
}

function literalAddress(address: string): ResolvedAddress {
  return { address, family: address.includes(':') ? 6 : 4 };
}

function pinned(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family ?? 0);
    const fitting = addresses.filter((each) => family === 0 || each.family === family);
    const [first] = fitting;
    if (first === undefined) {
      const error: NodeJS.ErrnoException = new Error('No address of the wanted family');
      error.code = 'ENOTFOUND';
      return callback(error, '', 0);
    }
    if (options.all === true)
      callback(
        null,
        fitting.map(({ address, family }) => ({ address, family })),
      );
    else callback(null, first.address, first.family);
  };
}

function toRule(written: string): HostRule {
  const [, host = written, port] = /^(.*?|\[[^\]]*\])(?::(\d+))?$/.exec(written.trim().toLowerCase()) ?? [];
  const isAddress = toAddress(written.trim()) !== undefined;
  const name = isAddress ? written.trim().toLowerCase() : host;
  return {
    host: toAddress(name) ?? name.replace(/\.$/, ''),
    port: isAddress || port === undefined ? undefined : Number(port),
  };
}

function ruleFor(rules: readonly HostRule[], host: string, port: number): HostRule | undefined {
  const plain = toAddress(host) ?? host;
  const fitting = rules.filter(
    (rule) => matchesPattern(rule.host, plain) && (rule.port === undefined || rule.port === port),
  );
  // An exact one says more than a pattern that fits as well.
  return fitting.find((rule) => !rule.host.includes('*')) ?? fitting[0];
}

function blocked(host: string, why: string, address?: string): AppError {
  const mend = 'only the operator can allow it, by tools.web.allow_hosts';
  const message = `${shown(host)} is not asked: ${why}; ${mend}`;
  return new AppError('egress.blocked', message, { details: { host, ...(address ? { address } : {}) } });
}

function shown(host: string): string {
  return host === '' ? 'This URL' : host.slice(0, 253);
}
