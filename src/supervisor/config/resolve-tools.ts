/** From `tools:` to what an agent is given: defaults filled in, directories absolute. */
import type { Config } from '../../contract/config.ts';
import { DEFAULT_TOOLS, type ToolSettings } from '../../contract/tool-settings.ts';

export function resolveTools(
  dir: string,
  section: Config['tools'],
  toPath: (written: string) => string,
): ToolSettings {
  const { files, shell, web } = section ?? {};
  return {
    policy: section?.policy ?? DEFAULT_TOOLS.policy,
    approvalMs: section?.approval_ms ?? DEFAULT_TOOLS.approvalMs,
    timeoutMs: section?.timeout_ms ?? DEFAULT_TOOLS.timeoutMs,
    outputChars: section?.output_chars ?? DEFAULT_TOOLS.outputChars,
    files: {
      roots: files?.roots?.map(toPath) ?? [dir],
      maxBytes: files?.max_bytes ?? DEFAULT_TOOLS.files.maxBytes,
    },
    shell: {
      enabled: shell?.enabled ?? DEFAULT_TOOLS.shell.enabled,
      commands: shell?.commands ?? DEFAULT_TOOLS.shell.commands,
      timeoutMs: shell?.timeout_ms ?? DEFAULT_TOOLS.shell.timeoutMs,
      outputChars: shell?.output_chars ?? DEFAULT_TOOLS.shell.outputChars,
    },
    web: {
      allowHosts: web?.allow_hosts ?? DEFAULT_TOOLS.web.allowHosts,
      denyHosts: web?.deny_hosts ?? DEFAULT_TOOLS.web.denyHosts,
      ports: web?.ports ?? DEFAULT_TOOLS.web.ports,
      maxBytes: web?.max_bytes ?? DEFAULT_TOOLS.web.maxBytes,
      timeoutMs: web?.timeout_ms ?? DEFAULT_TOOLS.web.timeoutMs,
    },
  };
}
