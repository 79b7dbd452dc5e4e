/**
 * Models of every task and every cell, small, and what their networks give before anything is decoded: what other frameworks are
 * compared with.
 */
import { concat, expand, input, read } from 'gatewise';
import {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
} from 'gatewise/tasks';

const KINDS = {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
};

const RAGGED = ['abcab', 'cc', 'bacaab', 'b'];
const VECTORS = [5, 2, 6].map((T, b) =>
  Array.from({ length: T }, (_, t) => [Math.sin(t + b), Math.cos(2 * t - b), (t - b) / 4]),
);
const base = { vocabulary: 'abc', embeddingSize: 5, classes: ['x', 'y', 'z'], hiddenSize: 6, seed: 7 };

/** Options of recurrent layers; `onnx: false` are those that ONNX lacks. */
const STACKS = {
  lstm: { cell: 'lstm' },
  'lstm, stack both ways': { cell: 'lstm', numLayers: 2, bidirectional: true, dropout: 0.3 },
  'lstm, no bias': { cell: 'lstm', bias: false },
  'lstm, learned state': { cell: 'lstm', initialState: 'learned', numLayers: 2 },
  'lstm, projection': { cell: 'lstm', projectionSize: 3, numLayers: 2, onnx: false },
  'lstm, peepholes': { cell: 'lstm', peepholes: true, bidirectional: true },
  'lstm, coupled': { cell: 'lstm', coupled: true, numLayers: 2 },
  'lstm, coupled, peepholes': { cell: 'lstm', coupled: true, peepholes: true },
  'lstm, projection, peepholes': { cell: 'lstm', projectionSize: 4, peepholes: true, onnx: false },
  'lstm, clip': { cell: 'lstm', cellClip: 0.3, onnx: false },
  'lstm, hard sigmoid': { cell: 'lstm', gateActivation: 'hardSigmoid', activation: 'softsign', activationClip: 2 },
  'lstm, functions both ways': {
    cell: 'lstm',
    bidirectional: true,
    activation: ['elu', { kind: 'scaledTanh', alpha: 1.5, beta: 0.6 }],
    gateActivation: ['sigmoid', { kind: 'hardSigmoid', alpha: 0.2 }],
    outputActivation: 'tanh',
  },
  'lstm, layer norm': { cell: 'lstm', layerNorm: true, onnx: false },
  'lstm, zoneout': { cell: 'lstm', zoneoutHidden: 0.2, zoneoutCell: 0.3, onnx: false },
  'lstm, variational': { cell: 'lstm', variationalDropout: 0.2, weightDrop: 0.3 },
  'lstm, reverse': { cell: 'lstm', reverse: true },
  'lstm, widths': { cell: 'lstm', hiddenSize: [4, 7], bidirectional: true },
  gru: { cell: 'gru' },
  'gru, stack both ways': { cell: 'gru', numLayers: 2, bidirectional: true },
  'gru, reset before': { cell: 'gru', reset: 'before', bidirectional: true },
  'gru, hard sigmoid': { cell: 'gru', gateActivation: { kind: 'hardSigmoid', alpha: 0.2 }, activationClip: 0.7 },
  'gru, relu': { cell: 'gru', activation: 'relu' },
  'gru, layer norm': { cell: 'gru', layerNorm: true, numLayers: 2, onnx: false },
  'gru, sum': { cell: 'gru', bidirectional: true, merge: 'sum' },
  'gru, mean': { cell: 'gru', bidirectional: true, merge: 'mean' },
  'gru, mul': { cell: 'gru', bidirectional: true, merge: 'mul' },
  rnn: { cell: 'rnn', numLayers: 2 },
  'rnn, relu': { cell: 'rnn', activation: 'relu', bidirectional: true },
  'rnn, sigmoid': { cell: 'rnn', activation: 'sigmoid' },
  'rnn, identity': { cell: 'rnn', activation: 'identity' },
  'rnn, leaky relu': { cell: 'rnn', activation: { kind: 'leakyRelu', alpha: 0.2 }, bidirectional: true },
  'rnn, softplus': { cell: 'rnn', activation: 'softplus' },
  'rnn, layer norm': { cell: 'rnn', layerNorm: true, onnx: false },
  residual: { cell: 'residual', onnx: false },
  'residual, layer norm': { cell: 'residual', layerNorm: true, bidirectional: true, onnx: false },
  'residual, no feedback': { cell: 'residual', feedback: false, onnx: false },
  mingru: { cell: 'mingru', numLayers: 2, onnx: false },
  'mingru, positive': { cell: 'mingru', positive: true, bidirectional: true, onnx: false },
  minlstm: { cell: 'minlstm', layerNorm: true, initialState: 'learned', onnx: false },
  lru: { cell: 'lru', numLayers: 2, activation: 'tanh', onnx: false },
  'lru, both ways': { cell: 'lru', bidirectional: true, initialState: 'learned', onnx: false },
  'minlstm, positive': { cell: 'minlstm', positive: true, zoneoutHidden: 0.2, onnx: false },
};

