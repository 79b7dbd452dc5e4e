/** gatewise/quantized: layers against their reference in exact integers, against float32, in files, and with wrong arguments. */
import { readFileSync } from 'node:fs';
import { Embedding, input, Linear, Model, Recurrent, type RecurrentOptions, Runtime, read } from 'gatewise';
import {
  type Dtype,
  FormatError,
  QuantizedModel,
  type QuantizeOptions,
  quantize,
  quantizeSync,
} from 'gatewise/quantized';
import { test } from 'uvu';
import { equal, instance, is, not, ok, throws } from 'uvu/assert';
import { type Layer, quantizeRows, recurrent } from './reference/quantized.js';
import { close, random, uniform } from './support/numbers.js';

const runtime = await Runtime.create();
const DTYPES = ['int16', 'int8'] as const;
const relaxedBytes = new Uint8Array(readFileSync(new URL('../wasm/quantized-relaxed.wasm', import.meta.url)));
const relaxed = WebAssembly.validate(relaxedBytes) ? relaxedBytes : null;
if (!relaxed) console.log('  skipped: the relaxed module, which this engine cannot run');

/**
 * A recurrent layer with weights that drive its gates over all their range. An rnn has smaller ones: with a gain above 1 it is
 * chaotic, and a difference in the last place grows from step to step.
 */
function model(options: RecurrentOptions, seed = 1): Model<Recurrent> {
  const made = new Model(runtime, seed, (b) => new Recurrent(b, 'rnn', options));
  const next = random(seed);
  const gain = options.cell === 'rnn' ? 1.5 : 3;
  for (const { name, size, shape } of made.parameters) {
    made.set(name, uniform(next, size, shape.length === 2 ? gain / Math.sqrt(shape[1]) : 0.5));
  }
  return made;
}

/** A stack of one or two directions by the reference; x [T,B,I], states zero. */
function stack(
  source: Model<Recurrent>,
  options: RecurrentOptions,
  dtype: Dtype,
  x: Float32Array,
  T: number,
  B: number,
) {
  const { cell, hiddenSize, numLayers = 1, bidirectional = false, reverse = false, bias = true } = options;
  const sequences = Array.from({ length: B }, (_, b) => {
    let I = options.inputSize;
    let rows: ArrayLike<number> = Array.from({ length: T * I }, (_, i) => x[(Math.floor(i / I) * B + b) * I + (i % I)]);
    for (let l = 0; l < (typeof hiddenSize === 'number' ? numLayers : hiddenSize.length); l++) {
      const H = typeof hiddenSize === 'number' ? hiddenSize : hiddenSize[l];
      const outputs = (bidirectional ? ['', '_reverse'] : [reverse ? '_reverse' : '']).map((way) => {
        const get = (tensor: string) => source.get(`rnn.${tensor}_l${l}${way}`);
        const wih = get('weight_ih');
        const zeros = new Float32Array(wih.length / I);
        const layer: Layer = {
          cell: cell as Layer['cell'],
          I,
          H,
          range: l === 0 ? 1.5 : 1,
          reverse: way !== '',
          wih,
          whh: get('weight_hh'),
          bih: bias ? get('bias_ih') : zeros,
          bhh: bias ? get('bias_hh') : zeros,
        };
        return recurrent(dtype, layer, rows, new Float64Array(H), new Array<number>(H).fill(0)).y;
      });
      const P = H * outputs.length;
      rows = Array.from({ length: T * P }, (_, i) => {
        const [t, j] = [Math.floor(i / P), i % P];
        return outputs[Math.floor(j / H)][t * H + (j % H)];
      });
      I = P;
    }
    return { rows, P: I };
  });
  const { P } = sequences[0];
  return Float64Array.from({ length: T * B * P }, (_, i) => {
    const [row, j] = [Math.floor(i / P), i % P];
    return sequences[row % B].rows[Math.floor(row / B) * P + j];
  });
}

