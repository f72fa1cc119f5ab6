/**
 * `smart`: which of three models a turn is worth. A small model judges the first words of the message; when it fails the
 * turn goes to the middle one, and what it cost is told like any other call. A tier holds for all steps of a turn. With
 * little money left nobody is asked and nothing dearer is tried. A turn with images goes to the nearest tier that can see.
 */
import { type RoutingSettings, TIERS, type Tier } from '../contract/model-settings.ts';
import type { CallContext } from './api-model.ts';
import { targetOf } from './call-target.ts';
import { callOnce } from './one-call.ts';
import { lastUserText, type ModelRequest, type StreamPart } from './provider.ts';
import { maySee, showsImages } from './vision.ts';

/** Runtime ids in the order in which they are tried; on the way it yields what the classifier cost. */
export type TierChoice = (request: ModelRequest) => AsyncGenerator<StreamPart, readonly string[]>;

const DEFAULT_TIER: Tier = 'medium';
const LITTLE = 0.2;
const NEARLY_NOTHING = 0.05;
const JUDGED_CHARS = 500;
const CLASSIFIER_STALL_MS = 20_000;
/** In a queue, or in thought, for longer than this it costs more time than its choice saves. */
const CLASSIFIER_PROGRESS_MS = 60_000;
const REMEMBERED_TURNS = 1_000;

/** For images that the chosen one cannot see: rather one that can do more than one that can do less. */
const NEAREST: Readonly<Record<Tier, readonly Tier[]>> = {
  simple: ['simple', 'medium', 'hard'],
  medium: ['medium', 'hard', 'simple'],
  hard: ['hard', 'medium', 'simple'],
};

const ASKS_FOR_THE_BEST =
  /\b(use|with|ask)\b.{0,20}\b(best|strongest|smartest|most (powerful|capable|intelligent))\b.{0,15}\bmodel\b|\b(usa|utilizza|con)\b.{0,20}\bmodello\b.{0,15}\b(migliore|più (potente|forte|capace|intelligente))\b|\b(usa|utilizza|con)\b.{0,20}\bmiglior\w*\b.{0,10}\bmodello\b/i;

const INSTRUCTIONS = `You sort requests by how capable a model they need. Answer with one word.
simple: small talk, a fact, a short rewrite, one obvious step.
medium: several steps, ordinary code, a summary of something long.
hard: deep reasoning, mathematics, architecture, code across many files, anything where a mistake is costly.`;

export function createTierChoice(routing: RoutingSettings, context: CallContext): TierChoice {
  const { hooks, settings } = context;
  const remembered = new Map<string, Tier>();
  /** The first of `nearest` that can see before all others; where none can, what is there is told in text. */
  const inSight = (request: ModelRequest, nearest: readonly string[]): readonly string[] =>
    showsImages(request) ? nearest.filter((model) => maySee(model, settings)).slice(0, 1) : [];
  return async function* (request) {
    const ratio = hooks.budgetRatio?.() ?? 1;
    if (ratio < LITTLE) {
      const both = [routing.fallback, routing.simple];
      const cheap = ratio < NEARLY_NOTHING ? both : both.toReversed();
      // A dearer one only where no cheap one can see.
      const candidates = [...inSight(request, [...cheap, routing.medium, routing.hard]), ...cheap];
      hooks.note?.('model.route', { tier: 'simple', model: candidates[0], budget_ratio: ratio });
      return candidates;
    }
    const key = request.turnId;
    const known = key === undefined ? undefined : remembered.get(key);
    const tier = known ?? (yield* judge(request, routing, context));
    const nearest = [...NEAREST[tier].map((each) => routing[each]), routing.fallback];
    const seeing = inSight(request, nearest);
    if (known === undefined) {
      if (key !== undefined) remember(remembered, key, tier);
      hooks.note?.('model.route', { tier, model: seeing[0] ?? routing[tier] });
    }
    const { fallback, medium, simple, hard, others } = routing;
    return [...seeing, routing[tier], fallback, medium, simple, hard, ...others];
  };
}

/** A turn that was long ago is over. */
function remember(remembered: Map<string, Tier>, key: string, tier: Tier): void {
  remembered.set(key, tier);
  if (remembered.size <= REMEMBERED_TURNS) return;
  for (const oldest of remembered.keys()) {
    remembered.delete(oldest);
    return;
  }
}

async function* judge(
  request: ModelRequest,
  routing: RoutingSettings,
  context: CallContext,
): AsyncGenerator<StreamPart, Tier> {
  const text = lastUserText(request.messages).trim();
  if (text === '') return DEFAULT_TIER;
  if (ASKS_FOR_THE_BEST.test(text)) return 'hard';
  // Nothing to choose between.
  if (TIERS.every((tier) => routing[tier] === routing.simple)) return DEFAULT_TIER;
  return yield* askClassifier(text.slice(0, JUDGED_CHARS), request.signal, routing.classifier, context);
}

async function* askClassifier(
  text: string,
  signal: AbortSignal,
  classifier: string,
  { settings, clock, hooks, caller }: CallContext,
): AsyncGenerator<StreamPart, Tier> {
  const stallMs = Math.min(settings.stallMs, CLASSIFIER_STALL_MS);
  const progressMs = Math.min(settings.progressMs, CLASSIFIER_PROGRESS_MS);
  const question: ModelRequest = {
    model: classifier,
    system: INSTRUCTIONS,
    messages: [{ role: 'user', text }],
    signal,
  };
  const options = { stallMs, progressMs, clock, caller, purpose: 'classifier' } as const;
  let reply = '';
  try {
    const target = targetOf(classifier, settings);
    for await (const part of callOnce(target, question, options)) {
      if (part.type === 'text') reply += part.delta;
      else if (part.type === 'usage') yield part;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    hooks.note?.('model.classifier_failed', { model: classifier, error: String(error) });
  }
  const word = /simple|medium|hard/.exec(reply.toLowerCase())?.[0];
  return (word as Tier | undefined) ?? DEFAULT_TIER;
}
