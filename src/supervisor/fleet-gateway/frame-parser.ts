/** From a client's text to a frame, or to what is wrong with it. The schemas are loaded with the first frame. */
import type { FleetClientFrame } from '../../contract/fleet/frames.ts';
import { safeParse } from '../../contract/safe-parse.ts';

const ISSUES_MAX = 3;

export function createFrameParser(): (text: string) => Promise<FleetClientFrame | string> {
  return async (text) => {
    const { FleetClientFrame: schema } = await import('../../contract/fleet/frames.ts');
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return 'The frame is not JSON';
    }
    const result = safeParse(schema, value);
    if (result.success) return result.data;
    const issues = result.error.issues.slice(0, ISSUES_MAX);
    const said = issues.map(({ path, message }) =>
      [path.map(String).join('.'), message].filter(Boolean).join(': '),
    );
    return `The frame is not understood: ${said.join('; ')}`;
  };
}