function float(source: Model<Recurrent>, x: Float32Array, T: number, B: number, F: number): Float32Array {
  return source.forward((tape, rnn) => read(tape, rnn.forward(tape, input(tape, x, { T, B, F })).output));
}

const shapes: (Partial<RecurrentOptions> & { I: number; H: number | number[]; T: number; B: number })[] = [
  { I: 1, H: 1, T: 4, B: 1 },
  { I: 5, H: 3, T: 9, B: 2 },
  { I: 7, H: 8, T: 6, B: 3, bias: false },
  { I: 64, H: 37, T: 12, B: 1 },
  { I: 3, H: 12, T: 7, B: 5, reverse: true },
  { I: 9, H: 13, T: 8, B: 2, bidirectional: true },
  { I: 6, H: [5, 16, 9], T: 10, B: 2 },
  { I: 4, H: 11, numLayers: 3, bidirectional: true, T: 6, B: 3 },
  { I: 20, H: 128, T: 30, B: 1 },
];

for (const cell of ['rnn', 'lstm', 'gru'] as const) {
  for (const { I, H, T, B, ...rest } of shapes) {
    const options: RecurrentOptions = { cell, inputSize: I, hiddenSize: H, ...rest };
    test(`${cell} ${JSON.stringify({ I, H, T, B, ...rest })}: the reference's outputs, and close to float32`, () => {
      const source = model(options);
      const x = uniform(random(7), T * B * I);
      const exact = float(source, x, T, B, I);
      for (const dtype of DTYPES) {
        const q = quantizeSync(source, { dtype, layers: { rnn: options }, calibrate: { rnn: 1.5 } });
        const got = q.recurrent('rnn').forward(x, { T, B });
        // where float32 and float64 differ in the last place, a state may be rounded to the other side
        close(got, stack(source, options, dtype, x, T, B), 2e-4, `${dtype} against the reference`);
        close(got, exact, dtype === 'int16' ? 2e-3 : 6e-2, `${dtype} against float32`);
        q.dispose();
      }
      source.dispose();
    });
  }

  test(`${cell}: steps have the bits of the sequence, also where x is multiplied in several parts`, () => {
    const [T, B, I] = [90, 3, 5];
    const options: RecurrentOptions = { cell, inputSize: I, hiddenSize: [9, 16] };
    const source = model(options);
    const x = uniform(random(5), T * B * I);
    for (const dtype of DTYPES) {
      for (const module of [undefined, ...(relaxed ? [relaxed] : [])]) {
        const q = quantizeSync(source, { dtype, layers: { rnn: options }, calibrate: { rnn: 1 }, module });
        const rnn = q.recurrent('rnn');
        const state = rnn.state(B);
        const whole = rnn.forward(x, { T, B }, state);
        const stepped = rnn.state(B);
        const steps = Array.from({ length: T }, (_, t) => [
          ...rnn.step(x.subarray(t * B * I, (t + 1) * B * I), stepped),
        ]);
        equal(steps.flat(), [...whole]);
        equal(stepped, state);
        // in two parts, with another shape in between
        const parts = rnn.state(B);
        const cut = 31 * B * I;
        const first = [...rnn.forward(x.subarray(0, cut), { T: 31, B }, parts)];
        rnn.forward(x.subarray(0, 2 * I), { T: 2, B: 1 });
        equal([...first, ...rnn.forward(x.subarray(cut), { T: T - 31, B }, parts)], [...whole]);
        q.dispose();
      }
    }
    source.dispose();
  });
}

