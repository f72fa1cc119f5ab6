/** The client of an agent, for browsers and every other place that has `fetch` and `WebSocket`. */
export { Chat, type ChatEvents, type ChatOptions, type ChatState, type SendOptions } from './chat.ts';
export { type AgentClient, type AgentClientOptions, createAgentClient } from './client.ts';
export { AgentError, type ClientErrorCode } from './errors.ts';
export type { RestMethods, RouteAnswer, RouteData, RouteName, RouteRequest } from './rest.ts';
export type { FrameOf, ResponseFrame, Turn, TurnUpdate } from './turn.ts';
export type { UploadFile, UploadOptions, UploadProgress } from './upload.ts';
