/**
 * ONNX: single nodes compute what onnxruntime and ONNX's own tests say, exported models become networks that do, and what does not
 * fit is refused by name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { crossEntropyLoss, mseLoss, Optimizer, Runtime } from 'gatewise';
import {
  loadNetwork,
  loadOnnx,
  loadOnnxNode,
  readOnnx,
  readOnnxTensor,
  saveNetwork,
  type Tensor,
} from 'gatewise/import/onnx';
import { PbfWriter } from 'pbf';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { close } from './support/numbers.js';
import { rejects } from './support/rejects.js';

type Values = Record<string, { shape: number[]; data: ArrayLike<number> }>;
type Case = { inputs: Values; outputs: Values };

const root = fileURLToPath(new URL('../..', import.meta.url));
const bytes = (path: string) => new Uint8Array(readFileSync(path));
const file = (name: string) => bytes(`${root}/tests/import/${name}.onnx`);
const cases = (name: string): Record<string, Case> => JSON.parse(readFileSync(`${root}/tests/import/${name}`, 'utf8'));
const expected = { ...cases('onnx.json'), ...cases('onnx-functions.json'), ...cases('onnx-keras.json') };
/** Whole models; the others are single nodes. */
const isModel = (name: string) => /-(torchscript|dynamo)$|^onnx-keras-/.test(name);
const runtime = await Runtime.create();

/** Runs a graph of one recurrent node. */
async function runNode(model: Uint8Array, { inputs, outputs }: Case, what: string): Promise<void> {
  const [node] = (await readOnnx(model)).nodes;
  const floats = (values: Values) =>
    new Map(
      Object.entries(values).map(([n, v]): [string, Tensor] => [
        n,
        { shape: v.shape, data: Float32Array.from(v.data) },
      ]),
    );
  const layer = await loadOnnxNode(runtime, model, { tensors: floats(inputs) });
  const named = (i: number) => inputs[node.inputs[i] ?? '']?.data;
  const [X, lens, h, c] = [inputs[node.inputs[0]], named(4), named(5), named(6)];
  const [first, second] = X.shape;
  const [T, B] = layer.layers.parts.layout ? [second, first] : [first, second];
  const results = layer.layers.run({ X: X.data, T, B, sequence_lens: lens, initial_h: h, initial_c: c });
  let seen = 0;
  ([results.Y, results.Y_h, results.Y_c] as const).forEach((got, i) => {
    const want = outputs[node.outputs[i] ?? ''];
    if (!want) return;
    close(got, want.data, 1e-5, `${what} ${node.outputs[i]}`);
    seen++;
  });
  ok(seen > 0, 'nothing was compared');
  // inputs that are constants need not be repeated
  const again = layer.layers.run({ X: X.data, T, B });
  equal(again, results);
  layer.dispose();
}

for (const name of Object.keys(expected).filter((n) => !isModel(n))) {
  test(`${name}: the outputs of onnxruntime`, () => runNode(file(name), expected[name], name));
}

/** A test in the form of ONNX's own: a model and files of tensors. */
async function readCase(folder: string): Promise<{ model: Uint8Array; values: Case }> {
  const model = bytes(`${folder}/model.onnx`);
  const graph = await readOnnx(model);
  const load = async (kind: string, names: readonly string[]) => {
    const values: Values = {};
    for (const [i, name] of names.entries()) {
      const path = `${folder}/test_data_set_0/${kind}_${i}.pb`;
      if (!existsSync(path)) continue;
      const { shape, data } = await readOnnxTensor(bytes(path));
      values[name] = { shape: [...shape], data };
    }
    return values;
  };
  const inputs = await load(
    'input',
    graph.inputs.map(({ name }) => name),
  );
  const outputs = await load(
    'output',
    graph.outputs.map(({ name }) => name),
  );
  return { model, values: { inputs, outputs } };
}

