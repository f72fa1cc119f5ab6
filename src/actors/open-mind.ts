/** The parts that turns think with: model and money, tools and approvals, memory, files. Loaded by the first turn that thinks. */
import { join, resolve } from 'node:path';
import type { SessionId } from '../contract/client-key.ts';
import type { AttachmentInfo } from '../contract/frames.ts';
import { type ModelSettings, TIERS } from '../contract/model-settings.ts';
import { CLAUDE_CLI, parseRuntimeId } from '../contract/runtime-id.ts';
import { LOCAL_VENDORS, unaliased } from '../contract/vendors.ts';
import { modelLabel } from '../models/registry.ts';
import { maySee } from '../models/vision.ts';
import { visibleImages } from '../sessions/attached-files.ts';
import { Conversations } from '../sessions/conversation.ts';
import { Summaries, type SummariesOptions } from '../sessions/summaries.ts';
import { systemPromptOf } from '../sessions/system-prompt.ts';
import { estimateTokens } from '../sessions/token-estimate.ts';
import type { SessionRecords } from '../storage/session-records.ts';
import type { TurnSteps } from '../storage/turn-steps.ts';
import { createApprovals } from '../tools/approvals.ts';
import { createBuiltinTools } from '../tools/builtin-tools.ts';
import { createToolRunner } from '../tools/run-tool.ts';
import type { Tool, ToolSource } from '../tools/tool.ts';
import { createToolPolicy } from '../tools/tool-policy.ts';
import { findServed } from '../uploads/served-file.ts';
import { createCallMeter } from '../usage/call-meter.ts';
import {
  type AgentMindOptions,
  type MindSurroundings,
  modelOfClient,
  type OpenedMind,
} from './agent-mind.ts';
import { createClaudeDelegate } from './claude-delegate.ts';
import { Delegation } from './turns/delegation.ts';
import type { CallMeter, CallPlan, MindParts } from './turns/mind.ts';
import { ModelStep } from './turns/model-step.ts';
import { Thinking } from './turns/thinking.ts';
import type { Turn } from './turns/turn.ts';

export interface OpenMindOptions extends AgentMindOptions {
  readonly steps: TurnSteps;
  readonly sessions: SessionRecords;
  readonly surroundings: MindSurroundings;
}

/** What a turn waits for servers that are still connecting. */
const TOOLS_WAIT_MS = 3_000;
/** Of models on one's own machine, which read less. */
const LOCAL_HISTORY_TOKENS = 8_000;

export function openMind(options: OpenMindOptions): OpenedMind {
  const { init, model, ledger, clock, log, sessions, surroundings, onProgress } = options;
  const { settings } = init;
  const meter = createCallMeter(ledger, modelLabel(settings.model));
  const historyTokens = historyTokensOf(settings.model, settings.limits.historyTokens);
  const shared = { records: sessions, clock, log, historyTokens };
  const ask = createSummaryCall(options, meter);
  const summaries = new Summaries({ ...shared, ask });
  const { approvalMs, timeoutMs, outputChars, policy } = settings.tools;
  const approvals = createApprovals({ send: surroundings.sendApproval, approvalMs, clock, log });
  const rules = createToolPolicy(policy);
  const runner = { policy: rules, approvals, timeoutMs, outputChars, clock, log };
  const toolRunner = createToolRunner(runner);
  const parts: MindParts = {
    ...{ model, clock, log, onProgress, meter, summaries, steps: options.steps, limits: settings.limits },
    conversations: new Conversations(shared),
    systemPrompt: (known) =>
      systemPromptOf({
        ...known,
        ...{ own: settings.systemPrompt, agentName: settings.name, nowMs: clock.wallMs() },
      }),
    modelOfClient: (client) => modelOfClient(settings.model.channels, client),
    tools: createTools(options),
    toolRunner,
    images: createImages(options),
    ...(options.enterModel ? { enterModel: options.enterModel } : {}),
  };
  const cutAfter = (sessionId: SessionId) => sessions.state(sessionId).cutAfter;
  const delegate = createClaudeDelegate({ ...options, policy: rules, approvals, toolRunner, cutAfter });
  return {
    approvals,
    begin: (turn, host) => {
      const runtimeId = modelOf(turn, options);
      const { provider, model: inner } = parseRuntimeId(runtimeId);
      if (provider !== CLAUDE_CLI) return new Thinking(turn, parts, host);
      return new Delegation(turn, parts, host, { delegate, name: CLAUDE_CLI, runtimeId, model: inner });
    },
    stop: () => {
      approvals.close();
      summaries.stop();
    },
  };
}

