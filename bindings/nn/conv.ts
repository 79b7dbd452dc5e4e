import { LINE, PANEL } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import {
  type Options,
  object,
  option,
  optional,
  type Reader,
  readOptions,
  required,
  type Settings,
} from '../options.js';
import type { Lengths, Rows, Tape } from '../tape.js';
import { type Builder, type Parameter, trains } from './builder.js';
import { checkInitializer, fanIn } from './initializer.js';
import { enterRows, input, read } from './input.js';
import { clearPadding, finish } from './padding.js';
import { State } from './recurrent/state.js';
import { slice } from './rows.js';

/** Steps of zeros before and after a sequence. */
type Padding = 'same' | 'causal' | number | readonly [number, number];

const readPadding: Reader<Padding> = (name, value) => {
  if (value === 'same' || value === 'causal') return value;
  if (typeof value === 'number') return check.whole(name, value, 0);
  if (!Array.isArray(value) || value.length !== 2) check.fail(name, "'same', 'causal', a number or two numbers", value);
  const [before, after] = value.map((steps, i) => check.whole(`${name}[${i}]`, steps, 0));
  return Object.freeze([before, after] as const);
};

const OPTIONS = {
  /** I: features of the input. */
  inputSize: required(check.whole),
  /** O: features of the output. */
  outputSize: required(check.whole),
  /** K: steps that one output sees. */
  kernelSize: required(check.whole),
  /** Steps from one output to the next, default 1. */
  stride: option(check.whole, 1),
  /** Steps from one input of an output to the next, default 1. */
  dilation: option(check.whole, 1),
  /**
   * Steps of zeros: a number for both ends; two numbers; `'causal'`: before the sequence only, so that no output sees a later step;
   * `'same'`: an output for each step, as in PyTorch. Default 0.
   */
  padding: option<Padding>(readPadding, 0),
  /** Whether there is a bias, default true. */
  bias: option(check.flag, true),
  /** How weight and bias start. Without one as in PyTorch: uniform within 1/√(I·K). Default `{}`. */
  initializers: option(object({ weight: optional(checkInitializer), bias: optional(checkInitializer) }), {}),
};

/** What `new Conv1d` takes. */
export interface Conv1dOptions extends Options<typeof OPTIONS> {}

/** Rows that are multiplied in one go: their first rows in y and x, how many, and how far apart. */
interface Part {
  readonly k: number;
  readonly y: number;
  readonly x: number;
  readonly rows: number;
  readonly yStep: number;
  readonly xStep: number;
}

/**
 * A convolution over time: y_t = b + Σₖ W_k x_{t·stride + k·dilation - padding}, for x [T,B,I] and y [T',B,O]. The steps past the end of
 * a sequence count as zeros.
 *
 * @example
 * ```js
 * import { input, Model, read, Runtime } from 'gatewise';
 * import { Conv1d } from 'gatewise/functions';
 *
 * const options = { inputSize: 1, outputSize: 1, kernelSize: 2, padding: 'causal', bias: false };
 * const model = new Model(await Runtime.create(), 1, (b) => new Conv1d(b, 'conv', options));
 * model.set('conv.weight', [-1, 1]); // the difference to the step before
 * const y = model.forward((tape, conv) => read(tape, conv.forward(tape, input(tape, [1, 4, 9], { T: 3, B: 1, F: 1 }))));
 * console.log([...y].join(' ')); // 1 3 5
 * const state = model.layers.state();
 * console.log([1, 4, 9].map((x) => model.layers.step([x], state)[0]).join(' ')); // 1 3 5
 * ```
 */
export class Conv1d {
  readonly options: Settings<typeof OPTIONS>;
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly bidirectional = false;
  readonly #builder: Builder;
  readonly #padding: readonly [number, number];
  readonly #panels: number;
  /** The weight as K matrices [O,I] of padded rows, and as K packed ones; the packed bias, which is a row of y as it stands. */
  readonly #taps: number;
  readonly #packedWeight: number;
  readonly #packedBias: number;
  #packed = -1;