test('int8: both modules make the same products, so that their outputs differ by rounding of the cells only', () => {
  if (!relaxed) return;
  const options: RecurrentOptions = { cell: 'lstm', inputSize: 16, hiddenSize: 40 };
  const source = model(options);
  const head = new Model(runtime, 2, (b) => new Linear(b, 'head', { inputSize: 33, outputSize: 70 }));
  const x = uniform(random(3), 20 * 16);
  const rows = uniform(random(4), 9 * 33);
  const outputs = [undefined, relaxed].map((module) => {
    const q = quantizeSync(source, { dtype: 'int8', layers: { rnn: options }, calibrate: { rnn: 1 }, module });
    const linear = { inputSize: 33, outputSize: 70 };
    const h = quantizeSync(head, { dtype: 'int8', layers: { head: linear }, calibrate: { head: 1 }, module });
    return [q.recurrent('rnn').forward(x, { T: 20, B: 1 }), h.linear('head').forward(rows)];
  });
  equal([...outputs[1][1]], [...outputs[0][1]]);
  close(outputs[1][0], outputs[0][0], 2e-4, 'relaxed');
});

/** All kinds of layers in one model. */
const embedding = { vocabularySize: 11, embeddingSize: 6 };
const rnn: RecurrentOptions = { cell: 'gru', inputSize: 6, hiddenSize: 10 };
const head = { inputSize: 10, outputSize: 5 };
const layers = { embedding, rnn, head };

function whole() {
  return new Model(runtime, 4, (b) => ({
    embedding: new Embedding(b, 'embedding', embedding),
    rnn: new Recurrent(b, 'rnn', rnn),
    head: new Linear(b, 'head', head),
  }));
}

function outputs(q: QuantizedModel): number[][] {
  const x = q.embedding('embedding').forward([3, 0, 10, 7]);
  const h = q.recurrent('rnn').forward(x, { T: 4, B: 1 });
  return [[...x], [...h], [...q.linear('head').forward(h)]];
}

test('an embedding, a recurrent and a linear layer give what float32 gives, nearly', () => {
  const source = whole();
  const vectors = source.get('embedding.weight');
  const x = Float32Array.from([3, 0, 10, 7].flatMap((v) => [...vectors.subarray(6 * v, 6 * v + 6)]));
  const { h, y } = source.forward((tape, l) => {
    const { output } = l.rnn.forward(tape, input(tape, x, { T: 4, B: 1, F: 6 }));
    return { h: read(tape, output), y: read(tape, l.head.forward(tape, output)) };
  });
  for (const dtype of DTYPES) {
    const q = quantizeSync(source, { dtype, layers, calibrate: { rnn: vectors, head: 1 } });
    const bound = dtype === 'int16' ? 1e-3 : 3e-2;
    [x, h, y].forEach((want, i) => {
      close(outputs(q)[i], want, bound, `${dtype} output ${i}`);
    });
  }
});

test('a file has the same bits, loaded again and saved again, and holds I16 or I8 with scales', async () => {
  for (const dtype of DTYPES) {
    const q = await quantize(whole(), { dtype, layers, calibrate: { rnn: 4, head: 1 } });
    const bytes = q.save();
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    for (const name of ['embedding.weight', 'rnn.weight_ih_l0', 'rnn.weight_hh_l0', 'head.weight']) {
      is(header[name].dtype, dtype === 'int8' ? 'I8' : 'I16');
      equal(header[`${name}.scale`].shape, [header[name].shape[0]]);
    }
    is(header['rnn.bias_ih_l0'].dtype, 'F32');
    const again = await QuantizedModel.load(bytes);
    is(again.dtype, dtype);
    equal(again.names, ['embedding', 'rnn', 'head']);
    equal(outputs(again), outputs(q));
    equal(again.save(), bytes);
    equal(outputs(QuantizedModel.loadSync(bytes.buffer)), outputs(q));
  }
});

