/** Beam search over what a decoder may write. Scores are made in the core. */
import { State } from '../nn/recurrent/state.js';
import type { Rows, Tape } from '../tape.js';

export interface Hypothesis {
  readonly ids: readonly number[];
  /** Of all classes, the end included. */
  readonly logProbability: number;
  /** By which hypotheses are compared: over lengthᵅ. */
  readonly score: number;
  readonly complete: boolean;
}

/**
 * Follows the `width` best beginnings step by step. One is complete when its end is among the best; the search is over when as many
 * are complete, or at `maxLength`, where what is left counts as it stands.
 *
 * @param first the state of the decoder before the first step
 * @param decode logits [1,W,V] after one token each, the state [W] being moved on
 * @returns the best first
 */
export function search(
  tape: Tape,
  {
    width,
    maxLength,
    alpha,
    start,
    end,
  }: { width: number; maxLength: number; alpha: number; start: number; end: number },
  first: State,
  decode: (tokens: Int32Array, state: State) => Rows,
): Hypothesis[] {
  const { runtime } = tape;
  const { core } = runtime;
  const normalized = (logProbability: number, length: number) => core.lengthNormalized(logProbability, length, alpha);
  const found: Hypothesis[] = [];
  let live: { ids: number[]; logProbability: number }[] = [{ ids: [], logProbability: 0 }];
  let state = first;
  for (let t = 0; t < maxLength && live.length > 0 && found.length < width; t++) {
    const tokens = Int32Array.from(live, ({ ids }) => ids[ids.length - 1] ?? start);
    const best = runtime.scope(() => {
      const logits = decode(tokens, state);
      // as many again, since all of the first could be ends
      const K = 2 * width;
      const [parents, classes, scores, before] = [4, 4, 8, 8].map((bytes) =>
        runtime.take(bytes * Math.max(K, live.length)),
      );
      runtime.writeDoubles(
        before,
        live.map(({ logProbability }) => logProbability),
      );
      const scratch = runtime.take(logits.ld);
      const n = core.beamStep(
        parents,
        classes,
        scores,
        before,
        logits.at,
        logits.ld,
        scratch,
        live.length,
        logits.F,
        K,
      );
      const ints = (at: number) => runtime.i32.slice(at >>> 2, (at >>> 2) + n);
      return { parents: ints(parents), classes: ints(classes), scores: runtime.readDoubles(scores, n) };
    });
    const next: { parent: number; ids: number[]; logProbability: number }[] = [];
    best.scores.forEach((logProbability, i) => {
      const parent = best.parents[i];
      const { ids } = live[parent];
      if (best.classes[i] !== end) {
        if (next.length < width) next.push({ parent, ids: [...ids, best.classes[i]], logProbability });
      } else if (i < width) {
        found.push({ ids, logProbability, score: normalized(logProbability, ids.length + 1), complete: true });
      }
    });
    live = next;
    state = picked(
      state,
      next.map(({ parent }) => parent),
    );
  }
  if (found.length < width) {
    for (const { ids, logProbability } of live) {
      found.push({ ids, logProbability, score: normalized(logProbability, Math.max(1, ids.length)), complete: false });
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, width);
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
