/** Files of torch.save: every type and stride, what is refused, and models that compute what PyTorch computes. */
import { readFileSync } from 'node:fs';
import {
  Embedding,
  FormatError,
  input,
  LayerNorm,
  Linear,
  Model,
  mseLoss,
  Optimizer,
  Recurrent,
  Runtime,
  read,
} from 'gatewise';
import { loadStateDict, readPyTorch, readSafetensors, type Tensor } from 'gatewise/import/pytorch';
import { test } from 'uvu';
import { equal, instance, is, ok, throws } from 'uvu/assert';
import { close } from './support/numbers.js';
import { rejects } from './support/rejects.js';

const folder = new URL('../../tests/import/', import.meta.url);
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const expected = JSON.parse(readFileSync(new URL('pytorch.json', folder), 'utf8'));
const runtime = await Runtime.create();

const tagger = () =>
  new Model(runtime, 1, (b) => ({
    embedding: new Embedding(b, 'embedding', { vocabularySize: 7, embeddingSize: 3 }),
    rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 3, hiddenSize: 4, numLayers: 2, bidirectional: true }),
    norm: new LayerNorm(b, 'norm', { inputSize: 8 }),
    head: new Linear(b, 'head', { inputSize: 8, outputSize: 3 }),
  }));
const regressor = () =>
  new Model(runtime, 1, (b) => ({
    gru: new Recurrent(b, 'gru', { cell: 'gru', inputSize: 2, hiddenSize: 5 }),
    fc: new Linear(b, 'fc', { inputSize: 5, outputSize: 1 }),
  }));
const NAMES = { 'lstm.': 'rnn.', 'fc.': 'head.' };

test('a state dict: the outputs of PyTorch', async () => {
  const model = tagger();
  loadStateDict(model, await readPyTorch(bytes('tagger.pt')), { rename: NAMES });
  const { tokens, T, B, logits } = expected.tagger;
  const got = model.forward((tape, l) => {
    const { output } = l.rnn.forward(tape, l.embedding.forward(tape, tokens, { T, B }));
    return read(tape, l.head.forward(tape, l.norm.forward(tape, output)));
  });
  close(got, logits, 1e-6, 'logits');
});

test('a checkpoint: nested dicts, what is not a tensor is left out, and the model can be trained on', async () => {
  const tensors = await readPyTorch(bytes('checkpoint.pth'));
  ok(tensors.has('model.gru.weight_ih_l0') && tensors.has('optimizer.state.0.exp_avg'));
  ok(![...tensors.keys()].some((name) => /epoch|loss|note|lr/.test(name)));
  const model = regressor();
  loadStateDict(model, tensors, { rename: { 'model.': '', 'optimizer.': null } });
  const { x, T, B, output } = expected.checkpoint;
  const run = () =>
    model.forward((tape, { gru, fc }) =>
      read(tape, fc.forward(tape, gru.forward(tape, input(tape, x, { T, B, F: 2 })).h[0])),
    );
  close(run(), output, 1e-6, 'output');
  const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 0.01 });
  const losses = Array.from({ length: 5 }, () => {
    const loss = model.valueAndGrad((tape, { gru, fc }) => {
      const y = fc.forward(tape, gru.forward(tape, input(tape, x, { T, B, F: 2 })).h[0]);
      return mseLoss(tape, y, [1, 2, 3]);
    });
    optimizer.step();
    return loss;
  });
  ok(losses[4] < losses[0], losses.join());
});

test('a state dict with a number that is not finite changes nothing', async () => {
  const model = new Model(runtime, 1, (b) => new Linear(b, 'l', { inputSize: 2, outputSize: 2 }));
  const before = [...model.get('l.weight'), ...model.get('l.bias')];
  const weight = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
  for (const bias of [{ shape: [2], data: Float32Array.of(1, Number.NaN) }, { shape: [2] }, null] as Tensor[]) {
    const tensors = new Map([
      ['l.weight', weight],
      ['l.bias', bias],
    ]);
    throws(() => loadStateDict(model, tensors), /l\.bias/);
    equal([...model.get('l.weight'), ...model.get('l.bias')], before);
  }
});

test('every type of number and every kind of stride', async () => {
  const tensors = await readPyTorch(bytes('kinds.pt'));
  for (const [name, { shape, data }] of Object.entries<{ shape: number[]; data: number[] }>(expected.kinds)) {
    if (name === 'f32') continue; // of the safetensors file
    const tensor = tensors.get(name);
    equal(tensor?.shape, shape, name);
    equal(tensor?.data, Float32Array.from(data), name);
  }
  equal(tensors.get('list.0'), { shape: [2], data: Float32Array.of(1, 1) });
  is(tensors.size, Object.keys(expected.kinds).length + 1);
});

