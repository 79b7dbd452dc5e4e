import * as check from '../check.js';
import type { Loss, Rows, Tape } from '../tape.js';
import type { Builder, Parameter } from './model.js';

export interface CrfLossOptions {
  /** Sum over the batch, mean over its sequences, the default, or over all their steps. */
  reduction?: 'mean' | 'sum' | 'tokenMean' | undefined;
}

/** Labels of each sequence, as many as it has steps, and their scores. */
export interface CrfDecoded {
  readonly tags: Int32Array[];
  readonly scores: Float32Array;
}

/**
 * Labels that know their neighbours: a linear-chain conditional random field (Lafferty, McCallum & Pereira 2001). A sequence of
 * labels scores start[y₀] + Σ emissions + Σ transitions[from][to] + end[y_T]. Very negative numbers, or -∞, forbid a move.
 */
export class Crf {
  readonly labels: number;
  readonly start: Parameter;
  readonly end: Parameter;
  readonly transitions: Parameter;

  /**
   * @param name prefix of the parameters: `start_transitions` [K], `end_transitions` [K], `transitions` [K,K] from i to j, uniform
   *   within 0.1, as in pytorch-crf
   * @param options `labels`: K
   */
  constructor(builder: Builder, name: string, options: { labels: number }) {
    check.options(name, options, ['labels']);
    const K = check.whole('labels', options.labels);
    const initializer = { kind: 'uniform', bound: 0.1 } as const;
    this.labels = K;
    this.start = builder.parameter(`${name}.start_transitions`, [K], initializer);
    this.end = builder.parameter(`${name}.end_transitions`, [K], initializer);
    this.transitions = builder.parameter(`${name}.transitions`, [K, K], initializer);
  }

  /**
   * -ln of the probability of the tags.
   *
   * @param emissions [T,B,K]
   * @param tags [T,B] whole numbers in 0…K-1; what stands behind an end does not matter
   */
  loss(tape: Tape, emissions: Rows, tags: ArrayLike<number>, options: CrfLossOptions = {}): Loss {
    check.options('loss', options, ['reduction']);
    const reduction = check.oneOf('reduction', options.reduction ?? 'mean', ['mean', 'sum', 'tokenMean']);
    const { T, B, F: K, ld, lengths } = this.#checked(emissions);
    if (tags.length !== T * B) {
      throw new RangeError(`tags: expected [T=${T}, B=${B}] = ${T * B} numbers, got ${tags.length}`);
    }
    let tokens = 0;
    for (let i = 0; i < T * B; i++) {
      const [t, b] = [Math.floor(i / B), i % B];
      if (lengths && t >= lengths.values[b]) continue;
      tokens++;
      if (!(Number.isInteger(tags[i]) && tags[i] >= 0 && tags[i] < K)) {
        check.fail(`tags[${i}], step ${t} of sequence ${b}`, `a label from 0 to ${K - 1}`, tags[i]);
      }
    }
    const count = { sum: 1, mean: B, tokenMean: tokens }[reduction];

    const { runtime } = tape;
    const { core } = runtime;
    const { start, end, transitions } = this;
    const row = rowOf(K);
    const ids = runtime.take(4 * T * B);
    runtime.writeInts(ids, tags);
    const w = runtime.take((K + 2) * row);
    const stride = tape.training ? T * row : 0;
    const alpha = runtime.take(tape.training ? B * stride : T * row);
    const ends = lengths?.at ?? 0;
    const x = emissions.at;
    const own = [transitions.at, start.at, end.at] as const;
    const value = core.crfForward(w, alpha, stride, x, ld, ids, ends, ...own, T, B, K);
    let scale = 0;
    tape.record(() => {
      const scratch = runtime.take((K + 6) * row);
      const to = [emissions.grad, transitions.grad, start.grad, end.grad] as const;
      core.crfBackward(...to, scratch, w, alpha, stride, x, ld, ids, ends, T, B, K, scale / count);
    });
    return {
      value: value / count,
      addGradient: (s) => {
        scale += s;
      },
    };
  }

  /**
   * The labels with the largest score; of equal ones the lowest.
   *
   * @param emissions [T,B,K]
   */
  decode(tape: Tape, emissions: Rows): CrfDecoded {
    const { at, ld, T, B, F: K, lengths } = this.#checked(emissions);
    const { runtime } = tape;
    const row = rowOf(K);
    const out = runtime.take(4 * T * B);
    const scores = runtime.take(4 * B);
    const w = runtime.take((K + 2) * row);
    const best = runtime.take(2 * row);
    const from = runtime.take((T * row) / 2);
    const own = [this.transitions.at, this.start.at, this.end.at] as const;
    runtime.core.crfDecode(out, scores, w, best, from, at, ld, lengths?.at ?? 0, ...own, T, B, K);
    const { i32 } = runtime;
    return {
      tags: Array.from({ length: B }, (_, b) =>
        Int32Array.from({ length: lengths?.values[b] ?? T }, (_, t) => i32[(out >>> 2) + t * B + b]),
      ),
      scores: runtime.read(scores, B),
    };
  }

  #checked(emissions: Rows): Rows {
    if (emissions.F !== this.labels) {
      throw new RangeError(`emissions: expected ${this.labels} features, one for each label, got ${emissions.F}`);
    }
    return emissions;
  }
}

/** Bytes of a row of K doubles, rounded up to whole pairs. */
function rowOf(K: number): number {
  return 16 * Math.ceil(K / 2);
}
