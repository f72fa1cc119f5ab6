/** The client for Node, which has no WebSocket of its own before version 22. */
import { WebSocket } from 'ws';
import { type AgentClient, type AgentClientOptions, createAgentClient as create } from './client.ts';

export function createAgentClient(options: AgentClientOptions): AgentClient {
  return create({ WebSocket, ...options });
}

export { Chat, type ChatEvents, type ChatOptions, type ChatState, type SendOptions } from './chat.ts';
export type { AgentClient, AgentClientOptions } from './client.ts';
export { AgentError, type ClientErrorCode } from './errors.ts';
export type { RestMethods, RouteAnswer, RouteData, RouteName, RouteRequest } from './rest.ts';
export type { FrameOf, ResponseFrame, Turn, TurnUpdate } from './turn.ts';
export type { UploadFile, UploadOptions, UploadProgress } from './upload.ts';
