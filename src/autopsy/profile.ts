/**
 * Reads from samples of a running thread what a stack that was taken at one moment may not show: the code of the user
 * that is always there, between long stretches of Node's own. Without it an endless chain of promises is told by a
 * function of Node.
 */
import type { Frame } from './examine.ts';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
  readonly hitCount?: number;
  readonly children?: readonly number[];
  /** Lines begin at 1. */
  readonly positionTicks?: readonly { readonly line: number; readonly ticks: number }[];
}

/** As the inspector tells it, as far as we read it. */
export interface Profile {
  readonly nodes: readonly ProfileNode[];
}

/**
 * The stack, innermost first, of the user's function that was seen most often as the innermost one of the user's.
 * Undefined where there is none.
 */
export function usersStack(
  { nodes }: Profile,
  isUsers: (url: string) => boolean,
): readonly Frame[] | undefined {
  const parents = new Map<number, ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const ticks = new Map<ProfileNode, number>();
  for (const node of nodes) {
    const own = ancestry(node, parents).find(({ callFrame }) => isUsers(callFrame.url));
    if (own !== undefined) ticks.set(own, (ticks.get(own) ?? 0) + (node.hitCount ?? 0));
  }
  const [most] = [...ticks].sort(([, one], [, other]) => other - one)[0] ?? [];
  // Without the root, which is no function.
  return (
    most &&
    ancestry(most, parents)
      .filter((node) => parents.has(node.id))
      .map(toFrame)
  );
}

/** Innermost first, with itself. */
function ancestry(node: ProfileNode, parents: ReadonlyMap<number, ProfileNode>): readonly ProfileNode[] {
  const nodes: ProfileNode[] = [];
  for (let at: ProfileNode | undefined = node; at !== undefined; at = parents.get(at.id)) nodes.push(at);
  return nodes;
}

/** By the line where it was seen most often; that of the function itself where no line was sampled. */
function toFrame({ callFrame, positionTicks = [] }: ProfileNode): Frame {
  const [most] = [...positionTicks].sort((one, other) => other.ticks - one.ticks);
  const { functionName, url, lineNumber, columnNumber } = callFrame;
  const name = functionName === '' ? '(anonymous)' : functionName;
  return most === undefined
    ? { name, url, line: lineNumber + 1, column: columnNumber + 1 }
    : { name, url, line: most.line, column: 1 };
}
