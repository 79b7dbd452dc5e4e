/** Optimizers: hyperparameters and moments on this side, arithmetic in the core. The semantics are PyTorch's. */
import * as check from '../check.js';
import { NonFiniteError } from '../errors.js';
import type { Parameter } from '../nn/builder.js';
import type { Model } from '../nn/model.js';
import { type Options, oneOf, option, optional, pick, rate, readOptions, real } from '../options.js';

/** Which of them count depends on `optimizer`. */
export const OPTIMIZER = {
  /** Default `'adam'`. */
  optimizer: option(oneOf('sgd', 'rmsprop', 'adam', 'adamw', 'adagrad'), 'adam'),
  /** η, default 1e-3. `fit` takes the one that it is given, also when it resumes. */
  learningRate: option(real(0), 1e-3),
  /** L2: λ/2·Σw² joins the loss; with `'adamw'` the weights shrink by η·λ in each step instead. Default 0, `'adamw'` 0.01. */
  weightDecay: optional(real(0)),
  /** L1: λ·Σ|w| joins the loss. Default 0. */
  l1: option(real(0), 0),
  /** sgd, rmsprop: default 0. */
  momentum: option(real(0), 0),
  /** sgd: default 0. */
  dampening: option(real(0), 0),
  /** sgd: needs momentum. Default false. */
  nesterov: option(check.flag, false),
  /** rmsprop: α, default 0.99. */
  alpha: option(rate, 0.99),
  /** rmsprop: divide by the variance instead of the mean square. Default false. */
  centered: option(check.flag, false),
  /** adam, adamw: β₁, default 0.9. */
  beta1: option(rate, 0.9),
  /** adam, adamw: β₂, default 0.999. */
  beta2: option(rate, 0.999),
  /** adam, adamw: divide by the largest mean square so far. Default false. */
  amsgrad: option(check.flag, false),
  /** rmsprop, adam, adamw: default 1e-8; adagrad: default 1e-10. */
  epsilon: optional(real(0)),
};

/** Hyperparameters; which of them count depends on `optimizer`. */
export interface OptimizerOptions extends Options<typeof OPTIMIZER> {}

/** The same with every default filled in. */
export type OptimizerSettings = { readonly [K in keyof OptimizerOptions]-?: NonNullable<OptimizerOptions[K]> };

export type OptimizerName = OptimizerSettings['optimizer'];

const COMMON = ['optimizer', 'learningRate', 'weightDecay', 'l1'] as const;
/** The options that each of them has. */
export const OWN = {
  sgd: [...COMMON, 'momentum', 'dampening', 'nesterov'],
  rmsprop: [...COMMON, 'alpha', 'epsilon', 'centered', 'momentum'],
  adam: [...COMMON, 'beta1', 'beta2', 'epsilon', 'amsgrad'],
  adamw: [...COMMON, 'beta1', 'beta2', 'epsilon', 'amsgrad'],
  adagrad: [...COMMON, 'epsilon'],
} as const satisfies Record<OptimizerName, readonly (keyof OptimizerOptions)[]>;

/** @throws TypeError, RangeError for invalid options, and for those of another optimizer */
export function settings(options: OptimizerOptions): OptimizerSettings {
  const all = readOptions('optimizer', OPTIMIZER, options);
  const { optimizer } = all;
  const own = new Set<string>(OWN[optimizer]);
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && !own.has(key))
      throw new RangeError(`${key}: is not an option of the optimizer '${optimizer}'`);
  }
  if (all.nesterov && (all.momentum === 0 || all.dampening !== 0)) {
    throw new RangeError('nesterov: needs momentum above 0 and dampening 0');
  }
  const { weightDecay = optimizer === 'adamw' ? 0.01 : 0, epsilon = optimizer === 'adagrad' ? 1e-10 : 1e-8 } = all;
  return { ...all, weightDecay, epsilon };
}

/** PyTorch's names of what an optimizer keeps for each parameter. */
export function momentsOf({ optimizer, momentum, centered, amsgrad }: OptimizerSettings): string[] {
  return {
    sgd: momentum ? ['momentum_buffer'] : [],
    rmsprop: ['square_avg', ...(centered ? ['grad_avg'] : []), ...(momentum ? ['momentum_buffer'] : [])],
    adam: ['exp_avg', 'exp_avg_sq', ...(amsgrad ? ['max_exp_avg_sq'] : [])],
    adagrad: ['sum'],
  }[optimizer === 'adamw' ? 'adam' : optimizer];
}

/** Moments that are sums of squares, by their names in files. */
export const SQUARES = /^optimizer\.(square_avg|exp_avg_sq|max_exp_avg_sq|sum)\./;

