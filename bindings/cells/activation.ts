/** Functions of one number: their names, their numbers α and β, and how a call of the core is told of them. */
import { Activation, Fn } from '../../assembly/layout.js';
import * as check from '../check.js';
import type { Reader } from '../options.js';

/** Each with its number, and the defaults of α and β where it has them. */
const FUNCTIONS = {
  tanh: [Activation.tanh],
  sigmoid: [Activation.sigmoid],
  relu: [Activation.relu],
  identity: [Activation.identity],
  softsign: [Activation.softsign],
  softplus: [Activation.softplus],
  hardSigmoid: [Activation.hardSigmoid, 1 / 6, 0.5],
  affine: [Activation.affine, 1, 0],
  scaledTanh: [Activation.scaledTanh, 1, 1],
  elu: [Activation.elu, 1],
  leakyRelu: [Activation.leakyRelu, 0.01],
  thresholdedRelu: [Activation.thresholdedRelu, 1],
} as const;

/**
 * tanh(x); `sigmoid` 1 / (1 + e⁻ˣ); `relu` max(x, 0); `identity` x; `softsign` x / (1 + |x|); `softplus` ln(1 + eˣ); with α and β:
 * `hardSigmoid` αx + β within [0, 1], by default x/6 + 0.5 as in Keras 3; `affine` αx + β; `scaledTanh` α tanh(βx); `elu` x, below 0
 * α(eˣ - 1); `leakyRelu` x, below 0 αx; `thresholdedRelu` x above α, else 0. The formulas and defaults are those of ONNX, opset 22.
 */
export type ActivationName = keyof typeof FUNCTIONS;

/** A function of one number: its name, or its name with its numbers, as `{ kind: 'hardSigmoid', alpha: 0.2 }`. */
export type ActivationOption = ActivationName | NumberedActivation;

export interface NumberedActivation {
  readonly kind: ActivationName;
  readonly alpha?: number | undefined;
  readonly beta?: number | undefined;
}

/** One function, or in a bidirectional layer one for each direction. */
export type Activations = ActivationOption | readonly [ActivationOption, ActivationOption];

const NAMES = Object.keys(FUNCTIONS) as ActivationName[];

export const readActivation: Reader<ActivationOption> = (name, value) => {
  if (typeof value !== 'object' || value === null) return check.oneOf(name, value, NAMES);
  check.options(name, value, ['kind', 'alpha', 'beta']);
  const given: Partial<NumberedActivation> = value;
  const kind = check.oneOf(`${name}.kind`, given.kind, NAMES);
  const [, ...numbers] = FUNCTIONS[kind];
  for (const [i, key] of (['alpha', 'beta'] as const).entries()) {
    const number = given[key];
    if (number === undefined) continue;
    if (i >= numbers.length) check.clash(`${name}.${key}`, `'${kind}'`, 'it has no such number');
    // slopes are taken from the result, which has to say on which side of the threshold x was
    const positive = i === 0 && /elu|scaled/i.test(kind);
    check.number(`${name}.${key}`, number, positive ? 0 : -1e37, 1e37, positive && kind === 'scaledTanh');
  }
  return Object.freeze({ ...given, kind });
};

/** A function, or a pair of them. */
export const readActivations: Reader<Activations> = (name, value) => {
  if (!Array.isArray(value)) return readActivation(name, value);
  if (value.length !== 2) check.fail(name, 'a function, or two: one for each direction', value);
  return Object.freeze([readActivation(`${name}[0]`, value[0]), readActivation(`${name}[1]`, value[1])] as const);
};

/** That of direction `d`. */
export function activationOf(f: Activations, d: number): ActivationOption {
  return typeof f === 'object' && 'length' in f ? f[d] : f;
}

/** Writes the fields of a `Fn` to number `at` of a block. */
export function enterActivation(ints: Int32Array, at: number, f: ActivationOption, limit = 0): void {
  const { kind, alpha, beta } = typeof f === 'string' ? ({ kind: f } as NumberedActivation) : f;
  const [code, a = 0, b = 0] = FUNCTIONS[kind];
  ints[at] = code;
  new Float32Array(ints.buffer, ints.byteOffset).set([alpha ?? a, beta ?? b, limit], at + Fn.alpha);
}
