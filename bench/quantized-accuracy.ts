/** What quantizing costs: a character model in bits a character, a tagger in points of accuracy. */
import { readFile } from 'node:fs/promises';
import {
  type Builder,
  Embedding,
  input,
  Linear,
  loadWeights,
  Model,
  Recurrent,
  type RecurrentOptions,
  Runtime,
  read,
} from 'gatewise';
import { type Dtype, QuantizedModel, quantize } from 'gatewise/quantized';
import { SequenceTagger, Vocabulary } from 'gatewise/tasks';
import { SHAPES, sentences, shape } from './reference/data.js';

const DTYPES: readonly Dtype[] = ['int16', 'int8'];

export async function accuracy(folder: string, json: boolean): Promise<void> {
  const print = (row: { id: string; float32: number; int16: number; int8: number; unit: string }) => {
    const { id, float32, int16, int8, unit } = row;
    const difference = (value: number) => `${value.toFixed(5)} (${(value - float32).toFixed(5)})`;
    console.log(
      json
        ? JSON.stringify(row)
        : `${id}: float32 ${float32.toFixed(5)} ${unit}, int16 ${difference(int16)}, int8 ${difference(int8)}`,
    );
  };
  print({ id: 'char model', unit: 'bits a character', ...(await charModel(folder)) });
  print({ id: 'tagger', unit: '% of test words', ...(await tagger(folder)) });
}

/** Each dtype by way of a file. */
async function quantized(
  model: Parameters<typeof quantize>[0],
  options: Omit<Parameters<typeof quantize>[1], 'dtype'>,
): Promise<Record<Dtype, QuantizedModel>> {
  const of = async (dtype: Dtype) => QuantizedModel.load((await quantize(model, { ...options, dtype })).save());
  return { int16: await of('int16'), int8: await of('int8') };
}

/** Which layer of rnn, head and embeddings makes what of what came before: the same for float32 and integers. */
interface Network {
  embed(tokens: Int32Array): Float32Array;
  recur(x: Float32Array, T: number): Float32Array;
  head(x: Float32Array): Float32Array;
}

/** PyTorch's final weights on the validation part, state carried from chunk to chunk. */
async function charModel(folder: string): Promise<Record<Dtype | 'float32', number>> {
  const text = await readFile(`${folder}/data/tinyshakespeare/input.txt`, 'utf8');
  const vocabulary = [...new Set(text)].sort();
  const ids = Int32Array.from(text.slice(Math.floor(0.9 * text.length)), (c) => vocabulary.indexOf(c));
  const [V, E, H] = [vocabulary.length, 64, 128];
  const recurrent: RecurrentOptions = { cell: 'lstm', inputSize: E, hiddenSize: H };
  const table = { vocabularySize: V, embeddingSize: E };
  const linear = { inputSize: H, outputSize: V };
  const model = new Model(await Runtime.create(), 1, (b) => ({
    embedding: new Embedding(b, 'embedding', table),
    rnn: new Recurrent(b, 'lstm', recurrent),
    head: new Linear(b, 'head', linear),
  }));
  loadWeights(model, await readFile(`${folder}/reference/charlm_s1.final.safetensors`));
  const state = model.layers.rnn.state(1);
  const vectors = model.get('embedding.weight');
  const float: Network = {
    embed: (tokens) => {
      const rows = new Float32Array(tokens.length * E);
      tokens.forEach((token, t) => {
        rows.set(vectors.subarray(token * E, (token + 1) * E), t * E);
      });
      return rows;
    },
    recur: (x, T) =>
      model.forward((tape, { rnn }) => read(tape, rnn.forward(tape, input(tape, x, { T, B: 1, F: E }), state).output)),
    head: (x) =>
      model.forward((tape, { head }) =>
        read(tape, head.forward(tape, input(tape, x, { T: x.length / H, B: 1, F: H }))),
      ),
  };
  const options = { layers: { embedding: table, lstm: recurrent, head: linear } };
  const calibrate = { lstm: vectors, head: 1 };
  const models = await quantized(model, { ...options, calibrate });
  const integer = (dtype: Dtype): Network => {
    const rnn = models[dtype].recurrent('lstm');
    const own = rnn.state(1);
    return {
      embed: (tokens) => models[dtype].embedding('embedding').forward(tokens),
      recur: (x, T) => rnn.forward(x, { T, B: 1 }, own),
      head: (x) => models[dtype].linear('head').forward(x),
    };
  };
  return { float32: bits(float, ids, V), int16: bits(integer('int16'), ids, V), int8: bits(integer('int8'), ids, V) };
}

