import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { type AccessSubject, checkAccess, createAccessRules } from '../../src/gateway/access.ts';
import { isLoopbackAddress, peerKey } from '../../src/gateway/peer-address.ts';

const rules = createAccessRules({
  allowedHosts: ['agent.example', 'Box.Local:9000', '192.168.1.5', 'fe80::1'],
  allowedOrigins: [
    'https://app.example',
    'http://LAN.example:8080/',
    'https://default.example:443',
    'null',
    '*',
  ],
});

const HOSTS_ALLOWED = [
  'localhost',
  'LOCALHOST:8765',
  'localhost.',
  'localhost.:8765',
  'localhost:0',
  'localhost:65535',
  '127.0.0.1',
  '127.0.0.1:8765',
  '127.0.0.1.:8765',
  '127.255.1.2:1',
  '[::1]',
  '[::1]:8765',
  '[0:0:0:0:0:0:0:1]:8765',
  '[::ffff:127.0.0.1]:8765',
  '[::FFFF:7f00:1]',
  'agent.example',
  'agent.example.',
  'AGENT.example:1234',
  'box.local',
  'box.local:1',
  '192.168.1.5:8765',
  '[fe80::1]:8765',
  '[FE80:0::1]',
];

const HOSTS_REFUSED = [
  '',
  ' ',
  '.',
  'evil.example',
  'localhost.evil.example',
  'evil.localhost',
  'notlocalhost',
  'localhost..',
  'localhost:',
  'localhost:65536',
  'localhost:123456',
  'localhost:80:80',
  'localhost:8o',
  'localhost/',
  'localhost, localhost',
  'localhost,evil.example',
  'user@localhost',
  'http://localhost',
  ' localhost',
  'localhost\u0000',
  '127.0.0.1.evil.example',
  '127.0.0.1.nip.io',
  '127.1',
  '127.0.0.256',
  '0177.0.0.1',
  '2130706433',
  '0x7f000001',
  '0.0.0.0:8765',
  '128.0.0.1',
  '192.168.1.6',
  '::1',
  '[::1',
  '[::]',
  '[::2]:8765',
  '[127.0.0.1]',
  '[::ffff:128.0.0.1]',
  '[::1%lo]',
  '[fe80::2]',
  'sub.agent.example',
  '*',
];

const ORIGINS_ALLOWED = [
  '',
  'http://localhost',
  'https://localhost',
  'http://localhost:8081',
  'http://localhost.:8081',
  'http://127.0.0.1:54321',
  'https://127.9.9.9',
  'http://[::1]:3000',
  'HTTP://LOCALHOST:3000',
  'https://app.example',
  'http://lan.example:8080',
  'https://default.example',
];

const ORIGINS_REFUSED = [
  'null',
  'NULL',
  '*',
  'http://evil.example',
  'http://evil.example:8765',
  'http://app.example',
  'https://app.example:8443',
  'https://app.example.evil.example',
  'https://sub.app.example',
  'http://lan.example',
  'http://agent.example',
  'http://192.168.1.5:8765',
  'http://localhost.evil.example',
  'http://evil.localhost',
  'http://localhost@evil.example',
  'http://localhost:80@evil.example',
  'http://localhost/path',
  'http://localhost,http://evil.example',
  'http://localhost, http://localhost',
  'http://0.0.0.0:8765',
  'http://2130706433',
  'file://',
  'file://localhost',
  'ftp://localhost',
  'ws://localhost',
  'chrome-extension://abcdef',
  'localhost',
  'http://',
  'http:localhost',
  'http://[::1',
  ' http://localhost',
];

describe('every pair of Host and Origin', () => {
  for (const host of [...HOSTS_ALLOWED, ...HOSTS_REFUSED]) {
    for (const origin of [...ORIGINS_ALLOWED, ...ORIGINS_REFUSED]) {
      const expected = HOSTS_REFUSED.includes(host)
        ? 'access.host'
        : ORIGINS_REFUSED.includes(origin)
          ? 'access.origin'
          : undefined;
      test(`Host ${JSON.stringify(host)}, Origin ${JSON.stringify(origin)}: ${expected ?? 'let in'}`, () => {
        assert.equal(codeFor({ host, origin }), expected);
        assert.equal(codeFor({ host, origin }), expected, 'the second time, when it may be remembered');
      });
    }
  }
});

