/** Bach's chorales: which keys sound next. */
import { readFile } from 'node:fs/promises';
import { bceWithLogitsLoss, input, Linear, Model, Optimizer, Runtime } from 'gatewise';
import { SequenceGenerator } from 'gatewise/tasks';
import { follow, mean } from './data.js';
import type { Reference } from './reference.js';

const FILE = 'data/jsb/jsb-chorales-quarter.json';
const KEYS = 88;
const LOWEST = 21;
const EPOCHS = 40;
const BATCH = 2;

interface Piece {
  /** X: the same for all pieces. */
  readonly input: readonly number[];
  /** [T] frames [KEYS] of zeros and ones. */
  readonly target: readonly Float32Array[];
}
type Parts = Readonly<Record<'train' | 'valid' | 'test', readonly Piece[]>>;

const CELLS = { rnn: 8.95, gru: 8.65, lstm: 8.65 } as const;

export const chorales: Reference = {
  name: 'chorales',
  title: 'which keys of a chorale sound next, RNN, GRU and LSTM 200',
  needs: [FILE],
  async run(path, report) {
    const parts = read(await readFile(path(FILE), 'utf8'));
    const { train, valid, test } = parts;
    report.note('each key by itself after its last state, counted: nats per frame', counted(train, test));
    for (const [cell, most] of Object.entries(CELLS) as ['rnn' | 'gru' | 'lstm', number][]) {
      const scores: number[] = [];
      for (const seed of [1, 2, 3]) {
        const model = await SequenceGenerator.create({
          inputSize: 1,
          target: { bits: KEYS },
          cell,
          hiddenSize: 200,
          outputDropout: 0.5,
          seed,
        });
        const how = { epochs: EPOCHS, batchSize: BATCH, learningRate: 2e-3, clipNorm: 5 };
        // every second epoch: an evaluation also writes, for `exact`
        const check = { validation: valid, validateEvery: 2 * Math.ceil(train.length / BATCH), patience: 3 };
        await follow(model.fit(train, { ...how, ...check }), report, `${cell}, seed ${seed}`);
        const score = await nats(model, test);
        report.note(`${cell}, seed ${seed}: nats per frame`, score);
        scores.push(score);
        model.dispose();
      }
      const score = mean(scores);
      report.check(`${cell}: nats per frame, mean of 3 seeds`, score, `at most ${most}`, score <= most);
    }
    report.note('all keys of the last frame, logistic regression: nats per frame', await linear(parts));
  },
};

/** Pieces as frames of bits. */
function read(json: string): Parts {
  const file = JSON.parse(json) as Record<string, number[][][]>;
  const frame = (pitches: readonly number[]) => {
    const keys = new Float32Array(KEYS);
    for (const pitch of pitches) keys[pitch - LOWEST] = 1;
    return keys;
  };
  const part = (name: string) => file[name].map((piece) => ({ input: [1], target: piece.map(frame) }));
  return { train: part('train'), valid: part('valid'), test: part('test') };
}

const framesOf = (pieces: readonly Piece[]) => pieces.reduce((n, { target }) => n + target.length, 0);

/** Nats per frame of frames 2 to T, as published results have it: the first one has nothing before it. */
async function nats(model: SequenceGenerator<{ bits: number }>, pieces: readonly Piece[]): Promise<number> {
  const first = pieces.map((piece) => ({ ...piece, target: piece.target.slice(0, 1) }));
  const [all, one] = [await model.evaluate(pieces), await model.evaluate(first, { maxLength: 1 })];
  const frames = framesOf(pieces);
  return (all.loss * frames - one.loss * pieces.length) / (frames - pieces.length);
}

/** Frames and those that follow them. */
function pairs(pieces: readonly Piece[]): { before: Float32Array; after: Float32Array; n: number } {
  const n = framesOf(pieces) - pieces.length;
  const [before, after] = [new Float32Array(n * KEYS), new Float32Array(n * KEYS)];
  let at = 0;
  for (const { target } of pieces) {
    for (let t = 1; t < target.length; t++, at += KEYS) {
      before.set(target[t - 1], at);
      after.set(target[t], at);
    }
  }
  return { before, after, n };
}

/** How often each key sounds after it sounded, and after it did not, in the training part; one of each is added. */
function counted(train: readonly Piece[], test: readonly Piece[]): number {
  const counts = Array.from({ length: KEYS }, () => [
    [1, 1],
    [1, 1],
  ]);
  const learned = pairs(train);
  learned.after.forEach((on, i) => {
    counts[i % KEYS][learned.before[i]][on]++;
  });
  const { before, after, n } = pairs(test);
  const sum = after.reduce((total, on, i) => {
    const own = counts[i % KEYS][before[i]];
    return total - Math.log(own[on] / (own[0] + own[1]));
  }, 0);
  return sum / n;
}

/** A logistic regression on the frame before, with early stopping on the validation part. */
async function linear({ train, valid, test }: Parts): Promise<number> {
  const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'l', { inputSize: KEYS, outputSize: KEYS }));
  const optimizer = new Optimizer(model, { learningRate: 0.02 });
  const [own, kept, other] = [train, valid, test].map(pairs);
  const loss = ({ before, after, n }: ReturnType<typeof pairs>) =>
    model.forward(
      (tape, l) =>
        KEYS * bceWithLogitsLoss(tape, l.forward(tape, input(tape, before, { T: 1, B: n, F: KEYS })), after).value,
    );
  let best = { valid: Number.POSITIVE_INFINITY, test: 0 };
  for (let step = 1, since = 0; since < 5 && step <= 300; step++) {
    model.valueAndGrad((tape, l) => {
      const x = input(tape, own.before, { T: 1, B: own.n, F: KEYS });
      return [{ loss: bceWithLogitsLoss(tape, l.forward(tape, x), own.after), weight: KEYS }];
    });
    optimizer.step();
    if (step % 10 > 0) continue;
    const now = loss(kept);
    since = now < best.valid ? 0 : since + 1;
    if (since === 0) best = { valid: now, test: loss(other) };
  }
  model.runtime.dispose();
  return best.test;
}
