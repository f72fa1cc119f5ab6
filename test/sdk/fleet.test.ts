/** The SDK against a real fleet: restarts and kills in the middle of a conversation lose and repeat nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAgentClient } from '../../clients/sdk/src/node.ts';
import { startFleet } from '../fixtures/fleet-process.ts';
import { isolations } from '../fixtures/matrix.ts';

const MESSAGES = 200;

for (const isolation of isolations('thread')) {
  test(`each message has one answer through restarts and a killed host (${isolation})`, async (t) => {
    const fleet = await startFleet(t, { isolation });
    const agent = createAgentClient({ url: fleet.agent('a1').url });
    const chat = agent.chat({ reconnectMsMin: 10, reconnectMsMax: 100 });
    t.after(() => chat.close());
    const missed: unknown[] = [];
    chat.on('missed', (frame) => void missed.push(frame));
    const answers: string[] = [];
    for (let sent = 0; sent < MESSAGES; sent += 10) {
      const turns = Array.from({ length: 10 }, (_, index) =>
        chat.send(`${sent + index}`, { sessionId: `s${index % 3}` }),
      );
      if (sent === 50 || sent === 120) await restart(agent);
      if (sent === 90) process.kill(fleet.hostPid, 'SIGKILL');
      for (const turn of turns) answers.push((await turn.response).text);
    }
    assert.deepEqual(
      answers,
      Array.from({ length: MESSAGES }, (_, index) => `echo: ${index}`),
    );
    assert.deepEqual(missed, []);
    await fleet.stop();
  });
}

/** A request that changes something is not repeated by itself, when its connection broke; this one may be. */
async function restart(agent: ReturnType<typeof createAgentClient>): Promise<void> {
  await agent.rest.restartAgent().catch((error: unknown) => {
    assert.equal((error as { code?: unknown }).code, 'connection.lost', String(error));
    return agent.rest.restartAgent();
  });
}
