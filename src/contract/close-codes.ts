/** Why a WebSocket ends, by the code its client sees. The document and `docs/protocol.md` are made of this table. */
export const CLOSE_CODES = {
  1001: 'The agent stops',
  1006: 'No closing handshake: the connection broke, or was silent for two minutes; never sent',
  1007: 'A text frame was not UTF-8; over uWS its sender sees 1006',
  1008: 'Wrong token, no `auth` in time, too many frames or bytes in a second, too many client ids',
  1009: 'A frame is too large; far beyond the limit its sender may see 1006 over uWS',
  1012: 'The agent restarts: connect again, on the same port',
  1013: 'The client reads too slowly: connect again',
} as const satisfies Record<number, string>;
