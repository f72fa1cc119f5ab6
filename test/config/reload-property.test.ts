/**
 * Seeded edits of many files at once, written as editors, scripts and crashes write them: each ends applied or refused
 * with the right line, and no agent is restarted more often than its configuration changed its meaning.
 */
import assert from 'node:assert/strict';
import { appendFileSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pick } from '../fixtures/random-yaml.ts';
import { type ReloadFleet, startReloadFleet } from '../fixtures/reload-fleet.ts';
import { type Random, seeded } from '../fixtures/seeded-random.ts';

const EDITS = Number(process.env.OPENAGENT_TEST_RUNS ?? 40);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const AGENTS = 5;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** What a file means to the worker of the fixture. */
interface Meaning {
  readonly prompt: string;
  readonly level: (typeof LEVELS)[number];
}

type Edit =
  | { readonly kind: 'valid'; readonly text: string; readonly meaning: Meaning }
  | { readonly kind: 'invalid'; readonly text: string; readonly line: number; readonly code: string };

test(`${EDITS} edits are each applied or refused with their line, without a storm (seed ${SEED})`, async (t) => {
  const ids = Array.from({ length: AGENTS }, (_, index) => `a${index + 1}`);
  const first: Meaning = { prompt: 'first', level: 'info' };
  const fleet = await startReloadFleet(t, {
    agents: Object.fromEntries(ids.map((id) => [id, textOf(first, [])])),
  });
  const figures = { edits: 0, restarts: 0, live: 0, refused: 0, unchanged: 0, wanted: 0 };
  const share = Math.ceil(EDITS / AGENTS);
  await Promise.all(ids.map((id, index) => editOne(fleet, id, first, share, SEED + index, figures)));
  assert.deepEqual(fleet.defects, []);
  t.diagnostic(JSON.stringify(figures));
});

async function editOne(
  fleet: ReloadFleet,
  id: string,
  first: Meaning,
  edits: number,
  seed: number,
  figures: Record<string, number>,
): Promise<void> {
  const random = seeded(seed * 7919);
  let meaning = first;
  let wanted = 0;
  let text = textOf(first, []);
  for (let count = 1; count <= edits; count += 1) {
    const edit = drawEdit(random, count, meaning);
    const style = pick(random, STYLES);
    const where = `${id}, edit ${count} of seed ${seed}: ${edit.kind} by ${style.name}: ${JSON.stringify(edit.text)}`;
    const before = fleet.configEvents(id).length;
    await style(fleet.fileOf(id), edit.text, random);
    try {
      if (edit.kind === 'invalid') await isRefused(fleet, id, before, edit);
      else await isApplied(fleet, id, edit);
    } catch (cause) {
      throw new Error(`${where}; before it ${JSON.stringify(text)}: ${(cause as Error).message}`, { cause });
    }
    if (edit.kind === 'invalid') figures.refused = (figures.refused ?? 0) + 1;
    else {
      if (edit.meaning.prompt !== meaning.prompt) wanted += 1;
      else if (edit.meaning.level !== meaning.level) figures.live = (figures.live ?? 0) + 1;
      else figures.unchanged = (figures.unchanged ?? 0) + 1;
      meaning = edit.meaning;
    }
    text = edit.text;
    figures.edits = (figures.edits ?? 0) + 1;
  }
  const { restarts = 0 } = fleet.statusOf(id) ?? {};
  figures.restarts = (figures.restarts ?? 0) + restarts;
  figures.wanted = (figures.wanted ?? 0) + wanted;
  assert.ok(restarts <= wanted, `${id} was restarted ${restarts} times for ${wanted} changes that need it`);
}

/** It runs with what the file says, and is said to. */
async function isApplied(fleet: ReloadFleet, id: string, edit: Extract<Edit, { kind: 'valid' }>) {
  const { prompt, level } = edit.meaning;
  await fleet.until('applied', () => {
    const status = fleet.statusOf(id);
    const running = fleet.config.applier.running(id)?.settings;
    return (
      fleet.config.known.get(id)?.text === edit.text &&
      status?.state === 'running' &&
      status.config.state === 'ok' &&
      status.model?.startsWith(`${prompt} `) === true &&
      running?.systemPrompt === prompt &&
      running.logging.level === level
    );
  });
}