describe('Sec-Fetch-Site', () => {
  const cases: readonly [Partial<AccessSubject>, ErrorCode | undefined][] = [
    [{ secFetchSite: 'cross-site' }, 'access.cross_site'],
    [{ secFetchSite: 'Cross-Site ' }, 'access.cross_site'],
    [{ secFetchSite: 'cross-site', method: 'POST' }, 'access.cross_site'],
    [{ secFetchSite: 'cross-site', method: 'OPTIONS' }, undefined],
    [{ secFetchSite: 'cross-site', origin: 'https://app.example' }, undefined],
    [{ secFetchSite: 'cross-site', origin: 'http://localhost:8081' }, undefined],
    [{ secFetchSite: 'cross-site', origin: 'http://evil.example' }, 'access.origin'],
    [{ secFetchSite: 'cross-site', host: 'evil.example' }, 'access.host'],
    [{ secFetchSite: 'same-origin' }, undefined],
    [{ secFetchSite: 'same-site' }, undefined],
    [{ secFetchSite: 'none' }, undefined],
    [{ secFetchSite: '' }, undefined],
  ];
  for (const [subject, expected] of cases) {
    test(`${JSON.stringify(subject)}: ${expected ?? 'let in'}`, () => {
      assert.equal(codeFor(subject), expected);
    });
  }
});

test('without configured names only loopback is let in', () => {
  const strict = createAccessRules({ allowedHosts: [], allowedOrigins: [] });
  assert.equal(codeFor({ host: 'agent.example' }, strict), 'access.host');
  assert.equal(codeFor({ origin: 'https://app.example' }, strict), 'access.origin');
  assert.equal(codeFor({ origin: 'http://localhost:8081' }, strict), undefined);
});

test('a refusal names what was refused, and the setting that would allow it', () => {
  const host = checkAccess(subject({ host: 'evil.example' }), rules);
  assert.match(host?.message ?? '', /"evil\.example".*channels\.websocket\.allowed_hosts/);
  const origin = checkAccess(subject({ origin: 'http://evil.example' }), rules);
  assert.match(origin?.message ?? '', /"http:\/\/evil\.example".*channels\.websocket\.allowed_origins/);
  const long = checkAccess(subject({ host: 'x'.repeat(5_000) }), rules);
  assert.ok((long?.message.length ?? 0) < 300, 'a long header is cut');
});

test('more accepted hosts than are remembered stay accepted, and the refused ones refused', () => {
  for (let port = 1; port <= 500; port += 1) {
    assert.equal(codeFor({ host: `localhost:${port}` }), undefined);
    assert.equal(codeFor({ host: `evil.example:${port}` }), 'access.host');
  }
  assert.equal(codeFor({ host: 'localhost:1' }), undefined);
});

describe('isLoopbackAddress', () => {
  const loopback = [
    '127.0.0.1',
    '127.200.3.4',
    '::1',
    '0000:0000:0000:0000:0000:0000:0000:0001',
    '::ffff:127.0.0.1',
    '0000:0000:0000:0000:0000:ffff:7f00:0001',
  ];
  const other = [
    '',
    'localhost',
    '10.0.0.1',
    '128.0.0.1',
    '0.0.0.0',
    '::',
    '::2',
    '1::1',
    '::ffff:10.0.0.1',
    '::127.0.0.1',
    '127.0.0.1:80',
  ];
  for (const address of loopback) {
    test(`${address} is loopback`, () => assert.equal(isLoopbackAddress(address), true));
  }
  for (const address of other) {
    test(`${JSON.stringify(address)} is not`, () => assert.equal(isLoopbackAddress(address), false));
  }
});

test('one peer is one key however its address is spelled', () => {
  assert.equal(peerKey('::ffff:10.1.2.3'), '10.1.2.3');
  assert.equal(peerKey('0000:0000:0000:0000:0000:ffff:0a01:0203'), '10.1.2.3');
  assert.equal(peerKey('2001:db8::1'), peerKey('2001:0db8:0:0:ffff:1:2:3'));
  assert.notEqual(peerKey('2001:db8::1'), peerKey('2001:db8:0:1::1'));
});

function subject(values: Partial<AccessSubject>): AccessSubject {
  return { method: 'GET', host: 'localhost:8765', origin: '', secFetchSite: '', ...values };
}

function codeFor(values: Partial<AccessSubject>, against = rules): ErrorCode | undefined {
  return checkAccess(subject(values), against)?.code;
}
