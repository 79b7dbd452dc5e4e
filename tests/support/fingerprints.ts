/**
 * Small trainings whose computed bits are a promise: the sha256 of each is in tests/fingerprints.json.
 *
 * A configuration is data; training-bits.ts trains it. Its id is a plain name that never changes, whatever the options it uses are
 * called. Sizes are small and no multiple of 4 or 16, and most sequences differ in length.
 */
import { random, uniform } from './numbers.js';
import type { Configuration } from './training-bits.js';

const next = random(3);

// sequences of 3 to 12 steps, 8 of each kind
const WORDS = ['gatewise', 'recur', 'sigmoids', 'tanh', 'gradient', 'cell', 'layers', 'forgetgates!'];
const LETTERS = [...new Set(WORDS.join(''))].join('');
const VECTORS = WORDS.map(({ length }) => uniform(next, 3 * length));
const VOWELS = 'aeiou';
const tokens = { vocabulary: LETTERS, embeddingSize: 5 };
const vectors = { inputSize: 3 };

// classifier
const CLASSES = ['few', 'some', 'many'];
const BY_CLASS = WORDS.map((word) => ({ input: word, label: CLASSES[Math.min(2, Math.floor(word.length / 5))] }));
const BY_CLASS_OF_VECTORS = BY_CLASS.map(({ label }, i) => ({ input: VECTORS[i], label }));
const BY_LETTERS = WORDS.map((word) => ({ input: word, label: [...VOWELS].filter((vowel) => word.includes(vowel)) }));
const BY_NUMBERS = WORDS.map((word, i) => ({ input: VECTORS[i], target: [word.length / 10, VECTORS[i][0]] }));

// tagger
const KINDS = WORDS.map((word) => ({
  input: word,
  labels: [...word].map((letter) => (VOWELS.includes(letter) ? 'vowel' : 'other')),
}));
const KINDS_AND_HALVES = KINDS.map(({ input, labels }) => ({
  input: { letter: [...input], place: [...input].map((_, t) => `${t % 2}`) },
  labels: { kind: labels, half: labels.map((_, t) => (2 * t < labels.length ? 'first' : 'second')) },
}));
const SEVERAL_KINDS = KINDS.map(({ labels }, i) => ({
  input: VECTORS[i],
  labels: Array.from({ length: VECTORS[i].length / 3 }, (_, t) => {
    const kind = labels[t % labels.length];
    return t ? [kind] : [kind, 'first'];
  }),
}));
const FEATURES = {
  letter: { vocabulary: LETTERS, embeddingSize: 5 },
  place: { vocabulary: '01', embeddingSize: 2 },
};

// sequence to sequence: the vowels of a word, the last one first
const VOWELS_BACK = WORDS.map((word) => ({
  source: word,
  target: [...word]
    .filter((letter) => VOWELS.includes(letter))
    .reverse()
    .join(''),
}));
const TWO_SOURCES = VOWELS_BACK.map(({ source, target }, i) => ({
  source: { word: source, frames: VECTORS[7 - i] },
  target,
}));

// transcriber
const VOWELS_OF_FRAMES = WORDS.map((word, i) => ({
  input: VECTORS[i],
  target: [...word]
    .filter((letter) => VOWELS.includes(letter))
    .slice(0, 2)
    .join(''),
}));

const VOWELS_OF_TOKENS = VOWELS_OF_FRAMES.map(({ target }, i) => ({ input: WORDS[i], target }));

// generator
const NAMED = WORDS.map((word) => ({ input: CLASSES[word.length % 3], target: word.slice(0, 6) }));
const CURVES = VECTORS.map((v, i) => ({ input: [v[0], v[1]], target: VECTORS[(i + 1) % 8].subarray(0, 9) }));
const FRAMES = WORDS.map((word, i) => ({
  input: { values: [word.length / 12], classes: CLASSES.slice(i % 3) },
  target: [...word.slice(0, 5)].map((letter) => [1, 2, 4, 8, 16].map((bit) => (letter.charCodeAt(0) & bit ? 1 : 0))),
}));

