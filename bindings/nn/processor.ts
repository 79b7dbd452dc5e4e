/** Blocks of steps at audio rate: layers one after the other, in memory that is laid out once. */
import { LINE, Seq } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { type Options, option, readOptions, whole } from '../options.js';
import type { Builder } from './builder.js';
import type { Linear } from './linear.js';
import { type Call, prepare, type Stack } from './recurrent/call.js';
import type { Slot, State } from './recurrent/state.js';

const OPTIONS = {
  /** Steps of a block at most, default 128: what an AudioWorklet is given at a time. */
  steps: option(whole(1), 128),
  /** Sequences that are processed side by side, default 1. */
  batch: option(whole(1), 1),
};

export interface ProcessorOptions extends Options<typeof OPTIONS> {}

/** A `Recurrent`, forward in time, or a `Linear`, of `gatewise` or `gatewise/infer`. */
export interface ProcessorLayer {
  readonly inputSize: number;
  readonly outputSize: number;
}

/** A `State` of all recurrent layers: h and c of each, [B,H]. */
export interface BlockState {
  readonly batch: number;
  readonly h: Float32Array[];
  readonly c: Float32Array[];
}

/** What a processor needs of a `Recurrent`. */
interface Recurrent extends Stack {
  readonly outputSize: number;
  state(batch: number): State;
}
type Layer = Recurrent | Linear;

const builderOf = (layer: Layer) => ('directions' in layer ? layer.directions[0].builder : layer.builder);

/** Magnitudes that count as zero where numbers enter. */
const TINY = 1e-20;

/** One call of the core, laid out once: a recurrent layer, or a linear one. */
interface Link {
  readonly layer: Stack['directions'][number] | null;
  readonly call: Call | null;
  readonly linear: Linear | null;
  readonly x: number;
  readonly ldx: number;
  readonly y: number;
  readonly ldy: number;
  /** Rows of x that are multiplied at once. */
  readonly chunk: number;
  /** Addresses of the packed weights of a linear layer. */
  readonly weight: number;
  readonly bias: number;
}

/**
 * Recurrent and linear layers of one model, one after the other, which process a sequence block by block. All memory is taken when the processor
 * is made: `process` allocates nothing, neither in the core nor in JavaScript, so no garbage collection interrupts an AudioWorklet.
 * The results have the same bits as `forward`.
 *
 * @example
 * ```js
 * import { Linear, Model, Recurrent, Runtime } from 'gatewise/infer';
 * import { Processor } from 'gatewise/processor';
 *
 * const model = new Model(Runtime.createSync(), 1, (b) => ({
 *   rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 1, hiddenSize: 24 }),
 *   head: new Linear(b, 'head', { inputSize: 24, outputSize: 1 }),
 * }));
 * const processor = new Processor([model.layers.rnn, model.layers.head], { steps: 128 });
 * const state = processor.state();
 * const output = new Float32Array(128);
 * processor.process(new Float32Array(128).fill(0.5), output, state);
 * console.log(output.every(Number.isFinite)); // true
 * ```
 */
export class Processor {
  readonly inputSize: number;
  readonly outputSize: number;
  /** Steps of a block at most, and the number of sequences. */
  readonly steps: number;
  readonly batch: number;
  readonly #layers: readonly Layer[];
  readonly #links: readonly Link[];
  readonly #builder: Builder;
  #version = -1;