  /**
   * @param name prefix of the parameters: `weight` [O,I,K] and `bias` [O], as in PyTorch
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: Conv1dOptions) {
    check.layer(builder, name);
    this.options = readOptions(name, OPTIONS, options);
    const { inputSize: I, outputSize: O, kernelSize: K, stride, dilation, padding, bias, initializers } = this.options;
    const span = dilation * (K - 1);
    if (padding === 'same') {
      if (stride > 1) check.clash("padding: 'same'", `stride: ${stride}`, 'there is not an output for each step');
      this.#padding = [Math.floor(span / 2), Math.ceil(span / 2)];
    } else if (padding === 'causal') this.#padding = [span, 0];
    else this.#padding = typeof padding === 'number' ? [padding, padding] : padding;
    if (initializers.bias && !bias) check.clash('initializers.bias', 'bias: false', 'the layer has no bias');
    this.#builder = builder;
    this.weight = builder.parameter(`${name}.weight`, [O, I, K], initializers.weight ?? fanIn(I * K));
    if (bias) this.bias = builder.parameter(`${name}.bias`, [O], initializers.bias ?? fanIn(I * K));
    this.#panels = Math.ceil(O / PANEL);
    this.#taps = builder.alloc(K * O * align(4 * I), `${name}.weight`);
    this.#packedWeight = builder.alloc(K * this.#panels * I * LINE, `${name}.weight`);
    this.#packedBias = builder.alloc(this.#panels * LINE, `${name}.bias`);
  }

  /** Where step `k` of the kernel is in a row of the weight, feature by feature. */
  #columns(tape: Tape, k: number): number {
    const { inputSize: I, kernelSize: K } = this.options;
    return tape.ints(Int32Array.from({ length: I }, (_, i) => i * K + k));
  }

  #pack(tape: Tape): void {
    if (this.#packed === this.#builder.version) return;
    this.#packed = this.#builder.version;
    const { core } = tape;
    const { inputSize: I, outputSize: O, kernelSize: K } = this.options;
    const ld = align(4 * I);
    for (let k = 0; k < K; k++) {
      const tap = this.#taps + k * O * ld;
      core.selectForward(tap, ld, this.weight.at, 4 * I * K, this.#columns(tape, k), O, I);
      core.packWeights(this.#packedWeight + k * this.#panels * I * LINE, tap, ld, I, O, 1);
    }
    core.packBias(this.#packedBias, this.bias?.at ?? 0, 0, O, 1);
  }

  /** Steps of the output of a sequence of n steps, with this many of padding. */
  #stepsOf(n: number, padding: number): number {
    const { kernelSize, stride, dilation } = this.options;
    return Math.max(0, Math.floor((n + padding - dilation * (kernelSize - 1) - 1) / stride) + 1);
  }

  /** The products that y [steps,B,O] of x [T,B,I] is the sum of. */
  #parts(T: number, B: number, steps: number, before: number): Part[] {
    const { kernelSize, stride, dilation } = this.options;
    const parts: Part[] = [];
    for (let k = 0; k < kernelSize; k++) {
      // step t of y reads step t·stride + shift of x
      const shift = k * dilation - before;
      const first = Math.max(0, Math.ceil(-shift / stride));
      const last = Math.min(steps - 1, Math.floor((T - 1 - shift) / stride));
      const n = last - first + 1;
      if (n < 1) continue;
      const [y, x] = [first * B, (first * stride + shift) * B];
      if (stride === 1) parts.push({ k, y, x, rows: n * B, yStep: 1, xStep: 1 });
      else {
        for (let b = 0; b < B; b++) parts.push({ k, y: y + b, x: x + b, rows: n, yStep: B, xStep: stride * B });
      }
    }
    return parts;
  }

  /** Features of the state: the inputs of the steps before, as one list. */
  get stateSizes(): { h: number[]; c: number[] } {
    const { inputSize, kernelSize, dilation } = this.options;
    return { h: [dilation * (kernelSize - 1) * inputSize], c: [] };
  }

  /** A state for B sequences: zeros. */
  state(batch = 1): State {
    check.whole('batch', batch);
    return new State(batch, [new Float32Array(batch * this.stateSizes.h[0])], []);
  }

  /**
   * @param x [T,B,I]
   * @param state for `padding: 'causal'` with stride 1: the steps before x instead of zeros; overwritten with the last ones
   * @returns [T',B,O], T' = ⌊(T + padding - dilation·(K - 1) - 1) / stride⌋ + 1, with zeros past the end of a sequence
   * @throws RangeError where x has too few steps, or a state cannot be used
   */
  forward(tape: Tape, x: Rows, state?: State): Rows {
    const { inputSize: I } = this.options;
    this.#builder.accept(tape, x, I);
    if (!state) return this.#run(tape, x, this.#padding);
    const joined = this.#behind(tape, x, state);
    return this.#run(tape, joined, [0, 0]);
  }

  #run(tape: Tape, x: Rows, [before, after]: readonly [number, number]): Rows {
    const { inputSize: I, outputSize: O, kernelSize: K } = this.options;
    const { core } = tape;
    const { T, B, lengths: from } = x;
    const steps = this.#stepsOf(T, before + after);
    if (steps < 1) throw new RangeError(`x: ${T} steps are too few for kernelSize ${K}`);
    let lengths: Lengths | undefined;
    if (from) {
      const values = from.values.map((n) => (n > 0 ? this.#stepsOf(n, before + after) : 0));
      lengths = { at: tape.ints(values), values };
    }
    this.#pack(tape);
    const wanted = tape.training && (x.grad !== 0 || trains(this.weight, this.bias));
    const y = tape.rows(steps, B, O, wanted, lengths);
    clearPadding(tape, x, x.at);
    core.expandForward(y.at, this.#packedBias, y.ld, steps * B, 1);
    const parts = this.#parts(T, B, steps, before);
    const tap = this.#panels * I * LINE;
    for (const { k, y: r, x: q, rows, yStep, xStep } of parts) {
      const to = y.at + r * y.ld;
      const weight = this.#packedWeight + k * tap;
      core.gemm(
        to,
        yStep * y.ld,
        to,
        yStep * y.ld,
        x.at + q * x.ld,
        xStep * x.ld,
        weight,
        I * LINE,
        rows,
        this.#panels,
        I,
      );
    }
    if (wanted) tape.record(() => this.#back(tape, x, y, parts));
    return finish(tape, y);
  }

  #back(tape: Tape, x: Rows, y: Rows, parts: readonly Part[]): void {
    const { inputSize: I, outputSize: O, kernelSize: K } = this.options;
    const { runtime, core } = tape;
    const ld = align(4 * I);
    const taps = Array.from({ length: K }, (_, k) => parts.filter((part) => part.k === k));
    if (x.grad) {
      const columns = this.#panels * PANEL;
      const panels = Math.ceil(I / PANEL);
      const transposed = runtime.take(panels * columns * LINE);
      taps.forEach((own, k) => {
        core.packTransposed(transposed, columns * LINE, this.#taps + k * O * ld, ld, I, O, 1);
        for (const { y: r, x: q, rows, yStep, xStep } of own) {
          const to = x.grad + q * x.ld;
          const dy = y.grad + r * y.ld;
          core.gemm(
            to,
            xStep * x.ld,
            to,
            xStep * x.ld,
            dy,
            yStep * y.ld,
            transposed,
            columns * LINE,
            rows,
            panels,
            columns,
          );
        }
      });
      // steps past the end were read as zeros
      clearPadding(tape, x, x.grad);
    }
    if (this.weight.trained) {
      const dw = runtime.take(O * ld);
      const most = parts.reduce((n, { rows }) => Math.max(n, rows), 1);
      const scratch = runtime.take(core.weightGradScratch(most, this.#panels, I));
      taps.forEach((own, k) => {
        runtime.f32.fill(0, dw >>> 2, (dw + O * ld) >>> 2);
        for (const { y: r, x: q, rows, yStep, xStep } of own) {
          const dy = y.grad + r * y.ld;
          core.weightGrad(dw, ld, scratch, dy, yStep * y.ld, x.at + q * x.ld, xStep * x.ld, rows, I, O, 1);
        }
        core.selectBackward(this.weight.grad, 4 * I * K, dw, ld, this.#columns(tape, k), O, I);
      });
    }
    if (this.bias?.trained) core.biasGrad(this.bias.grad, 0, y.grad, y.ld, y.T * y.B, O, 1);
  }

  /** x after the steps of a state, which is moved on. */
  #behind(tape: Tape, x: Rows, state: State): Rows {
    const { inputSize: I, stride } = this.options;
    const span = this.stateSizes.h[0] / I;
    if (stride > 1 || this.#padding[0] !== span || this.#padding[1] > 0) {
      throw new RangeError("state: needs padding: 'causal' and stride 1");
    }
    check.made('state', state, 'clone', 'a State');
    if (x.lengths) throw new RangeError('state: needs sequences of equal lengths');
    const { T, B, ld } = x;
    const [before] = state.h;
    if (state.batch !== B || before?.length !== B * span * I) {
      check.fail('state', `one of B=${B} sequences, ${span * I} numbers each`, before);
    }
    if (span === 0) return x;
    const { core } = tape;
    const all = tape.rows(span + T, B, I, x.grad !== 0);
    const head = enterRows(tape, timeMajor(before, span, B, I), { T: span, B, lengths: undefined }, I);
    const at = all.at + span * B * ld;
    core.concatForward(all.at, ld, head.at, ld, span * B, 0, I);
    core.concatForward(at, ld, x.at, ld, T * B, 0, I);
    if (all.grad) tape.record(() => core.rowsAdd(x.grad, ld, all.grad + span * B * ld, ld, T * B, I));
    // the last steps, sequence by sequence
    const last = read(tape, slice(tape, all, T, T + span));
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < span; t++)
        before.set(last.subarray((t * B + b) * I, (t * B + b + 1) * I), (b * span + t) * I);
    }
    return all;
  }

  /**
   * One step of B sequences, for streams: the bits of `forward` over the sequence.
   *
   * @param x [B,I]
   * @param state moved on
   * @returns [B,O]
   * @throws RangeError unless `padding` is `'causal'` and the stride 1
   */
  step(x: ArrayLike<number>, state: State): Float32Array {
    check.made('state', state, 'clone', 'a State');
    const { inputSize: F } = this.options;
    const B = state.batch;
    return this.#builder.forward((tape) => read(tape, this.forward(tape, input(tape, x, { T: 1, B, F }), state)));
  }
}

/** Numbers [B,T,F] as [T,B,F]. */
function timeMajor(values: Float32Array, T: number, B: number, F: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) out.set(values.subarray((b * T + t) * F, (b * T + t + 1) * F), (t * B + b) * F);
  }
  return out;
}
