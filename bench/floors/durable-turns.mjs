/**
 * Floor of P2: nothing but the two group commits of a turn. Its accepting row is on disk before the status frame goes
 * out, its outcome before the response frame. Argument: the database's file.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const uws = require('uWebSockets.js');
const db = new (require('better-sqlite3'))(process.argv[2]);

db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec('CREATE TABLE turns (id INTEGER PRIMARY KEY, session TEXT, text TEXT, state TEXT, answer TEXT)');
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');
const insert = db.prepare("INSERT INTO turns (id, session, text, state) VALUES (?, ?, ?, 'accepted')");
const settle = db.prepare("UPDATE turns SET state = 'done', answer = ? WHERE id = ?");

let nextId = 1;
let accepted = [];
let answered = [];
let isFlushPlanned = false;

function planFlush() {
  if (isFlushPlanned) return;
  isFlushPlanned = true;
  setImmediate(flush);
}

function flush() {
  isFlushPlanned = false;
  const [starting, ending] = [accepted, answered];
  accepted = [];
  answered = [];
  begin.run();
  for (const turn of starting) insert.run(turn.id, turn.session, turn.text);
  for (const turn of ending) settle.run(turn.answer, turn.id);
  commit.run();
  for (const turn of starting) {
    send(turn.ws, { type: 'status', text: 'Thinking...', session_id: turn.session });
    answered.push({ ...turn, answer: `echo: ${turn.text}` });
  }
  for (const { ws, answer, session } of ending) {
    send(ws, { type: 'response', text: answer, session_id: session, attachments: null, model: 'echo' });
  }
  if (answered.length > 0) planFlush();
}

function send(ws, frame) {
  ws.cork(() => ws.send(JSON.stringify(frame)));
}

function receive(ws, message) {
  const frame = JSON.parse(Buffer.from(message).toString());
  if (frame.type === 'auth') return send(ws, { type: 'auth_ok', agent_name: 'floor', version: '0' });
  accepted.push({ id: nextId++, ws, session: frame.session_id, text: frame.text });
  planFlush();
}

uws
  .App()
  .ws('/ws', { message: receive })
  .listen('127.0.0.1', 0, (token) => process.stdout.write(`ready ${uws.us_socket_local_port(token)}\n`));