/** Runs a whole model; states and sequence lengths are inputs by their names. */
async function runNetwork(model: Uint8Array, { inputs, outputs }: Case, what: string): Promise<void> {
  const loaded = await loadOnnx(runtime, model);
  const net = loaded.layers;
  const [[, X]] = Object.entries(inputs);
  const [T, B] = net.description.batchFirst ? [X.shape[1], X.shape[0]] : X.shape;
  const states = net.states(B);
  const initial = Object.entries(inputs).filter(([name]) => /^[hc]0$/.test(name));
  for (const [name, { data }] of initial) {
    const H = data.length / B / states.length;
    states.forEach((state, l) => {
      state[name[0] as 'h' | 'c'][0].set(Float32Array.from(data).subarray(l * B * H, (l + 1) * B * H));
    });
  }
  const got = net.predict(X.data, { T, B }, initial.length ? states : undefined);
  const [main, ...rest] = Object.entries(outputs);
  close(got, main[1].data, 1e-5, what);
  rest.forEach(([name, { data }], i) => {
    const finals = states.flatMap((state) => [...state[i ? 'c' : 'h'][0]]);
    close(finals, data, 1e-5, `${what} ${name}`);
  });
  loaded.dispose();
}

for (const name of Object.keys(expected).filter(isModel)) {
  test(`${name}: the outputs of onnxruntime`, () => runNetwork(file(name), expected[name], name));
}

const reference = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const folders = [`${root}/tests/onnx`, `${root}/build/onnx-node`, `${reference}/onnx-node`, `${reference}/onnx-own`];
for (const folder of folders) {
  const names = existsSync(folder) ? readdirSync(folder).filter((n) => existsSync(`${folder}/${n}/model.onnx`)) : [];
  const label = folder.split('/').slice(-2).join('/');
  if (names.length === 0) {
    const how = folder.startsWith(root)
      ? 'interop/make_onnx.py nodes makes them'
      : 'GATEWISE_REFERENCE names the folder around them';
    console.log(`  SKIPPED: the operator tests of ${label.split('/')[1]} are not here (${how})`);
  }
  for (const name of names) {
    test(`${label}/${name}`, async () => {
      const { model, values } = await readCase(`${folder}/${name}`);
      const { nodes } = await readOnnx(model);
      await (nodes.length === 1 ? runNode : runNetwork)(model, values, name);
    });
  }
}

// --- models made here, to be refused ---

interface NodeSpec {
  op: string;
  name?: string;
  inputs: string[];
  outputs: string[];
  attributes?: Record<string, number | string | string[]>;
}

/** A file of ONNX; its tensors are zeros of these shapes. */
function written(
  nodes: NodeSpec[],
  tensors: Record<string, number[]>,
  inputs: Record<string, [number, number]>,
  outputs: string[],
) {
  const pbf = new PbfWriter();
  const text = (tag: number, value: string, to: PbfWriter) => to.writeStringField(tag, value);
  const graph = (_: null, g: PbfWriter) => {
    for (const { op, name = '', inputs: from, outputs: to, attributes = {} } of nodes) {
      g.writeMessage(
        1,
        (__, n) => {
          for (const value of from) text(1, value, n);
          for (const value of to) text(2, value, n);
          text(3, name, n);
          text(4, op, n);
          for (const [key, value] of Object.entries(attributes)) {
            n.writeMessage(
              5,
              (___, a) => {
                text(1, key, a);
                if (typeof value === 'string') text(4, value, a);
                else if (typeof value === 'number') a.writeVarintField(3, value);
                else for (const item of value) text(9, item, a);
                a.writeVarintField(20, typeof value === 'string' ? 3 : typeof value === 'number' ? 2 : 8);
              },
              null,
            );
          }
        },
        null,
      );
    }
    for (const [name, shape] of Object.entries(tensors)) {
      g.writeMessage(
        5,
        (__, t) => {
          for (const n of shape) t.writeVarintField(1, n);
          t.writeVarintField(2, 1);
          text(8, name, t);
          t.writeBytesField(9, new Uint8Array(4 * shape.reduce((n, d) => n * d, 1)));
        },
        null,
      );
    }
    for (const [name, [type, rank]] of Object.entries(inputs)) {
      g.writeMessage(
        11,
        (__, v) => {
          text(1, name, v);
          v.writeMessage(
            2,
            (___, t) =>
              t.writeMessage(
                1,
                (____, x) => {
                  x.writeVarintField(1, type);
                  x.writeMessage(
                    2,
                    (_____, s) => {
                      for (let d = 0; d < rank; d++) s.writeMessage(1, (______, e) => text(2, `d${d}`, e), null);
                    },
                    null,
                  );
                },
                null,
              ),
            null,
          );
        },
        null,
      );
    }
    for (const name of outputs) g.writeMessage(12, (__, v) => text(1, name, v), null);
  };
  pbf.writeMessage(7, graph, null);
  pbf.writeMessage(8, (_, o) => o.writeVarintField(2, 17), null);
  return pbf.finish();
}

