/** Who is let in: Host, Origin and credential, for REST and for the upgrade alike. */
import { type Check, type CheckGroup, expectThat, shown, Unexpected } from '../check.ts';
import { Refused } from '../socket-client.ts';
import type { Target } from '../target.ts';

const HEALTH = '/api/health';
const INFO = '/api/agent-info';
const OWN_ORIGIN = 'http://localhost:8081';
const FOREIGN = 'validate.invalid';

function refusal(
  name: string,
  headers: Readonly<Record<string, string>>,
  status: number,
  code: string,
): Check {
  return {
    name,
    expected: `${status} ${code}`,
    isBeyond: true,
    async run(target) {
      const answer = await target.ask(HEALTH, { headers });
      expectThat(answer.status === status && answer.text.includes(code), answer.summary);
      return answer.summary;
    },
  };
}

const cors: Check = {
  name: 'a page on this machine may ask',
  expected: 'its Origin echoed with `Vary: Origin`; `*` by the reference',
  async run(target) {
    const answer = await target.ask(HEALTH, { headers: { origin: OWN_ORIGIN } });
    const allowed = answer.header('access-control-allow-origin');
    const seen = `${answer.status}, ${allowed || '–'}, vary: ${answer.header('vary') || '–'}`;
    if (target.isReference) expectThat(allowed === '*' || allowed === OWN_ORIGIN, seen);
    else expectThat(allowed === OWN_ORIGIN && /\borigin\b/i.test(answer.header('vary')), seen);
    return seen;
  },
};

const preflight: Check = {
  name: 'a preflight is answered, without a credential',
  expected: '204 that allows PUT, PATCH and DELETE, Content-Type and Authorization',
  async run(target) {
    const headers = { origin: OWN_ORIGIN, 'access-control-request-method': 'PUT' };
    const answer = await target.askBare(INFO, { method: 'OPTIONS', headers });
    const methods = answer.header('access-control-allow-methods');
    const names = answer.header('access-control-allow-headers');
    const seen = `${answer.status}, ${methods}, ${names}`;
    expectThat(
      answer.status === 204 && ['PUT', 'PATCH', 'DELETE'].every((each) => methods.includes(each)),
      seen,
    );
    expectThat(/content-type/i.test(names) && /authorization/i.test(names), seen);
    return seen;
  },
};

const noCorsForStrangers: Check = {
  name: 'a page of another site is told nothing it could read',
  expected: 'no Access-Control-Allow-Origin on its refusal',
  isBeyond: true,
  async run(target) {
    const answer = await target.ask(HEALTH, { headers: { origin: `https://${FOREIGN}` } });
    const allowed = answer.header('access-control-allow-origin');
    expectThat(allowed === '', `access-control-allow-origin: ${allowed}`);
    return 'none';
  },
};

const needsCredential: Check = {
  name: 'REST asks for the credential',
  expected: '401 auth.required with `WWW-Authenticate: Bearer`',
  isBeyond: true,
  isGuardedOnly: true,
  async run(target) {
    const answer = await target.askBare(INFO);
    const seen = `${answer.summary}, www-authenticate: ${answer.header('www-authenticate') || '–'}`;
    expectThat(answer.status === 401 && answer.text.includes('auth.required'), seen);
    expectThat(/^bearer/i.test(answer.header('www-authenticate')), seen);
    return seen;
  },
};

const wrongCredential: Check = {
  name: 'a wrong token is refused',
  expected: '401 auth.invalid, or 429 after too many',
  isBeyond: true,
  isGuardedOnly: true,
  async run(target) {
    const answer = await target.askBare(INFO, { headers: { authorization: `Bearer ${target.mark}` } });
    expectThat([401, 429].includes(answer.status), answer.summary);
    return answer.summary;
  },
};

/** The status with which an upgrade is refused. */
async function refusedWith(
  target: Target,
  headers: Readonly<Record<string, string>>,
  path = '/ws',
): Promise<number> {
  try {
    await target.connect({ headers, path });
  } catch (error) {
    if (error instanceof Refused) return error.status;
    throw error;
  }
  throw new Unexpected('the upgrade was accepted');
}

function upgradeRefusal(name: string, headers: Readonly<Record<string, string>>, status: number): Check {
  return {
    name,
    expected: `the upgrade is refused with ${status}`,
    isBeyond: true,
    async run(target) {
      const seen = await refusedWith(target, headers);
      expectThat(seen === status, `refused with ${seen}`);
      return `refused with ${seen}`;
    },
  };
}

const upgradeElsewhere: Check = {
  name: 'a WebSocket on another path is refused',
  expected: 'the upgrade is refused with 404',
  async run(target) {
    const seen = await refusedWith(target, {}, `/${target.mark}`);
    expectThat(seen === 404 || (target.isReference && seen === 405), `refused with ${seen}`);
    return `refused with ${seen}`;
  },
};

const plainRequest: Check = {
  name: 'GET /ws without an upgrade says what it is for',
  expected: '426 upgrade.required; 400 by the reference',
  async run(target) {
    const answer = await target.ask('/ws');
    expectThat(answer.status === 426 || (target.isReference && answer.status === 400), answer.summary);
    return answer.summary;
  },
};

const infoMatches: Check = {
  name: 'GET /api/agent-info says what this agent is',
  expected: '200 {name, agent_dir, port, version}; version as in health',
  async run(target) {
    const answer = await target.ask(INFO);
    expectThat(answer.status === 200, answer.summary);
    const info = answer.json() as Record<string, unknown>;
    const hasAll = ['name', 'agent_dir', 'port', 'version'].every((key) => key in info);
    expectThat(hasAll && info.version === target.facts.version, shown(info));
    return shown(info);
  },
};

export const ACCESS_CHECKS: CheckGroup = {
  area: 'access',
  checks: [
    infoMatches,
    cors,
    preflight,
    refusal('a page of another site is refused', { origin: `https://${FOREIGN}` }, 403, 'access.origin'),
    refusal('a page without an origin of its own is refused', { origin: 'null' }, 403, 'access.origin'),
    noCorsForStrangers,
    refusal(
      'an image tag of another site is refused',
      { 'sec-fetch-site': 'cross-site' },
      403,
      'access.cross_site',
    ),
    refusal('a name that is not this host is refused', { host: FOREIGN }, 421, 'access.host'),
    ...[needsCredential, wrongCredential, plainRequest, upgradeElsewhere],
    upgradeRefusal('a WebSocket of another site is refused', { origin: `https://${FOREIGN}` }, 403),
    upgradeRefusal('a WebSocket under another name is refused', { host: FOREIGN }, 421),
  ],
};