function* all() {
  for (const [name, { onnx, ...stack }] of Object.entries(STACKS)) {
    const pooling = stack.merge || stack.hiddenSize ? 'mean' : 'last';
    yield { name, task: 'SequenceClassifier', options: { ...base, ...stack, pooling }, data: { inputs: RAGGED }, onnx };
  }
  const classify = (name, options, inputs = RAGGED) => {
    return { name, task: 'SequenceClassifier', options: { ...base, ...options }, data: { inputs } };
  };
  const vectors = { vocabulary: undefined, embeddingSize: undefined, inputSize: 3 };
  const features = {
    vocabulary: undefined,
    embeddingSize: undefined,
    features: {
      word: { vocabulary: ['?', 'red', 'blue'], embeddingSize: 3, unknown: '?' },
      'last.part': { vocabulary: 'deu', embeddingSize: 2 },
    },
  };
  const words = [
    { word: ['red', 'blue', 'green'], 'last.part': ['d', 'e', 'd'] },
    { word: ['blue'], 'last.part': ['u'] },
  ];
  for (const pooling of ['mean', 'max', 'attention']) {
    yield classify(`pooling ${pooling}`, { pooling, bidirectional: true });
  }
  yield classify('layers before the output', { hiddenLayers: [5, 4], multiLabel: true });
  yield classify('vectors', vectors, VECTORS);
  yield classify('features', features, words);
  const { classes, ...unclassed } = base;
  const regress = { ...unclassed, outputSize: 2, pooling: 'mean' };
  yield { name: 'numbers', task: 'SequenceRegressor', options: regress, data: { inputs: RAGGED } };

  const language = { vocabulary: 'abc', embeddingSize: 6, hiddenSize: 6, seed: 7 };
  const text = { text: 'abcabccbaacb' };
  yield { name: 'lstm', task: 'LanguageModel', options: { ...language, numLayers: 2 }, data: text };
  yield {
    name: 'gru, tied',
    task: 'LanguageModel',
    options: { ...language, cell: 'gru', tieWeights: true },
    data: text,
  };
  yield {
    name: 'widths',
    task: 'LanguageModel',
    options: { ...language, hiddenSize: [5, 7], peepholes: true },
    data: text,
  };

  const tag = { ...base, bidirectional: true };
  yield { name: 'one set', task: 'SequenceTagger', options: tag, data: { inputs: RAGGED } };
  yield { name: 'chain', task: 'SequenceTagger', options: { ...tag, crf: true }, data: { inputs: RAGGED } };
  yield {
    name: 'several labels',
    task: 'SequenceTagger',
    options: { ...tag, multiLabel: true },
    data: { inputs: RAGGED },
  };
  const sets = { pos: ['n', 'v'], 'named.thing': ['o', 'b', 'i'] };
  yield {
    name: 'sets with chains',
    task: 'SequenceTagger',
    options: { ...tag, classes: sets, crf: true, hiddenLayers: [4] },
    data: { inputs: RAGGED },
  };
  yield {
    name: 'vectors to letters',
    task: 'Transcriber',
    options: { inputSize: 3, target: 'ab', hiddenSize: 5, bidirectional: true, seed: 3 },
    data: { inputs: VECTORS },
  };

  const translate = {
    source: { vocabulary: 'abc', embeddingSize: 4 },
    target: 'xy',
    embeddingSize: 3,
    hiddenSize: 6,
    seed: 5,
  };
  const tokens = [
    [3, 3, 3, 3],
    [0, 1, 1, 0],
    [1, 1, 0, 1],
  ];
  const three = { sources: RAGGED.map((s) => [s]), tokens };
  const many = {
    source: { letters: { vocabulary: 'abc', embeddingSize: 4 }, signal: { inputSize: 3 } },
    target: ['left', 'right'],
    embeddingSize: 3,
    hiddenSize: 6,
    seed: 5,
  };
  const pairs = { sources: VECTORS.map((v, i) => [RAGGED[i], v]), tokens: tokens.map((row) => row.slice(1)) };
  for (const [name, options, data] of [
    ['last, state', {}, three],
    ['affine, input', { context: 'affine', pass: 'input', cell: 'lstm', initialState: 'learned' }, three],
    ['mean, both', { context: 'mean', pass: 'both', bidirectional: true, numLayers: 2 }, three],
    ['dot', { attention: 'dot', cell: 'lstm' }, three],
    ['general', { attention: 'general', bidirectional: true }, three],
    ['additive', { attention: 'additive', bidirectional: true, merge: 'sum', pass: 'both' }, three],
    ['bridge without tanh', { bridge: 'affine', cell: 'lstm', pass: 'both' }, three],
    ['no bridge', { bridge: 'none', cell: 'lstm', numLayers: 2 }, three],
    ['another encoder', { encoder: { cell: 'lstm', hiddenSize: 4, bidirectional: true }, attention: 'general' }, three],
    ['two sources', { ...many, attention: 'additive', context: 'affine', bidirectional: true, cell: 'lstm' }, pairs],
  ]) {
    yield { name, task: 'Seq2Seq', options: { ...translate, ...options }, data };
  }

  const X = [
    [0.5, -1, 1, 0],
    [2, 0.25, 0, 1],
  ];
  const make = { inputSize: 2, classes: ['up', 'down'], hiddenSize: 6, seed: 9 };
  const frames = [
    [0, 0, 0, 0],
    [1, 0.5, -1, 2],
    [0.25, 1, 1, 0],
  ];
  const ids = tokens.map((row) => row.slice(2));
  for (const [name, options, before] of [
    ['tokens', { target: 'xy', embeddingSize: 3, hiddenLayers: [5, 4] }, ids],
    ['tokens, both', { target: 'xy', embeddingSize: 3, pass: 'both', cell: 'lstm', numLayers: 2 }, ids],
    ['vectors', { target: { vectors: 2 }, hiddenLayers: [5] }, frames],
    ['bits', { target: { bits: 2 }, pass: 'input', initialState: 'learned' }, frames],
  ]) {
    yield { name, task: 'SequenceGenerator', options: { ...make, ...options }, data: { X, before } };
  }
  for (const [name, options, before] of [
    ['tokens from nothing', { target: 'xy', embeddingSize: 3, cell: 'lstm', initialState: 'learned' }, ids],
    ['bits from nothing', { target: { bits: 2 } }, frames],
  ]) {
    const data = { X: [[], []], before };
    yield { name, task: 'SequenceGenerator', options: { hiddenSize: 6, seed: 9, ...options }, data };
  }

  const windows = [0, 3].map((from) => Array.from({ length: 5 }, (_, t) => [Math.sin(from + t), Math.cos(from - t)]));
  const forecast = { window: 5, variables: ['a', 'b'], hiddenSize: 6, seed: 2 };
  for (const [name, options] of [
    ['points', { horizon: 3 }],
    ['quantiles of one', { horizon: 2, targets: ['b'], quantiles: [0.1, 0.4, 0.9], cell: 'lstm', numLayers: 2 }],
    ['recursive', { horizon: 3, method: 'recursive' }],
    ['recursive, two linear steps', { horizon: 4, method: 'recursive', linear: 2 }],
    ['without a linear path', { horizon: 3, linear: 0 }],
    ['recursive quantiles', { horizon: 3, method: 'recursive', loss: 'quantile', layerNorm: true, onnx: false }],
  ]) {
    const { onnx, ...own } = options;
    yield { name, task: 'Forecaster', options: { ...forecast, ...own }, data: { windows }, onnx };
  }
  // three covariates, a day of the week as two of them
  const known = (t, b) => [Math.cos(2 * t - b), Math.sin(t), Math.cos(t)];
  const covariates = { futureCovariates: ['c'], calendar: ['dayOfWeek'] };
  for (const [name, own] of [
    ['covariates', { horizon: 3 }],
    ['covariates, quantiles, three linear steps', { horizon: 2, targets: ['b'], quantiles: [0.1, 0.4], linear: 3 }],
    ['covariates, without a linear path', { horizon: 3, linear: 0 }],
    ['covariates, recursive', { horizon: 4, method: 'recursive' }],
    ['covariates, one step', { horizon: 1 }],
  ]) {
    const more = windows.map((window, b) => window.map((values, t) => [...values, ...known(t + 1, b)]));
    const later = Array.from({ length: own.horizon - 1 }, (_, k) => windows.map((_, b) => known(6 + k, b)));
    const data = { windows: more, ...(later.length ? { future: later } : {}) };
    yield { name, task: 'Forecaster', options: { ...forecast, ...covariates, ...own }, data, onnx: true };
  }
}

