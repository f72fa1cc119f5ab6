import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressProblem } from '../../src/tools/egress-address.ts';
import { createEgressGuard, type EgressGuardOptions, type Resolve } from '../../src/tools/egress-guard.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 300);
const PUBLIC = { address: '93.184.216.34', family: 4 };

const resolvesTo =
  (...addresses: readonly string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

const never: Resolve = async (host) => assert.fail(`${host} was resolved`);

function guardOf(options: Partial<EgressGuardOptions> = {}) {
  return createEgressGuard({
    ...{ allowHosts: [], denyHosts: [], ports: [80, 443], resolve: async () => [PUBLIC] },
    ...options,
  });
}

const isBlocked = { code: 'egress.blocked' };

/** One of each range that is not somewhere out there. */
const PRIVATE = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '100.64.0.1', '100.127.255.254', '127.0.0.1', '127.255.255.254'],
  ...['169.254.169.254', '169.254.170.2', '172.16.0.1', '172.31.255.254', '192.0.0.1', '192.0.2.1'],
  ...['192.168.0.1', '192.88.99.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.1.1.1'],
  ...['240.0.0.1', '255.255.255.255', '168.63.129.16'],
  ...['::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:0:8.8.8.8'],
  ...['64:ff9b::7f00:1', '64:ff9b::808:808', '64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1'],
  ...[
    '2002:7f00:1::',
    '2002:808:808::',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '4000::1',
  ],
];

for (const address of PRIVATE) {
  test(`${address} is reached neither by number nor by a name`, async () => {
    const url = `http://${address.includes(':') ? `[${address}]` : address}/`;
    await assert.rejects(guardOf({ resolve: never }).check(url), isBlocked);
    await assert.rejects(guardOf({ resolve: resolvesTo(address) }).check('http://example.org/'), isBlocked);
  });
}

test('addresses out there are reached', async () => {
  for (const address of [
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '2a00:1450:4001::1',
  ]) {
    assert.equal(addressProblem(address), undefined, address);
    const { addresses } = await guardOf({ resolve: resolvesTo(address) }).check('https://example.org/x?y');
    assert.deepEqual(
      addresses.map((each) => each.address),
      [address],
    );
  }
});

test('an address in an unusual form is refused, also a public one', async () => {
  const forms = [
    ...['2130706433', '0x7f000001', '0x7f.1', '127.1', '127.0.1', '017700000001', '0177.0.0.1', '0x7f.0.0.1'],
    ...['134744072', '0x8.8.8.8', '8.8.2056', '010.8.8.8', '１２７.0.0.1', '%31%32%37.0.0.1', '127。0。0。1'],
  ];
  for (const host of forms)
    await assert.rejects(guardOf({ resolve: never }).check(`http://${host}/`), isBlocked, host);
});

test('only http and https are fetched', async () => {
  for (const url of [
    'file:///etc/passwd',
    'ftp://example.org/',
    'data:text/plain,x',
    'gopher://a/',
    'ws://a/',
    'x',
  ]) {
    await assert.rejects(guardOf({ resolve: never }).check(url), isBlocked, url);
  }
});

test('a name or password in the URL is refused', async () => {
  for (const url of [
    'http://user@example.org/',
    'http://:pw@example.org/',
    'http://example.org@127.0.0.1/',
  ]) {
    await assert.rejects(guardOf({ resolve: never }).check(url), isBlocked, url);
  }
});

test('names of this machine and its network are refused, whatever a resolver says', async () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'printer.local',
    'metadata.google.internal',
  ]) {
    await assert.rejects(guardOf({ resolve: never }).check(`http://${host}/`), isBlocked, host);
  }
});

test('ports other than those of the settings are refused', async () => {
  await assert.rejects(guardOf().check('http://example.org:22/'), isBlocked);
  await guardOf().check('http://example.org:443/');
  await guardOf({ ports: [8080] }).check('http://example.org:8080/');
  await guardOf({ ports: 'any' }).check('http://example.org:9999/');
});

test('a name with one private address among public ones is refused', async () => {
  const resolve = resolvesTo('93.184.216.34', '10.0.0.1');
  await assert.rejects(guardOf({ resolve }).check('http://example.org/'), isBlocked);
});

test('a name without address, or that cannot be resolved, is a failure that says so', async () => {
  const failed = { code: 'egress.failed' };
  await assert.rejects(guardOf({ resolve: resolvesTo() }).check('http://example.org/'), failed);
  const resolve = () => Promise.reject(new Error('ENOTFOUND'));
  await assert.rejects(guardOf({ resolve }).check('http://example.org/'), failed);
});