/** The newest thing said of it is this refusal, and it runs on with what it had. */
async function isRefused(
  fleet: ReloadFleet,
  id: string,
  before: number,
  edit: Extract<Edit, { kind: 'invalid' }>,
) {
  await fleet.until('refused', () => {
    const event = fleet.configEvents(id).slice(before).at(-1);
    return event?.type === 'config.invalid' && event.problem.code === edit.code && event.line === edit.line;
  });
  const status = fleet.statusOf(id);
  assert.equal(status?.config.state, 'invalid');
  assert.equal(status?.state, 'running');
}

function drawEdit(random: Random, count: number, now: Meaning): Edit {
  const comments = Array.from(
    { length: Math.floor(random() * 4) },
    () => `# ${count} ${pick(random, WORDS)}`,
  );
  const chance = random();
  if (chance < 0.3) return drawInvalid(random, count, comments);
  const level = chance < 0.45 ? pick(random, LEVELS) : now.level;
  const prompt = chance >= 0.55 ? `p${count}${pick(random, WORDS)}` : now.prompt;
  const meaning = { prompt, level };
  return { kind: 'valid', text: textOf(meaning, [...comments, `# edit ${count}`]), meaning };
}

/** An unclosed quote is found where the file ends. */
function drawInvalid(random: Random, count: number, comments: readonly string[]): Edit {
  const [code, lines, at] = pick(random, [
    ['config.invalid', [`name: x${count}`, 'logging:', '  level: loud'], 3],
    ['config.invalid', [`name: x${count}`, 'channels: {websocket: {port: 99999}}'], 2],
    ['config.invalid', [`name: x${count}`, 'system_prompt: [1', 'logging: {level: info}'], 3],
    ['config.invalid', [`name: "x${count}`, 'limits: {}'], 3],
    ['config.variable_missing', [`name: x${count}`, '', `system_prompt: \${NOWHERE${count}}`], 3],
    ['config.invalid', [`name: x${count}`, 'supervisor: {backoff_ms_min: 900, backoff_ms_max: 5}'], 2],
  ] as const);
  const text = [...comments, ...lines, ''].join('\n');
  return { kind: 'invalid', text, line: comments.length + at, code };
}

function textOf({ prompt, level }: Meaning, comments: readonly string[]): string {
  return [...comments, `system_prompt: ${prompt}`, 'name: x', `logging: {level: ${level}}`, ''].join('\n');
}

const WORDS = ['alpha', 'beta', 'gamma', 'delta'];

type Style = (file: string, text: string, random: Random) => Promise<void>;

const STYLES: readonly Style[] = [
  async function atOnce(file, text) {
    writeFileSync(file, text);
  },
  /** The new content in pieces, with the pauses of a slow writer. */
  async function torn(file, text, random) {
    const cut = 1 + Math.floor(random() * (text.length - 1));
    writeFileSync(file, text.slice(0, cut));
    await delay(random() * 12);
    appendFileSync(file, text.slice(cut));
  },
  /** Emptied first. */
  async function truncated(file, text, random) {
    truncateSync(file);
    await delay(random() * 60);
    writeFileSync(file, text);
  },
  async function renamed(file, text) {
    writeFileSync(`${file}.tmp`, text);
    renameSync(`${file}.tmp`, file);
  },
  /** As vim does with a backup. */
  async function backedUp(file, text, random) {
    renameSync(file, `${file}~`);
    await delay(random() * 10);
    writeFileSync(file, text);
    rmSync(`${file}~`);
  },
  /** As `git checkout` does. */
  async function removedFirst(file, text, random) {
    rmSync(file);
    await delay(random() * 30);
    writeFileSync(file, text);
  },
  /** Saved several times in a moment; the last one counts. */
  async function hurried(file, text, random) {
    for (let time = 0; time < 5; time += 1) {
      writeFileSync(`${file}.tmp`, `system_prompt: hurried${time}\n`);
      renameSync(`${file}.tmp`, file);
      if (random() < 0.5) await delay(random() * 6);
    }
    writeFileSync(`${file}.tmp`, text);
    renameSync(`${file}.tmp`, file);
  },
  /** With the time of another file, as `cp -p` and archives leave it. */
  async function dated(file, text) {
    writeFileSync(file, text);
    utimesSync(file, 1_000_000_000, 1_000_000_000);
  },
];
