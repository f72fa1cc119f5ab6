export function createFloor(
  file: string,
  texts: readonly string[],
): { search(word: string): readonly unknown[]; close(): void };
