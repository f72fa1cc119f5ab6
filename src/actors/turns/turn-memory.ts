/**
 * What a session remembers of a turn, whole for the next call of a model however the turn ended: each tool call has an
 * answer, and the last word is said. A turn that ended in the middle says so, and what it did stays known: a model that
 * is told nothing of it would do it again.
 */
import type { ModelMessage, ToolAnswer, ToolCall } from '../../models/provider.ts';
import { announceFiles } from '../../sessions/attached-files.ts';
import type { EndState } from '../../storage/turn-record.ts';
import type { EndedCall, StepRecord, TurnSteps } from '../../storage/turn-steps.ts';
import { heardOf } from './answer-stream.ts';
import type { Turn } from './turn.ts';

const NOTES = {
  cancelled: '[Stopped here by the person, before the answer was complete.]',
  failed: '[Ended here by an error, before the answer was complete.]',
  interrupted: '[Ended here by a crash, before the answer was complete.]',
} as const satisfies Record<Exclude<EndState, 'done'>, string>;

const UNKNOWN = 'It did not end: nobody knows what it did.';
const NOTHING_DONE = 'It gave no answer, and has changed nothing.';
const NOT_BEGUN = 'It was not called: the agent went down before.';

/**
 * `said`: of an answer that had not come to a step yet. `answered`: of the calls that are still open in `done`; `hasBegun`:
 * those of them that may have done something.
 */
export function closed(
  done: readonly ModelMessage[],
  state: EndState,
  said: string,
  answered: readonly ToolAnswer[],
  hasBegun: (position: number) => boolean,
): readonly ModelMessage[] {
  if (state === 'done') return done;
  const last = done.at(-1);
  const open = last?.role === 'assistant' ? (last.toolCalls ?? []) : [];
  const results = open.map((call, position) => {
    const answer = answered.find(({ id }) => id === call.id);
    return answer ?? failed(call, hasBegun(position) ? UNKNOWN : NOTHING_DONE);
  });
  const lost: ModelMessage[] = open.length === 0 ? [] : [{ role: 'tool', results }];
  return [...done, ...lost, lastWord(done.length === 0 ? said : '', state)];
}

/** Of a turn that an earlier start began, and that nobody goes on with. */
export function interruptedMessages(turn: Turn, steps: TurnSteps): readonly ModelMessage[] {
  const records = steps.stepsOf(turn.rowId);
  const ended = records.length === 0 ? [] : steps.endedCallsOf(turn.rowId);
  const begun = records.length === 0 ? [] : steps.openCallsOf(turn.rowId);
  const done = records.flatMap((record): ModelMessage[] => {
    const message = toMessage(record);
    const isOf = (call: { readonly step: number }) => call.step === record.step;
    const results = message.toolCalls.map((call, position) => {
      const end = ended.find((known) => isOf(known) && known.position === position);
      if (end) return answerOf(call, end);
      const isBegun = begun.some((known) => isOf(known) && known.position === position);
      return failed(call, isBegun ? UNKNOWN : NOT_BEGUN);
    });
    return [message, { role: 'tool', results }];
  });
  const heard = heardOf(steps.deltasOf(turn.rowId, 0), records.at(-1)?.lastSeq ?? 0);
  const user: ModelMessage = { role: 'user', text: announceFiles(turn.text, turn.attachments) };
  return [user, ...done, lastWord(heard, 'interrupted')];
}

export function toMessage(record: StepRecord) {
  const data =
    record.providerData === null ? {} : { providerData: JSON.parse(record.providerData) as unknown };
  const toolCalls = JSON.parse(record.calls) as ToolCall[];
  return { role: 'assistant', text: record.text, toolCalls, ...data } as const;
}

export function answerOf({ id, name }: ToolCall, { answer: text, isError }: EndedCall): ToolAnswer {
  return { id, name, text, isError };
}

function failed({ id, name }: ToolCall, text: string): ToolAnswer {
  return { id, name, text, isError: true };
}

function lastWord(said: string, state: Exclude<EndState, 'done'>): ModelMessage {
  return { role: 'assistant', text: [said.trim(), NOTES[state]].filter((part) => part !== '').join('\n\n') };
}
