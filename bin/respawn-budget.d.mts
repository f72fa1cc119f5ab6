export interface RespawnBudget {
  died(nowMs: number): number | undefined;
  forgive(): void;
  recent(nowMs: number): number;
  mayDie(nowMs: number): boolean;
}

export function createRespawnBudget(options?: {
  readonly intensity?: number;
  readonly periodMs?: number;
  readonly delayMsMin?: number;
  readonly delayMsMax?: number;
}): RespawnBudget;

export interface Silence {
  heard(nowMs: number): void;
  tick(nowMs: number, isExcused: () => boolean): boolean;
}

export function createSilence(
  nowMs: number,
  options?: { readonly tickMs?: number; readonly lateMs?: number; readonly silentMs?: number },
): Silence;