/**
 * Changes the parameters of a model along the gradients that `valueAndGrad` computed. The formulas are those of PyTorch 2: SGD
 * (Sutskever et al. 2013), RMSprop (Hinton 2012), Adam (Kingma & Ba 2015, arXiv:1412.6980v9), AdamW (Loshchilov & Hutter 2019,
 * arXiv:1711.05101v3), Adagrad (Duchi et al. 2011).
 *
 * @example
 * ```js
 * import { input, Linear, Model, mseLoss, Optimizer, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'line', { inputSize: 1, outputSize: 1 }));
 * const optimizer = new Optimizer(model, { optimizer: 'sgd', learningRate: 0.1 });
 * for (let i = 0; i < 200; i++) {
 *   model.valueAndGrad((tape, line) => {
 *     const x = input(tape, [0, 1, 2], { T: 3, B: 1, F: 1 });
 *     return mseLoss(tape, line.forward(tape, x), [1, 3, 5]);
 *   });
 *   optimizer.step();
 * }
 * console.log(model.get('line.weight')[0].toFixed(2), optimizer.steps); // 2.00 200
 * ```
 */
export class Optimizer {
  readonly settings: OptimizerSettings;
  /** The number of steps made. */
  steps = 0;
  /** For authors of optimizers: addresses of the moments by PyTorch's names, with the layout of the parameters. */
  readonly moments: Readonly<Record<string, number>>;
  /** At least the largest moment, of squares their root; null before the first step. */
  #largest: number | null = null;

  /** @throws TypeError, RangeError for invalid options */
  constructor(
    readonly model: Model<unknown>,
    options: OptimizerOptions = {},
  ) {
    check.model(model);
    this.settings = settings(options);
    model.prepare();
    this.moments = Object.fromEntries(
      momentsOf(this.settings).map((name) => [name, model.alloc(model.slabBytes, `optimizer's ${name}`)]),
    );
  }

  /** Throws for anything but an optimizer itself: a copy or a proxy has no private parts. */
  static check(value: unknown): void {
    if (!(typeof value === 'object' && value !== null && #largest in value)) {
      check.fail('optimizer', 'an Optimizer itself, not a copy or a proxy', value);
    }
  }

  /** The settings of this kind of optimizer. */
  get options(): OptimizerOptions {
    return pick(this.settings, OWN[this.settings.optimizer]);
  }

  /**
   * One step. Frozen parameters, and their moments, stay as they are. Weight decay changes the gradients.
   *
   * @param learningRate η of this step, default that of the options
   * @throws RangeError, and nothing changes, for a rate that is negative or not finite; NonFiniteError where a weight would not be
   *   finite: the model and the optimizer are then as they were before the step
   */
  step(learningRate = this.settings.learningRate): void {
    check.number('learningRate', learningRate, 0);
    const { model } = this;
    model.idle();
    const ranges = trainedRanges(model.parameters, model.slabBytes);
    const careful = !this.#bounded(learningRate);
    const before = careful ? this.#copy() : null;
    this.steps++;
    for (const { from, bytes } of ranges) this.#update(from, bytes / 4, learningRate);
    if (before) this.#confirm(before);
    model.changed();
  }

  /** Weights, gradients and moments: all that a step changes. */
  get #slabs(): number[] {
    return [this.model.slab, this.model.gradients, ...Object.values(this.moments)];
  }

