import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failToLoad } from './agent-directory.ts';

test('a host with a port, or a star, is no allowed host', async (t) => {
  for (const host of ['agents.example.org:80', '*', 'https://agents.example.org', '*.example.org', '']) {
    const error = await failToLoad(t, `channels: { websocket: { allowed_hosts: ["${host}"] } }\n`);
    assert.match(error.message, /:1:42 channels\.websocket\.allowed_hosts\.0: expected a host name/, host);
  }
});

test('an origin with a path, a user or a star is no allowed origin', async (t) => {
  for (const origin of ['*', 'https://*', 'https://a/b', 'https://u@a', 'app.example.org', 'null']) {
    const error = await failToLoad(t, `channels: { websocket: { allowed_origins: ["${origin}"] } }\n`);
    assert.match(error.message, /:1:44 channels\.websocket\.allowed_origins\.0: expected an origin/, origin);
  }
});
