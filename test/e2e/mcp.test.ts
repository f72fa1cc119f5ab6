/** MCP servers of a real fleet: connected beside the agent, changed over REST, and gone with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, logOf } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const RUDE = fileURLToPath(new URL('../fixtures/mcp/rude-server.mjs', import.meta.url));
const ENTRY = { name: 'rude', command: [process.execPath, RUDE], env: { RUDE_SECRET: 'canary-0123456789' } };

const yaml = (id: string) => `supervisor: {isolation: ${id}}
mcp: [${JSON.stringify(ENTRY)}]
`;

test('servers are connected, added, and end with their agent, in a thread and in a process', async (t) => {
  const fleet = await startFleet(t, { agents: ['thread', 'process'], yaml });
  for (const id of fleet.ids) {
    const { url, dir } = fleet.agent(id);
    const ask = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`${url}${path}`, init);
      const text = await response.text();
      assert.ok(!text.includes('canary'), text);
      return JSON.parse(text) as Record<string, unknown>;
    };
    const ready = async () => {
      // While it is restarted nobody listens.
      const { mcps = [] } = await ask('/api/mcps').catch(() => ({ mcps: [] }));
      const rows = mcps as { name: string; state: string; tools: number }[];
      return rows.filter(({ state, tools }) => state === 'ready' && tools > 0).map(({ name }) => name);
    };
    await eventually(async () => (await ready()).join() === 'rude', 'it is ready');
    const { mcps } = (await ask('/api/mcp-tools')) as { mcps: { tools: { name: string }[] }[] };
    assert.ok(mcps[0]?.tools.some(({ name }) => name === 'rude_structured'));
    const added = await ask('/api/mcps', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'second', command: ENTRY.command }),
    });
    assert.equal(added.applied, 'restart');
    await eventually(async () => (await ready()).join() === 'rude,second', 'both are ready');
    assert.ok(!JSON.stringify(logOf(dir)).includes('canary'));
  }
  // Programs run in the directories of their agents, and count.
  await fleet.stop();
});