  #copy(): Float32Array[] {
    const { runtime, slabBytes } = this.model;
    return this.#slabs.map((at) => runtime.read(at, slabBytes / 4));
  }

  /** Takes the step back where it made a number that is not finite. */
  #confirm(before: readonly Float32Array[]): void {
    const { model, steps } = this;
    this.#largest = null;
    if (this.#slabs.every((at) => Number.isFinite(this.#norm(at)))) return;
    const wrong = model.parameters.find(({ at, size }) =>
      this.#slabs.some((slab) => !model.runtime.read(at - model.slab + slab, size).every(Number.isFinite)),
    );
    if (!wrong) return;
    this.#slabs.forEach((at, i) => {
      model.runtime.write(at, before[i]);
    });
    this.steps--;
    throw new NonFiniteError(
      `the update of ${wrong.name} in step ${steps} is not finite; that step did not change the model. A lower learningRate may help`,
      steps,
      wrong.name,
    );
  }

  /** The norm of all numbers of a slab: at least the largest of them. */
  #norm(at: number): number {
    return Math.sqrt(this.model.runtime.core.sumSquares(at, this.model.slabBytes / 4));
  }

  /**
   * Whether bounds show that no weight and no moment leaves the range of float32: then a step needs no copy of them. They do unless a rate
   * or a gradient is huge, ε is 0, or RMSprop is centred, whose variance may round below 0.
   */
  #bounded(rate: number): boolean {
    const { model, moments } = this;
    const { optimizer, weightDecay, l1, momentum, dampening, alpha, epsilon, beta1, centered } = this.settings;
    const w = this.#norm(model.slab);
    const g = this.#norm(model.gradients) + l1 + weightDecay * w;
    // of a square the root counts, which is below 1 + the square
    this.#largest ??= Object.values(moments).reduce((most, at) => Math.max(most, 1 + this.#norm(at)), 0);
    let update = g;
    let shrink = 1;
    switch (optimizer) {
      case 'sgd':
        this.#largest = momentum * this.#largest + (1 + dampening) * g;
        update += Math.max(1, momentum) * this.#largest;
        break;
      case 'rmsprop': {
        // g / √s is at most 1 / √(1 - α); squares below the normal numbers become 0
        const ratio = Math.max(2 / Math.sqrt(1 - alpha), 1e-17 / epsilon);
        this.#largest = Math.max(this.#largest, g, momentum * this.#largest + ratio);
        update = centered ? Infinity : this.#largest + ratio;
        break;
      }
      case 'adam':
      case 'adamw':
        this.#largest = Math.max(this.#largest, g);
        update = this.#largest / epsilon / (1 - beta1);
        shrink += rate * weightDecay;
        break;
      case 'adagrad':
        this.#largest += g;
        update = g / epsilon;
        break;
    }
    return g < MAX_ROOT && this.#largest < MAX_ROOT && rate < MAX && shrink * w + rate * update < MAX;
  }

  /** A step of n parameters, `from` bytes past the first one. */
  #update(from: number, n: number, learningRate: number): void {
    const { model, moments } = this;
    const { core } = model.runtime;
    const { optimizer, weightDecay, l1, momentum, dampening, alpha, epsilon, beta1, beta2 } = this.settings;
    const w = model.slab + from;
    const g = model.gradients + from;
    const at = (name: string) => (moments[name] ? moments[name] + from : 0);
    const three = (a: string, b: string, c: string) => [at(a), at(b), at(c)] as const;
    const decoupled = optimizer === 'adamw' ? weightDecay : 0;
    if (l1 > 0 || weightDecay > decoupled) core.addDecay(g, w, n, l1, weightDecay - decoupled);
    switch (optimizer) {
      case 'sgd': {
        // PyTorch's momentum starts as the first gradient, not dampened
        const dampened = this.steps === 1 ? 0 : dampening;
        core.sgd(w, at('momentum_buffer'), g, n, learningRate, momentum, dampened, this.settings.nesterov ? 1 : 0);
        break;
      }
      case 'rmsprop': {
        const averages = three('square_avg', 'grad_avg', 'momentum_buffer');
        core.rmsprop(w, ...averages, g, n, learningRate, alpha, epsilon, momentum);
        break;
      }
      case 'adam':
      case 'adamw': {
        const rate = learningRate / (1 - power(beta1, this.steps));
        const root = 1 / Math.sqrt(1 - power(beta2, this.steps));
        const shrink = 1 - learningRate * decoupled;
        const averages = three('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq');
        core.adam(w, ...averages, g, n, rate, root, shrink, beta1, beta2, epsilon);
        break;
      }
      case 'adagrad':
        core.adagrad(w, at('sum'), g, n, learningRate, epsilon);
        break;
    }
  }
}

/** Far within the range of float32, and what has its square there. */
const MAX = 1e30;
const MAX_ROOT = 1e15;

/** The parts of the parameters' memory that are not frozen, in bytes from its start: all of it in one piece where none is. */
function trainedRanges(parameters: readonly Parameter[], bytes: number): { from: number; bytes: number }[] {
  const ranges: { from: number; bytes: number }[] = [];
  const first = parameters[0]?.at ?? 0;
  parameters.forEach(({ at, frozen }, i) => {
    if (frozen) return;
    const from = at - first;
    const end = i + 1 < parameters.length ? parameters[i + 1].at - first : bytes;
    const last = ranges[ranges.length - 1];
    if (last && last.from + last.bytes === from) last.bytes = end - last.from;
    else ranges.push({ from, bytes: end - from });
  });
  return ranges;
}

/** xⁿ by squaring: Math.pow may differ from engine to engine. */
export function power(x: number, n: number): number {
  let result = 1;
  for (let square = x; n > 0; n = Math.floor(n / 2), square *= square) if (n % 2 === 1) result *= square;
  return result;
}