test('safetensors of every type', () => {
  const file = bytes('kinds.safetensors');
  const { tensors } = readSafetensors(file);
  equal([...tensors.keys()].sort(), ['bf16', 'bool', 'f16', 'f32', 'f64', 'i32']);
  for (const [name, tensor] of tensors) {
    const { shape, data } = expected.kinds[name];
    equal(tensor, { shape, data: Float32Array.from(data) }, name);
  }
  const model = new Model(runtime, 1, (b) => new Linear(b, 'l', { inputSize: 2, outputSize: 3, bias: false }));
  loadStateDict(model, tensors, { rename: (name) => (name === 'f64' ? 'l.weight' : null) });
  equal(model.get('l.weight'), Float32Array.from(expected.kinds.f64.data));
  throws(() => readSafetensors(file.subarray(0, 100)), /cut off/);
  throws(() => readSafetensors(file.subarray(0, file.length - 1)), /is cut off/);
  throws(() => readSafetensors(new Uint8Array(3)), /has 3 bytes; a safetensors file has at least 8/);
  const text = (from: string, to: string) => {
    const changed = Buffer.from(file);
    changed.write(to, changed.indexOf(from));
    return () => readSafetensors(changed);
  };
  throws(text('"F64"', '"F88"'), /f64: expected numbers of type F64.*BOOL, got 'F88'/);
  throws(text('"F64"', '"F32"'), /f64: shape \[3, 2\] needs 24 bytes, its data_offsets span 48/);
  throws(text('{"', '["'), /is not valid JSON/);
});

test('what the pickle must not name is refused by name', async () => {
  for (const [file, message] of [
    ['module.pt', /names torch\.nn\.modules\.linear\.Linear, which is not read.*state_dict/],
    ['dtype.pt', /names torch\.float32, which is not read/],
    ['long.pt', /^ids: number 0 is 16777217; float32 has whole numbers up to 2\^24 only/],
    ['nan.pt', /^w: number 1 is NaN/],
  ] as const) {
    await rejects(readPyTorch(bytes(file)), message);
  }
});

test('a pickle that would run a program is refused', async () => {
  const { zipSync } = await import('fflate');
  const zipped = (pickle: string) =>
    readPyTorch(zipSync({ 'archive/data.pkl': Uint8Array.from(pickle, (c) => c.charCodeAt(0)) }));
  await rejects(zipped("cos\nsystem\n(S'true'\ntR."), /names os\.system, which is not read/);
  await rejects(zipped('c__builtin__\neval\n.'), /names __builtin__\.eval/);
  await rejects(zipped('cconstructor\nconstructor\n.'), /names constructor\.constructor/);
  await rejects(zipped('ctorch\ntoString\n.'), /names torch\.toString/);
  await rejects(zipped("(S'a'\nI1\ntQ."), /refers to something that is not a storage/);
  await rejects(zipped('}q'), /the pickle is damaged/);
  await rejects(zipped('}.'), /holds no tensors/);
  await rejects(zipped('I1\n.'), /holds no dict/);
  await rejects(zipped("(S'a'\nI1\nd."), /protocol 0/);
  is(({} as Record<string, unknown>).a, undefined);
});

test('files that are damaged, or something else', async () => {
  const file = bytes('tagger.pt');
  await rejects(readPyTorch(new Uint8Array(0)), /not a zip file/);
  await rejects(readPyTorch(Uint8Array.of(0x80, 2, 0x8a)), /bare pickle, as PyTorch before 1\.6/);
  await rejects(readPyTorch(file.subarray(0, 1000)), /zip file is damaged/);
  const { unzipSync, zipSync } = await import('fflate');
  const entries = unzipSync(file);
  const without = (name: string) =>
    readPyTorch(zipSync(Object.fromEntries(Object.entries(entries).filter(([n]) => n !== name))));
  await rejects(without('tagger/data.pkl'), /no data\.pkl/);
  await rejects(without('tagger/data/0'), /embedding\.weight: the file has no numbers for it \(data\/0\)/);
  await rejects(
    readPyTorch(zipSync({ ...entries, 'tagger/data/0': entries['tagger/data/0'].subarray(4) })),
    /embedding\.weight: data\/0 has 80 bytes, expected 84/,
  );
  await rejects(readPyTorch(zipSync({ ...entries, 'tagger/byteorder': new TextEncoder().encode('big') })), /byteorder/);
});

test('tensors that do not fit are all named, and nothing changes', async () => {
  const model = tagger();
  const before = model.parameters.map(({ name }) => model.get(name));
  const tensors = new Map(await readPyTorch(bytes('tagger.pt')));
  const attempt = (changed: [string, Tensor | null][], rename: unknown = NAMES) => {
    const copy = new Map(tensors);
    for (const [name, tensor] of changed) tensor ? copy.set(name, tensor) : copy.delete(name);
    loadStateDict(model, copy, { rename } as never);
  };
  const tensor = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((n, d) => n * d, 1)) });
  throws(
    () =>
      attempt([
        ['norm.bias', null],
        ['extra', tensor(1)],
        ['fc.weight', tensor(8, 3)],
        ['fc.bias', { shape: [3], data: new Float32Array(2) }],
      ]),
    (e: Error) => {
      instance(e, FormatError);
      is(
        e.message,
        'the tensors do not fit the model: missing norm.bias; unexpected extra; ' +
          'misshapen head.weight (from fc.weight) is [8, 3], expected [3, 8] and head.bias (from fc.bias) has 2 numbers, expected 3',
      );
      return true;
    },
  );
  throws(
    () => attempt([], (name: string) => (name.startsWith('norm') ? 'norm' : name)),
    /'norm\.weight' and 'norm\.bias' both become 'norm'/,
  );
  throws(() => attempt([], { a: 1 }), /rename\['a'\]: expected a string, got 1/);
  throws(() => attempt([], 'fc'), /rename: expected a function/);
  equal(
    model.parameters.map(({ name }) => model.get(name)),
    before,
  );
});

test.run();
