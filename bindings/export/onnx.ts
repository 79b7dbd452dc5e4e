/**
 * gatewise/export/onnx: networks of gatewise as files of ONNX.
 *
 * @module
 */
import * as check from '../check.js';
import { UnsupportedError } from '../index.js';
import {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
} from '../tasks/index.js';
import { Graph } from './onnx-graph.js';
import * as nn from './onnx-layers.js';

export type {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  SequenceGenerator,
  SequenceRegressor,
  SequenceTagger,
  Transcriber,
} from '../tasks/index.js';

/** An encoder, and one step of a decoder. */
export interface OnnxPair {
  readonly encoder: Uint8Array<ArrayBuffer>;
  readonly decoder: Uint8Array<ArrayBuffer>;
}

/** A task, whatever the types of its data. */
type Any<T extends { model: unknown; config: object }> = Pick<T, 'model' | 'config'>;

/** Tasks whose network is one graph. */
export type OnnxTask =
  | Any<LanguageModel>
  | Any<SequenceClassifier>
  | Any<SequenceRegressor>
  | Any<SequenceTagger>
  | Any<Transcriber>
  | Any<Forecaster>;

/** Tasks that write step by step. */
export type OnnxWriter = Any<Seq2Seq> | Any<SequenceGenerator>;

/**
 * The network of a task as ONNX (operators of version 17), up to what is decoded: logits, or the numbers that are predicted. Softmax,
 * beams, CRFs and the scaling of a series stay outside. The metadata `gatewise` of the file is `{ task, config }` in JSON: the
 * vocabularies are in it.
 *
 * Inputs and outputs are time-major. T steps, B sequences, `lengths` [B] int32 their lengths: what lies past an end does not count.
 *
 * | task | inputs | outputs |
 * |---|---|---|
 * | LanguageModel | `tokens` [T,B], states `h.0` … `c.0` … [B,H] | `logits` [T,B,V], `next.h.0` … |
 * | SequenceClassifier | `tokens` [T,B], `tokens.NAME` of each feature, or `values` [T,B,F]; `lengths` | `logits` [B,classes] |
 * | SequenceRegressor | the same | `values` [B,outputSize] |
 * | SequenceTagger | the same | `logits` [T,B,classes], `logits.NAME` of each set |
 * | Transcriber | the same | `logits` [T,B,V+1], class 0 the blank of CTC |
 * | Forecaster | `values` [T,B,variables + covariates], scaled; `future` [horizon - 1,B,covariates] with covariates | `forecasts` [B,horizon,targets·quantiles], scaled |
 * | Seq2Seq, encoder | as the classifier's, `NAME.tokens` … of each source | `h.0` …, `context`, `attention.keys` and `.values` [S,B,F] |
 * | Seq2Seq, decoder | `token` [B], the encoder's outputs, `NAME.lengths` [B] | `logits` [B,V+1], `next.h.0` …, `attention.weights` [S,B] |
 * | SequenceGenerator, encoder | `x` [B,inputSize+classes] | `h.0` …, `context` |
 * | SequenceGenerator, decoder | `token` [B] or `before` [B,F], the encoder's outputs | `logits` or `values`, `over` [B,1], `next.h.0` … |
 *
 * Tokens are int64, everything else is float. A decoder has `context` only where it reads it, keys and values only with attention. Its
 * first token is V + 1, its end class V; a generator of vectors or bits begins with zeros.
 *
 * Needs the package `pbf`.
 *
 * @throws UnsupportedError for cells that ONNX has no operator for: `residual`, `mingru`, `minlstm`, `lru`, and LSTM, GRU and RNN with `layerNorm`, `cellClip`,
 *   `projectionSize` or zoneout
 *
 * @example
 * ```js
 * import { toOnnx } from 'gatewise/export/onnx';
 * import { Seq2Seq, SequenceClassifier } from 'gatewise/tasks';
 *
 * const classifier = await SequenceClassifier.create({ vocabulary: 'ab', classes: ['even', 'odd'], hiddenSize: 8 });
 * const bytes = await toOnnx(classifier); // a whole file, for writeFile
 * const seq2seq = await Seq2Seq.create({ source: { vocabulary: 'ab' }, target: 'xyz', hiddenSize: 8 });
 * const { encoder, decoder } = await toOnnx(seq2seq);
 * console.log(bytes.length > 1000, encoder.length > 1000, decoder.length > 1000); // true true true
 * ```
 */