test("a file's integers times their scales are the weights, within half a step", () => {
  const source = whole();
  const q = quantizeSync(source, { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 } });
  const bytes = q.save();
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const data = (name: string) => {
    const [from, to] = header[name].data_offsets;
    return bytes.slice(8 + length + from, 8 + length + to).buffer;
  };
  for (const { name, shape } of source.parameters.filter((p) => p.shape.length === 2)) {
    const integers = new Int16Array(data(name));
    const scales = new Float32Array(data(`${name}.scale`));
    source.get(name).forEach((w, i) => {
      const s = scales[Math.floor(i / shape[1])];
      ok(Math.abs(integers[i] * s - w) <= 0.5001 * s, `${name}[${i}]`);
    });
  }
});

test('files that are damaged are refused with a FormatError', () => {
  const bytes = quantizeSync(whole(), { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 } }).save();
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const changed = (from: string, to: string) => {
    ok(text.includes(from), from);
    is(from.length, to.length);
    const copy = bytes.slice();
    copy.set(new TextEncoder().encode(text.replace(from, to)), 8);
    return copy;
  };
  const header = JSON.parse(text);
  const described = (more: (of: { layers: object[] }) => object) => {
    const about = JSON.parse(header.__metadata__['gatewise.quantized']);
    Object.assign(more(about), { x: 1 });
    const __metadata__ = { 'gatewise.quantized': JSON.stringify(about) };
    const changed = new TextEncoder().encode(JSON.stringify({ ...header, __metadata__ }));
    const file = new Uint8Array([...new Uint8Array(8), ...changed, ...bytes.subarray(8 + length)]);
    new DataView(file.buffer).setBigUint64(0, BigInt(changed.length), true);
    return file;
  };
  const [from] = header['rnn.weight_hh_l0'].data_offsets;
  const large = bytes.slice();
  new Int16Array(large.buffer, 8 + length + from, 10).fill(32767);
  const least = bytes.slice();
  new Int16Array(least.buffer, 8 + length + from, 1).fill(-32768);
  const negative = bytes.slice();
  new DataView(negative.buffer).setFloat32(8 + length + header['head.weight.scale'].data_offsets[0], -1, true);
  const notFinite = bytes.slice();
  new DataView(notFinite.buffer).setFloat32(8 + length + header['head.bias'].data_offsets[0], Number.NaN, true);
  for (const [file, message] of [
    [bytes.subarray(0, 7), /at least 8/],
    [bytes.subarray(0, 100), /cut off/],
    [bytes.subarray(0, bytes.length - 2), /which has \d+ bytes/],
    [changed('"rnn.weight_hh_l0":', '"rnn.weight_hh_l9":'), /rnn\.weight_hh_l0: missing/],
    [changed('"I16"', '"F16"'), /F32, I16 or I8, got 'F16'/],
    [changed('gatewise.quantized', 'gatewise.quantizee'), /has no quantized model/],
    [changed('\\"version\\":1', '\\"version\\":9'), /version 9/],
    [described((of) => of), /unknown option 'x'/],
    [described(({ layers }) => layers[0]), /: unknown option 'x'/],
    [changed('\\"dtype\\":\\"int16\\"', '\\"dtype\\":\\"int61\\"'), /dtype/],
    [changed('\\"cell\\":\\"gru\\"', '\\"cell\\":\\"rnn\\"'), /rnn\.weight_ih_l0: expected int16 \[10, 6\]/],
    [changed('\\"range\\":4', '\\"range\\":0'), /range/],
    [large, /rnn\.weight_hh_l0: the magnitudes of row 0 add up to 327670/],
    [least, /expected at most ±32767/],
    [negative, /head\.weight\.scale: expected no negative/],
    [notFinite, /head\.bias: number 0 is NaN/],
  ] as const) {
    try {
      QuantizedModel.loadSync(file);
    } catch (error) {
      instance(error, FormatError);
      ok(message.test((error as Error).message), (error as Error).message);
      continue;
    }
    throw new Error(`accepted in spite of ${message}`);
  }
});

