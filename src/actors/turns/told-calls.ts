/** How the calls of tools are told to clients: to all as the reference does, to those that asked by frames of their own. */
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import { type ToolEvent, type Turn, turnFrames } from './turn.ts';

export interface ToldCall {
  /** What clients of the reference read as JSON in the text of a `status`; they look for the latest `running` of that tool. */
  readonly status: object;
  readonly event: ToolEvent;
}

/** What people are shown of arguments and results. */
const SHOWN_CHARS = 2_000;
const SHOWN_VALUE_CHARS = 400;

export function runningCall(callId: string, tool: string, input: unknown): ToldCall {
  const status = { tool, params: shownInput(input), status: 'running' };
  return { status, event: { call_id: callId, tool, status: 'running', input } };
}

export function endedCall(
  callId: string,
  tool: string,
  { text, isError }: { readonly text: string; readonly isError: boolean },
): ToldCall {
  const result = shown(text);
  const status = isError ? 'error' : 'done';
  return {
    status: { tool, status, [isError ? 'error' : 'result']: result },
    event: { call_id: callId, tool, status, result },
  };
}

export function tellCall(turn: Turn, outlet: Outlet | undefined, { status, event }: ToldCall): void {
  outlet?.send(turnFrames.status(turn, JSON.stringify(status)));
  if (outlet?.wantsTools) outlet.send(turnFrames.tool(turn, event));
}

export function shown(text: string): string {
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
}

/** Arguments as an object, its long texts cut; a whole file is nothing for a status line. */
function shownInput(input: unknown): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return {};
  const cut = Object.entries(input).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const isShort = text === undefined || text.length <= SHOWN_VALUE_CHARS;
    return [key, isShort ? value : `${text.slice(0, SHOWN_VALUE_CHARS)}…`] as const;
  });
  return Object.fromEntries(cut.slice(0, 32));
}