export async function toOnnx(task: OnnxWriter): Promise<OnnxPair>;
export async function toOnnx(task: OnnxTask): Promise<Uint8Array<ArrayBuffer>>;
export async function toOnnx(task: OnnxTask | OnnxWriter): Promise<Uint8Array<ArrayBuffer> | OnnxPair>;
export async function toOnnx(task: OnnxTask | OnnxWriter): Promise<Uint8Array<ArrayBuffer> | OnnxPair> {
  check.made('task', task, 'fit', 'a model of gatewise/tasks', 'model');
  const { PbfWriter } = await pbf();
  const write = (graph: Graph) => {
    const { config } = task;
    return graph.write(new PbfWriter(), { gatewise: JSON.stringify({ task: graph.name, config }) });
  };
  if (task instanceof Seq2Seq) {
    const [encoder, decoder] = seq2seq(task);
    return { encoder: write(encoder), decoder: write(decoder) };
  }
  if (task instanceof SequenceGenerator) {
    const [encoder, decoder] = generator(task);
    return { encoder: write(encoder), decoder: write(decoder) };
  }
  if (task instanceof LanguageModel) return write(languageModel(task));
  if (task instanceof SequenceClassifier) return write(pooled(new Graph('sequence-classifier'), task, 'logits'));
  if (task instanceof SequenceRegressor) return write(pooled(new Graph('sequence-regressor'), task, 'values'));
  if (task instanceof SequenceTagger) return write(tagger(task));
  if (task instanceof Transcriber) return write(transcriber(task));
  if (task instanceof Forecaster) return write(forecaster(task));
  throw new TypeError('task: expected a model of gatewise/tasks');
}

async function pbf(): Promise<typeof import('pbf')> {
  try {
    return await import('pbf');
  } catch (cause) {
    throw new UnsupportedError("toOnnx needs the package 'pbf', which could not be loaded: npm install pbf", { cause });
  }
}

type Input = SequenceClassifier['model']['layers']['input'];

/** What a task reads, [T,B,F]; `place` stands before the names of the graph's inputs, `name` before those of the parameters. */
function read(g: Graph, weights: nn.Weights, { config }: Input, name: string, place = ''): string {
  if (config.kind === 'vectors') return g.input(`${place}values`, 'float', ['T', 'B', config.inputSize]);
  const parts = config.features.map((feature) => {
    const own = feature.name ? `.${feature.name}` : '';
    return nn.embedding(g, weights, `${name}${own}`, g.input(`${place}tokens${own}`, 'int64', ['T', 'B']));
  });
  return parts.length > 1 ? g.node('Concat', parts, { axis: -1 }) : parts[0];
}

type Sizes = ReturnType<() => LanguageModel['model']['layers']['rnn']['stateSizes']>;

/** States as inputs or outputs of a graph: `h.0` … and `c.0` … */
function stateInputs(g: Graph, { h, c }: Sizes): nn.States {
  const of = (kind: string, sizes: readonly number[]) =>
    sizes.map((size, i) => g.input(`${kind}.${i}`, 'float', ['B', size]));
  return { h: of('h', h), c: of('c', c) };
}

function stateOutputs(g: Graph, states: nn.States, sizes: Sizes, prefix = ''): void {
  for (const kind of ['h', 'c'] as const) {
    sizes[kind].forEach((size, i) => g.output(`${prefix}${kind}.${i}`, states[kind][i], ['B', size]));
  }
}

