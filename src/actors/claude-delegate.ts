/** Claude's command line as what a turn is handed to: its session, the agent's tools for it, and who allows its own. */
import { CLAUDE_CLI } from '../contract/runtime-id.ts';
import type { ClaudeCli, ClaudeEvent } from '../models/claude-cli.ts';
import { createSdkSessions } from '../storage/sdk-sessions.ts';
import type { Approvals } from '../tools/approvals.ts';
import type { ToolRunner } from '../tools/run-tool.ts';
import type { ToolPolicy } from '../tools/tool-policy.ts';
import type { AgentMindOptions } from './agent-mind.ts';
import type { Delegate, DelegatedTask } from './turns/mind.ts';

export interface ClaudeDelegateOptions
  extends Pick<AgentMindOptions, 'init' | 'db' | 'journal' | 'children' | 'clock'> {
  readonly policy: ToolPolicy;
  readonly approvals: Pick<Approvals, 'ask'>;
  readonly toolRunner: ToolRunner;
  /** The last turn that the session no longer remembers. */
  readonly cutAfter: (sessionId: DelegatedTask['turn']['sessionId']) => number;
}

export function createClaudeDelegate(options: ClaudeDelegateOptions): Delegate {
  const { init, db, journal, children, clock } = options;
  const { permissionMode } = init.settings.model;
  const sessions = createSdkSessions(db);
  let opened: ClaudeCli | undefined;
  const open = async (): Promise<ClaudeCli> => {
    const { createClaudeCli } = await import('../models/claude-cli.ts');
    const start = (command: string, args: readonly string[], cwd: string) =>
      children.spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    return createClaudeCli({ dir: init.dir, permissionMode, clock, start });
  };
  return {
    run: async (task) => {
      opened ??= await open();
      const { turn, prompt, system, model, signal, tools } = task;
      const isCut = () => options.cutAfter(turn.sessionId) >= turn.rowId;
      const keep = (id: string): void => {
        const put = () => {
          if (!isCut()) sessions.put(turn.sessionId, id, CLAUDE_CLI, clock.wallMs());
        };
        journal.write('session', put);
      };
      const onEvent = (event: ClaudeEvent): void => {
        if (event.type === 'began') keep(event.sessionId);
        else task.onEvent(event);
      };
      await opened.run({
        ...{ prompt, system, model, signal, onEvent, resume: sessions.find(turn.sessionId) },
        toolServer: tools.length === 0 ? undefined : await serverFor(task, options),
        allow: (name, input) => decide(name, input, task, options),
      });
    },
  };
}

async function serverFor(
  { turn, tools, signal, onEvent }: DelegatedTask,
  { init, toolRunner }: ClaudeDelegateOptions,
) {
  const { createToolServer } = await import('../mcp/tool-server.ts');
  const context = {
    ...{ signal, turnId: turn.turnId, sessionId: turn.sessionId },
    report: (text: string) => onEvent({ type: 'report', text }),
  };
  return createToolServer({
    ...{ name: 'openagent', version: init.version, tools },
    call: async (tool, name, input) => {
      const { answer } = await toolRunner.run(tool, { id: name, name, input }, context);
      return answer;
    },
  });
}

/** What it wants to do besides: `tools.policy` may say it by `claude_<tool>`, otherwise a person is asked. */
async function decide(
  tool: string,
  input: Readonly<Record<string, unknown>>,
  { turn, signal, onEvent }: DelegatedTask,
  { policy, approvals }: ClaudeDelegateOptions,
): Promise<{ readonly refusedFor?: string }> {
  const name = `claude_${tool}`;
  const decision = policy.decide({ name, defaultDecision: 'ask' });
  if (decision === 'allow') return {};
  if (decision === 'deny') return { refusedFor: 'The configuration of this agent denies it.' };
  onEvent({ type: 'report', text: `Waiting for somebody to approve ${name}` });
  const { turnId, sessionId } = turn;
  const approval = await approvals.ask({ tool: name, input, turnId, sessionId, signal });
  if (!approval.isAllowed)
    return { refusedFor: `${approval.reason}. (model.permission_mode may allow more)` };
  approval.use({ tool: name, input, sessionId });
  return {};
}