  /**
   * @param chain layers of one model: `Recurrent`, forward in time, and `Linear`; each reads what the one before writes
   * @throws TypeError, RangeError for other layers, or where sizes do not fit
   */
  constructor(chain: readonly ProcessorLayer[], options: ProcessorOptions = {}) {
    const layers = chain as readonly Layer[];
    const { steps, batch } = readOptions('Processor', OPTIONS, options);
    if (!Array.isArray(layers) || layers.length === 0) check.fail('layers', 'a list of layers', layers);
    this.steps = steps;
    this.batch = batch;
    Array.from(layers).forEach((layer, i) => checkLayer(`layers[${i}]`, layer, layers[i - 1], layers[0]));
    this.#layers = [...layers];
    this.inputSize = layers[0].inputSize;
    this.outputSize = layers[layers.length - 1].outputSize;
    const builder = builderOf(layers[0]);
    this.#builder = builder;
    const { runtime } = builder;
    const take = (bytes: number) => builder.alloc(bytes, 'a processor');
    // calls are laid out in memory that lasts, instead of that of a pass
    const lasting = {
      core: runtime.core,
      take,
      takeZeroed: take, // memory that lasts is zeroed
      get f32() {
        return runtime.f32;
      },
      get i32() {
        return runtime.i32;
      },
    };
    const place = { runtime: lasting, training: false, trains: () => false };
    let [ld, x] = [align(4 * this.inputSize), 0];
    x = take(steps * batch * ld);
    const links: Link[] = [];
    for (const layer of this.#layers) {
      if ('directions' in layer) {
        const zeros = layer.state(batch);
        layer.directions.forEach((direction, l) => {
          const initial = { h: zeros.h[l], c: zeros.c[l] };
          const rows = { at: x, ld, T: steps, B: batch };
          const call = prepare(direction, place, rows, initial, { reverse: false, keep: false });
          const chunk = runtime.i32[(call.s >>> 2) + Seq.chunk];
          links.push({
            layer: direction,
            call,
            linear: null,
            x,
            ldx: ld,
            y: call.outputs,
            ldy: call.hT.ld,
            chunk,
            weight: 0,
            bias: 0,
          });
          [x, ld] = [call.outputs, call.hT.ld];
        });
      } else {
        const ldy = align(4 * layer.outputSize);
        const y = take(steps * batch * ldy);
        links.push({ layer: null, call: null, linear: layer, x, ldx: ld, y, ldy, chunk: 0, ...layer.packed() });
        [x, ld] = [y, ldy];
      }
    }
    this.#links = links;
  }

  /** A state of all recurrent layers: zeros, or the learned initial states. */
  state(): BlockState {
    const states = this.#layers.flatMap((layer) => ('directions' in layer ? [layer.state(this.batch)] : []));
    const [h, c] = (['h', 'c'] as const).map((kind) => states.flatMap((own) => own[kind]));
    return { batch: this.batch, h, c };
  }

  /**
   * Processes a block of T steps.
   *
   * @param input [T,B,I], T at most `steps`; magnitudes below 1e-20 count as 0
   * @param output [T,B,O], overwritten
   * @param state overwritten with the state after the block
   * @throws TypeError, RangeError for arrays of other sizes, or numbers that are not finite; output and state are then unchanged
   */
  process(input: Float32Array, output: Float32Array, state: BlockState): void {
    const { batch: B, inputSize: I, outputSize: O } = this;
    const links = this.#links;
    const builder = this.#builder;
    builder.alive();
    if (!isBlock(input) || !isBlock(output)) {
      check.fail('input and output', 'Float32Arrays', isBlock(input) ? output : input);
    }
    const T = input.length / (B * I);
    if (!Number.isInteger(T) || T < 1 || T > this.steps) {
      check.fail('input', `[T,B=${B},I=${I}] with T from 1 to ${this.steps}`, input.length);
    }
    if (output.length !== T * B * O)
      check.fail('output', `[T=${T},B=${B},O=${O}] = ${T * B * O} numbers`, output.length);
    this.#check(state);
    const { runtime } = builder;
    const { core } = runtime;
    if (this.#version !== builder.version) {
      for (let i = 0; i < links.length; i++) (links[i].layer ?? links[i].linear)?.packed();
      this.#version = builder.version;
    }
    const { f32, i32 } = runtime;
    const R = T * B;
    const first = links[0];
    for (let r = 0, k = 0; r < R; r++) {
      const row = (first.x + r * first.ldx) >>> 2;
      for (let i = 0; i < I; i++) {
        const value = input[k++];
        if (!Number.isFinite(value)) check.fail(`input[${k - 1}]`, 'a finite number', value);
        f32[row + i] = value < TINY && value > -TINY ? 0 : value;
      }
    }
    for (let i = 0, l = 0; i < links.length; i++) {
      const { call, linear, x, ldx, y, ldy, chunk } = links[i];
      if (call) {
        const s = call.s >>> 2;
        i32[s + Seq.T] = T;
        i32[s + Seq.chunk] = chunk < T ? chunk : T;
        enter(f32, call.h0, state.h[l]);
        if (call.c0) enter(f32, call.c0, state.c[l]);
        core.recurrentForward(call.s);
        l++;
      } else if (linear) {
        core.gemm(
          y,
          ldy,
          links[i].bias,
          0,
          x,
          ldx,
          links[i].weight,
          linear.inputSize * LINE,
          R,
          linear.panels,
          linear.inputSize,
        );
      }
    }
    for (let i = 0, l = 0; i < links.length; i++) {
      const { call } = links[i];
      if (!call) continue;
      leave(f32, call.h0, state.h[l], R * call.h0.ld);
      if (call.c0) leave(f32, call.c0, state.c[l], 0);
      l++;
    }
    const last = links[links.length - 1];
    for (let r = 0, k = 0; r < R; r++) {
      const row = (last.y + r * last.ldy) >>> 2;
      for (let o = 0; o < O; o++) output[k++] = f32[row + o];
    }
  }