function languageModel({ model, config }: Any<LanguageModel>): Graph {
  const g = new Graph('language-model');
  const { rnn, head } = model.layers;
  const tokens = g.input('tokens', 'int64', ['T', 'B']);
  const states = stateInputs(g, rnn.stateSizes);
  const x = nn.embedding(g, model, 'embedding', tokens);
  const { output, ...next } = nn.recurrent(g, model, 'rnn', rnn, x, '', states);
  const weight = config.tieWeights ? { weight: 'embedding.weight' } : {};
  g.output('logits', nn.linear(g, model, 'head', output, weight), ['T', 'B', head.outputSize]);
  stateOutputs(g, next, rnn.stateSizes, 'next.');
  return g;
}

function pooled(g: Graph, { model }: Any<SequenceClassifier> | Any<SequenceRegressor>, name: string): Graph {
  const { input, rnn, settings, head } = model.layers;
  const lengths = g.input('lengths', 'int32', ['B']);
  const { output, h } = nn.recurrent(g, model, 'rnn', rnn, read(g, model, input, 'embedding'), lengths);
  const { pooling, hiddenLayers } = settings;
  const whole = pooling === 'last' ? last(g, h, rnn) : nn.pool(g, model, 'pool', pooling, output, lengths);
  g.output(name, nn.mlp(g, model, 'head', whole, hiddenLayers.length), ['B', head.options.outputSize]);
  return g;
}

/** The final states of the last layer side by side. */
function last(g: Graph, h: readonly string[], { bidirectional }: { bidirectional: boolean }): string {
  return bidirectional ? g.node('Concat', h.slice(-2), { axis: -1 }) : h[h.length - 1];
}

function tagger({ model }: Any<SequenceTagger>): Graph {
  const g = new Graph('sequence-tagger');
  const { input, rnn, settings, heads, sets } = model.layers;
  const lengths = g.input('lengths', 'int32', ['B']);
  const { output } = nn.recurrent(g, model, 'rnn', rnn, read(g, model, input, 'embedding'), lengths);
  sets.forEach(({ name }, k) => {
    const own = name ? `.${name}` : '';
    const logits = nn.mlp(g, model, `head${own}`, output, settings.hiddenLayers.length);
    g.output(`logits${own}`, logits, ['T', 'B', heads[k].options.outputSize]);
  });
  return g;
}

function transcriber({ model }: Any<Transcriber>): Graph {
  const g = new Graph('transcriber');
  const { input, rnn, settings, head } = model.layers;
  const lengths = g.input('lengths', 'int32', ['B']);
  const { output } = nn.recurrent(g, model, 'rnn', rnn, read(g, model, input, 'embedding'), lengths);
  const logits = nn.mlp(g, model, 'head', output, settings.hiddenLayers.length);
  g.output('logits', logits, ['T', 'B', head.options.outputSize]);
  return g;
}

