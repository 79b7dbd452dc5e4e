/** Valid calls of the entries beside `gatewise`, `gatewise/tasks` and `gatewise/infer`, and what they are called on. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as gw from 'gatewise';
import { flowMap, gradientFlow, heatMap, lagMap } from 'gatewise/dynamics';
import { toOnnx } from 'gatewise/export/onnx';
import { extend } from 'gatewise/extend';
import * as fn from 'gatewise/functions';
import { Amp, loadAmp } from 'gatewise/import/amp';
import { loadKeras, loadNetwork, loadTfjs, Network, saveNetwork } from 'gatewise/import/keras';
import { loadOnnx, loadOnnxNode, readOnnx, readOnnxTensor } from 'gatewise/import/onnx';
import { loadStateDict, readPyTorch, readSafetensors } from 'gatewise/import/pytorch';
import { linkMemory, MemoryNetwork } from 'gatewise/memory';
import * as metrics from 'gatewise/metrics';
import { checkpointFile } from 'gatewise/node';
import { estimate, OnlineLearner } from 'gatewise/online';
import { Processor } from 'gatewise/processor';
import { QuantizedModel, quantize, quantizeSync } from 'gatewise/quantized';
import { EchoStateNetwork } from 'gatewise/reservoir';
import * as tasks from 'gatewise/tasks';
import * as training from 'gatewise/training';
import { inWorker, replicas } from 'gatewise/worker';
import type { Call, World } from './calls.js';

const V = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i + 1));
const file = (name: string) => new Uint8Array(readFileSync(new URL(`../../../tests/import/${name}`, import.meta.url)));
const text = (name: string) => new TextDecoder().decode(file(name));
const SERIES = Array.from({ length: 40 }, (_, t) => Math.sin(t / 2) + t / 20);
const RNN = { cell: 'gru', inputSize: 4, hiddenSize: 3 } as const;
const HEAD = { inputSize: 3, outputSize: 2 };
const WORDS = { vocabularySize: 5, embeddingSize: 4 };
const QUANTIZE = () => ({
  dtype: 'int8' as const,
  layers: { rnn: { ...RNN }, head: { ...HEAD }, words: { ...WORDS } },
  calibrate: { rnn: 1, head: [0.5, -1] },
});
const ONLINE = {
  cell: 'gru',
  inputSize: 2,
  hiddenSize: 3,
  outputSize: 2,
  loss: 'mse',
  method: 'rtrl',
  seed: 1,
} as const;
const NETWORK = () => ({
  batchFirst: false,
  inputSize: 2,
  mask: null,
  layers: [
    { kind: 'recurrent', name: 'rnn', options: { cell: 'gru', inputSize: 2, hiddenSize: 3 }, output: 'sequence' },
    { kind: 'layerNorm', name: 'norm', inputSize: 3, epsilon: 1e-5 },
    { kind: 'linear', name: 'head', inputSize: 3, outputSize: 2, bias: true },
  ] as const,
  output: 'softmax' as const,
});
const DEFAULT = { optimizer: null, schedule: null, position: null, state: null };

/** What the methods of the other entries are called on. */
export interface Things {
  readonly more: gw.Model<ReturnType<typeof layers>>;
  readonly esn: EchoStateNetwork;
  readonly learner: OnlineLearner;
  readonly quantized: QuantizedModel;
  readonly processor: Processor;
  readonly network: gw.Model<Network>;
  readonly onnx: Awaited<ReturnType<typeof loadOnnxNode>>;
  readonly amp: ReturnType<typeof loadAmp>;
  readonly squares: fn.LeastSquares;
  readonly recursive: fn.RecursiveLeastSquares;
  readonly batches: training.Batches<number[]>;
}

function layers(b: gw.Builder) {
  const rnn = new gw.Recurrent(b, 'rnn', RNN);
  const head = new gw.Linear(b, 'head', HEAD);
  return {
    rnn,
    head,
    words: new gw.Embedding(b, 'words', WORDS),
    conv: new fn.Conv1d(b, 'conv', { inputSize: 4, outputSize: 3, kernelSize: 2, padding: 'causal' }),
    chain: new fn.Sequential(b, [rnn, head]),
    vector: new fn.Vector(b, 'vector', { size: 4 }),
    memory: new MemoryNetwork(b, 'memory', { inputSize: 4, outputSize: 2, hiddenSize: 3, slots: 4, width: 3 }),
  };
}

