/** A built-in tool from a schema: the same one is shown to the model and held against what it sends. Brings zod. */
import { z } from 'zod';
import { AppError } from '../contract/errors.ts';
import { safeParse } from '../contract/safe-parse.ts';
import type { Tool, ToolContext, ToolResult } from './tool.ts';

export interface ToolDefinition<S extends z.ZodObject>
  extends Pick<Tool, 'name' | 'description' | 'effect' | 'defaultDecision' | 'timeoutMs'> {
  readonly input: S;
  /** A text is a result that is no error. */
  run(input: z.output<S>, context: ToolContext): Promise<ToolResult | string>;
}

const ISSUES_SHOWN = 8;

export function defineTool<S extends z.ZodObject>(definition: ToolDefinition<S>): Tool {
  const { input: schema, run, ...rest } = definition;
  const { $schema: _dialect, ...inputSchema } = z.toJSONSchema(schema.strict(), { io: 'input' });
  const strict = schema.strict();
  const checked = (input: unknown) => safeParse<unknown, z.core.$ZodIssue>(strict, input);
  return {
    ...rest,
    inputSchema,
    check: (input) => {
      const result = checked(input);
      return result.success ? undefined : problemOf(result.error);
    },
    run: async (input, context) => {
      const parsed = checked(input);
      if (!parsed.success) throw new AppError('tool.input_invalid', problemOf(parsed.error));
      const result = await run(parsed.data as z.output<S>, context);
      return typeof result === 'string' ? { text: result } : result;
    },
  };
}

function problemOf({
  issues,
}: {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}): string {
  return issues
    .slice(0, ISSUES_SHOWN)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ');
}
