/** Functions and losses of your own, in plain JavaScript. */
import * as check from '../check.js';
import { type Options, optional, readOptions, required } from '../options.js';
import { type Loss, lossOf, type Rows, type Tape } from '../tape.js';
import type { Builder, Parameter } from './builder.js';
import { checkInitializer } from './initializer.js';
import { checkNumbers, enterRows, read } from './input.js';
import { finish, live, sharedLengths } from './padding.js';
import { sameBatch } from './rows.js';

/** A function of rows in plain JavaScript. */
export interface OwnFunction {
  /**
   * Computes the output.
   *
   * @param inputs [T,B,F] of each input, copies; zeros past the end of a sequence
   * @returns [T,B,F of the output]; what is past the end of a sequence is not read
   */
  readonly forward: (inputs: readonly Float32Array[]) => ArrayLike<number>;
  /**
   * Computes the gradients of the inputs.
   *
   * @param gradient [T,B,F of the output]: of what is minimised, with respect to the output; zeros past the end of a sequence
   * @param inputs what `forward` was given
   * @param output what `forward` returned, in single precision
   * @returns [T,B,F] for each input, or null for an input without a gradient
   */
  readonly backward: (
    gradient: Float32Array,
    inputs: readonly Float32Array[],
    output: Float32Array,
  ) => readonly (ArrayLike<number> | null)[];
  /** Features of the output, default those of the first input. */
  readonly F?: number | undefined;
}

/** Adds numbers [T,B,F] to the gradient of rows. */
function addGradient(tape: Tape, x: Rows, values: ArrayLike<number>): void {
  const { T, B, F, ld } = x;
  tape.runtime.core.rowsAdd(x.grad, ld, enterRows(tape, values, x, F).at, ld, T * B, F);
}

/** A copy of the numbers of rows, zeros past the ends. */
function copyOf(tape: Tape, x: Rows): Float32Array {
  const values = read(tape, x);
  for (let r = 0; x.lengths && r < x.T * x.B; r++) if (!live(x, r)) values.fill(0, r * x.F, (r + 1) * x.F);
  return values;
}

function inputsOf(tape: Tape, inputs: readonly Rows[]): string[] {
  if (!Array.isArray(inputs) || inputs.length === 0) check.fail('inputs', 'a list of rows', inputs);
  const names = inputs.map((_, i) => `inputs[${i}]`);
  sameBatch(tape, inputs, names);
  return names;
}

/** Checks the gradients that a function of the user's returned, and adds them. */
function addGradients(tape: Tape, place: string, inputs: readonly Rows[], gradients: unknown, scale = 1): void {
  if (!Array.isArray(gradients) || gradients.length !== inputs.length) {
    check.fail(place, `a list of ${inputs.length} gradients, one per input`, gradients);
  }
  inputs.forEach((x, i) => {
    const values = gradients[i] as ArrayLike<number> | null;
    if (values !== null) checkNumbers(`${place}[${i}]`, values, x, x.F);
  });
  inputs.forEach((x, i) => {
    const values = gradients[i] as ArrayLike<number> | null;
    if (x.grad && values !== null)
      addGradient(tape, x, scale === 1 ? values : Float32Array.from(values, (v) => v * scale));
  });
}

/**
 * A function of your own in plain JavaScript, with its backward pass. It works on copies of the numbers, so it is slow: ten to a hundred
 * times slower than the functions of this package. `gradcheck` says whether its gradient is right.
 *
 * @param inputs [T,B,F] each, with the same T and B; those that have lengths have the same
 * @param own `forward`, `backward` and, where the output has another number of features, `F`
 * @returns [T,B,F]
 * @throws TypeError, RangeError for inputs that do not fit, and for what `forward` or `backward` return: of another size, or not finite
 *
 * @example
 * ```js
 * import { gradcheck, input, Linear, Model, mseLoss, Runtime } from 'gatewise';
 * import { ownFunction } from 'gatewise/functions';
 *
 * const leaky = {
 *   forward: ([x]) => x.map((v) => (v > 0 ? v : 0.1 * v)),
 *   backward: (gradient, [x]) => [gradient.map((g, i) => (x[i] > 0 ? g : 0.1 * g))],
 * };
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'line', { inputSize: 2, outputSize: 3 }));
 * const { ok } = gradcheck(model, (tape, line) => {
 *   const x = input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 });
 *   return mseLoss(tape, ownFunction(tape, [line.forward(tape, x)], leaky), [1, 2, 3, 4, 5, 6]);
 * });
 * console.log(ok); // true
 * ```
 */
export function ownFunction(tape: Tape, inputs: readonly Rows[], own: OwnFunction): Rows {
  const names = inputsOf(tape, inputs);
  check.options('own', own, ['forward', 'backward', 'F']);
  check.callback('forward', own.forward);
  check.callback('backward', own.backward);
  const [{ T, B }] = inputs;
  const F = check.whole('F', own.F ?? inputs[0].F);
  const values = inputs.map((x) => copyOf(tape, x));
  const lengths = sharedLengths(inputs, names);
  const made = own.forward(values);
  checkNumbers('what forward returns', made, { T, B, lengths }, F);
  const wanted = inputs.some((x) => x.grad !== 0);
  const y = tape.own({ ...enterRows(tape, made, { T, B, lengths }, F, wanted), made: tape.recorded });
  if (y.grad) {
    tape.record(() => {
      const gradients = own.backward(copyOf(tape, tape.own({ ...y, at: y.grad })), values, copyOf(tape, y));
      addGradients(tape, 'what backward returns', inputs, gradients);
    });
  }
  return y;
}

