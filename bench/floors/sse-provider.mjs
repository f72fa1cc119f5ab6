/**
 * A provider that speaks Chat Completions. Its first word is the time at which it was written, of the clock that all
 * processes of a machine share; words follow as fast as a quick model says them.
 */
import { createServer } from 'node:http';

const THINKING_MS = 150;
const WORD_MS = 25;
const WORDS = 40;

const HEAD = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' };
const chunk = (delta, finish_reason = null, more = {}) =>
  `data: ${JSON.stringify({ ...HEAD, choices: [{ index: 0, delta, finish_reason }], ...more })}\n\n`;
const WORD = chunk({ content: 'word ' });
const USAGE = { usage: { prompt_tokens: 10, completion_tokens: WORDS, total_tokens: WORDS + 10 } };
const END = `${chunk({}, 'stop', USAGE)}data: [DONE]\n\n`;

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.socket.setNoDelay(true);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    let said = 0;
    const say = () => {
      if (said === 0) response.write(chunk({ role: 'assistant', content: `at ${process.hrtime.bigint()} ` }));
      else if (said < WORDS) response.write(WORD);
      else return response.end(END);
      said += 1;
      return setTimeout(say, WORD_MS);
    };
    setTimeout(say, Math.random() * THINKING_MS);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.stdout.write(`ready ${server.address().port}\n`));