function forecaster({ model }: Any<Forecaster>): Graph {
  const g = new Graph('forecaster');
  const { rnn, settings, points } = model.layers;
  const { method, horizon, targets, quantiles, variables, linear, extras } = settings;
  const x = g.input('values', 'float', ['T', 'B', variables.length + extras]);
  const future = extras && horizon > 1 ? g.input('future', 'float', [horizon - 1, 'B', extras]) : '';
  const width = targets.length * (quantiles.length || 1);
  /** Steps [T,B,F] side by side, [B,T·F]. */
  const flat = (steps: string) => g.node('Reshape', [g.node('Transpose', [steps], { perm: [1, 0, 2] }), g.ints(0, -1)]);
  const ahead = future && method === 'direct' ? [flat(future)] : [];
  const joined = (parts: readonly string[]) =>
    parts.length > 1 ? g.node('Concat', [...parts], { axis: 1 }) : parts[0];
  /** The output of the linear path is added: it reads the last steps [linear,B,V+C], side by side. */
  const added = (y: string, recent: string) =>
    g.node('Add', [y, nn.linear(g, model, 'linear', joined([flat(recent), ...ahead]))]);
  const latest = (steps: string) => g.node('Slice', [steps, g.ints(-linear), g.ints(2 ** 31 - 1), g.ints(0)]);
  let recent = linear ? latest(x) : '';
  let at = nn.recurrent(g, model, 'rnn', rnn, x);
  const outputs: string[] = [];
  for (;;) {
    const own = nn.linear(g, model, 'head', joined([at.h[at.h.length - 1], ...ahead]));
    const y = linear ? added(own, recent) : own;
    outputs.push(nn.unsqueeze(g, y, 1));
    if (method === 'direct' || outputs.length === horizon) break;
    const point = g.node('Gather', [y, g.ints(...points)], { axis: 1 });
    const known = future && g.node('Gather', [future, g.ints(outputs.length - 1)], { axis: 0 });
    const next = known && g.node('Reshape', [known, g.ints(-1, extras)]);
    const read = nn.unsqueeze(g, joined([point, ...(next ? [next] : [])]), 0);
    if (linear) recent = latest(g.node('Concat', [recent, read], { axis: 0 }));
    at = nn.recurrent(g, model, 'rnn', rnn, read, '', at);
  }
  const all =
    method === 'recursive'
      ? g.node('Concat', outputs, { axis: 1 })
      : g.node('Reshape', [outputs[0], g.ints(0, horizon, width)]);
  g.output('forecasts', all, ['B', horizon, width]);
  return g;
}

function seq2seq({ model }: Any<Seq2Seq>): [Graph, Graph] {
  const { layers } = model;
  const { inputs, encoders, decoder, settings, sources } = layers;
  const { context: kind, pass, attention } = settings;
  const e = new Graph('seq2seq');
  const d = new Graph('seq2seq');
  const state = stateInputs(d, decoder.stateSizes);
  const sizes: number[] = [];
  const looked: { name: string; keys: string; values: string; lengths: string }[] = [];
  const contexts = sources.map(({ name }, i) => {
    const own = name ? `.${name}` : '';
    const place = name ? `${name}.` : '';
    const rnn = encoders[i];
    const lengths = e.input(`${place}lengths`, 'int32', ['B']);
    const x = read(e, model, inputs[i], `source${own}`, place);
    const { output, h } = nn.recurrent(e, model, `encoder${own}`, rnn, x, lengths);
    if (attention) {
      const shape = ['S', 'B', rnn.outputSize];
      const projected = attention === 'dot' ? shape : ['S', 'B', decoder.outputSize];
      e.output(`${place}attention.values`, output, shape);
      e.output(`${place}attention.keys`, nn.attentionKeys(e, model, `attention${own}`, attention, output), projected);
      looked.push({
        name,
        keys: d.input(`${place}attention.keys`, 'float', projected),
        values: d.input(`${place}attention.values`, 'float', shape),
        lengths: d.input(`${place}lengths`, 'int32', ['B']),
      });
    }
    if (kind === 'mean') {
      sizes.push(rnn.outputSize);
      return nn.pool(e, model, '', 'mean', output, lengths);
    }
    const final = last(e, h, rnn);
    sizes.push(kind === 'affine' ? model.parameter(`context${own}.bias`).size : rnn.finalSize);
    return kind === 'affine' ? e.node('Tanh', [nn.linear(e, model, `context${own}`, final)]) : final;
  });
  const context = contexts.length > 1 ? e.node('Concat', contexts, { axis: -1 }) : contexts[0];
  const width = sizes.reduce((n, size) => n + size, 0);
  starts(e, model, context, width, pass, decoder, settings.bridge);

  let x = nn.embedding(d, model, 'embedding', d.input('token', 'int64', ['B']));
  if (pass !== 'state') x = d.node('Concat', [x, d.input('context', 'float', ['B', width])], { axis: -1 });
  const { output, ...next } = nn.recurrent(d, model, 'decoder', decoder, nn.unsqueeze(d, x, 0), '', state);
  let y = d.node('Squeeze', [output, d.ints(0)]);
  if (attention) {
    const seen = looked.map(({ name, ...memory }) => {
      const own = name ? `.${name}` : '';
      const { context: found, weights } = nn.attend(d, model, `attention${own}`, attention, y, memory);
      d.output(name ? `${name}.attention.weights` : 'attention.weights', weights, ['S', 'B']);
      return found;
    });
    const both = d.node('Concat', [...seen, y], { axis: -1 });
    y = d.node('Tanh', [nn.linear(d, model, 'combine', both, { bias: false })]);
  }
  d.output('logits', nn.linear(d, model, 'head', y), ['B', layers.head.outputSize]);
  stateOutputs(d, next, decoder.stateSizes, 'next.');
  return [e, d];
}