test('what cannot be quantized is refused by its name', () => {
  const source = whole();
  const tryIt = (change: Record<string, unknown>) => () =>
    quantizeSync(source, { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 }, ...change } as QuantizeOptions);
  const recurrent = (more: object) => tryIt({ layers: { ...layers, rnn: { ...rnn, ...more } } });
  throws(tryIt({ dtype: 'int4' }), /dtype: expected 'int16' or 'int8', got 'int4'/);
  throws(tryIt({ layers: {} }), /layers: expected at least one/);
  throws(tryIt({ layers: [rnn] }), /layers: expected an object/);
  throws(tryIt({ layers: { ...layers, other: rnn } }), /calibrate\.other: expected examples/);
  throws(tryIt({ layers: { ...layers, decoder: embedding } }), /no parameter 'decoder\.weight'/);
  throws(tryIt({ calibrate: { rnn: 1 } }), /calibrate\.head: expected examples/);
  throws(tryIt({ calibrate: { rnn: [], head: 1 } }), /calibrate\.rnn: expected numbers/);
  throws(tryIt({ calibrate: { rnn: [0, 0], head: 1 } }), /calibrate\.rnn: expected a number that is not zero/);
  throws(tryIt({ calibrate: { rnn: [1, Number.NaN], head: 1 } }), /calibrate\.rnn\[1\]: expected a finite number/);
  throws(tryIt({ calibrate: { rnn: 1, head: 0 } }), /calibrate\.head/);
  throws(tryIt({ calibrate: { rnn: 1, head: 1, embedding: 1 } }), /calibrate\.embedding: an embedding reads tokens/);
  throws(tryIt({ calibrate: { rnn: 1, head: 1, haed: 1 } }), /calibrate: unknown option 'haed'/);
  throws(tryIt({ calibrated: {} }), /unknown option 'calibrated'/);
  throws(recurrent({ cell: 'residual' }), /layers\.rnn\.cell: expected 'rnn' or 'lstm' or 'gru', got 'residual'/);
  throws(recurrent({ cell: 'mingru' }), /layers\.rnn\.cell: expected 'rnn' or 'lstm' or 'gru', got 'mingru'/);
  for (const [key, value] of Object.entries({
    reset: 'before',
    activation: 'relu',
    merge: 'sum',
    initialState: 'learned',
    zoneoutHidden: 0.1,
    zoneoutCell: 0.1,
    layerNorm: true,
    projectionSize: 4,
    peepholes: true,
    coupled: true,
    cellClip: 1,
    feedback: false,
  })) {
    throws(recurrent({ [key]: value }), new RegExp(`layers\\.rnn\\.${key}: .*cannot be quantized`));
  }
  // what acts in training only is left aside
  recurrent({ dropout: 0.5, variationalDropout: 0.2, weightDrop: 0.1, reset: 'after' })();
  throws(recurrent({ hiddenSize: 11 }), /expected 'rnn\.weight_ih_l0' \[33, 6\], the model's is \[30, 6\]/);
  throws(recurrent({ cell: 'lstm' }), /expected 'rnn\.weight_ih_l0' \[40, 6\]/);
  throws(recurrent({ bias: false }), /'rnn\.bias_ih_l0' and 'rnn\.bias_hh_l0' cannot be quantized/);
  throws(tryIt({ layers: { ...layers, head: { inputSize: 10, outputSize: 5, bias: false } } }), /'head\.bias'/);
  const peepholes = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { ...rnn, cell: 'lstm', peepholes: true }));
  throws(
    () => quantizeSync(peepholes, { dtype: 'int8', layers: { rnn: { ...rnn, cell: 'lstm' } }, calibrate: { rnn: 1 } }),
    /'rnn\.weight_peephole_l0' cannot be quantized, or the layer was built with other options/,
  );
  const broken = {
    parameters: source.parameters,
    get: (name: string) => (name === 'head.bias' ? Float32Array.of(0, 0, Number.NaN, 0, 0) : source.get(name)),
  };
  throws(
    () => quantizeSync(broken, { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 } }),
    /head\.bias: number 2 is NaN/,
  );
  throws(
    () => quantizeSync(whole(), { dtype: 'int8', layers, calibrate: { rnn: 1, head: 1 }, module: 3 as never }),
    /module/,
  );
});

