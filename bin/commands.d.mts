export const COMMANDS: readonly string[];
export function isCommand(word: string | undefined): boolean;