type Decoder = Seq2Seq['model']['layers']['decoder'];

/** What an encoder leaves: the decoder's initial state, and the context where each step reads it. */
function starts(
  g: Graph,
  weights: nn.Weights,
  context: string,
  width: number,
  pass: 'state' | 'input' | 'both' | 'none',
  decoder: Decoder,
  kind: 'none' | 'affine' | 'tanh' = 'tanh',
): void {
  const sizes = decoder.stateSizes;
  if (pass === 'input' || pass === 'both') g.output('context', context, ['B', width]);
  if (pass !== 'input' && pass !== 'none' && kind !== 'none') {
    stateOutputs(g, nn.bridge(g, weights, 'bridge', context, sizes, kind), sizes);
    return;
  }
  // zeros, or what is learned, for each sequence
  const B = g.node('Slice', [g.node('Shape', [context]), g.ints(0), g.ints(1)]);
  const { h, c } = decoder.state(1);
  const expanded = (values: Float32Array, i: number, kind: string) => {
    const row = g.floats(`start.${kind}.${i}`, [1, values.length], values);
    return g.node('Expand', [row, g.node('Concat', [B, g.ints(values.length)], { axis: 0 })]);
  };
  const own = (v: Float32Array, i: number) => (pass === 'input' || pass === 'none' ? expanded(v, i, 'h') : context);
  stateOutputs(g, { h: h.map(own), c: c.map((v, i) => expanded(v, i, 'c')) }, sizes);
}

function generator({ model }: Any<SequenceGenerator>): [Graph, Graph] {
  const { decoder, settings, outputSize, written } = model.layers;
  const { inputSize = 0, classes = [], hiddenLayers, pass } = settings;
  const { kind } = written;
  const e = new Graph('sequence-generator');
  const d = new Graph('sequence-generator');
  let width = inputSize + classes.length;
  let context = e.input('x', 'float', ['B', width]);
  if (hiddenLayers.length) {
    context = e.node('Relu', [nn.mlp(e, model, 'encoder', context, hiddenLayers.length - 1)]);
    width = hiddenLayers[hiddenLayers.length - 1];
  }
  starts(e, model, context, width, width ? pass : 'none', decoder);

  const state = stateInputs(d, decoder.stateSizes);
  let x =
    kind === 'tokens'
      ? nn.embedding(d, model, 'embedding', d.input('token', 'int64', ['B']))
      : d.input('before', 'float', ['B', outputSize]);
  if (width && pass !== 'state') x = d.node('Concat', [x, d.input('context', 'float', ['B', width])], { axis: -1 });
  const { output, ...next } = nn.recurrent(d, model, 'decoder', decoder, nn.unsqueeze(d, x, 0), '', state);
  const y = d.node('Squeeze', [output, d.ints(0)]);
  d.output(kind === 'vectors' ? 'values' : 'logits', nn.linear(d, model, 'head', y), ['B', outputSize]);
  if (kind !== 'tokens') d.output('over', nn.linear(d, model, 'over', y), ['B', 1]);
  stateOutputs(d, next, decoder.stateSizes, 'next.');
  return [e, d];
}
