/** Small models of sequence to sequence, with every kind of encoder and cell, and the examples that they read. */
import { crossEntropyLoss, type Loss, type Tape } from 'gatewise';
import { Seq2Seq, type Seq2SeqExample, type Seq2SeqOptions, type Sequence } from 'gatewise/tasks';
import { random, uniform } from './numbers.js';

export type Layers = Seq2Seq['model']['layers'];

export const SMALL = {
  source: { vocabulary: 'abc', embeddingSize: 3 },
  target: 'xyz',
  embeddingSize: 4,
  hiddenSize: 5,
  seed: 7,
} satisfies Seq2SeqOptions;

export const create = (options: Partial<Seq2SeqOptions> = {}): Promise<Seq2Seq> =>
  Seq2Seq.create({ ...SMALL, ...options });

/** Of lengths 1 to 6, and targets of 0 to 5. */
export const EXAMPLES: Seq2SeqExample[] = [
  { source: 'abcab', target: 'xyzzy' },
  { source: 'cc', target: 'z' },
  { source: 'bacbac', target: 'yx' },
  { source: 'a', target: '' },
];

const random7 = random(7);
const frames = (steps: number, features: number) => uniform(random7, steps * features);
const FRAMES = EXAMPLES.map(({ source, target }) => ({ source: frames(source.length as number, 2), target }));
export const PAIRS = EXAMPLES.map(({ source, target }, i) => ({
  source: { passage: source as string, question: FRAMES[3 - i].source as Float32Array },
  target,
}));
const TAGGED = EXAMPLES.map(({ source, target }) => ({
  source: { word: [...(source as string)], mark: [...(source as string)].map((c) => (c === 'a' ? '1' : '0')) },
  target,
}));

/** Sources as the encoders read them, and what the decoder is to read and to write: the start and the targets, the targets and the end. */
export function encoded(task: Seq2Seq, examples: readonly Seq2SeqExample[]) {
  const { layers } = task.model;
  const sources = examples.map(({ source }) => ({
    sources: layers.sources.map(({ name }, k) =>
      layers.inputs[k].encode('source', (name ? (source as never)[name] : source) as Sequence),
    ),
  }));
  const targets = examples.map(({ target }) => layers.vocabulary.encode('target', target));
  const lengths = targets.map((target) => target.length + 1);
  const [T, B] = [Math.max(...lengths), targets.length];
  const tokens = new Int32Array(T * B);
  const classes = new Int32Array(T * B).fill(-1);
  targets.forEach((target, b) => {
    [layers.start, ...target].forEach((id, t) => (tokens[t * B + b] = id));
    [...target, layers.end].forEach((id, t) => (classes[t * B + b] = id));
  });
  return { sources, lengths, T, B, tokens, classes };
}

/** The loss of examples, the decoder reading these tokens [T,B]; default the right ones. */
export function lossOf(task: Seq2Seq, examples: readonly Seq2SeqExample[], read?: Int32Array) {
  const { sources, lengths, T, tokens, classes } = encoded(task, examples);
  return (tape: Tape, layers: Layers): Loss => {
    const memory = layers.encode(tape, sources);
    return crossEntropyLoss(
      tape,
      layers.decode(tape, memory, read ?? tokens, T, memory.state, lengths).logits,
      classes,
    );
  };
}

/** Encoders and cells of every kind, with the examples that they read. */
export const kinds: [string, Partial<Seq2SeqOptions>, readonly Seq2SeqExample[]][] = [
  ['GRU', {}, EXAMPLES],
  ['LSTM', { cell: 'lstm' }, EXAMPLES],
  ['RNN', { cell: 'rnn' }, EXAMPLES],
  ['bidirectional LSTM of 2 layers', { cell: 'lstm', hiddenSize: [4, 5], bidirectional: true, merge: 'sum' }, EXAMPLES],
  ['GRU of 2 layers over vectors', { numLayers: 2, source: { inputSize: 2 } }, FRAMES],
  [
    'two encoders',
    { source: { passage: { vocabulary: 'abc', embeddingSize: 3 }, question: { inputSize: 2 } }, cell: 'lstm' },
    PAIRS,
  ],
  [
    'LSTM with a projection over two features',
    {
      cell: 'lstm',
      projectionSize: 3,
      source: {
        features: { word: { vocabulary: 'abc', embeddingSize: 3 }, mark: { vocabulary: '01', embeddingSize: 2 } },
      },
    },
    TAGGED,
  ],
];

/** Different texts of the letters a, b and c. */
export function texts(n: number): string[] {
  const next = random(3);
  const all = new Set<string>();
  while (all.size < n) {
    all.add(Array.from({ length: 1 + Math.floor(next() * 6) }, () => 'abc'[Math.floor(next() * 3)]).join(''));
  }
  return [...all];
}

/** A model that says the same at every step: all weights 0, and these probabilities of x, y, z and the end. */
export async function monotone(probabilities: number[], options: Partial<Seq2SeqOptions> = {}): Promise<Seq2Seq> {
  const task = await create(options);
  for (const { name, size } of task.model.parameters) task.model.set(name, new Float32Array(size));
  task.model.set('head.bias', probabilities.map(Math.log));
  return task;
}