test('an engine that computes SIMD wrongly is refused: modules with another instruction', () => {
  const bytes = new Uint8Array(readFileSync(new URL('../wasm/quantized.wasm', import.meta.url)));
  const load = (module: Uint8Array) =>
    quantizeSync(whole(), { dtype: 'int16', layers, calibrate: { rnn: 1, head: 1 }, module }).dispose();
  load(bytes);
  // i32x4.dot_i16x8_s becomes i32x4.mul; f32x4.div becomes f32x4.mul, which the activations alone have
  for (const [from, to] of [
    [0xba, 0xb5],
    [0xe7, 0xe6],
  ]) {
    const changed = bytes.slice();
    let n = 0;
    for (let i = 0; i + 2 < bytes.length; i++) {
      if (bytes[i] !== 0xfd || bytes[i + 1] !== from || bytes[i + 2] !== 1) continue;
      changed[i + 1] = to;
      n++;
    }
    ok(n > 0 && WebAssembly.validate(changed), `${n} instructions`);
    throws(() => load(changed), /computes WebAssembly SIMD wrongly/);
  }
});

test('wrong arguments are refused before anything changes', () => {
  const q = quantizeSync(whole(), { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 } });
  const layer = q.recurrent('rnn');
  throws(() => q.recurrent('rmm'), /name: expected one of embedding, rnn and head, got 'rmm'/);
  throws(() => q.recurrent('head'), /name: expected a recurrent layer, 'head' is of kind 'linear'/);
  throws(() => q.linear('rnn'), /expected a linear layer/);
  throws(() => q.embedding('rnn'), /expected an embedding/);
  throws(() => q.embedding('embedding').forward([11]), /tokens\[0\]: expected a whole number from 0 to 10, got 11/);
  throws(() => q.embedding('embedding').forward([]), /tokens: expected at least one/);
  throws(() => q.linear('head').forward(new Float32Array(11)), /x: expected rows of I=10 numbers, got 11/);
  throws(
    () => q.linear('head').forward([...new Float32Array(19), Number.NaN]),
    /x: row 1 of 10 numbers contains a NaN/,
  );
  throws(() => layer.forward(new Float32Array(5), { T: 1, B: 1 }), /x: expected \[T=1, B=1, I=6\] = 6 numbers, got 5/);
  throws(() => layer.forward(new Float32Array(6), { T: 0, B: 1 }), /T: expected a positive whole number/);
  throws(
    () => layer.forward(new Float32Array(6), { T: 1, B: 1 }, layer.state(2)),
    /state: expected a state of B=1 sequences, got 2/,
  );
  const short = { batch: 1, h: [new Float32Array(9)], c: [] };
  throws(() => layer.step(new Float32Array(6), short), /state: expected h of \[10\] features/);
  throws(() => layer.step(new Float32Array(6), layer.state(), new Float32Array(9)), /output: expected/);
  throws(() => layer.step(undefined as never, layer.state()), /x: expected a list of numbers, got undefined/);
  throws(() => layer.step(new Float32Array(6), undefined as never), /state: expected a state/);
  throws(() => layer.step(new Float32Array(6), { batch: 1, h: [[]], c: [] } as never), /state: expected h of \[10\]/);
  throws(() => layer.step(new Float32Array(6), layer.state(), [] as never), /output: expected a Float32Array/);
  const lengths = { T: 1, B: 1, lengths: [1] };
  throws(() => layer.forward(new Float32Array(6), lengths), /shape: unknown option 'lengths'/);
  const state = layer.state(2);
  const x = uniform(random(1), 3 * 2 * 6);
  layer.forward(x, { T: 3, B: 2 }, state);
  const before = [...state.h[0]];
  x[27] = Number.NaN; // step 2, sequence 0
  throws(() => layer.forward(x, { T: 3, B: 2 }, state), /x: step 2 of sequence 0 contains a NaN/);
  equal([...state.h[0]], before);
  state.h[0][13] = Number.NaN;
  throws(() => layer.step(new Float32Array(12), state), /state: h of sequence 1 of layer 0 contains a NaN/);
  const both: RecurrentOptions = { cell: 'lstm', inputSize: 2, hiddenSize: 3, bidirectional: true };
  const two = quantizeSync(model(both), { dtype: 'int16', layers: { rnn: both }, calibrate: { rnn: 1 } });
  throws(() => two.recurrent('rnn').step([1, 2], two.recurrent('rnn').state()), /bidirectional layer needs the whole/);
  two.dispose();
  throws(() => two.recurrent('rnn').forward([1, 2], { T: 1, B: 1 }), /has been disposed/);
});