function bits({ embed, recur, head }: Network, ids: Int32Array, V: number): number {
  const CHUNK = 1000;
  let sum = 0;
  let n = 0;
  for (let from = 0; from + 1 < ids.length; from += CHUNK) {
    const T = Math.min(CHUNK, ids.length - 1 - from);
    const logits = head(recur(embed(ids.subarray(from, from + T)), T));
    for (let t = 0; t < T; t++, n++) {
      const row = logits.subarray(t * V, (t + 1) * V);
      const top = Math.max(...row);
      const total = row.reduce((s, v) => s + Math.exp(v - top), 0);
      sum += Math.log2(total) - (row[ids[from + t + 1]] - top) / Math.LN2;
    }
  }
  return sum / n;
}

/** Parts of speech: a bidirectional LSTM over words, suffixes and shapes, trained as in bench/reference/pos.ts. */
async function tagger(folder: string): Promise<Record<Dtype | 'float32', number>> {
  const UNKNOWN = '<unknown>';
  const load = async (part: string) => (await sentences(`${folder}/data/ud-ewt/en_ewt-ud-${part}.tsv`)).map(example);
  const [training, test] = [await load('train'), await load('test')];
  const often = (feature: 'word' | 'suffix') =>
    Vocabulary.of(
      training.map(({ input }) => input[feature]),
      { minCount: 2, unknown: UNKNOWN },
    ).tokens;
  const features = {
    word: { vocabulary: often('word'), embeddingSize: 64, unknown: UNKNOWN },
    suffix: { vocabulary: often('suffix'), embeddingSize: 32, unknown: UNKNOWN },
    shape: { vocabulary: SHAPES, embeddingSize: 8 },
  };
  const names = ['word', 'suffix', 'shape'] as const;
  const classes = [...new Set(training.flatMap((e) => e.labels))].sort();
  const trained = await SequenceTagger.create({
    features,
    classes,
    hiddenSize: 64,
    bidirectional: true,
    seed: 1,
  });
  await trained.fit(training, { epochs: 5, batchSize: 32, learningRate: 2e-3, clipNorm: 5 });
  const { accuracy } = await trained.evaluate(test);
  const recurrent: RecurrentOptions = { cell: 'lstm', inputSize: 104, hiddenSize: 64, bidirectional: true };
  const linear = { inputSize: 128, outputSize: classes.length };
  const table = (name: (typeof names)[number]) => ({
    vocabularySize: features[name].vocabulary.length,
    embeddingSize: features[name].embeddingSize,
  });
  const model = new Model(await Runtime.create(), 1, (b: Builder) => ({
    tables: names.map((name) => new Embedding(b, `embedding.${name}`, table(name))),
    rnn: new Recurrent(b, 'rnn', recurrent),
    head: new Linear(b, 'head', linear),
  }));
  loadWeights(model, trained.save());
  const layers = {
    ...Object.fromEntries(names.map((name) => [`embedding.${name}`, table(name)])),
    rnn: recurrent,
    head: linear,
  };
  const range = Math.max(
    ...names.map((n) => model.get(`embedding.${n}.weight`).reduce((m, v) => Math.max(m, Math.abs(v)), 0)),
  );
  const models = await quantized(model, { layers, calibrate: { rnn: range, head: 1 } });
  const vocabularies = names.map((name) => new Vocabulary(features[name].vocabulary));
  const right = (dtype: Dtype) => {
    let good = 0;
    let n = 0;
    for (const { input, labels: wanted } of test) {
      const T = wanted.length;
      const x = new Float32Array(T * 104);
      let column = 0;
      names.forEach((name, i) => {
        const tokens = vocabularies[i].encode(name, input[name], i < 2 ? UNKNOWN : undefined);
        const rows = models[dtype].embedding(`embedding.${name}`).forward(tokens);
        const E = features[name].embeddingSize;
        for (let t = 0; t < T; t++) x.set(rows.subarray(t * E, (t + 1) * E), t * 104 + column);
        column += E;
      });
      const logits = models[dtype].linear('head').forward(models[dtype].recurrent('rnn').forward(x, { T, B: 1 }));
      for (let t = 0; t < T; t++, n++) {
        const row = logits.subarray(t * classes.length, (t + 1) * classes.length);
        if (classes[row.indexOf(Math.max(...row))] === wanted[t]) good++;
      }
    }
    return (100 * good) / n;
  };
  const [int16, int8] = DTYPES.map(right);
  return { float32: 100 * accuracy, int16, int8 };
}

function example(lines: readonly string[][]) {
  const words = lines.map(([word]) => word);
  const word = words.map((w) => w.toLowerCase());
  const suffix = word.map((w) => [...w].slice(-3).join(''));
  return { input: { word, suffix, shape: words.map(shape) }, labels: lines.map(([, tag]) => tag) };
}