export async function thingsOf(runtime: gw.Runtime): Promise<Things> {
  const more = new gw.Model(runtime, 3, layers);
  const esn = await EchoStateNetwork.create({ inputSize: 1, units: 8, seed: 1 });
  esn.fit(SERIES.slice(0, -1), SERIES.slice(1), { washout: 5 });
  const squares = new fn.LeastSquares(runtime, 4, 4);
  return {
    more,
    esn,
    squares,
    recursive: new fn.RecursiveLeastSquares(runtime, 4, 4),
    learner: OnlineLearner.createSync(ONLINE),
    quantized: quantizeSync(more, QUANTIZE()),
    processor: new Processor([more.layers.rnn, more.layers.head], { steps: 4 }),
    network: new gw.Model(runtime, 1, (b) => new Network(b, NETWORK())),
    onnx: await loadOnnxNode(runtime, file('onnx-gru-relu.onnx'), { node: 'gru-relu' }),
    amp: loadAmp(runtime, text('lstm.nam')),
    batches: new training.Batches(more, [[1], [2, 3], [4]], { batchSize: 2 }),
  };
}

type Args = (things: Things, p: Parameters<Call['args']>[1], w: World) => unknown[];
// biome-ignore lint/suspicious/noExplicitAny: that the arguments are wrong is the point
type Function = (...args: any[]) => unknown;

const kind =
  (where: Call['where']) =>
  (args: Args, call: Function, kept?: (things: Things) => Uint8Array): Call => ({
    ...(where ? { where } : {}),
    args: (w, p) => args(w.things, p, w),
    call,
    ...(kept ? { kept: (w: World) => kept(w.things) } : {}),
  });
const forward = kind('forward');
const step = kind('step');
const built = kind('build');
const plain = kind(undefined);

const learnerBytes = ({ learner }: Things) => learner.save();
const esnBytes = ({ esn }: Things) => esn.save();
const FLOW = ({ more }: Things) =>
  gradientFlow(more, (t, l) => gw.dotLoss(t, l.chain.forward(t, gw.input(t, V(12), { T: 3, B: 1, F: 4 })), V(6)));
const CLASSIFIED = () => [
  { label: 'x', probability: { x: 0.75, y: 0.25 } },
  { label: 'y', probability: { x: 0.4, y: 0.6 } },
];
const RATES = () => ({ rates: [1e-3, 1e-2, 0.1], losses: [3, 2, 4], smoothed: [3, 2, 4], suggestion: 0.01 });
const HISTORY = () => ({
  epochs: { step: [1, 2], loss: [2, 1] },
  steps: { step: [1, 2], loss: [2, 1] },
  validations: { step: [1, 2], loss: [2, 1], value: [2, 1] },
  best: { step: 2, metric: 'loss' },
});

