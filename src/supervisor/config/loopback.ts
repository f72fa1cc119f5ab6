/** Whether an address to bind can be reached from this machine only. In doubt it can not: a token is then demanded. */
import { isIPv4, isIPv6 } from 'node:net';

export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  if (name === 'localhost') return true;
  if (isIPv4(name)) return name.startsWith('127.');
  return isIPv6(name) && /^(0{0,4}:){2,7}0{0,3}1$/.test(name);
}
