/** Which tools an agent may call, and which only when a person says so. What the configuration names wins. */
import { TOOL_DECISIONS, type ToolDecision } from '../contract/tool-settings.ts';
import { matchesPattern } from './name-pattern.ts';
import type { Tool } from './tool.ts';

export interface ToolPolicy {
  decide(tool: Pick<Tool, 'name' | 'defaultDecision'>): ToolDecision;
}

/** A tool of a server that the operator added may be called unless something else is said of it. */
const UNSAID: ToolDecision = 'allow';

export function createToolPolicy(rules: Readonly<Record<string, ToolDecision>>): ToolPolicy {
  const patterns = Object.entries(rules)
    .filter(([pattern]) => pattern.includes('*'))
    .sort(byParticularity);
  return {
    decide: ({ name, defaultDecision }) => {
      if (Object.hasOwn(rules, name)) return rules[name] ?? UNSAID;
      const [, decision] = patterns.find(([pattern]) => matchesPattern(pattern, name)) ?? [];
      return decision ?? defaultDecision ?? UNSAID;
    },
  };
}

/** The one that says more of the name; of two that say as much, the stricter one. */
function byParticularity(one: [string, ToolDecision], other: [string, ToolDecision]): number {
  const said = other[0].replaceAll('*', '').length - one[0].replaceAll('*', '').length;
  return said || TOOL_DECISIONS.indexOf(other[1]) - TOOL_DECISIONS.indexOf(one[1]);
}