export const ENTRY_CALLS: Record<string, Call> = {
  // gatewise/functions
  'new Conv1d': built(
    (_, { builder }) => [
      builder,
      'conv',
      { inputSize: 4, outputSize: 3, kernelSize: 3, stride: 1, dilation: 2, padding: [1, 2], bias: true },
    ],
    (...a: ConstructorParameters<typeof fn.Conv1d>) => new fn.Conv1d(...a),
  ),
  'conv.forward': forward(
    ({ more }, { tape, x }) => [more.layers.conv, tape, x],
    (l, ...a) => l.forward(...a),
  ),
  'conv.step': plain(
    ({ more }) => [more.layers.conv, V(4), more.layers.conv.state()],
    (l, ...a) => l.step(...a),
  ),
  'conv.state': plain(
    ({ more }) => [more.layers.conv, 2],
    (l, ...a) => l.state(...a),
  ),
  'new Sequential': built(
    (_, { builder }) => [builder, [new gw.Linear(builder, 'a', { inputSize: 4, outputSize: 2 }), fn.gelu]],
    (...a: ConstructorParameters<typeof fn.Sequential>) => new fn.Sequential(...a),
  ),
  'chain.forward': forward(
    ({ more }, { tape, x }) => [more.layers.chain, tape, x, more.layers.chain.state(2)],
    (l, ...a) => l.forward(...a),
  ),
  'chain.step': plain(
    ({ more }) => [more.layers.chain, V(4), more.layers.chain.state()],
    (l, ...a) => l.step(...a),
  ),
  'new Vector': built(
    (_, { builder }) => [builder, 'v', { size: 4, initializer: { kind: 'normal', std: 0.1 } }],
    (...a: ConstructorParameters<typeof fn.Vector>) => new fn.Vector(...a),
  ),
  'vector.rows': forward(
    ({ more }, { tape, x }) => [more.layers.vector, tape, x],
    (l, ...a) => l.rows(...a),
  ),
  'new LeastSquares': plain(
    (_, __, { runtime }) => [runtime, 3, 2],
    (...a: ConstructorParameters<typeof fn.LeastSquares>) => new fn.LeastSquares(...a).dispose(),
  ),
  'squares.add': forward(
    ({ squares }, { tape, x }) => [squares, tape, x, x],
    (s, ...a) => s.add(...a),
  ),
  'squares.solve': plain(
    ({ squares }) => [squares, 0.1, 3, 4],
    (s, ...a) => s.solve(...a),
  ),
  'new RecursiveLeastSquares': plain(
    (_, __, { runtime }) => [runtime, 3, 2, { ridge: 0.1, forgetting: 0.9 }],
    (...a: ConstructorParameters<typeof fn.RecursiveLeastSquares>) => new fn.RecursiveLeastSquares(...a).dispose(),
  ),
  'recursive.update': forward(
    ({ recursive }, { tape, x }) => [recursive, tape, x, x],
    (s, ...a) => s.update(...a),
  ),
  'recursive.weights': plain(
    ({ recursive }) => [recursive, V(16)],
    (s, weights) => {
      s.weights = weights;
    },
  ),
  linkFunctions: plain(
    (_, __, { runtime }) => [runtime],
    (...a: Parameters<typeof fn.linkFunctions>) => fn.linkFunctions(...a),
  ),
  concatTime: forward(
    (_, { tape, x }) => [tape, [x, x]],
    (...a: Parameters<typeof fn.concatTime>) => fn.concatTime(...a),
  ),
  gelu: forward(
    (_, { tape, x }) => [tape, x],
    (...a: Parameters<typeof fn.gelu>) => fn.gelu(...a),
  ),
  magnitude: forward(
    (_, { tape, x }) => [tape, x, x],
    (...a: Parameters<typeof fn.magnitude>) => fn.magnitude(...a),
  ),
  mask: forward(
    (_, { tape, x }) => [tape, x, [1, 0, 1, 1, 0, 1], -9],
    (...a: Parameters<typeof fn.mask>) => fn.mask(...a),
  ),
  scale: forward(
    (_, { tape, x }) => [tape, x, 2, 1],
    (...a: Parameters<typeof fn.scale>) => fn.scale(...a),
  ),
  multiply: forward(
    (_, { tape, x }) => [tape, x, x],
    (...a: Parameters<typeof fn.multiply>) => fn.multiply(...a),
  ),
  subtract: forward(
    (_, { tape, x }) => [tape, x, x],
    (...a: Parameters<typeof fn.subtract>) => fn.subtract(...a),
  ),
  ownFunction: step(
    (_, { tape, x }) => [tape, [x], { forward: ([v]: Float32Array[]) => v, backward: (g: Float32Array) => [g], F: 4 }],
    (...a: Parameters<typeof fn.ownFunction>) => fn.ownFunction(...a),
  ),
  ownLoss: step(
    (_, { tape, x }) => [tape, [x], ([v]: Float32Array[]) => ({ value: 1, gradients: [v] })],
    (...a: Parameters<typeof fn.ownLoss>) => fn.ownLoss(...a),
  ),
  // gatewise/training
  'new Batches': plain(
    ({ more }) => [more, [[1], [2, 3]], { batchSize: 2, length: (e?: number[]) => e?.length, shuffle: true }],
    (...a: ConstructorParameters<typeof training.Batches>) => new training.Batches(...a).next(),
  ),
  'batches.stepsFor': plain(
    ({ batches }) => [batches, 3],
    (b, ...a) => b.stepsFor(...a),
  ),
  bucket: plain(
    () => [[[1], [2, 3]], { batchSize: 2, length: (e?: number[]) => e?.length }],
    (...a: Parameters<typeof training.bucket>) => training.bucket(...a),
  ),
  padTokens: plain(
    () => [[[1], [2, 3]], 0],
    (...a: Parameters<typeof training.padTokens>) => training.padTokens(...a),
  ),
  padVectors: plain(
    () => [
      [
        [[1, 2]],
        [
          [3, 4],
          [5, 6],
        ],
      ],
    ],
    (...a: Parameters<typeof training.padVectors>) => training.padVectors(...a),
  ),
  saveTraining: plain(
    ({ more, batches }) => [more, { ...DEFAULT, position: { ...batches.position }, state: more.layers.rnn.state() }],
    (...a: Parameters<typeof training.saveTraining>) => training.saveTraining(...a),
  ),
  loadTraining: plain(
    ({ more }) => [more, training.saveTraining(more, { state: more.layers.rnn.state() })],
    (...a: Parameters<typeof training.loadTraining>) => training.loadTraining(...a),
    ({ more }) => gw.saveWeights(more),
  ),
  // gatewise/quantized
  quantize: plain(
    ({ more }) => [more, QUANTIZE()],
    async (...a: Parameters<typeof quantize>) => (await quantize(...a)).dispose(),
  ),
  quantizeSync: plain(
    ({ more }) => [more, QUANTIZE()],
    (...a: Parameters<typeof quantizeSync>) => quantizeSync(...a).dispose(),
  ),
  'QuantizedModel.load': plain(
    ({ quantized }) => [quantized.save(), {}],
    async (...a: Parameters<typeof QuantizedModel.load>) => (await QuantizedModel.load(...a)).dispose(),
  ),
  'quantized.layer': plain(
    ({ quantized }) => [quantized, 'rnn', 'head', 'words'],
    (q, a, b, c) => [q.recurrent(a), q.linear(b), q.embedding(c)],
  ),
  'quantized.step': plain(
    ({ quantized }) => {
      const rnn = quantized.recurrent('rnn');
      return [rnn, V(4), rnn.state(), new Float32Array(3)];
    },
    (l, ...a) => l.step(...a),
  ),
  'quantized.forward': plain(
    ({ quantized }) => {
      const rnn = quantized.recurrent('rnn');
      return [rnn, V(24), { T: 3, B: 2 }, rnn.state(2), new Float32Array(18)];
    },
    (l, ...a) => l.forward(...a),
  ),
  'quantized.state': plain(
    ({ quantized }) => [quantized.recurrent('rnn'), 2],
    (l, ...a) => l.state(...a),
  ),
  'quantized.linear': plain(
    ({ quantized }) => [quantized.linear('head'), V(6), new Float32Array(4)],
    (l, ...a) => l.forward(...a),
  ),
  'quantized.embedding': plain(
    ({ quantized }) => [quantized.embedding('words'), [1, 2], new Float32Array(8)],
    (l, ...a) => l.forward(...a),
  ),
  // gatewise/processor
  'new Processor': plain(
    ({ more }) => [[more.layers.rnn, more.layers.head], { steps: 4, batch: 2 }],
    (...a: ConstructorParameters<typeof Processor>) => new Processor(...a),
  ),
  'processor.process': plain(
    ({ processor }) => [processor, V(8), new Float32Array(4), processor.state()],
    (p, ...a) => p.process(...a),
  ),
  // gatewise/online
  'OnlineLearner.createSync': plain(
    () => [{ ...ONLINE, numLayers: 1, clipNorm: 1, optimizer: 'adam', learningRate: 0.01, maxBytes: 2 ** 24 }],
    (...a: Parameters<typeof OnlineLearner.createSync>) => OnlineLearner.createSync(...a).dispose(),
  ),
  'OnlineLearner.create': plain(
    () => [{ ...ONLINE }],
    async (...a: Parameters<typeof OnlineLearner.create>) => (await OnlineLearner.create(...a)).dispose(),
  ),
  'OnlineLearner.load': plain(
    ({ learner }) => [learner.save(), { maxBytes: 2 ** 24 }],
    (...a: Parameters<typeof OnlineLearner.loadSync>) => OnlineLearner.loadSync(...a).dispose(),
  ),
  'learner.step': plain(
    ({ learner }) => [learner, [0.5, 1], [1, 2], new Float32Array(2)],
    (l, ...a) => l.step(...a),
    learnerBytes,
  ),
  'learner.set': plain(
    ({ learner }) => [learner, 'rnn.bias_ih_l0', V(9)],
    (l, ...a) => l.set(...a),
    learnerBytes,
  ),
  'learner.get': plain(
    ({ learner }) => [learner, 'rnn.bias_ih_l0'],
    (l, ...a) => [l.get(...a), l.gradient(...a)],
  ),
  'learner.learningRate': plain(
    ({ learner }) => [learner, 0.001],
    (l, rate) => {
      l.learningRate = rate;
    },
    learnerBytes,
  ),
  'learner.estimate': plain(
    ({ learner }) => [learner, 10],
    (l, ...a) => l.estimate(...a),
  ),
  'learner.loadWeights': plain(
    ({ learner }) => [learner, learner.saveWeights(), { rename: { 'x.': 'rnn.' } }],
    (l, ...a) => l.loadWeights(...a),
    learnerBytes,
  ),
  estimate: plain(
    () => [{ ...ONLINE }, { method: 'snap1', steps: 10 }],
    (...a: Parameters<typeof estimate>) => estimate(...a),
  ),
  // gatewise/worker: no worker is started before these are checked
  inWorker: plain(
    () => ['LanguageModel', { url: 'worker.js' }],
    (...a: Parameters<typeof inWorker>) => void inWorker(...a),
  ),
  replicas: plain(
    () => [1, { shared: false, url: 'worker.js' }],
    (...a: Parameters<typeof replicas>) => replicas(...a).dispose(),
  ),
  // gatewise/reservoir
  'EchoStateNetwork.create': plain(
    () => [
      {
        inputSize: 1,
        outputSize: 1,
        units: 8,
        leak: 0.5,
        spectralRadius: 0.9,
        connectivity: 0.5,
        inputConnectivity: 1,
        inputScale: 1,
        biasScale: 0.1,
        ridge: 1e-4,
        feedthrough: true,
        seed: 1,
      },
    ],
    async (...a: Parameters<typeof EchoStateNetwork.create>) => (await EchoStateNetwork.create(...a)).dispose(),
  ),
  'EchoStateNetwork.load': plain(
    ({ esn }) => [esn.save(), {}],
    async (...a: Parameters<typeof EchoStateNetwork.load>) => (await EchoStateNetwork.load(...a)).dispose(),
  ),
  'esn.fit': plain(
    ({ esn }) => [esn, SERIES.slice(0, -1), SERIES.slice(1), { washout: 5 }],
    (e, ...a) => e.fit(...a),
    esnBytes,
  ),
  'esn.learn': plain(
    ({ esn }) => [esn, [1, 2, 3], [2, 3, 4]],
    (e, ...a) => e.learn(...a),
    esnBytes,
  ),
  'esn.predict': plain(
    ({ esn }) => [esn, [[1], [2], [3]]],
    (e, ...a) => e.predict(...a),
    esnBytes,
  ),
  'esn.forecast': plain(
    ({ esn }) => [esn, [1, 2, 3], 4],
    (e, ...a) => e.forecast(...a),
    esnBytes,
  ),
  // gatewise/dynamics
  gradientFlow: plain(
    ({ more }) => [
      more,
      (t: gw.Tape, l: Things['more']['layers']) =>
        gw.dotLoss(t, l.chain.forward(t, gw.input(t, V(12), { T: 3, B: 1, F: 4 })), V(6)),
      { clipNorm: 1, gradientNorms: [1, 2] },
    ],
    (m, work, options) => gradientFlow(m, work, options),
    ({ more }) => gw.saveWeights(more),
  ),
  'gradientFlow of a task': plain(
    (_, __, w) => [w.tasks.regressor, [{ input: V(3), target: [1, 2] }], { fit: { epochs: 1 } }],
    (t, data, options) => gradientFlow(t, data, options),
  ),
  flowMap: plain(
    (things) => [FLOW(things), 'title'],
    (...a: Parameters<typeof flowMap>) => flowMap(...a),
  ),
  lagMap: plain(
    (things) => [{ a: FLOW(things) }, 'title'],
    (...a: Parameters<typeof lagMap>) => lagMap(...a),
  ),
  heatMap: plain(
    () => [
      [
        { name: 'a', values: [1, 2] },
        { name: 'b', values: [0, 3] },
      ],
      { title: 't', x: { name: 'x', first: 1, step: 2 }, y: 'y', unit: 'u', scale: 'linear', from: 0, to: 4 },
    ],
    (...a: Parameters<typeof heatMap>) => heatMap(...a),
  ),
  // gatewise/memory
  'new MemoryNetwork': built(
    (_, { builder }) => [
      builder,
      'memory',
      { inputSize: 4, outputSize: 2, hiddenSize: 3, slots: 4, width: 3, shift: 1 },
    ],
    (...a: ConstructorParameters<typeof MemoryNetwork>) => new MemoryNetwork(...a),
  ),
  'memory.forward': forward(
    ({ more }, { tape }) => [more.layers.memory, tape, gw.input(tape, V(24), { T: 3, B: 2, F: 4 })],
    (l, ...a) => l.forward(...a),
  ),
  // gatewise/extend
  extend: plain(
    (_, __, w) => [w.tasks.classifier, { vocabulary: 'abcd', classes: ['x', 'y', 'z'], seed: 2, runtime: w.runtime }],
    async (...a: Parameters<typeof extend>) => ((await extend(...a)) as { dispose?(): void }).dispose?.(),
  ),
  // gatewise/metrics
  confusionMatrix: plain(
    () => [CLASSIFIED(), ['x', 'x']],
    (...a: Parameters<typeof metrics.confusionMatrix>) => metrics.confusionMatrix(...a),
  ),
  reliability: plain(
    () => [CLASSIFIED(), ['x', 'x'], { bins: 4 }],
    (...a: Parameters<typeof metrics.reliability>) => metrics.reliability(...a),
  ),
  fitTemperature: plain(
    () => [CLASSIFIED(), ['x', 'x'], { bins: 4 }],
    (...a: Parameters<typeof metrics.fitTemperature>) => metrics.fitTemperature(...a),
  ),
  'temperature.apply': plain(
    () => [metrics.fitTemperature(CLASSIFIED(), ['x', 'x']), { x: 0.5, y: 0.5 }],
    (t, ...a) => t.apply(...a),
  ),
  confusionPlot: plain(
    () => [structuredClone(metrics.confusionMatrix(CLASSIFIED(), ['x', 'x']))],
    (...a: Parameters<typeof metrics.confusionPlot>) => metrics.confusionPlot(...a),
  ),
  ratePlot: plain(
    () => [RATES()],
    (...a: Parameters<typeof metrics.ratePlot>) => metrics.ratePlot(...a),
  ),
  historyPlot: plain(
    () => [HISTORY(), 'loss'],
    (...a: Parameters<typeof metrics.historyPlot>) => metrics.historyPlot(...a),
  ),
  findLearningRate: plain(
    (_, __, w) => [
      w.tasks.regressor,
      (bytes: Uint8Array) => tasks.SequenceRegressor.load(bytes, { runtime: w.runtime }),
      (copy: tasks.SequenceRegressor, options: object) =>
        copy.fit([{ input: V(3), target: [1, 2] }], { batchSize: 1, ...options }),
      { from: 1e-4, to: 1e-2, steps: 10 },
    ],
    (...a: Parameters<typeof metrics.findLearningRate>) => metrics.findLearningRate(...a),
  ),
  // gatewise/node; the file is in a folder of its own
  checkpointFile: plain(
    () => [FOLDER],
    (path) => void checkpointFile(path),
  ),
  // gatewise/import and gatewise/export
  loadStateDict: plain(
    ({ more }) => [more, new Map(readSafetensors(gw.saveWeights(more)).tensors), { rename: { 'x.': 'rnn.' } }],
    (...a: Parameters<typeof loadStateDict>) => loadStateDict(...a),
    ({ more }) => gw.saveWeights(more),
  ),
  readPyTorch: plain(
    () => [file('tagger.pt')],
    (...a: Parameters<typeof readPyTorch>) => readPyTorch(...a),
  ),
  loadKeras: plain(
    (_, __, { runtime }) => [runtime, file('keras-masking.keras'), { seed: 1, dropout: false }],
    async (...a: Parameters<typeof loadKeras>) => (await loadKeras(...a)).dispose(),
  ),
  loadTfjs: plain(
    (_, __, { runtime }) => [runtime, text('tfjs-gru.json'), file, { seed: 1 }],
    async (...a: Parameters<typeof loadTfjs>) => (await loadTfjs(...a)).dispose(),
  ),
  loadOnnx: plain(
    (_, __, { runtime }) => [runtime, file('onnx-mean-dynamo.onnx'), { seed: 1 }],
    async (...a: Parameters<typeof loadOnnx>) => (await loadOnnx(...a)).dispose(),
  ),
  loadOnnxNode: plain(
    (_, __, { runtime }) => [runtime, file('onnx-gru-relu.onnx'), { node: 'gru-relu', tensors: new Map(), seed: 1 }],
    async (...a: Parameters<typeof loadOnnxNode>) => (await loadOnnxNode(...a)).dispose(),
  ),
  readOnnx: plain(
    () => [file('onnx-gru-relu.onnx')],
    (...a: Parameters<typeof readOnnx>) => readOnnx(...a),
  ),
  readOnnxTensor: plain(
    () => [Uint8Array.of(0x08, 1, 0x10, 1, 0x42, 1, 97, 0x4a, 4, 0, 0, 128, 63)],
    (...a: Parameters<typeof readOnnxTensor>) => readOnnxTensor(...a),
  ),
  'onnx.run': plain(
    ({ onnx }) => {
      const { inputSize } = onnx.layers.recurrent;
      return [onnx.layers, { X: V(2 * inputSize), T: 2, B: 1 }];
    },
    (l, ...a) => l.run(...a),
  ),
  toOnnx: plain(
    (_, __, w) => [w.tasks.regressor],
    (...a) => (toOnnx as (task: unknown) => unknown)(...(a as [unknown])),
  ),
  linkMemory: plain(
    (_, __, { runtime }) => [runtime],
    (...a: Parameters<typeof linkMemory>) => linkMemory(...a),
  ),
  saveNetwork: plain(
    ({ network }) => [network],
    (...a: Parameters<typeof saveNetwork>) => saveNetwork(...a),
  ),
  loadNetwork: plain(
    ({ network }, _, { runtime }) => [runtime, saveNetwork(network), { seed: 1 }],
    (...a: Parameters<typeof loadNetwork>) => loadNetwork(...a).dispose(),
  ),
  'new Network': built(
    (_, { builder }) => [builder, NETWORK()],
    (...a: ConstructorParameters<typeof Network>) => new Network(...a),
  ),
  'network.predict': plain(
    ({ network }) => [network.layers, V(12), { T: 3, B: 2, lengths: [3, 2] }, network.layers.states(2)],
    (l, ...a) => l.predict(...a),
  ),
  'network.step': plain(
    ({ network }) => [network.layers, V(2), network.layers.states()],
    (l, ...a) => l.step(...a),
  ),
  'network.forward': plain(
    ({ network }) => [network, V(6), { T: 3, B: 1 }, network.layers.states()],
    (m, ...a) => m.forward((tape: gw.Tape, l: Network) => void (l.forward as Function)(tape, ...a)),
  ),
  loadAmp: plain(
    (_, __, { runtime }) => [runtime, text('gru.rtneural.json'), { seed: 1 }],
    (...a: Parameters<typeof loadAmp>) => loadAmp(...a).dispose(),
  ),
  'new Amp': built(
    (_, { builder }) => [
      builder,
      {
        layers: [
          { kind: 'recurrent', cell: 'gru', inputSize: 1, hiddenSize: 2, numLayers: 1, learned: false },
          { kind: 'linear', inputSize: 2, outputSize: 1, activation: 'tanh' },
        ],
        skip: false,
        sampleRate: undefined,
      },
    ],
    (...a: ConstructorParameters<typeof Amp>) => new Amp(...a),
  ),
  'amp.process': plain(
    ({ amp }) => [amp.layers, V(6), amp.layers.states()],
    (l, ...a) => l.process(...a),
  ),
  // gatewise and gatewise/tasks: methods and functions that calls.ts does not name
  'embedding.step': plain(
    ({ more }) => [more.layers.words, [1]],
    (l, ...a) => l.step(...a),
  ),
  'linear.step': plain(
    ({ more }) => [more.layers.head, V(3)],
    (l, ...a) => l.step(...a),
  ),
  'builder.parameter': built(
    (_, { builder }) => [builder, 'p', [2, 3], { kind: 'uniform', bound: 1 }],
    (b, ...a) => b.parameter(...a),
  ),
  'schedule.rate': plain(
    () => [new gw.Schedule({ kind: 'cosine', steps: 10 }), 0.1],
    (s, ...a) => s.rate(...a),
  ),
  writeSafetensors: plain(
    () => [new Map([['a', { shape: [2], data: V(2) }]]), { a: 'b' }],
    (...a: Parameters<typeof gw.writeSafetensors>) => gw.writeSafetensors(...a),
  ),
  readSafetensors: plain(
    ({ more }) => [gw.saveWeights(more)],
    (...a: Parameters<typeof gw.readSafetensors>) => gw.readSafetensors(...a),
  ),
  words: plain(
    () => ['some words'],
    (...a: Parameters<typeof tasks.words>) => tasks.words(...a),
  ),
  spanMetrics: plain(
    () => [[['B-x', 'O']], [['B-x', 'I-x']]],
    (...a: Parameters<typeof tasks.spanMetrics>) => tasks.spanMetrics(...a),
  ),
  backtest: plain(
    () => [
      [...SERIES],
      {
        from: 30,
        until: 36,
        stride: 2,
        season: 4,
        create: { window: 3, horizon: 2, hiddenSize: 2 },
        fit: { epochs: 1 },
      },
    ],
    (...a: Parameters<typeof tasks.backtest>) => tasks.backtest(...a),
  ),
  chooseForecaster: plain(
    () => [
      [...SERIES],
      {
        windows: [3],
        differences: [0],
        trends: ['none'],
        normalizations: ['last'],
        cells: ['gru'],
        validation: 0.3,
        season: 4,
        create: { horizon: 2, hiddenSize: 2 },
        fit: { epochs: 1 },
      },
    ],
    (...a: Parameters<typeof tasks.chooseForecaster>) => tasks.chooseForecaster(...a),
  ),
};

/** A folder that nothing writes to. */
const FOLDER = join(mkdtempSync(join(tmpdir(), 'gatewise-fuzz-')), 'model.safetensors');
process.on('exit', () => rmSync(join(FOLDER, '..'), { recursive: true, force: true }));

const { softmax, logSoftmax, sum, mean } = fn;
for (const [name, pool] of Object.entries({ softmax, logSoftmax, sum, mean })) {
  ENTRY_CALLS[name] = forward(
    (_, { tape, x }) => [tape, x, { over: 'time' }],
    (...a: Parameters<typeof sum>) => pool(...a),
  );
}
