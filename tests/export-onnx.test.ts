/**
 * What toOnnx writes, read again field by field, and computed here in double precision for one model. That ONNX Runtime makes the same
 * of every task and cell is shown by `npm run test:interop`.
 */
import { type OnnxTask, type OnnxWriter, toOnnx } from 'gatewise/export/onnx';
import {
  Forecaster,
  LanguageModel,
  Seq2Seq,
  SequenceClassifier,
  type SequenceClassifierOptions,
  SequenceGenerator,
  SequenceTagger,
} from 'gatewise/tasks';
import { PbfReader } from 'pbf';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { rejects } from './support/rejects.js';

interface File {
  readonly metadata: Record<string, unknown>;
  readonly name: string;
  readonly nodes: { op: string; inputs: string[]; outputs: string[]; attributes: Record<string, unknown> }[];
  readonly constants: Map<string, { shape: number[]; data: Uint8Array; type: number }>;
  readonly inputs: string[];
  readonly outputs: string[];
}

/** Just enough of onnx.proto. */
function parse(bytes: Uint8Array): File {
  const file: File = { metadata: {}, name: '', nodes: [], constants: new Map(), inputs: [], outputs: [] };
  let name = '';
  const value = (names: string[]) => (tag: number, _: null, p: PbfReader) => {
    if (tag === 1) names.push(p.readString());
  };
  new PbfReader(bytes).readFields((tag, _, pbf) => {
    if (tag === 14) {
      const pair: string[] = [];
      pbf.readMessage((_tag, own, p) => own.push(p.readString()), pair);
      file.metadata[pair[0]] = JSON.parse(pair[1]);
    }
    if (tag !== 7) return;
    pbf.readMessage((field, _graph, p) => {
      if (field === 2) name = p.readString();
      if (field === 11) p.readMessage(value(file.inputs), null);
      if (field === 12) p.readMessage(value(file.outputs), null);
      if (field === 1) {
        const node = {
          op: '',
          inputs: [] as string[],
          outputs: [] as string[],
          attributes: {} as Record<string, unknown>,
        };
        p.readMessage((t, own, q) => {
          if (t === 1) own.inputs.push(q.readString());
          if (t === 2) own.outputs.push(q.readString());
          if (t === 4) own.op = q.readString();
          if (t !== 5) return;
          const attribute = { name: '', value: undefined as unknown, list: [] as unknown[] };
          q.readMessage((f, a, r) => {
            if (f === 1) a.name = r.readString();
            if (f === 3) a.value = r.readVarint(true);
            if (f === 4) a.value = r.readString();
            if (f === 7) a.list.push(r.readFloat());
            if (f === 8) a.list.push(r.readVarint(true));
            if (f === 9) a.list.push(r.readString());
          }, attribute);
          own.attributes[attribute.name] = attribute.value ?? attribute.list;
        }, node);
        file.nodes.push(node);
      }
      if (field === 5) {
        const tensor = { name: '', shape: [] as number[], data: new Uint8Array() as Uint8Array, type: 0 };
        p.readMessage((t, own, q) => {
          if (t === 1) own.shape.push(q.readVarint());
          if (t === 2) own.type = q.readVarint();
          if (t === 8) own.name = q.readString();
          if (t === 9) own.data = q.readBytes();
        }, tensor);
        file.constants.set(tensor.name, tensor);
      }
    }, null);
  }, null);
  return { ...file, name };
}

const floats = ({ constants }: File, name: string) => {
  const found = constants.get(name);
  ok(found, `${name} is among ${[...constants.keys()]}`);
  return new Float32Array(found.data.slice().buffer);
};

const SMALL = { vocabulary: 'abc', embeddingSize: 3, classes: ['x', 'y'], hiddenSize: 4, seed: 3 } as const;

type Disposing = { dispose(): void };

async function written(task: (OnnxTask | OnnxWriter) & Disposing): Promise<Uint8Array[]> {
  const files = await toOnnx(task);
  task.dispose();
  return files instanceof Uint8Array ? [files] : [files.encoder, files.decoder];
}

