/**
 * Who may talk to this agent at all, before any credential is looked at. Without a token (what `init` writes) these
 * rules are the only fence between an agent on loopback and every web page its owner opens: the Host rule stops DNS
 * rebinding, the Origin rule stops pages of other sites, `Sec-Fetch-Site` stops their no-CORS requests.
 */
import { AppError } from '../contract/errors.ts';
import { canonicalIpv6, isLoopbackAddress, isLoopbackIpv4 } from './peer-address.ts';
import type { HttpRequest } from './transport.ts';

export interface AccessSettings {
  /** Host names accepted besides loopback ones, on any port. */
  readonly allowedHosts: readonly string[];
  /** Origins accepted besides loopback ones, as `scheme://host[:port]`. */
  readonly allowedOrigins: readonly string[];
}

export interface AccessRules {
  isHostAllowed(host: string): boolean;
  isOriginAllowed(origin: string): boolean;
  /** What can be done about a refusal. */
  readonly mends: AccessMends;
}

export interface AccessMends {
  readonly host: string;
  readonly origin: string;
}

/** An agent's configuration lists what else is let in. */
const CONFIGURED: AccessMends = {
  host: 'use a loopback address, or add the name to channels.websocket.allowed_hosts',
  origin: 'add it to channels.websocket.allowed_origins',
};

/** What the rules look at. */
export type AccessSubject = Pick<HttpRequest, 'method' | 'host' | 'origin' | 'secFetchSite'>;

/** Accepted strings remembered per rule; a fleet's clients use a handful. */
const REMEMBERED_MAX = 64;
/** Name or address, bracketed when IPv6, and an optional port: nothing else may stand in `Host` or after `scheme://`. */
const AUTHORITY = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i;
const PORT_MAX = 65_535;

export function createAccessRules(settings: AccessSettings, mends: AccessMends = CONFIGURED): AccessRules {
  const hosts = new Set(settings.allowedHosts.map(normalizeHost));
  const origins = new Set(settings.allowedOrigins.map(normalizeOrigin).filter(isNamedOrigin));
  return {
    isHostAllowed: remembering((host) => {
      const name = hostName(host);
      return name !== undefined && (isLoopbackName(name) || hosts.has(name));
    }),
    isOriginAllowed: remembering((origin) => isLoopbackOrigin(origin) || origins.has(origin.toLowerCase())),
    mends,
  };
}

/**
 * The refusal, or undefined. A repeated header that the transport joins by a comma is no host and no origin, and so is
 * refused here; one of which it hands over only the first cannot be seen here.
 */
export function checkAccess(request: AccessSubject, rules: AccessRules): AppError | undefined {
  if (!rules.isHostAllowed(request.host)) return hostRefusal(request.host, rules.mends);
  if (request.origin !== '') {
    return rules.isOriginAllowed(request.origin) ? undefined : originRefusal(request.origin, rules.mends);
  }
  if (request.secFetchSite === '' || request.method === 'OPTIONS') return undefined;
  return request.secFetchSite.trim().toLowerCase() === 'cross-site' ? crossSiteRefusal() : undefined;
}

function hostRefusal(host: string, mends: AccessMends): AppError {
  const message =
    host === ''
      ? 'The request has no Host header: send the name or address it goes to'
      : `Host ${quote(host)} is not served here: ${mends.host}`;
  return new AppError('access.host', message);
}

function originRefusal(origin: string, mends: AccessMends): AppError {
  return new AppError('access.origin', `Origin ${quote(origin)} is not let in: ${mends.origin}`);
}

function crossSiteRefusal(): AppError {
  return new AppError(
    'access.cross_site',
    'Another web site made this request: open the address directly, or call it from an allowed origin',
  );
}

/** Most requests carry the very string the last one did; parsing is for the first of its kind. */
function remembering(isAllowed: (value: string) => boolean): (value: string) => boolean {
  const accepted = new Set<string>();
  let last: string | undefined;
  return (value) => {
    if (value === last) return true;
    if (!accepted.has(value)) {
      if (!isAllowed(value)) return false;
      if (accepted.size >= REMEMBERED_MAX) accepted.clear();
      accepted.add(value);
    }
    last = value;
    return true;
  };
}

/** The host of `host[:port]` in one spelling: lower case, no trailing dot, IPv6 written out in brackets. */
function hostName(authority: string): string | undefined {
  const match = AUTHORITY.exec(authority);
  if (!match || Number(match[3] ?? 0) > PORT_MAX) return undefined;
  const [, ipv6, name] = match;
  if (ipv6 === undefined) return name?.toLowerCase().replace(/\.$/, '');
  const canonical = canonicalIpv6(ipv6);
  return canonical === undefined ? undefined : `[${canonical}]`;
}

/** `name` as `hostName` gives it. An IPv4 address counts in its dotted form only: others are spelled by attackers. */
function isLoopbackName(name: string): boolean {
  if (name === 'localhost') return true;
  if (name.startsWith('[')) return isLoopbackAddress(name.slice(1, -1));
  return isLoopbackIpv4(name);
}

function isLoopbackOrigin(origin: string): boolean {
  const [, authority] = /^https?:\/\/(.+)$/i.exec(origin) ?? [];
  const name = authority === undefined ? undefined : hostName(authority);
  return name !== undefined && isLoopbackName(name);
}

/** As written in the configuration: with or without port, IPv6 with or without brackets. */
function normalizeHost(entry: string): string {
  const text = entry.trim();
  return hostName(text) ?? hostName(`[${text}]`) ?? text.toLowerCase();
}

/** As browsers send it: lower case, no trailing slash, no default port. */
function normalizeOrigin(entry: string): string {
  const text = entry.trim().toLowerCase().replace(/\/+$/, '');
  return /^https?:/.test(text) && URL.canParse(text) ? new URL(text).origin : text;
}

/** `null` is what every sandboxed page and local file sends, `*` would be everyone: neither names an origin. */
function isNamedOrigin(origin: string): boolean {
  return origin !== 'null' && origin !== '*' && origin !== '';
}

function quote(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
}
