/**
 * What models call the tools of servers: `<server>_<tool>`, in the letters and the length that every provider takes. A
 * name belongs to the first tool that had it for as long as the agent runs, so that what a model saw in one turn does
 * not mean another tool in the next.
 */
import { createHash } from 'node:crypto';

const CHARS_MAX = 64;
const HASH_CHARS = 6;

export interface ToolNames {
  nameOf(server: string, tool: string): string;
}

export function createToolNames(): ToolNames {
  const owners = new Map<string, string>();
  return {
    nameOf: (server, tool) => {
      const owner = JSON.stringify([server, tool]);
      const plain = `${letters(server, false)}_${letters(tool, true)}`;
      const take = (name: string): boolean => {
        const taken = owners.get(name);
        if (taken === undefined) owners.set(name, owner);
        return taken === undefined || taken === owner;
      };
      if (plain.length <= CHARS_MAX && take(plain)) return plain;
      const hash = createHash('sha256').update(owner).digest('hex').slice(0, HASH_CHARS);
      const short = `${plain.slice(0, CHARS_MAX - HASH_CHARS - 1)}_${hash}`;
      take(short);
      return short;
    },
  };
}

function letters(text: string, withDash: boolean): string {
  return text.replaceAll(withDash ? /[^A-Za-z0-9_-]/g : /[^A-Za-z0-9]/g, '_');
}