/** That every value is made by one node, or is an input or a constant, before it is used, and that names are used once. */
function sound({ nodes, constants, inputs, outputs }: File): void {
  const known = new Set([...constants.keys(), ...inputs]);
  is(known.size, constants.size + inputs.length, 'names of constants and inputs differ');
  for (const { op, inputs: used, outputs: made } of nodes) {
    for (const name of used) ok(name === '' || known.has(name), `${op} uses ${name}`);
    for (const name of made) {
      ok(!known.has(name), `${name} is made once`);
      known.add(name);
    }
  }
  for (const name of outputs) ok(known.has(name), `${name} is made`);
}

test('the graphs of all kinds of tasks are sound, and say what they read and give', async () => {
  const source = { vocabulary: 'abc', embeddingSize: 3 };
  const tasks: [task: (OnnxTask | OnnxWriter) & Disposing, ...graphs: [inputs: string, outputs: string][]][] = [
    [await SequenceClassifier.create({ ...SMALL, bidirectional: true, pooling: 'max' }), ['lengths tokens', 'logits']],
    [
      await SequenceTagger.create({ ...SMALL, classes: { pos: ['n', 'v'], 'a.b': ['o', 'i'] } }),
      ['lengths tokens', 'logits.pos logits.a.b'],
    ],
    [
      await LanguageModel.create({ vocabulary: 'abc', hiddenSize: 4, numLayers: 2, cell: 'lstm' }),
      ['tokens h.0 h.1 c.0 c.1', 'logits next.h.0 next.h.1 next.c.0 next.c.1'],
    ],
    [await Forecaster.create({ window: 4, horizon: 3, method: 'recursive', hiddenSize: 4 }), ['values', 'forecasts']],
    ...(await Promise.all(
      (['direct', 'recursive'] as const).map(
        async (method): Promise<[OnnxTask & Disposing, [string, string]]> => [
          await Forecaster.create({ window: 4, horizon: 3, method, futureCovariates: ['c'], calendar: ['month'] }),
          ['values future', 'forecasts'],
        ],
      ),
    )),
    [
      await Seq2Seq.create({ source, target: 'xy', hiddenSize: 4, attention: 'additive', pass: 'both' }),
      ['lengths tokens', 'attention.values attention.keys context h.0'],
      ['h.0 attention.keys attention.values lengths token context', 'attention.weights logits next.h.0'],
    ],
    [
      await SequenceGenerator.create({ inputSize: 2, target: { bits: 3 }, hiddenSize: 4 }),
      ['x', 'h.0'],
      ['h.0 before', 'logits over next.h.0'],
    ],
    [
      await SequenceGenerator.create({ target: 'ab', hiddenSize: 4, initialState: 'learned' }),
      ['x', 'h.0'],
      ['h.0 token', 'logits next.h.0'],
    ],
  ];
  for (const [task, ...graphs] of tasks) {
    const { config } = task;
    const files = (await written(task)).map(parse);
    is(files.length, graphs.length);
    files.forEach((file, i) => {
      sound(file);
      equal([file.inputs.join(' '), file.outputs.join(' ')], graphs[i], file.name);
      equal(file.metadata.gatewise, { task: file.name, config: JSON.parse(JSON.stringify(config)) });
    });
  }
});

