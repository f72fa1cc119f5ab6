/** Values of options and arguments: each is refused with what is expected in its place. */
import { InvalidArgumentError } from 'commander';
import { AREAS, type Area } from '../../validate/areas.ts';

const PORT_MAX = 65_535;
const SECONDS_MAX = 600;

export function parseHost(value: string): string {
  if (value.trim() === '' || /[\s/]/.test(value)) {
    throw new InvalidArgumentError('Expected a host name or an IP address, such as 127.0.0.1 or ::1.');
  }
  return value;
}

export function parsePort(value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (!(port <= PORT_MAX)) throw new InvalidArgumentError(`Expected a whole number from 0 to ${PORT_MAX}.`);
  return port;
}

/** `host:port`, and the address of the WebSocket, mean the same gateway. */
export function parseUrl(value: string): URL {
  const text = /^[a-z]+:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text.replace(/^ws/i, 'http')) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^\/(ws\/?)?$/.test(url.pathname)) {
    throw new InvalidArgumentError('Expected the address of a gateway, such as http://127.0.0.1:8765.');
  }
  if (url.username !== '' || url.search !== '') {
    throw new InvalidArgumentError(
      'Expected an address without credentials; a token has an option of its own.',
    );
  }
  return new URL(url.origin);
}

export function parseAreas(value: string): readonly Area[] {
  return value.split(',').map((word) => {
    const area = AREAS.find((each) => each === word.trim());
    if (area === undefined) throw new InvalidArgumentError(`Expected some of ${AREAS.join(', ')}.`);
    return area;
  });
}

export function parseSeconds(value: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds > 0 && seconds <= SECONDS_MAX)) {
    throw new InvalidArgumentError(`Expected a number of seconds above 0, up to ${SECONDS_MAX}.`);
  }
  return seconds;
}

export function parseToken(value: string): string {
  if (!/^\S+$/.test(value)) throw new InvalidArgumentError('Expected a token without spaces.');
  return value;
}

export function parseWholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= min && number <= max)) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return number;
  };
}

/** Given several times, it adds up. */
export function parseIds(value: string, before: readonly string[] = []): readonly string[] {
  const ids = value.split(',').filter((id) => id !== '');
  if (ids.length === 0) throw new InvalidArgumentError('Expected agents, separated by commas.');
  return [...before, ...ids];
}
