/**
 * The built-in model that needs no key: it says back what it was told, in tokens, each after `delayMs`. What makes the
 * first command work, and the load generator of the benchmarks.
 *
 * It calls tools where it is offered some, as it is told: each line `/tool name {"json": "input"}` of a message is a
 * call, `/then` on a line of its own begins the next step, and all other lines are what it answers when the calls are
 * done, with their results.
 */
import type { Clock } from '../contract/clock.ts';
import { pause } from './pause.ts';
import {
  lastUserText,
  type ModelProvider,
  type ModelRequest,
  type StreamPart,
  type ToolCall,
} from './provider.ts';

const FINISH: StreamPart = { type: 'finish', reason: 'stop' };
const CALLS: StreamPart = { type: 'finish', reason: 'tool_calls' };

export function createEchoModel(options: { readonly delayMs: number; readonly clock: Clock }): ModelProvider {
  const { delayMs, clock } = options;
  return {
    runtimeId: 'echo',
    async *stream(request: ModelRequest) {
      const said = lastUserText(request.messages);
      let answer = `echo: ${said}`;
      if (request.tools?.length && said.includes('/tool ')) {
        const calls = nextCalls(said, request);
        if (calls.length > 0) {
          for (const call of calls) yield { type: 'tool_call', call };
          yield CALLS;
          return;
        }
        answer = answerWithResults(said, request);
      }
      if (delayMs === 0) {
        yield { type: 'text', delta: answer };
      } else {
        for (const token of tokensOf(answer)) {
          await pause(delayMs, clock, request.signal);
          yield { type: 'text', delta: token };
        }
      }
      yield FINISH;
    },
  };
}

const CALL = /^\/tool +([\w-]+) *(.*)$/;

/** Calls of the step that is due; none when all are done. */
function nextCalls(said: string, { messages }: ModelRequest): readonly ToolCall[] {
  const since = messages.findLastIndex(({ role }) => role === 'user');
  const step = messages.slice(since).filter(({ role }) => role === 'assistant').length;
  const lines = said.split(/^\/then *$/m)[step]?.split('\n') ?? [];
  return lines.flatMap((line, at) => {
    const [, name, input = ''] = CALL.exec(line.trim()) ?? [];
    return name === undefined ? [] : [{ id: `echo-${step}-${at}`, name, input: inputOf(input) }];
  });
}

function answerWithResults(said: string, { messages }: ModelRequest): string {
  const since = messages.findLastIndex(({ role }) => role === 'user');
  const rest = said.split('\n').filter((line) => !CALL.test(line.trim()) && line.trim() !== '/then');
  const results = messages
    .slice(since)
    .flatMap((message) => (message.role === 'tool' ? message.results : []))
    .map(({ name, text, isError }) => `${name}${isError ? ' failed' : ''}: ${text}`);
  return `echo: ${[rest.join('\n').trim(), ...results].filter((part) => part !== '').join('\n')}`;
}

/** What is no JSON is handed over as it stands, so that a wrong input can be tried too. */
function inputOf(text: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Words with the white space that follows them: joined, they are the text. */
function tokensOf(text: string): readonly string[] {
  return text.match(/\s*\S+\s*/g) ?? [text];
}