const H = 2;
const lstm = (attributes: NodeSpec['attributes'] = {}, more: string[] = []): NodeSpec => ({
  op: 'LSTM',
  name: 'my_lstm',
  inputs: ['x', 'W', 'R', ...more],
  outputs: ['y', 'h', 'c'],
  attributes: { hidden_size: H, ...attributes },
});
const W = { W: [1, 4 * H, 3], R: [1, 4 * H, H] };
const features = { x: [1, 3] as [number, number] };

test('attributes that gatewise lacks are refused by the names of node and attribute', async () => {
  const both = { W: [2, 4 * H, 3], R: [2, 4 * H, H] };
  const load = (attributes: NodeSpec['attributes'], tensors: Record<string, number[]> = W) =>
    loadOnnxNode(runtime, written([lstm(attributes)], tensors, features, ['y']));
  await rejects(load({ clip: 0 }), /^node 'my_lstm' \(LSTM\): attribute 'clip' is 0, expected a number above 0/);
  await rejects(
    load({ activations: ['Sigmoid', 'Swish', 'Tanh'] }),
    /attribute 'activations' \(Sigmoid, Swish, Tanh\) is not supported: Swish/,
  );
  await rejects(
    load({ activations: ['Sigmoid', 'Affine', 'Tanh'] }),
    /expected attribute 'activation_alpha': Affine needs/,
  );
  const pair = await load(
    { direction: 'bidirectional', activations: ['Sigmoid', 'Tanh', 'Tanh', 'HardSigmoid', 'Relu', 'Tanh'] },
    both,
  );
  const { gateActivation, activation, outputActivation } = pair.layers.parts.options;
  equal(gateActivation, ['sigmoid', { kind: 'hardSigmoid', alpha: 0.2, beta: 0.5 }]);
  equal([activation, outputActivation], [['tanh', 'relu'], 'tanh']);
  await rejects(load({ activations: ['Tanh'] }), /lists 1, expected 3/);
  await rejects(load({ direction: 'sideways' }), /attribute 'direction' is 'sideways'/);
  await rejects(load({ zoneout: 1 }), /attribute 'zoneout' is not supported/);
  await rejects(load({ hidden_size: 3 }), /W is \[1, 8, 3\], expected \[1, 12, 3\]/);
  await rejects(load({}, { R: W.R }), /its input W \('W'\) is not a constant/);
  await rejects(
    loadOnnxNode(runtime, file('onnx-stateful-dynamo')),
    /node: expected the name of a recurrent node of the graph: node_LSTM/,
  );
  const layer = await load({});
  const x = new Float32Array(12);
  throws(() => layer.layers.run({ X: x, T: 2, B: 2, sequence_lens: [2, -1] }), /lengths\[1\]/);
  throws(() => layer.layers.run({ X: x, T: 2, B: 2, initial_h: [1] }), /initial_h: expected D·B·H = 4 numbers, got 1/);
});

