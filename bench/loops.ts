/** Chains of each loop, and vectors of factors before and after them. */
export const LOOPS = {
  offChain4: { chains: 4, before: 2, after: 128 },
  offChain6: { chains: 6, before: 3, after: 128 },
  offChain8: { chains: 8, before: 4, after: 128 },
  onChain10: { chains: 10, before: 2, after: 0 },
  onChain12: { chains: 12, before: 2, after: 0 },
  onChain16: { chains: 16, before: 2, after: 0 },
} as const;

export type Loop = keyof typeof LOOPS;
