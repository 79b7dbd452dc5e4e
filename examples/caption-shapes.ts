/** Vector → sequence: a sentence about a picture, from its pixels. */
import { SequenceGenerator } from 'gatewise/tasks';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

const SIDE = 20;
const COLOURS = { red: [1, 0.1, 0.1], green: [0.1, 0.8, 0.2], blue: [0.2, 0.3, 1], yellow: [1, 0.9, 0.1] };
const SIZES = { small: 3, large: 4.7 };
const SHAPES: Record<string, (x: number, y: number) => boolean> = {
  circle: (x, y) => x * x + y * y <= 1,
  square: (x, y) => Math.abs(x) <= 0.85 && Math.abs(y) <= 0.85,
  triangle: (x, y) => y <= 0.9 && Math.abs(x) <= (y + 1) / 1.9,
};
const WORDS = ['a', ...Object.keys(SIZES), ...Object.keys(COLOURS), ...Object.keys(SHAPES), 'above', 'left', 'of'];

interface Thing {
  readonly size: keyof typeof SIZES;
  readonly colour: keyof typeof COLOURS;
  readonly shape: string;
}

interface Scene {
  /** [SIDE,SIDE,3] from 0 to 1. */
  readonly input: Float32Array;
  readonly target: string[];
}

const THINGS: Thing[] = (Object.keys(SIZES) as Thing['size'][]).flatMap((size) =>
  (Object.keys(COLOURS) as Thing['colour'][]).flatMap((colour) =>
    Object.keys(SHAPES).map((shape) => ({ size, colour, shape })),
  ),
);

/** Every seventh pair of things is held out: the training data has no picture of it. */
const isHeldOut = (a: number, b: number) => (5 * a + b) % 7 === 3;

/** Draws two things, one above or left of the other, on a dark and noisy background. */
function scene(a: Thing, b: Thing, above: boolean, chance: Chance): Scene {
  const input = Float32Array.from({ length: SIDE * SIDE * 3 }, () => 0.1 * chance.next());
  [a, b].forEach(({ size, colour, shape }, i) => {
    const along = (i === 0 ? 5 : SIDE - 5) + (chance.next() - 0.5);
    const across = SIDE / 2 + 2 * (chance.next() - 0.5);
    const [cx, cy] = above ? [across, along] : [along, across];
    const inside = SHAPES[shape];
    // 3 × 3 samples per pixel, for soft edges
    for (let p = 0; p < SIDE * SIDE; p++) {
      let covered = 0;
      for (let s = 0; s < 9; s++) {
        const x = (p % SIDE) + ((s % 3) + 0.5) / 3 - cx;
        const y = Math.floor(p / SIDE) + (Math.floor(s / 3) + 0.5) / 3 - cy;
        if (inside(x / SIZES[size], y / SIZES[size])) covered++;
      }
      COLOURS[colour].forEach((v, c) => {
        input[3 * p + c] += (covered / 9) * (v - input[3 * p + c]);
      });
    }
  });
  const words = ({ size, colour, shape }: Thing) => ['a', size, colour, shape];
  return { input, target: [...words(a), ...(above ? ['above'] : ['left', 'of']), ...words(b)] };
}

/** Fraction of the words that are correct at their position. */
function wordsRight(said: readonly (readonly string[])[], truth: readonly Scene[]): number {
  const right = truth.map(({ target }, i) => target.filter((word, t) => said[i][t] === word).length / target.length);
  return right.reduce((sum, share) => sum + share, 0) / right.length;
}

/** The sentence of the nearest picture, by squared distance of the pixels. */
function nearest(training: readonly Scene[], { input }: Scene): string[] {
  let [best, least] = [training[0], Infinity];
  for (const other of training) {
    let d = 0;
    for (let i = 0; i < input.length && d < least; i++) d += (input[i] - other.input[i]) ** 2;
    if (d < least) [best, least] = [other, d];
  }
  return best.target;
}

export const example: Example = {
  title: 'a sentence about a picture of 20 × 20 pixels, for unseen pairs of things',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const make = (n: number, wanted: boolean): Scene[] =>
      Array.from({ length: n }, () => {
        for (;;) {
          const [a, b] = [chance.below(THINGS.length), chance.below(THINGS.length)];
          if (isHeldOut(a, b) === wanted) return scene(THINGS[a], THINGS[b], chance.next() < 0.5, chance);
        }
      });
    const [training, heldOut] = [make(12_000, false), make(600, true)];
    stage.log(`  ${training.length} pictures for training, ${heldOut.length} of held-out pairs`);
    using model = await SequenceGenerator.create({
      inputSize: SIDE * SIDE * 3,
      target: WORDS,
      embeddingSize: 16,
      hiddenLayers: [128, 64],
      hiddenSize: 64,
      pass: 'both',
      seed: stage.seed,
    });
    const epochs = 12;
    const schedule = { kind: 'cosine', steps: epochs * Math.ceil(training.length / 64) } as const;
    const fit = { epochs, batchSize: 64, learningRate: 2e-3, schedule, signal: stage.signal };
    for await (const p of model.fit(training, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const { exact } = await model.evaluate(heldOut);
    const some = heldOut.slice(0, 100);
    const neighbours = some.map((own) => nearest(training, own));
    const own = await model.predict(some.map(({ input }) => input));
    // its sentence cannot be exact, because the pair is held out; single words can be correct
    stage.metric('the nearest picture, correct words', wordsRight(neighbours, some), '%');
    stage.metric(
      'this model, correct words',
      wordsRight(
        own.map(({ tokens }) => tokens),
        some,
      ),
      '%',
    );
    stage.metric('this model, exact sentences', exact, '%', { atLeast: 0.95 });

    const shown = heldOut.slice(0, 12);
    const written = await model.predict(shown.map(({ input }) => input));
    const hex = (v: number) =>
      Math.round(255 * v)
        .toString(16)
        .padStart(2, '0');
    const values = shown.flatMap(({ input }, i) =>
      Array.from({ length: SIDE * SIDE }, (_, p) => ({
        scene: i,
        x: p % SIDE,
        y: Math.floor(p / SIDE),
        colour: `#${[0, 1, 2].map((c) => hex(input[3 * p + c])).join('')}`,
      })),
    );
    const captions = shown.map(({ target }, i) => {
      const middle = written[i].tokens.findIndex((word) => word === 'above' || word === 'left');
      return {
        scene: i,
        first: written[i].tokens.slice(0, middle).join(' '),
        second: written[i].tokens.slice(middle).join(' '),
        right: written[i].tokens.join() === target.join(),
      };
    });
    const plain = { type: 'ordinal', axis: null } as const;
    await stage.picture('captions', {
      title: 'Sentences about held-out pairs (red: wrong)',
      concat: shown.map((_, i) => ({
        width: 180,
        height: 180,
        title: {
          text: [captions[i].first, captions[i].second],
          fontSize: 11,
          color: captions[i].right ? 'black' : 'red',
        },
        data: { values: values.filter((v) => v.scene === i) },
        mark: { type: 'rect' },
        encoding: {
          x: { field: 'x', ...plain },
          y: { field: 'y', ...plain },
          color: { field: 'colour', type: 'nominal', scale: null },
        },
      })),
      columns: 4,
    } as never);
  },
};