test('a host that is allowed by its name or address may be private, on that port only where one is given', async () => {
  const guard = guardOf({
    allowHosts: ['127.0.0.1:8080', 'nas.example.org', '[fd00::1]:81', '169.254.169.254'],
    resolve: resolvesTo('192.168.1.2'),
  });
  await guard.check('http://127.0.0.1:8080/');
  await guard.check('http://nas.example.org:5000/');
  await guard.check('http://[fd00::1]:81/');
  await guard.check('http://169.254.169.254/');
  await assert.rejects(guard.check('http://127.0.0.1/'), isBlocked);
  await assert.rejects(guard.check('http://[fd00::1]/'), isBlocked);
  await assert.rejects(guard.check('http://other.example.org/'), isBlocked);
  await assert.rejects(guard.check('http://0x7f.1:8080/'), isBlocked);
});

test('a pattern that allows lifts no private address, and a name no link-local one', async () => {
  const wide = guardOf({ allowHosts: ['*'], resolve: resolvesTo('10.0.0.1') });
  await assert.rejects(wide.check('http://example.org/'), isBlocked);
  await assert.rejects(wide.check('http://127.0.0.1/'), isBlocked);
  const named = guardOf({ allowHosts: ['nas.example.org'], resolve: resolvesTo('169.254.169.254') });
  await assert.rejects(named.check('http://nas.example.org/'), isBlocked);
});

test('denied hosts are refused, and allowing wins', async () => {
  const guard = guardOf({ denyHosts: ['*'], allowHosts: ['*.example.org'] });
  await guard.check('https://docs.example.org/');
  await assert.rejects(guard.check('https://example.com/'), isBlocked);
  const byAddress = guardOf({ denyHosts: ['93.184.216.34'] });
  await assert.rejects(byAddress.check('https://example.com/'), isBlocked, 'a name of a denied address');
});

test('DNS rebinding: the connection gets the addresses that were judged, and the name is asked once', async () => {
  let asked = 0;
  const resolve: Resolve = async () => {
    asked += 1;
    return asked === 1 ? [PUBLIC] : [{ address: '127.0.0.1', family: 4 }];
  };
  const { lookup } = await guardOf({ resolve }).check('http://rebind.example.org/');
  const given = await new Promise((done, fail) =>
    lookup('rebind.example.org', { all: true }, (error, addresses) =>
      error ? fail(error) : done(addresses),
    ),
  );
  assert.deepEqual(given, [PUBLIC]);
  assert.equal(asked, 1);
  await assert.rejects(guardOf({ resolve }).check('http://rebind.example.org/'), isBlocked);
});

test('the pinned lookup gives one address of the wanted family, or none', async () => {
  const resolve = resolvesTo('93.184.216.34', '2606:4700::1111');
  const { lookup } = await guardOf({ resolve }).check('http://example.org/');
  const one = (family: number) =>
    new Promise((done) =>
      lookup('example.org', { family }, (error, address) => done(error?.code ?? address)),
    );
  assert.equal(await one(6), '2606:4700::1111');
  assert.equal(await one(4), '93.184.216.34');
  const v4 = await guardOf().check('http://example.org/');
  const none = await new Promise((done) =>
    v4.lookup('example.org', { family: 6 }, (error) => done(error?.code)),
  );
  assert.equal(none, 'ENOTFOUND');
});

test('property: no address that embeds a private IPv4 one is reached', () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const privates = fc.oneof(
    fc.tuple(fc.constantFrom(0, 10, 127), octet, octet, octet),
    fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
    fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), octet, octet),
    fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
    fc.tuple(fc.constant(100), fc.integer({ min: 64, max: 127 }), octet, octet),
    fc.tuple(fc.integer({ min: 224, max: 255 }), octet, octet, octet),
  );
  const prefixes = fc.constantFrom('', '::ffff:', '::', '64:ff9b::', '::ffff:0:', '64:ff9b:1::');
  fc.assert(
    fc.property(privates, prefixes, (octets, prefix) => {
      assert.notEqual(addressProblem(`${prefix}${octets.join('.')}`), undefined);
    }),
    { numRuns: RUNS },
  );
});

test('property: whatever text is given, it is judged public or refused with a code', async () => {
  const resolve: Resolve = async () => [{ address: '10.0.0.1', family: 4 }];
  const guard = guardOf({ resolve });
  const parts = fc.constantFrom(
    'http://',
    'https:',
    '//',
    '@',
    ':80',
    '/',
    '\\',
    '127.0.0.1',
    '0x7f',
    '.',
    '#',
    '?',
    '[::1]',
    '%',
  );
  const texts = fc.oneof(
    fc.string(),
    fc.webUrl(),
    fc.array(parts).map((each) => each.join('')),
  );
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      await assert.rejects(
        guard.check(text),
        (error: { code?: string }) => error.code?.startsWith('egress.') === true,
      );
    }),
    { numRuns: RUNS },
  );
});
