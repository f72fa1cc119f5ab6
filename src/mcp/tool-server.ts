/** The agent's own tools for a program that speaks MCP and runs beside this process's code. */
import { Server } from '@modelcontextprotocol/server';
import type { Tool } from '../tools/tool.ts';

export interface ToolServerOptions {
  readonly name: string;
  readonly version: string;
  readonly tools: readonly Tool[];
  /** Never rejects: what fails is an answer. */
  call(tool: Tool | undefined, name: string, input: unknown): Promise<{ text: string; isError: boolean }>;
}

export function createToolServer({ name, version, tools, call }: ToolServerOptions): Server {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  const server = new Server({ name, version }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/list', () => ({
    tools: tools.map((tool) => ({
      name: tool.name,
      description: tool.description,
      inputSchema: { ...tool.inputSchema, type: 'object' as const },
    })),
  }));
  server.setRequestHandler('tools/call', async ({ params }) => {
    const { text, isError } = await call(byName.get(params.name), params.name, params.arguments ?? {});
    return { content: [{ type: 'text' as const, text }], isError };
  });
  return server;
}