test('what is not a chain of layers is refused by the name of the node', async () => {
  const load = (nodes: NodeSpec[], tensors: Record<string, number[]> = W, outputs = ['z']) =>
    loadOnnx(runtime, written(nodes, tensors, features, outputs));
  const after = (op: string, inputs: string[], attributes: NodeSpec['attributes'] = {}) =>
    load(
      [
        lstm(),
        { op: 'Squeeze', inputs: ['y', 'one'], outputs: ['s'] },
        { op, name: 'n', inputs, outputs: ['z'], attributes },
      ],
      {
        ...W,
        K: [H, 5],
        b: [5],
      },
    );
  await rejects(after('Conv', ['s', 'K']), /has no axes|'one' is not defined/);
  const plain = (op: string, inputs: string[], attributes: NodeSpec['attributes'] = {}) =>
    load(
      [lstm(), { op: 'Squeeze', inputs: ['y'], outputs: ['s'] }, { op, name: 'n', inputs, outputs: ['z'], attributes }],
      { ...W, K: [H, 5], b: [5] },
    );
  await rejects(plain('Conv', ['s', 'K']), /^node 'n' \(Conv\): the operator does not fit a chain of layers$/);
  await rejects(plain('constructor', ['s']), /^node 'n' \(constructor\): the operator does not fit/);
  await rejects(plain('Add', ['s', 's']), /^node 'n' \(Add\): adds two outputs of layers/);
  await rejects(
    plain('Add', ['s', 'b']),
    /^node 'n' \(Add\): a constant can be added as the bias of a linear layer only/,
  );
  await rejects(plain('MatMul', ['s', 'R']), /expected a matrix, its second input has 3 axes/);
  await rejects(plain('MatMul', ['x', 'K']), /^node 'n' \(MatMul\): reads input 'x' in the middle of the chain/);
  await rejects(plain('Gemm', ['s', 'K', 'b'], { transA: 1 }), /attribute 'transA' \(1\) is not supported/);
  await rejects(plain('Softmax', ['s'], { axis: 0 }), /attribute 'axis' is 0/);
  // along the axis of time, which comes last
  const turned = (op: string, inputs: string[]) => [
    lstm(),
    { op: 'Squeeze', inputs: ['y'], outputs: ['s'] },
    { op: 'MatMul', inputs: ['s', 'K'], outputs: ['m'] },
    { op: 'Transpose', inputs: ['m'], outputs: ['t'] },
    { op, name: 'n', inputs, outputs: ['z'] },
  ];
  const more = { ...W, K: [H, 5], b: [5] };
  await rejects(
    load(turned('Softmax', ['t']), more),
    /^node 'n' \(Softmax\): expected the features of the layer before it as the last axis/,
  );
  await rejects(load(turned('Add', ['t', 'b']), more), /^node 'n' \(Add\): expected the features/);
  await rejects(load([lstm({}, ['', '', 'x'])]), /initial_h is made of the input of the chain/);
  await rejects(
    load([
      { op: 'Cast', inputs: ['x'], outputs: ['i'], attributes: { to: 7 } },
      { ...lstm(), inputs: ['i', 'W', 'R'] },
    ]),
    /expected features, its input is tokens/,
  );
  await rejects(plain('Concat', ['s', 'h'], { axis: 2 }), /puts outputs of layers together/);
  await rejects(plain('ReduceMean', ['s'], {}), /along the axis of time only/);
  await rejects(plain('Relu', ['c']), /reads the state c of node 'my_lstm' \(LSTM\)/);
  await rejects(
    load([
      lstm(),
      { op: 'Relu', inputs: ['y'], outputs: ['z'] },
      { op: 'Tanh', name: 't', inputs: ['y'], outputs: ['q'] },
    ]),
    /^node 't' \(Tanh\): reads node 'my_lstm' \(LSTM\), which is not the one before it/,
  );
  await rejects(
    load([{ op: 'Relu', name: 'r', inputs: ['x'], outputs: ['z'] }]),
    /^node 'r' \(Relu\): a layer with weights has to come first/,
  );
  await rejects(load([{ op: 'MatMul', inputs: ['x', 'K'], outputs: ['z'] }], { K: [3, 5] }), /no recurrent node/);
  await rejects(load([lstm()], W, ['y', 'q']), /output 'q': a chain of layers has one output, and final states/);
});