/** As the session, the client or the agent has it. */
function modelOf({ sessionId, client }: Turn, { sessions, init }: OpenMindOptions): string {
  const { model } = init.settings;
  return sessions.state(sessionId).model ?? modelOfClient(model.channels, client) ?? modelLabel(model);
}

function historyTokensOf(settings: ModelSettings, tokensMax: number) {
  const isLocal = (provider: string) => (LOCAL_VENDORS as readonly string[]).includes(provider);
  return (model: string | undefined): number => {
    const provider = unaliased(parseRuntimeId(model ?? modelLabel(settings)).provider);
    return isLocal(provider) ? Math.min(tokensMax, LOCAL_HISTORY_TOKENS) : tokensMax;
  };
}

function createSummaryCall(
  { init, model: provider, clock, onProgress }: OpenMindOptions,
  meter: (plan: CallPlan) => Promise<CallMeter>,
): SummariesOptions['ask'] {
  const { routing } = init.settings.model;
  return async ({ system, text, model: chosen, sessionId, signal }) => {
    // No tier needs to be looked for: any model can do this.
    const model = chosen ?? routing?.simple;
    const inputTokens = estimateTokens(system) + estimateTokens(text);
    const held = await meter({ model, kind: 'summary', sessionId, inputTokens, signal });
    const request = { model, system, messages: [{ role: 'user', text } as const], signal };
    const call = { model: provider, request, meter: held, clock, onProgress, onText: () => {} };
    return (await new ModelStep(call).run()).text;
  };
}

/** A name that two have belongs to the first. */
function createTools({
  init,
  mcp,
  children,
  clock,
  surroundings,
}: OpenMindOptions): () => Promise<readonly Tool[]> {
  const { dir, version, settings } = init;
  const builtin = createBuiltinTools({
    ...{ wanted: settings.mcp.builtins, settings: settings.tools, dbPath: settings.dbPath },
    ...{ dir, version, clock, vault: surroundings.vault, schedule: surroundings.schedule },
    spawn: (command, args, spawnOptions) => children.spawn(command, args, spawnOptions),
  });
  return async () => {
    await mcp.settled(TOOLS_WAIT_MS);
    const sources: readonly ToolSource[] = [...builtin, ...mcp.sources()];
    const tools = new Map<string, Tool>();
    for (const tool of sources.flatMap((source) => source.tools())) {
      if (!tools.has(tool.name)) tools.set(tool.name, tool);
    }
    return [...tools.values()];
  };
}

function createImages({ init }: OpenMindOptions) {
  const { dir, settings } = init;
  const places = {
    roots: [join(dir, 'uploads'), join(dir, 'outputs'), settings.vaultPath, ...settings.uploads.roots],
    privateFiles: [settings.dbPath],
  };
  return async (attachments: readonly AttachmentInfo[], model: string | undefined) => {
    const images = await visibleImages(attachments, (path) => findServed(resolve(dir, path), places));
    return images.length > 0 && !anyMaySee(model ?? modelLabel(settings.model), settings.model)
      ? 'unseen'
      : images;
  };
}

/** Of models that are chosen between, one is enough: the turn goes to it. */
function anyMaySee(model: string, settings: ModelSettings): boolean {
  const { routing } = settings;
  const isRouted = model === 'smart' && routing !== undefined;
  const asked = isRouted ? [...TIERS.map((tier) => routing[tier]), routing.fallback] : [model];
  return asked.some((one) => maySee(one, settings));
}
