/** Beam search over what a decoder may write. */
import { beamStep, lengthNormalized } from '../../nn/predict.js';
import { State } from '../../nn/recurrent/state.js';
import type { Rows, Tape } from '../../tape.js';

/** The class that ends a sequence, and the token that begins one. */
export interface Ends {
  readonly end: number;
  readonly start: number;
}

export interface Found {
  readonly ids: readonly number[];
  /** Of all classes, the end included. */
  readonly logProbability: number;
  /** By which hypotheses are compared: over lengthᵅ. */
  readonly score: number;
  readonly complete: boolean;
}

/**
 * Follows the `beamWidth` best beginnings step by step. One is complete when its end is among the best. The search is over when
 * `beamWidth` are complete, or at `maxLength`, where what is left counts as it stands.
 *
 * @param first the state of the decoder before the first step
 * @param decode logits [1,W,V] after one token each; moves the state [W]
 * @returns the best first, at least one
 */
export function search(
  tape: Tape,
  { start, end }: Ends,
  {
    beamWidth,
    maxLength,
    lengthNormalization: alpha = 1,
  }: { beamWidth: number; maxLength: number; lengthNormalization?: number | undefined },
  first: State,
  decode: (tokens: Int32Array, state: State) => Rows,
): Found[] {
  const found: Found[] = [];
  const add = (ids: readonly number[], logProbability: number, length: number, complete: boolean) =>
    found.push({ ids, logProbability, score: lengthNormalized(tape, logProbability, length, alpha), complete });
  let live: { parent: number; ids: number[]; logProbability: number }[] = [{ parent: 0, ids: [], logProbability: 0 }];
  let state = first;
  for (let t = 0; t < maxLength && live.length > 0 && found.length < beamWidth; t++) {
    const tokens = Int32Array.from(live, ({ ids }) => ids[ids.length - 1] ?? start);
    const before = live.map(({ logProbability }) => logProbability);
    // twice as many, since the first `beamWidth` could all be ends
    const best = tape.runtime.scope(() => beamStep(tape, decode(tokens, state), before, 2 * beamWidth));
    const next: typeof live = [];
    best.logProbabilities.forEach((logProbability, i) => {
      const parent = best.parents[i];
      const { ids } = live[parent];
      if (best.classes[i] === end) {
        if (i < beamWidth) add(ids, logProbability, ids.length + 1, true);
      } else if (next.length < beamWidth) next.push({ parent, ids: [...ids, best.classes[i]], logProbability });
    });
    live = next;
    state = picked(
      state,
      next.map(({ parent }) => parent),
    );
  }
  if (found.length < beamWidth) {
    for (const { ids, logProbability } of live) add(ids, logProbability, Math.max(1, ids.length), false);
  }
  return found.sort((a, b) => b.score - a.score).slice(0, beamWidth);
}

/** The states of these rows, in this order. */
function picked({ batch, h, c }: State, rows: readonly number[]): State {
  const pick = (all: Float32Array) => {
    const F = all.length / batch;
    const out = new Float32Array(rows.length * F);
    rows.forEach((row, i) => out.set(all.subarray(row * F, (row + 1) * F), i * F));
    return out;
  };
  return new State(rows.length, h.map(pick), c.map(pick));
}
