/**
 * Which addresses are somewhere out there. Everything else (this machine, its network, what stands for it in another
 * notation, what clouds keep their keys behind) is nothing that a stranger's text may make an agent ask.
 */
import ipaddr from 'ipaddr.js';

/** Public by its number, and yet answers with the keys of the virtual machine (Azure). */
const METADATA = ['168.63.129.16'];
/** All that is given out of IPv6. */
const GLOBAL = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/** Why it must not be asked, as a phrase; undefined: it may. */
export function addressProblem(address: string): string | undefined {
  // A zone names an interface of this machine.
  if (address.includes('%') || !ipaddr.isValid(address)) return 'no address that can be judged';
  const parsed = ipaddr.parse(address);
  if (METADATA.includes(parsed.toString())) return 'the address of a metadata service';
  const range: string = parsed.range();
  if (range !== 'unicast') return `an address of the kind "${range}"`;
  if (parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL)) return 'an address that is not public';
  return undefined;
}

/** The canonical form, for comparison; undefined when it is no address. `[::1]` as in a URL is one. */
export function toAddress(host: string): string | undefined {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  // What looks like a number may be one of four notations: only the usual one counts as an address.
  if (!ipaddr.IPv6.isValid(bare) && !ipaddr.IPv4.isValidFourPartDecimal(bare)) return undefined;
  return ipaddr.parse(bare).toString();
}

/** Of link-local addresses, where clouds answer with keys: only whoever names one in digits means it. */
export function isLinkLocal(address: string): boolean {
  if (METADATA.includes(address)) return true;
  return ipaddr.isValid(address) && ipaddr.process(address).range() === 'linkLocal';
}
