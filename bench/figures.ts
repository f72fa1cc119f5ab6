/** What a bench says: one row per figure, the floor's and the product's side by side. */
export interface Row {
  readonly budget: string;
  readonly work: string;
  readonly floor: string;
  readonly product: string;
  readonly ratio: string;
  /** Undefined where a row is told for comparison only. */
  readonly isWithin: boolean | undefined;
}

export interface Pair<T> {
  readonly floor: readonly T[];
  readonly product: readonly T[];
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** Floor, product, floor, product …: what else the machine does falls on both. */
export async function alternate<T>(
  rounds: number,
  floor: () => Promise<T>,
  product: () => Promise<T>,
): Promise<Pair<T>> {
  const pair = { floor: [] as T[], product: [] as T[] };
  for (let round = 0; round < rounds; round += 1) {
    pair.floor.push(await floor());
    pair.product.push(await product());
  }
  return pair;
}

export const perSecond = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;
export const inMs = (value: number): string => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
export const inMib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
export const times = (value: number): string => `${value.toFixed(2)}×`;