/** Cases: a name, the class of the task, its options, data, and whether ONNX has the cell. */
export const cases = Array.from(all(), ({ onnx = true, ...own }) => ({ ...own, onnx }));

/** A model of a case; larger weights than fresh ones, so that it has something to say, and no learned state or gain is alike. */
export async function create({ task, options }) {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const made = await KINDS[task].create(given);
  const { model } = made;
  for (const { name } of model.parameters) {
    model.set(
      name,
      Float32Array.from(model.get(name), (w, i) => 2 * w + Math.sin(i) / 5),
    );
  }
  return made;
}

export const load = ({ task }, bytes) => KINDS[task].load(bytes);

const shaped = (tape, rows) => ({ shape: [rows.T, rows.B, rows.F], values: Array.from(read(tape, rows)) });

/** What the network of a model gives, by name: { shape, values }. */
export function outputs(task, data) {
  return task.model.forward((tape, layers) => {
    if (data.text) {
      const ids = task.vocabulary.encode('text', data.text);
      const x = layers.embedding.forward(tape, ids, { T: ids.length, B: 1 });
      return { logits: shaped(tape, layers.head.forward(tape, layers.rnn.forward(tape, x).output)) };
    }
    if (data.inputs) {
      const batch = data.inputs.map((sequence, i) => layers.input.encode(`inputs[${i}]`, sequence));
      const rows = [layers.forward(tape, batch)].flat();
      return Object.fromEntries(rows.map((own, k) => [`logits${k || ''}`, shaped(tape, own)]));
    }
    if (data.sources) {
      const B = data.tokens[0].length;
      const batch = data.sources.slice(0, B).map((pair) => ({
        sources: pair.map((sequence, k) => layers.inputs[k].encode('source', sequence)),
      }));
      const memory = layers.encode(tape, batch);
      const T = data.tokens.length;
      const { logits, weights } = layers.decode(tape, memory, data.tokens.flat(), T, memory.state);
      const looked = weights.map((own, k) => [`weights${k || ''}`, shaped(tape, own)]);
      return { logits: shaped(tape, logits), ...Object.fromEntries(looked) };
    }
    if (data.X) {
      const memory = layers.encode(
        tape,
        data.X.map((x) => Float32Array.from(x)),
      );
      const [T, B] = [data.before.length, data.X.length];
      const { written, settings, decoder } = layers;
      const before = written.embedding
        ? written.embedding.forward(tape, data.before.flat(), { T, B })
        : input(tape, data.before.flat(), { T, B, F: 2 });
      const x = settings.pass === 'state' ? before : concat(tape, [before, expand(tape, memory.context, { T })]);
      const y = decoder.forward(tape, x, memory.state).output;
      const over = written.over ? { over: shaped(tape, written.over.forward(tape, y)) } : {};
      return { logits: shaped(tape, layers.head.forward(tape, y)), ...over };
    }
    const [B, T, F] = [data.windows.length, data.windows[0].length, data.windows[0][0].length];
    const x = input(tape, data.windows.flat(2), { T, B, F }, { batchFirst: true });
    const future = (data.future ?? []).map((rows) => input(tape, rows.flat(), { T: 1, B, F: rows[0].length }));
    const pieces = layers.forward(tape, x, task.config.horizon, undefined, future);
    return Object.fromEntries(pieces.map((own, k) => [`step${k}`, shaped(tape, own)]));
  });
}
