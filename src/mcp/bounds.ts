/** How far a server is believed to behave: each of these ends in a sentence somebody can read, not in a full memory. */
import type { Limits } from '../contract/limits.ts';

export interface McpBounds {
  readonly connectMs: number;
  readonly callMs: number;
  readonly callTotalMs: number;
  readonly calls: number;
  readonly tools: number;
  readonly descriptionChars: number;
  readonly schemaBytes: number;
  readonly messageBytes: number;
  readonly messagesPerSecond: number;
  /** Of one result. Whoever runs the tool cuts further; this only keeps what nobody could read out of the memory. */
  readonly outputChars: number;
}

const OUTPUT_CHARS_MAX = 1024 * 1024;

export function toBounds(limits: Limits): McpBounds {
  return {
    connectMs: limits.mcpConnectMs,
    callMs: limits.mcpCallMs,
    callTotalMs: limits.mcpCallTotalMs,
    calls: limits.mcpCalls,
    tools: limits.mcpTools,
    descriptionChars: limits.mcpDescriptionChars,
    schemaBytes: limits.mcpSchemaBytes,
    messageBytes: limits.mcpMessageBytes,
    messagesPerSecond: limits.mcpMessagesPerSecond,
    outputChars: OUTPUT_CHARS_MAX,
  };
}
