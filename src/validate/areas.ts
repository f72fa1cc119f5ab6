/** The parts of a gateway that can be checked apart. Alone in its file: the command line needs no more of this room. */
export const AREAS = [
  'http',
  'access',
  'routes',
  'documents',
  'config',
  'vault',
  'usage',
  'models',
  'files',
  'logs',
  'socket',
  'frames',
  'turns',
  'commands',
  'restart',
] as const;
export type Area = (typeof AREAS)[number];
