/** A Neural Turing Machine: an LSTM with a memory next to its state, which it reads and writes by content and by location. */
import { Step } from '../../assembly/memory/layout.js';
import * as check from '../check.js';
import { block, extend } from '../core/block.js';
import { kernelsOf } from '../core/memory.js';
import { type Builder, concat, Linear, Recurrent, type Rows, type StateRows, slice, type Tape } from '../index.js';
import { type Options, option, readOptions, required, type Settings, whole } from '../options.js';

const NETWORK = {
  /** I: features of the input. */
  inputSize: required(check.whole),
  /** O: features of the output. */
  outputSize: required(check.whole),
  /** H: units of the LSTM that controls the heads. */
  hiddenSize: required(check.whole),
  /** N: slots of the memory. */
  slots: required(whole(2)),
  /** W: floats of a slot. */
  width: required(check.whole),
  /** How far a head can move in one step, in both directions, default 1. */
  shift: option(whole(0), 1),
};

export interface MemoryNetworkOptions extends Options<typeof NETWORK> {}

/** What the network computes. */
export interface MemoryOutput {
  /** [T,B,O] */
  readonly output: Rows;
  /** Where the heads read and wrote: weights [T,B,N], each row with the sum 1. `read` of gatewise copies them. */
  readonly readWeights: Rows;
  readonly writeWeights: Rows;
}

/** What the first step finds in the memory: nearly nothing, the same in each slot. */
const EMPTY = 1e-6;

/**
 * A Neural Turing Machine with one read and one write head (Graves, Wayne & Danihelka 2014, arXiv:1410.5401v2). An LSTM gets the input and
 * what was read in the step before. From its state follow a key, a strength, a gate, a shift and a sharpness for each head, and what is erased and
 * added. Both heads begin at the first slot. The formulas are in `assembly/memory/step.ts`.
 *
 * @example
 * ```js
 * import { input, Model, mseLoss, Optimizer, read, Runtime } from 'gatewise';
 * import { MemoryNetwork } from 'gatewise/memory';
 *
 * const options = { inputSize: 2, outputSize: 1, hiddenSize: 8, slots: 6, width: 4 };
 * const model = new Model(await Runtime.create(), 1, (b) => new MemoryNetwork(b, 'ntm', options));
 * const x = [1, 0, 0, 1, 1, 1];
 * const optimizer = new Optimizer(model);
 * model.valueAndGrad((tape, ntm) => mseLoss(tape, ntm.forward(tape, input(tape, x, { T: 3, B: 1, F: 2 })).output, [1, 0, 1]));
 * optimizer.step();
 * const where = model.forward((tape, ntm) => read(tape, ntm.forward(tape, input(tape, x, { T: 3, B: 1, F: 2 })).writeWeights));
 * console.log(where.length, where.subarray(0, 6).reduce((a, b) => a + b).toFixed(3)); // 18 1.000
 * ```
 */
export class MemoryNetwork {
  readonly options: Settings<typeof NETWORK>;
  readonly #controller: Recurrent;
  readonly #heads: Linear;
  readonly #head: Linear;

