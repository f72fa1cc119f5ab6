/** Floor of the deltas: a message goes to the provider, and what it says to the socket; nothing is kept. Argument: its port. */
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';

const uws = createRequire(import.meta.url)('uWebSockets.js');
const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, noDelay: true });

function receive(ws, message) {
  const frame = JSON.parse(Buffer.from(message).toString());
  if (frame.type === 'auth') return send(ws, { type: 'auth_ok', agent_name: 'floor', version: '0' });
  return relay(ws, frame);
}

function relay(ws, { text, session_id }) {
  const body = JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: text }] });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const options = { port, host: '127.0.0.1', path: '/v1/chat/completions', method: 'POST', headers, agent };
  const outgoing = request(options, (response) => {
    let rest = '';
    let said = '';
    let seq = 0;
    response.setEncoding('utf8');
    response.on('data', (piece) => {
      const lines = (rest + piece).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data: {')) continue;
        const { content } = JSON.parse(line.slice(6)).choices[0].delta;
        if (content === undefined) continue;
        said += content;
        seq += 1;
        send(ws, { type: 'delta', seq, text: content, session_id });
      }
    });
    response.on('end', () =>
      send(ws, { type: 'response', text: said, session_id, attachments: null, model: 'm' }),
    );
  });
  outgoing.end(body);
}

function send(ws, frame) {
  if (!ws.isClosed) ws.cork(() => ws.send(JSON.stringify(frame)));
}

uws
  .App()
  .ws('/ws', {
    message: receive,
    close: (ws) => {
      ws.isClosed = true;
    },
  })
  .listen('127.0.0.1', 0, (token) => process.stdout.write(`ready ${uws.us_socket_local_port(token)}\n`));