test('inputs beyond the range saturate, states beyond 1 too', () => {
  const q = quantizeSync(whole(), { dtype: 'int16', layers, calibrate: { rnn: [0.5, -2], head: 1 } });
  const layer = q.recurrent('rnn');
  const x = Float32Array.from([2.5, -1, -1e30, 0.5, Infinity, 2]);
  const limited = x.map((v) => Math.max(-2, Math.min(2, v)));
  equal([...layer.forward(x, { T: 1, B: 1 })], [...layer.forward(limited, { T: 1, B: 1 })]);
  not.equal([...layer.forward(x, { T: 1, B: 1 })], [...layer.forward(new Float32Array(6), { T: 1, B: 1 })]);
  // gru: h itself is kept in part, so that of the next h only what comes through the product is limited; rnn has nothing else
  const elman: RecurrentOptions = { cell: 'rnn', inputSize: 3, hiddenSize: 4 };
  const rnnLayer = quantizeSync(model(elman), { dtype: 'int16', layers: { rnn: elman }, calibrate: { rnn: 1 } });
  const [far, near] = [3, 1].map((h) => {
    const state = { batch: 1, h: [Float32Array.from([h, -h, 0, 0.5])], c: [] };
    return [...rnnLayer.recurrent('rnn').step([1, 0, 0], state)];
  });
  equal(far, near);
  const y = q.linear('head').forward(new Float32Array(10).fill(7));
  equal([...y], [...q.linear('head').forward(new Float32Array(10).fill(1))]);
});

test('steps take no memory, and outputs that are given are used', () => {
  const q = quantizeSync(whole(), { dtype: 'int16', layers, calibrate: { rnn: 4, head: 1 } });
  const layer = q.recurrent('rnn');
  const state = layer.state();
  const output = new Float32Array(10);
  layer.step(new Float32Array(6), state, output);
  const before = q.memory();
  for (let i = 0; i < 1000; i++) is(layer.step([i, 0, 0, 0, 0, 1], state, output), output);
  equal(q.memory(), before);
  const int8 = quantizeSync(whole(), { dtype: 'int8', layers, calibrate: { rnn: 4, head: 1 } });
  ok(int8.memory().bytesInUse < before.bytesInUse);
});

test('a row of zeros and a layer of one unit', () => {
  const { q, scale } = quantizeRows([0, 0, 1e-45, 0], 2, 127, 1e6);
  equal(
    [[...q], [...scale]],
    [
      [0, 0, 0, 0],
      [0, 0],
    ],
  );
  const options: RecurrentOptions = { cell: 'lstm', inputSize: 1, hiddenSize: 1 };
  const source = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', options));
  for (const { name, size } of source.parameters) source.set(name, new Float32Array(size));
  const layer = quantizeSync(source, { dtype: 'int16', layers: { rnn: options }, calibrate: { rnn: 1 } });
  equal([...layer.recurrent('rnn').forward([1, -1], { T: 2, B: 1 })], [0, 0]);
});

test.run();
