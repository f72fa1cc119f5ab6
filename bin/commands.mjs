/** Words that ask for something else than running agents. `src/supervisor/command-line/program.ts` knows what they mean. */
export const COMMANDS = [
  'init',
  'validate',
  'doctor',
  'backup',
  'restore',
  'ps',
  'top',
  'logs',
  'events',
  'incidents',
  'start',
  'stop',
  'restart',
  'release',
  'add',
  'remove',
  'completion',
];

/** `complete` is what a shell asks on each press of the tab key. */
export function isCommand(word) {
  return word === 'complete' || COMMANDS.includes(word);
}
