/** The documents a gateway gives of itself: they are there, and they name what this program knows. */
import { serverFrames } from '../../contract/frames.ts';
import { ROUTES } from '../../contract/routes.ts';
import { type Check, type CheckGroup, expectThat, shown } from '../check.ts';

type Table = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const openApi: Check = {
  name: 'the OpenAPI document names every route',
  expected: 'openapi 3.1.x with the paths and methods of the table',
  isBeyond: true,
  async run(target) {
    const answer = await target.readIfThere('/api/openapi.json');
    const { openapi, paths } = answer.json() as { openapi?: string; paths?: Table };
    expectThat(openapi?.startsWith('3.1.'), `openapi: ${shown(openapi)}`);
    const missing = Object.values(ROUTES).filter(({ path, method }) => {
      const operations = paths?.[path.replaceAll('*}', '}')];
      return operations?.[method.toLowerCase()] === undefined;
    });
    expectThat(missing.length === 0, `missing: ${missing.map(({ path }) => path).join(', ')}`);
    return `openapi ${openapi}, ${Object.keys(paths ?? {}).length} paths`;
  },
};

const asyncApi: Check = {
  name: 'the AsyncAPI document names every frame',
  expected: 'asyncapi 3.0.x with the frames of the table',
  isBeyond: true,
  async run(target) {
    const answer = await target.readIfThere('/api/asyncapi.json');
    const { asyncapi, components } = answer.json() as {
      asyncapi?: string;
      components?: { messages?: Table };
    };
    expectThat(asyncapi?.startsWith('3.0.'), `asyncapi: ${shown(asyncapi)}`);
    const named = Object.values(components?.messages ?? {}).map(({ name }) => name);
    const missing = Object.keys(serverFrames).filter((type) => !named.includes(type));
    expectThat(missing.length === 0, `missing: ${missing.join(', ')}`);
    return `asyncapi ${asyncapi}, ${named.length} frames`;
  },
};

const page: Check = {
  name: 'the page to read runs no script and loads nothing',
  expected: "text/html, a Content-Security-Policy with default-src 'none' or 'self'",
  isBeyond: true,
  async run(target) {
    const answer = await target.askIfThere('/api/docs');
    const policy = answer.header('content-security-policy');
    expectThat(answer.status === 200 && /^text\/html/.test(answer.header('content-type')), answer.summary);
    expectThat(/default-src '(none|self)'/.test(policy) && !policy.includes('unsafe'), policy || 'no policy');
    return `${answer.body.length} bytes, ${policy.split(';')[0]}`;
  },
};

export const DOCUMENT_CHECKS: CheckGroup = { area: 'documents', checks: [openApi, asyncApi, page] };