  /** That a state is of these layers. */
  #check(state: BlockState): void {
    const links = this.#links;
    if (state?.batch !== this.batch || !Array.isArray(state.h) || !Array.isArray(state.c))
      check.fail('state', `a State of ${this.batch} sequences, as processor.state() gives`, state);
    let l = 0;
    for (let i = 0; i < links.length; i++) {
      const { call } = links[i];
      if (!call) continue;
      fits('h', l, state.h[l], call.h0);
      if (call.c0) fits('c', l, state.c[l], call.c0);
      l++;
    }
    if (state.h.length !== l) check.fail('state', `h of ${l} layers`, state.h.length);
  }
}

function fits(kind: string, l: number, values: Float32Array, { B, F }: Slot): void {
  const have = values?.length;
  if (have !== B * F || !isBlock(values))
    check.fail(
      `state.${kind}[${l}]`,
      `a Float32Array [B=${B},F=${F}] = ${B * F} numbers`,
      have === B * F ? values : have,
    );
  for (let i = 0; i < have; i++) {
    if (!Number.isFinite(values[i])) check.fail(`state.${kind}[${l}][${i}]`, 'a finite number', values[i]);
  }
}

/** Floats of any realm; for those of this one nothing is allocated. */
const isBlock = (value: unknown): value is Float32Array =>
  value instanceof Float32Array || (check.isFloats(value) && value.BYTES_PER_ELEMENT === 4);

/** Copies a state to its slot. */
function enter(f32: Float32Array, { at, ld, B, F }: Slot, values: Float32Array): void {
  for (let b = 0, k = 0; b < B; b++) {
    const row = (at + b * ld) >>> 2;
    for (let i = 0; i < F; i++) f32[row + i] = values[k++];
    for (let i = F; i < ld >>> 2; i++) f32[row + i] = 0;
  }
}

/** Copies a slot, `offset` bytes further, to a state. */
function leave(f32: Float32Array, { at, ld, B, F }: Slot, values: Float32Array, offset: number): void {
  for (let b = 0, k = 0; b < B; b++) {
    const row = (at + offset + b * ld) >>> 2;
    for (let i = 0; i < F; i++) values[k++] = f32[row + i];
  }
}

/** Whether it is the layer itself: a copy has no private parts. A layer of a model that was disposed is refused later. */
function isWhole(layer: Linear): boolean {
  try {
    layer.packed();
    return true;
  } catch {
    return layer.builder?.disposed === true;
  }
}

/** Checks a layer of a processor, and that it fits the one before. */
function checkLayer(name: string, layer: Layer, before: Layer | undefined, first: Layer): void {
  const recurrent = Array.isArray((layer as Partial<Recurrent> | null)?.directions);
  if (!recurrent && typeof (layer as Partial<Linear> | null)?.packed !== 'function') {
    check.fail(name, 'a Recurrent or a Linear', layer);
  }
  if (recurrent) check.made(name, layer, 'forward', 'a Recurrent', 'options');
  else if (!isWhole(layer as Linear)) check.fail(name, 'a Linear itself, not a copy or a proxy', layer);
  const { bidirectional, options } = layer as { bidirectional?: boolean; options?: { reverse?: boolean } };
  if (bidirectional || options?.reverse) {
    throw new TypeError(`${name}: reads backward in time, which needs the whole sequence; use forward`);
  }
  if (builderOf(layer) !== builderOf(first)) throw new RangeError(`${name}: is of another model than the first layer`);
  if (before && layer.inputSize !== before.outputSize) {
    check.fail(`${name}: inputSize`, `${before.outputSize}, the output of the layer before`, layer.inputSize);
  }
}