test('gates are in the order of ONNX', async () => {
  const file = async (options: Partial<SequenceClassifierOptions>, number: (gate: number) => number) => {
    const task = await SequenceClassifier.create({ ...SMALL, ...options });
    const bias = `rnn.bias_ih_l0${options.reverse ? '_reverse' : ''}`;
    const { shape } = task.model.parameter(bias);
    task.model.set(
      bias,
      Float32Array.from({ length: shape[0] }, (_, i) => number(Math.floor(i / 4))),
    );
    if (options.peepholes) {
      const n = options.coupled ? 2 : 3;
      task.model.set(
        'rnn.weight_peephole_l0',
        Float32Array.from({ length: 4 * n }, (_, i) => 1 + Math.floor(i / 4)),
      );
    }
    const [bytes] = await written(task);
    const own = parse(bytes);
    const every4 = (name: string) => [...floats(own, name)].filter((_, i) => i % 4 === 0);
    const node = own.nodes.find(({ op }) => ['RNN', 'GRU', 'LSTM'].includes(op));
    const P = options.peepholes ? every4('rnn.l0.P') : [];
    return {
      B: every4('rnn.l0.B').slice(0, shape[0] / 4 + (options.coupled ? 1 : 0)),
      P,
      attributes: node?.attributes,
    };
  };
  // i f g o to i o f c; peepholes i f o to i o f
  equal(await file({ cell: 'lstm', peepholes: true }, (gate) => gate + 1), {
    B: [1, 4, 2, 3],
    P: [1, 3, 2],
    attributes: { hidden_size: 4, direction: 'forward' },
  });
  // i g o: the forget gate is the input gate's of -x
  equal(await file({ cell: 'lstm', coupled: true, peepholes: true }, (gate) => gate + 1), {
    B: [1, 3, -1, 2],
    P: [1, 2, -1],
    attributes: { hidden_size: 4, direction: 'forward' },
  });
  // r z n to z r h
  equal(await file({ cell: 'gru', activation: 'relu' }, (gate) => gate + 1), {
    B: [2, 1, 3],
    P: [],
    attributes: { hidden_size: 4, direction: 'forward', linear_before_reset: 1, activations: ['Sigmoid', 'Relu'] },
  });
  is((await file({ cell: 'gru', reset: 'before' }, () => 0)).attributes?.linear_before_reset, 0);
  equal(await file({ cell: 'rnn', activation: 'identity', reverse: true }, (gate) => gate + 1), {
    B: [1],
    P: [],
    attributes: {
      hidden_size: 4,
      direction: 'reverse',
      activations: ['Affine'],
      activation_alpha: [1],
      activation_beta: [0],
    },
  });
});

test('weights are those of the model, matrices transposed where they are multiplied', async () => {
  const task = await SequenceClassifier.create(SMALL);
  const [table, head] = [task.model.get('embedding.weight'), task.model.get('head.weight')];
  const [bytes] = await written(task);
  const file = parse(bytes);
  equal(floats(file, 'embedding.weight'), table);
  equal(file.constants.get('head.weight.transposed')?.shape, [4, 2]);
  equal(
    [...floats(file, 'head.weight.transposed')],
    [0, 4, 1, 5, 2, 6, 3, 7].map((i) => head[i]),
  );
});

test('cells that ONNX lacks are refused by name', async () => {
  const refusals: [options: Partial<SequenceClassifierOptions>, message: RegExp][] = [
    [
      { cell: 'residual' },
      /^toOnnx: ONNX has no recurrent operator for cell: 'residual'; it has them for rnn, gru, lstm/,
    ],
    [{ cell: 'mingru' }, /^toOnnx: ONNX has no recurrent operator for cell: 'mingru'/],
    [{ cell: 'lru', hiddenSize: 4 }, /^toOnnx: ONNX has no recurrent operator for cell: 'lru'/],
    [{ cell: 'minlstm' }, /^toOnnx: ONNX has no recurrent operator for cell: 'minlstm'/],
    [{ layerNorm: true }, /operator LSTM has nothing for layerNorm: true/],
    [{ cell: 'gru', layerNorm: true }, /operator GRU has nothing for layerNorm: true/],
    [{ projectionSize: 2 }, /operator LSTM has nothing for projectionSize: 2/],
    [{ cellClip: 1 }, /operator LSTM has nothing for cellClip: 1/],
    [{ zoneoutHidden: 0.1 }, /nothing for zoneoutHidden: 0.1/],
    [{ zoneoutCell: 0.1 }, /nothing for zoneoutCell: 0.1/],
  ];
  for (const [options, message] of refusals) {
    const task = await SequenceClassifier.create({ ...SMALL, ...options });
    await rejects(toOnnx(task), message);
    task.dispose();
  }
  await rejects(toOnnx({} as LanguageModel), /task: expected a model of gatewise\/tasks/);
});

test.run();