/** What a loss of your own returns. */
export interface OwnLoss {
  readonly value: number;
  /** [T,B,F] for each input, or null for an input without a gradient. What is past the end of a sequence is not read. */
  readonly gradients: readonly (ArrayLike<number> | null)[];
}

/**
 * A loss of your own in plain JavaScript: its value and its gradients. It works on copies of the numbers, so it is slow. `gradcheck` says
 * whether the gradients are right.
 *
 * @param inputs [T,B,F] each, with the same T and B
 * @param loss is given [T,B,F] of each input, copies with zeros past the end of a sequence
 * @throws TypeError, RangeError for inputs that do not fit, and for what `loss` returns: of another size, or a gradient that is not finite
 *
 * @example
 * ```js
 * import { gradcheck, input, Linear, Model, Runtime } from 'gatewise';
 * import { ownLoss } from 'gatewise/functions';
 *
 * // a square error that counts four times where the prediction is too low
 * const target = [1, -1];
 * const weight = (d) => (d < 0 ? 4 : 1);
 * const uneven = ([x]) => ({
 *   value: x.reduce((sum, v, i) => sum + weight(v - target[i]) * (v - target[i]) ** 2, 0),
 *   gradients: [x.map((v, i) => 2 * weight(v - target[i]) * (v - target[i]))],
 * });
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'line', { inputSize: 2, outputSize: 1 }));
 * const { ok } = gradcheck(model, (tape, line) =>
 *   ownLoss(tape, [line.forward(tape, input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 }))], uneven),
 * );
 * console.log(ok); // true
 * ```
 */
export function ownLoss(tape: Tape, inputs: readonly Rows[], loss: (inputs: readonly Float32Array[]) => OwnLoss): Loss {
  inputsOf(tape, inputs);
  check.callback('loss', loss);
  const result = loss(inputs.map((x) => copyOf(tape, x)));
  const { value, gradients } = (result ?? {}) as Partial<OwnLoss>;
  // a loss that is not finite is for the training loop to refuse, which knows the step
  if (typeof value !== 'number') check.fail('what loss returns', '{ value, gradients }', result);
  const wanted = inputs.some((x) => x.grad !== 0);
  const back = (scale: number) => addGradients(tape, 'gradients', inputs, gradients, scale);
  return lossOf(tape, value, wanted ? back : null);
}

const OPTIONS = {
  /** F: numbers of the parameter. */
  size: required(check.whole),
  /** How it starts, default zeros. */
  initializer: optional(checkInitializer),
};

/** What `new Vector` takes. */
export interface VectorOptions extends Options<typeof OPTIONS> {}

/**
 * A parameter [F] for layers of your own: `rows` puts it on the tape, the same row at every step. The gradient of the parameter is the
 * sum of the gradients of these rows.
 *
 * @example
 * ```js
 * import { input, Model, mseLoss, Runtime } from 'gatewise';
 * import { multiply, Vector } from 'gatewise/functions';
 *
 * // a learned factor for each feature
 * const options = { size: 2, initializer: { kind: 'constant', value: 1 } };
 * const model = new Model(await Runtime.create(), 1, (b) => new Vector(b, 'gain', options));
 * const loss = model.valueAndGrad((tape, gain) => {
 *   const x = input(tape, [1, 2, 3, 4], { T: 2, B: 1, F: 2 });
 *   return mseLoss(tape, multiply(tape, x, gain.rows(tape, x)), [1, 2, 3, 0], { reduction: 'sum' });
 * });
 * console.log(loss, [...model.gradient('gain')].join(' ')); // 16 0 32
 * ```
 */
export class Vector {
  readonly parameter: Parameter;
  readonly #builder: Builder;

  /**
   * @param name of the parameter [F]
   * @throws TypeError, RangeError for invalid options
   */
  constructor(builder: Builder, name: string, options: VectorOptions) {
    check.layer(builder, name);
    const { size, initializer } = readOptions(name, OPTIONS, options);
    this.#builder = builder;
    this.parameter = builder.parameter(name, [size], initializer ?? { kind: 'constant', value: 0 });
  }

  /**
   * @param like rows with the steps, the sequences and the lengths that are wanted
   * @returns [T,B,F], with zeros past the end of a sequence
   */
  rows(tape: Tape, like: Rows): Rows {
    this.#builder.accept(tape, like, like?.F, 'like');
    const { parameter } = this;
    const { core } = tape;
    const { T, B, lengths } = like;
    const y = tape.rows(T, B, parameter.size, parameter.trained, lengths);
    // a parameter lies in lines of its own, padded with zeros: it is a row as it stands
    core.expandForward(y.at, parameter.at, y.ld, T * B, 1);
    if (y.grad) tape.record(() => core.expandBackward(parameter.grad, y.grad, y.ld, T * B, 1, parameter.size));
    return finish(tape, y);
  }
}