  /**
   * @param name prefix of the parameters: `controller.…` of the LSTM, `heads.…` of what its state says to the heads, `head.…` of the output
   * @throws TypeError, RangeError for invalid options
   */
  constructor(b: Builder, name: string, options: MemoryNetworkOptions) {
    check.layer(b, name);
    const settings = readOptions(name, NETWORK, options);
    const { inputSize, outputSize, hiddenSize, slots, width, shift } = settings;
    if (2 * shift + 1 > slots) throw new RangeError(`shift: expected at most ${(slots - 1) >> 1} for slots ${slots}`);
    this.options = settings;
    this.#controller = new Recurrent(b, `${name}.controller`, {
      cell: 'lstm',
      inputSize: inputSize + width,
      hiddenSize,
    });
    const features = 2 * (width + 3 + 2 * shift + 1) + 2 * width;
    this.#heads = new Linear(b, `${name}.heads`, { inputSize: hiddenSize, outputSize: features });
    this.#head = new Linear(b, `${name}.head`, { inputSize: hiddenSize + width, outputSize });
  }

  /**
   * Runs the network over a sequence, from an empty memory.
   *
   * @param x [T,B,I]; all sequences have T steps
   * @throws RangeError for another number of features, or sequences of different lengths
   */
  forward(tape: Tape, x: Rows): MemoryOutput {
    const { inputSize, hiddenSize: H, slots: N, width: W, shift } = this.options;
    slice(tape, x, 0, 1); // refuses what is not rows of this pass
    const { T, B, F } = x;
    if (F !== inputSize) check.fail('x', `${inputSize} features`, F);
    if (x.lengths) throw new RangeError('x: expected sequences of the same length; this layer takes no lengths');
    const { runtime } = tape;
    const train = tape.training;
    const zeros = (rows: Rows) => {
      runtime.f32.fill(0, rows.at >>> 2, (rows.at + rows.T * rows.B * rows.ld) >>> 2);
      return rows;
    };
    const filled = (rows: Rows, features: number, value: number) => {
      zeros(rows);
      const { f32 } = runtime;
      for (let r = 0; r < rows.T * rows.B; r++) {
        const from = (rows.at + r * rows.ld) >>> 2;
        f32.fill(value, from, from + features);
      }
      return rows;
    };
    const [hs, ys] = [tape.rows(T, B, H, train), tape.rows(T, B, W, train)];
    const [readWeights, writeWeights] = [tape.rows(T, B, N, train), tape.rows(T, B, N, train)];
    let state: StateRows | undefined;
    let memory = filled(tape.rows(N, B, W, false), W, EMPTY);
    const first = filled(tape.rows(1, B, N, false), 1, 1);
    let [r0, w0] = [first, first];
    let before = zeros(tape.rows(1, B, W, false));
    for (let t = 0; t < T; t++) {
      const at = (rows: Rows) => slice(tape, rows, t, t + 1);
      const controlled = this.#controller.forward(tape, concat(tape, [at(x), before]), state);
      state = controlled;
      const [h] = controlled.h;
      copy(tape, at(hs), h);
      const raw = this.#heads.forward(tape, h);
      const after = tape.rows(N, B, W, train);
      const [y, r1, w1] = [at(ys), at(readWeights), at(writeWeights)];
      step(tape, { raw, memory, after, r0, w0, r1, w1, y }, { B, N, W, C: 2 * shift + 1 });
      [memory, r0, w0, before] = [after, r1, w1, y];
    }
    return { output: this.#head.forward(tape, concat(tape, [hs, ys])), readWeights, writeWeights };
  }
}

/** to = from, and its gradient. */
function copy(tape: Tape, to: Rows, from: Rows): void {
  const { B, F, ld } = from;
  const { f32, core } = tape.runtime;
  f32.copyWithin(to.at >>> 2, from.at >>> 2, (from.at + B * ld) >>> 2);
  if (to.grad && from.grad) tape.record(() => core.rowsAdd(from.grad, ld, to.grad, ld, B, F));
}

/** One step of the memory, and its backward pass. */
function step(
  tape: Tape,
  rows: Readonly<Record<'raw' | 'memory' | 'after' | 'r0' | 'w0' | 'r1' | 'w1' | 'y', Rows>>,
  { B, N, W, C }: { B: number; N: number; W: number; C: number },
): void {
  const { runtime } = tape;
  const { raw, memory, after, r0, w0, r1, w1, y } = rows;
  const kernels = kernelsOf(runtime);
  const kept = runtime.take(B * kernels.keptBytes(N, W, C));
  const at = block(runtime, Step.fields, {
    [Step.B]: B,
    [Step.N]: N,
    [Step.W]: W,
    [Step.C]: C,
    [Step.raw]: raw.at,
    [Step.ldraw]: raw.ld,
    [Step.m0]: memory.at,
    [Step.m1]: after.at,
    [Step.ldm]: memory.ld,
    [Step.r0]: r0.at,
    [Step.w0]: w0.at,
    [Step.r1]: r1.at,
    [Step.w1]: w1.at,
    [Step.ldw]: r1.ld,
    [Step.y]: y.at,
    [Step.ldy]: y.ld,
    [Step.kept]: kept,
  });
  kernels.memoryForward(at);
  if (!raw.grad) return;
  tape.record(() => {
    extend(runtime, at, {
      [Step.draw]: raw.grad,
      [Step.dm0]: memory.grad,
      [Step.dm1]: after.grad,
      [Step.dr0]: r0.grad,
      [Step.dw0]: w0.grad,
      [Step.dr1]: r1.grad,
      [Step.dw1]: w1.grad,
      [Step.dy]: y.grad,
      [Step.scratch]: runtime.take(kernels.scratchBytes(N, W)),
    });
    kernels.memoryBackward(at);
  });
}