const FROM_NOTHING = FRAMES.map(({ target }) => ({ target }));

const TEXT = Array.from({ length: 30 }, (_, i) => `${i} and ${i * 7} are ${i * 8}.\n`).join('');
const SERIES = Float64Array.from({ length: 22 }, (_, t) => (t % 4) + t / 8 + next());
const TWO_SERIES = { load: SERIES, heat: SERIES.map((y, t) => y / 2 - (t % 3)) };

const layers = (configuration: Omit<Extract<Configuration, { of: 'layers' }>, 'of'>): Configuration => ({
  of: 'layers',
  ...configuration,
});

export const configurations: Readonly<Record<string, Configuration>> = {
  // cells
  'rnn-tanh': layers({ recurrent: { cell: 'rnn', hiddenSize: 9 } }),
  'rnn-sigmoid': layers({
    recurrent: {
      cell: 'rnn',
      hiddenSize: 13,
      activation: 'sigmoid',
      initializers: {
        input: { kind: 'uniform', bound: 0.3 },
        recurrent: { kind: 'normal', std: 0.2 },
        bias: { kind: 'constant', value: 0.1 },
      },
    },
  }),
  'rnn-relu': layers({
    recurrent: {
      cell: 'rnn',
      hiddenSize: 6,
      activation: 'relu',
      initializers: { input: { kind: 'he' }, recurrent: { kind: 'identity', scale: 0.9 } },
    },
  }),
  'rnn-identity': layers({
    recurrent: {
      cell: 'rnn',
      hiddenSize: 5,
      activation: 'identity',
      initializers: { input: { kind: 'glorot' }, recurrent: { kind: 'orthogonal', gain: 0.8 } },
    },
  }),
  lstm: layers({ recurrent: { cell: 'lstm', hiddenSize: 10 } }),
  'lstm-projection': layers({ recurrent: { cell: 'lstm', hiddenSize: 11, projectionSize: 5, numLayers: 2 } }),
  'lstm-peepholes': layers({ recurrent: { cell: 'lstm', hiddenSize: 7, peepholes: true } }),
  'lstm-coupled': layers({ recurrent: { cell: 'lstm', hiddenSize: 9, coupled: true } }),
  'lstm-clip-and-forget-bias': layers({
    recurrent: { cell: 'lstm', hiddenSize: 14, cellClip: 0.2, forgetBias: 1 },
  }),
  'lstm-many-options': layers({
    recurrent: {
      cell: 'lstm',
      hiddenSize: 13,
      projectionSize: 6,
      peepholes: true,
      layerNorm: true,
      zoneoutHidden: 0.1,
      zoneoutCell: 0.2,
    },
  }),
  gru: layers({ recurrent: { cell: 'gru', hiddenSize: 17 } }),
  'gru-reset-before': layers({ recurrent: { cell: 'gru', hiddenSize: 9, reset: 'before' } }),
  'gru-relu': layers({ recurrent: { cell: 'gru', hiddenSize: 6, activation: 'relu' } }),
  residual: layers({ recurrent: { cell: 'residual', hiddenSize: 10 }, carried: true }),
  'residual-no-feedback': layers({ recurrent: { cell: 'residual', hiddenSize: 7, feedback: false } }),
  mingru: layers({ recurrent: { cell: 'mingru', hiddenSize: [9, 6] }, carried: true }),
  'mingru-positive': layers({ recurrent: { cell: 'mingru', hiddenSize: 10, positive: true } }),
  minlstm: layers({ recurrent: { cell: 'minlstm', hiddenSize: 7, bidirectional: true } }),
  lru: layers({ recurrent: { cell: 'lru', hiddenSize: [10, 6], activation: 'tanh' }, carried: true }),
  'lru-reverse': layers({ recurrent: { cell: 'lru', hiddenSize: 8, reverse: true } }),

  // stacks
  'stack-dropout': layers({ recurrent: { cell: 'gru', hiddenSize: 6, numLayers: 3, dropout: 0.25 } }),
  'stack-sizes': layers({ recurrent: { cell: 'lstm', hiddenSize: [11, 5, 9] }, carried: true }),
  'bidirectional-concat': layers({ recurrent: { cell: 'gru', hiddenSize: 6, numLayers: 2, bidirectional: true } }),
  'bidirectional-sum': layers({ recurrent: { cell: 'lstm', hiddenSize: 5, bidirectional: true, merge: 'sum' } }),
  'bidirectional-mean': layers({ recurrent: { cell: 'rnn', hiddenSize: 10, bidirectional: true, merge: 'mean' } }),
  'bidirectional-mul': layers({ recurrent: { cell: 'gru', hiddenSize: 9, bidirectional: true, merge: 'mul' } }),
  'reverse-no-bias': layers({ recurrent: { cell: 'lstm', hiddenSize: 6, numLayers: 2, reverse: true, bias: false } }),
  'learned-state': layers({ recurrent: { cell: 'lstm', hiddenSize: [7, 5], initialState: 'learned' } }),
  'variational-dropout': layers({ recurrent: { cell: 'lstm', hiddenSize: 9, variationalDropout: 0.3 } }),
  zoneout: layers({ recurrent: { cell: 'gru', hiddenSize: 11, zoneoutHidden: 0.2 } }),
  'weight-drop': layers({ recurrent: { cell: 'lstm', hiddenSize: 6, weightDrop: 0.4 } }),
  'layer-norm': layers({ recurrent: { cell: 'gru', hiddenSize: 9, layerNorm: true }, head: 'norm' }),
  'attention-pool': layers({ recurrent: { cell: 'gru', hiddenSize: 7 }, head: 'pool' }),

  // losses, optimizers and schedules
  'l1-sgd-nesterov': layers({
    recurrent: { cell: 'gru', hiddenSize: 6 },
    loss: 'l1',
    optimizer: { optimizer: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.01 },
  }),
  'huber-rmsprop-centered': layers({
    recurrent: { cell: 'gru', hiddenSize: 7 },
    loss: 'huber',
    optimizer: { optimizer: 'rmsprop', centered: true, momentum: 0.5, learningRate: 0.002 },
  }),
  'smooth-l1-adam-amsgrad': layers({
    recurrent: { cell: 'rnn', hiddenSize: 5 },
    loss: 'smoothL1',
    optimizer: { optimizer: 'adam', amsgrad: true, l1: 0.001, beta2: 0.99 },
  }),
  'quantile-adamw': layers({
    recurrent: { cell: 'lstm', hiddenSize: 6 },
    loss: 'quantile',
    optimizer: { optimizer: 'adamw', weightDecay: 0.1 },
    fit: { clipNorm: 0.05 },
  }),
  'bce-adagrad': layers({
    recurrent: { cell: 'gru', hiddenSize: 9 },
    loss: 'bce',
    optimizer: { optimizer: 'adagrad', learningRate: 0.05 },
    fit: { clipNorm: 0, clipValue: 0.02 },
  }),
  'cross-entropy-schedule-step': layers({
    recurrent: { cell: 'gru', hiddenSize: 10 },
    loss: 'crossEntropy',
    optimizer: { learningRate: 0.03 },
    fit: { schedule: { kind: 'step', every: 30, factor: 0.7, warmup: 12 } },
  }),
  'sgd-schedule-cosine': layers({
    recurrent: { cell: 'lstm', hiddenSize: 5 },
    optimizer: { optimizer: 'sgd', momentum: 0.8, dampening: 0.1, learningRate: 0.2 },
    fit: { schedule: { kind: 'cosine', steps: 150, minLearningRate: 0.01, warmup: 9 } },
  }),
  'rmsprop-schedule-plateau': layers({
    recurrent: { cell: 'rnn', hiddenSize: 7 },
    optimizer: { optimizer: 'rmsprop', alpha: 0.95, learningRate: 0.02 },
    fit: {
      schedule: {
        kind: 'plateau',
        factor: 0.5,
        patience: 2,
        every: 5,
        threshold: 0.01,
        minLearningRate: 0.001,
        warmup: 5,
      },
    },
  }),

  // tasks
  'language-model': {
    of: 'language model',
    options: { cell: 'lstm', hiddenSize: 13, embeddingSize: 6 },
    text: TEXT,
    fit: { batchSize: 3, window: 11 },
    generate: [
      { prompt: '12 and', length: 60, temperature: 0.8, topK: 4, seed: 1 },
      { length: 60, temperature: 0 },
    ],
  },
  'language-model-tied-stride': {
    of: 'language model',
    options: { cell: 'gru', hiddenSize: [10, 7], embeddingSize: 7, tieWeights: true, dropout: 0.1 },
    text: TEXT,
    fit: { batchSize: 4, window: 12, stride: 5, schedule: { kind: 'cosine', steps: 180, warmup: 10 } },
    generate: [{ prompt: '7', length: 60, topP: 0.9 }, { length: 60 }],
  },
  'classifier-last-weights': {
    of: 'classifier',
    options: { ...tokens, classes: CLASSES, hiddenSize: 9, bidirectional: true },
    examples: BY_CLASS,
    fit: { classWeights: 'balanced' },
  },
  'classifier-mean': {
    of: 'classifier',
    options: { ...vectors, classes: CLASSES, cell: 'gru', hiddenSize: 10, pooling: 'mean', inputDropout: 0.1 },
    examples: BY_CLASS_OF_VECTORS,
    fit: { classWeights: { [CLASSES[1]]: 0.5, [CLASSES[2]]: 2 } },
  },
  'classifier-max-hidden-layers': {
    of: 'classifier',
    options: { ...tokens, classes: CLASSES, cell: 'rnn', hiddenSize: 11, pooling: 'max', hiddenLayers: [6, 5] },
    examples: BY_CLASS,
  },
  'classifier-attention': {
    of: 'classifier',
    options: { ...tokens, classes: CLASSES, hiddenSize: 7, pooling: 'attention', outputDropout: 0.2 },
    examples: BY_CLASS,
  },
  'classifier-several-labels': {
    of: 'classifier',
    options: { ...tokens, classes: [...VOWELS], multiLabel: true, cell: 'gru', hiddenSize: 9 },
    examples: BY_LETTERS,
  },
  'classifier-numbers': {
    of: 'regressor',
    options: { ...vectors, outputSize: 2, hiddenSize: 6, pooling: 'mean' },
    examples: BY_NUMBERS,
    fit: { optimizer: 'adamw', learningRate: 0.02 },
  },
  'tagger-softmax': {
    of: 'tagger',
    options: { ...tokens, classes: ['vowel', 'other'], hiddenSize: 6, bidirectional: true, outputDropout: 0.1 },
    examples: KINDS,
  },
  'tagger-crf': {
    of: 'tagger',
    options: { ...tokens, classes: ['vowel', 'other'], crf: true, cell: 'gru', hiddenSize: 7, hiddenLayers: [5] },
    examples: KINDS,
  },
  'tagger-several-labels': {
    of: 'tagger',
    options: { ...vectors, classes: ['vowel', 'other', 'first'], multiLabel: true, hiddenSize: 7, inputDropout: 0.1 },
    examples: SEVERAL_KINDS,
  },
  'tagger-several-sets': {
    of: 'tagger',
    options: {
      features: FEATURES,
      classes: { kind: ['vowel', 'other'], half: ['first', 'second'] },
      hiddenSize: 9,
      bidirectional: true,
      merge: 'sum',
    },
    examples: KINDS_AND_HALVES,
  },
  'seq2seq-dot-state': {
    of: 'seq2seq',
    options: { source: tokens, target: VOWELS, embeddingSize: 5, hiddenSize: 9, attention: 'dot' },
    examples: VOWELS_BACK,
    write: [{}, { beamWidth: 3 }],
  },
  'seq2seq-general-affine-input': {
    of: 'seq2seq',
    options: {
      source: tokens,
      target: VOWELS,
      embeddingSize: 6,
      cell: 'lstm',
      hiddenSize: 7,
      bidirectional: true,
      attention: 'general',
      context: 'affine',
      pass: 'input',
    },
    examples: VOWELS_BACK,
    write: [{}],
    generate: [{ topK: 3, seed: 2 }],
  },
  'seq2seq-additive-mean-both': {
    of: 'seq2seq',
    options: {
      source: tokens,
      target: VOWELS,
      embeddingSize: 5,
      hiddenSize: [6, 9],
      attention: 'additive',
      context: 'mean',
      pass: 'both',
      dropout: 0.1,
    },
    examples: VOWELS_BACK,
    write: [{}],
    generate: [{ topP: 0.8, temperature: 1.2 }],
  },
  'seq2seq-several-encoders': {
    of: 'seq2seq',
    options: {
      source: { word: tokens, frames: vectors },
      target: VOWELS,
      embeddingSize: 5,
      cell: 'lstm',
      hiddenSize: 6,
      attention: 'general',
    },
    examples: TWO_SOURCES,
    write: [{}, { beamWidth: 2, lengthNormalization: 0.5 }],
  },
  'seq2seq-scheduled-sampling': {
    of: 'seq2seq',
    options: { source: tokens, target: VOWELS, embeddingSize: 5, hiddenSize: 10 },
    examples: VOWELS_BACK,
    fit: { teacherForcing: { from: 1, to: 0.3, steps: 150 } },
    write: [{}],
  },
  transcriber: {
    of: 'transcriber',
    options: { ...vectors, target: VOWELS, hiddenSize: 6, bidirectional: true, hiddenLayers: [7] },
    examples: VOWELS_OF_FRAMES,
  },
  'transcriber-tokens': {
    of: 'transcriber',
    options: { ...tokens, target: VOWELS, cell: 'gru', hiddenSize: 9, variationalDropout: 0.2, inputDropout: 0.1 },
    examples: VOWELS_OF_TOKENS,
  },
  'generator-tokens': {
    of: 'generator',
    options: { classes: CLASSES, target: LETTERS, embeddingSize: 5, hiddenSize: 11, hiddenLayers: [6] },
    examples: NAMED,
    write: [{}, { beamWidth: 3 }],
    generate: [{ temperature: 0.7, topK: 5, topP: 0.9, seed: 4 }],
  },
  'generator-vectors': {
    of: 'generator',
    options: { inputSize: 2, target: { vectors: 3 }, cell: 'lstm', hiddenSize: 9, pass: 'both' },
    examples: CURVES,
    write: [{}],
  },
  'generator-from-nothing': {
    of: 'generator',
    options: { target: { bits: 5 }, hiddenSize: 7, inputDropout: 0.1, initialState: 'learned' },
    examples: FROM_NOTHING,
    write: [{}],
    generate: [{ seed: 3 }],
  },
  'generator-bits': {
    of: 'generator',
    options: {
      inputSize: 1,
      classes: CLASSES,
      target: { bits: 5 },
      hiddenSize: 7,
      pass: 'input',
      initialState: 'learned',
    },
    examples: FRAMES,
    write: [{}],
    generate: [{ seed: 6 }],
  },
  'forecaster-direct': {
    of: 'forecaster',
    options: { window: 7, horizon: 3, variables: ['load', 'heat'], targets: ['load'], loss: 'huber', hiddenSize: 9 },
    series: TWO_SERIES,
  },
  'forecaster-recursive': {
    of: 'forecaster',
    options: { window: 6, horizon: 2, method: 'recursive', trend: 'linear', cell: 'lstm', hiddenSize: 7 },
    series: SERIES,
    steps: 9,
  },
  'forecaster-quantiles-difference': {
    of: 'forecaster',
    options: { window: 5, horizon: 3, quantiles: [0.1, 0.5, 0.8], difference: 4, hiddenSize: 10, outputDropout: 0.1 },
    series: SERIES,
  },
};
