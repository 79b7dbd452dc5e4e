/** The types of SequenceGenerator: its options, what it learns from, what it writes, and what follows from them. */
import type { Options } from '../../options.js';
import type { CONDITIONAL, GeneratorTarget } from './conditional-decoder.js';
import type { GenerateSequenceOptions, Written } from './decoding.js';
import type { Vectors } from './inputs.js';
import type { StackOptions } from './stack.js';
import type { TaskOptions } from './task.js';

/** What it was created with, apart from its runtime and seed. */
export interface SequenceGeneratorConfig
  extends Omit<StackOptions, 'bidirectional' | 'merge' | 'reverse'>,
    Options<typeof CONDITIONAL> {}

type Numbers = number | undefined;
type Names = readonly string[] | undefined;
/** Whether there is a condition X: numbers, classes, or both. */
export type Conditioned<I extends Numbers, C extends Names> = [I] extends [number]
  ? true
  : [C] extends [readonly string[]]
    ? true
    : [I | C] extends [undefined]
      ? false
      : boolean;

/**
 * @typeParam T what is written
 * @typeParam I the numbers of X
 * @typeParam C the classes of X
 */
export interface SequenceGeneratorOptions<
  T extends GeneratorTarget = GeneratorTarget,
  I extends Numbers = Numbers,
  C extends Names = Names,
> extends TaskOptions,
    Omit<SequenceGeneratorConfig, 'target' | 'inputSize' | 'classes' | 'pass' | 'hiddenLayers'> {
  /** What is written: a text, whose characters are the tokens; a list of tokens; vectors, or frames of bits, of n features. */
  target: T;
  /** Numbers of X, say the pixels of a picture. Without this and `classes` there is no X: sequences start from nothing. */
  inputSize?: I;
  /** Names of the classes that X can have, one or several: a one for each in X, after its numbers. */
  classes?: C;
  /** Whether X makes the initial state, is an input at every step, or both. Default `'state'`. Needs an X. */
  pass?: (Conditioned<I, C> extends false ? never : SequenceGeneratorConfig['pass']) | undefined;
  /** Widths of layers with ReLU that X goes through first, default none. Needs an X. */
  hiddenLayers?: (Conditioned<I, C> extends false ? never : SequenceGeneratorConfig['hiddenLayers']) | undefined;
}

/** X: a class, a list of classes, or numbers; both by their names where it has both. */
export type GeneratorInput =
  | string
  | readonly string[]
  | ArrayLike<number>
  | { readonly values: ArrayLike<number>; readonly classes: string | readonly string[] };

/** One of three, by what is written; a union where that is not known. */
export type ByTarget<T extends GeneratorTarget, Tokens, InVectors, Bits> = T extends string | readonly string[]
  ? Tokens
  : T extends { readonly vectors: number }
    ? InVectors
    : Bits;

/** Where there is no condition, examples have no `input`. */
export type GeneratorExample<
  T extends GeneratorTarget = GeneratorTarget,
  X extends boolean = boolean,
> = GeneratorSequence<T> & (X extends true ? { readonly input: GeneratorInput } : { readonly input?: undefined });

export interface GeneratorSequence<T extends GeneratorTarget = GeneratorTarget> {
  /** A text or a list of tokens; or vectors or frames [T,F], one after the other or as a list. */
  readonly target: ByTarget<T, string | readonly string[], Vectors, Vectors>;
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

export interface GeneratedVectors {
  /** [T] vectors [F]. */
  readonly vectors: readonly Float32Array[];
  /** Whether the sequence came to its end before `maxLength`. */
  readonly complete: boolean;
}

export interface GeneratedFrames {
  /** [T] frames [F] of zeros and ones. */
  readonly frames: readonly Float32Array[];
  /** Whether the sequence came to its end before `maxLength`. */
  readonly complete: boolean;
}

/** Of tokens a text, with a beam `logProbability` and `hypotheses`; of vectors `vectors`; of bits `frames`. */
export type Generated<T extends GeneratorTarget = GeneratorTarget, W extends number = 1> = ByTarget<
  T,
  Written<W>,
  GeneratedVectors,
  GeneratedFrames
>;

/** What comes next in a sequence of tokens. */
export interface NextOfTokens {
  /** The most probable token. */
  readonly token: string;
  /** [V] of each token of `targetVocabulary`, if the sequence does not end. */
  readonly probabilities: Float32Array;
  /** The probability that the sequence ends here. */
  readonly end: number;
}

export interface NextVector {
  /** [F] */
  readonly vector: Float32Array;
  /** The probability that the sequence ends here. */
  readonly end: number;
}

export interface NextFrame {
  /** [F] The most probable bits. */
  readonly frame: Float32Array;
  /** [F] The probabilities of ones. */
  readonly probabilities: Float32Array;
  /** The probability that the sequence ends here. */
  readonly end: number;
}

/** What comes next in a sequence that is read step by step. */
export type NextStep<T extends GeneratorTarget = GeneratorTarget> = ByTarget<T, NextOfTokens, NextVector, NextFrame>;

/** What a stream reads: tokens as a text or a list; vectors or frames as for `fit`. */
export type WrittenPart<T extends GeneratorTarget = GeneratorTarget> = ByTarget<
  T,
  string | readonly string[],
  Vectors,
  Vectors
>;

/** Without a condition, the inputs are left out. */
export type WithInputs<X extends boolean, Options> = X extends true
  ? [inputs: readonly GeneratorInput[], options?: Options]
  : [options?: Options];

/** Options of drawing sequences without a condition. */
export interface GenerateManyOptions extends GenerateSequenceOptions {
  /** Sequences to draw, default 1. */
  count?: number | undefined;
}

export interface TokensReport {
  /** Nats per token, ends included. */
  readonly loss: number;
  /** Share of targets that greedy writing gets exactly. */
  readonly exact: number;
}

export interface VectorsReport {
  /** Half the squared distance per frame: nats of a normal distribution of variance 1, without its constant. */
  readonly loss: number;
  /** Nats per frame for where the sequence ends. */
  readonly endLoss: number;
}

export interface BitsReport {
  /** Nats per frame, the sum over its bits. */
  readonly loss: number;
  /** Nats per frame for where the sequence ends. */
  readonly endLoss: number;
  /** Share of targets that greedy writing gets exactly. */
  readonly exact: number;
}

/** The right tokens or frames are read; `exact` is about those that the model writes on its own. */
export type GeneratorReport<T extends GeneratorTarget = GeneratorTarget> = ByTarget<
  T,
  TokensReport,
  VectorsReport,
  BitsReport
>;