test('files that are damaged, or something else', async () => {
  const whole = file('onnx-tagger-dynamo');
  await rejects(readOnnx(new Uint8Array(0)), /no graph with nodes/);
  await rejects(readOnnx(whole.subarray(0, 4000)), /cut off/);
  await rejects(readOnnx(bytes(`${root}/tests/import/tagger.pt`)), /not one of ONNX|cut off|no graph/);
  await rejects(readOnnx(new TextEncoder().encode('{"a": 1}')), /not one of ONNX|cut off|no graph/);
});

test('an imported model is trained on, saved, loaded without pbf, and stepped', async () => {
  const model = await loadOnnx(runtime, file('onnx-stateful-torchscript'));
  const { tokens } = expected['onnx-stateful-torchscript'].inputs;
  const [T, B] = tokens.shape;
  const optimizer = new Optimizer(model, { learningRate: 0.05 });
  const targets = Int32Array.from({ length: T * B }, (_, i) => i % 7);
  const losses = Array.from({ length: 30 }, () => {
    const loss = model.valueAndGrad((tape, net) =>
      crossEntropyLoss(tape, net.forward(tape, tokens.data, { T, B }), targets),
    );
    optimizer.step();
    return loss;
  });
  ok(losses[29] < 0.8 * losses[0], losses.join());
  const trained = model.layers.predict(tokens.data, { T, B });
  const again = loadNetwork(runtime, saveNetwork(model)).layers;
  equal(again.predict(tokens.data, { T, B }), trained);
  const states = again.states(B);
  const steps = Array.from({ length: T }, (_, t) => [
    ...again.step(Array.from(tokens.data).slice(t * B, (t + 1) * B), states),
  ]);
  equal(steps.flat(), [...trained]);
});

test('of a sequence of length 0 all results are 0, as in onnxruntime, and others are as without it', async () => {
  const model = await loadOnnxNode(runtime, file('onnx-lstm-peepholes'));
  const { inputs } = expected['onnx-lstm-peepholes'];
  const [T, B] = inputs.X.shape;
  const { initial_h, initial_c } = { initial_h: inputs.initial_h.data, initial_c: inputs.initial_c.data };
  const run = (lens: number[]) =>
    model.layers.run({ X: inputs.X.data, T, B, sequence_lens: lens, initial_h, initial_c });
  const [some, full] = [run([4, 0, 3]), run([4, 1, 3])];
  const H = 3;
  for (const [name, outer] of [
    ['Y', T * 2],
    ['Y_h', 2],
    ['Y_c', 2],
  ] as const) {
    for (let o = 0; o < outer; o++) {
      const row = (values: Float32Array, b: number) => values.subarray((o * B + b) * H, (o * B + b + 1) * H);
      equal(row(some[name], 1), new Float32Array(H));
      for (const b of [0, 2]) equal(row(some[name], b), row(full[name], b));
    }
  }
  ok(full.Y_h.subarray(H, 2 * H).some((v) => v !== 0));
});

test('a node is trained on like any layer', async () => {
  const model = await loadOnnxNode(runtime, file('onnx-lstm-coupled'));
  is(model.layers.recurrent.inputSize, 2);
  const { input } = await import('gatewise');
  const x = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
  const optimizer = new Optimizer(model, { learningRate: 0.02 });
  const losses = Array.from({ length: 10 }, () => {
    const loss = model.valueAndGrad((tape, node) => {
      const { output } = node.forward(tape, input(tape, x, { T: 3, B: 2, F: 2 }));
      return mseLoss(tape, output, new Float32Array(18));
    });
    optimizer.step();
    return loss;
  });
  ok(losses[9] < losses[0], losses.join());
});

test.run();
