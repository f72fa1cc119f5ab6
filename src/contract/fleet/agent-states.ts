/** The states an operator sees an agent in. Free of zod: the supervisor's machines name them. */
export const AGENT_STATES = [
  'waiting', // for a place among those that start at once
  'starting',
  'running',
  'hung', // gives no sign of life; it is being read and ended
  'stalled', // in a native call or a slow disk; it may come back
  'stopping',
  'backoff', // crashed; starts again after a pause
  'wedged', // does not end, whatever is tried
  'quarantined', // given up on; its reason stands beside it
  'stopped',
  'refused', // never supervised: its directory or configuration is unusable
] as const;
export type AgentState = (typeof AGENT_STATES)[number];
