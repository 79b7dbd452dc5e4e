/** Vector → sequence: drum patterns from the name of a style. The music is made by rule at run time, so it is free of anyone's rights. */

import { SequenceGenerator } from 'gatewise/tasks';
import { writeMidi } from 'midi-file';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';

/** Rows of a frame, and their numbers among the percussion of General MIDI. */
const DRUMS = { kick: 36, snare: 38, 'closed hat': 42, 'open hat': 46, clap: 39, tom: 45, cowbell: 56, rim: 37 };
const NAMES = Object.keys(DRUMS) as (keyof typeof DRUMS)[];

interface Style {
  /** Steps of a bar. */
  readonly steps: number;
  /** Onsets and rotation of each drum's rhythm, of which one is taken. */
  readonly drums: Partial<Record<keyof typeof DRUMS, readonly (readonly [onsets: number, turn: number])[]>>;
}

/** After G. Toussaint, The Euclidean algorithm generates traditional musical rhythms, Bridges 2005. */
const STYLES: Record<string, Style> = {
  tresillo: {
    steps: 8,
    drums: {
      kick: [[3, 0]],
      'closed hat': [
        [8, 0],
        [4, 0],
      ],
      rim: [
        [5, 0],
        [2, 2],
      ],
    },
  },
  cinquillo: {
    steps: 8,
    drums: {
      kick: [[2, 0]],
      cowbell: [[5, 0]],
      'closed hat': [
        [4, 1],
        [8, 0],
      ],
    },
  },
  bossa: {
    steps: 16,
    drums: {
      kick: [[4, 0]],
      rim: [
        [5, 0],
        [5, 3],
      ],
      'closed hat': [
        [16, 0],
        [8, 0],
      ],
    },
  },
  rock: {
    steps: 16,
    drums: {
      kick: [
        [2, 0],
        [4, 0],
      ],
      snare: [[2, 4]],
      'closed hat': [[8, 0]],
      'open hat': [
        [1, 14],
        [2, 6],
      ],
    },
  },
  house: {
    steps: 16,
    drums: {
      kick: [[4, 0]],
      clap: [[2, 4]],
      'open hat': [[4, 2]],
      'closed hat': [
        [16, 0],
        [11, 0],
      ],
    },
  },
  bembe: {
    steps: 12,
    drums: {
      cowbell: [[7, 0]],
      kick: [
        [2, 0],
        [4, 0],
      ],
      tom: [
        [3, 2],
        [5, 1],
      ],
    },
  },
  waltz: {
    steps: 12,
    drums: {
      kick: [[1, 0]],
      snare: [[2, 4]],
      'closed hat': [
        [3, 0],
        [6, 0],
      ],
    },
  },
};
const BARS = 4;

type Frames = number[][];

/** Whether step t of `steps` has an onset, so many being spread as evenly as can be. */
const onset = (t: number, onsets: number, steps: number) => (t * onsets) % steps < onsets;

/** A piece: each drum chooses its rhythm once; now and then a stroke is left out, and the last bar ends in a fill. */
function piece(style: Style, chance: Chance): Frames {
  const chosen = Object.entries(style.drums).map(([name, rhythms]) => ({
    row: NAMES.indexOf(name as keyof typeof DRUMS),
    rhythm: chance.pick(rhythms),
  }));
  return Array.from({ length: BARS * style.steps }, (_, t) => {
    const frame = NAMES.map(() => 0);
    for (const { row, rhythm } of chosen) {
      const [onsets, turn] = rhythm;
      if (onset((t + style.steps - turn) % style.steps, onsets, style.steps) && chance.next() >= 0.03) frame[row] = 1;
    }
    if (t >= BARS * style.steps - 3 && chance.next() < 0.7) frame[NAMES.indexOf('tom')] = 1;
    return frame;
  });
}

/** Mean nats of a frame, each bit foretold by how often it was set: overall, or in its style. */
function frequencies(training: Piece[], heldOut: Piece[], key: (p: Piece) => string): number {
  const counts = new Map<string, { on: number[]; n: number }>();
  for (const p of training) {
    const own = counts.get(key(p)) ?? { on: NAMES.map(() => 0), n: 0 };
    counts.set(key(p), own);
    for (const frame of p.target) {
      own.n++;
      frame.forEach((v, f) => {
        own.on[f] += v;
      });
    }
  }
  let [nats, n] = [0, 0];
  for (const p of heldOut) {
    const own = counts.get(key(p)) as { on: number[]; n: number };
    for (const frame of p.target) {
      n++;
      frame.forEach((v, f) => {
        const share = (own.on[f] + 0.5) / (own.n + 1);
        nats -= Math.log(v ? share : 1 - share);
      });
    }
  }
  return nats / n;
}

interface Piece {
  readonly input: string;
  readonly target: Frames;
}

const TICKS = 120;

/** A file of one track on the channel of the percussion, four steps to a beat. */
function midi(frames: readonly ArrayLike<number>[]): Uint8Array {
  const events: object[] = [{ deltaTime: 0, meta: true, type: 'setTempo', microsecondsPerBeat: 500000 }];
  let waited = 0;
  for (const frame of frames) {
    const notes = NAMES.filter((_, f) => frame[f]).map((name) => DRUMS[name]);
    for (const [i, noteNumber] of notes.entries()) {
      events.push({ deltaTime: i ? 0 : waited, type: 'noteOn', channel: 9, noteNumber, velocity: 96 });
    }
    for (const [i, noteNumber] of notes.entries()) {
      events.push({ deltaTime: i ? 0 : TICKS / 2, type: 'noteOff', channel: 9, noteNumber, velocity: 0 });
    }
    waited = notes.length ? TICKS / 2 : waited + TICKS;
  }
  events.push({ deltaTime: waited, meta: true, type: 'endOfTrack' });
  return Uint8Array.from(
    writeMidi({ header: { format: 0, numTracks: 1, ticksPerBeat: 4 * TICKS }, tracks: [events] } as never),
  );
}

export const example: Example = {
  title: 'drum patterns from the name of a style: frames of eight bits, a MIDI file',
  async run(stage) {
    const chance = new Chance(stage.seed);
    const make = (n: number): Piece[] =>
      Object.entries(STYLES).flatMap(([input, style]) =>
        Array.from({ length: n }, () => ({ input, target: piece(style, chance) })),
      );
    const [training, heldOut] = [make(60), make(15)];
    stage.log(`  ${training.length} pieces in ${Object.keys(STYLES).length} styles, ${heldOut.length} held out`);
    using model = await SequenceGenerator.create({
      classes: Object.keys(STYLES),
      target: { bits: NAMES.length },
      pass: 'both',
      hiddenSize: 64,
      seed: stage.seed,
    });
    const fit = { epochs: 30, batchSize: 16, learningRate: 5e-3, signal: stage.signal };
    for await (const p of model.fit(training, fit)) {
      stage.progress(p.step, p.steps, `loss ${p.loss.toFixed(3)}, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const { loss } = await model.evaluate(heldOut);
    const plain = frequencies(training, heldOut, () => '');
    const byStyle = frequencies(training, heldOut, ({ input }) => input);
    stage.figure('frequency of each drum, held-out pieces', plain, 'nats per frame');
    stage.figure('frequency of each drum in its style', byStyle, 'nats per frame');
    stage.figure('this model', loss, 'nats per frame', { atMost: byStyle - 1e-3 });

    const styles = Object.keys(STYLES);
    const drawn = await model.generate(styles, { seed: stage.seed, temperature: 0.8, maxLength: 80 });
    const values = drawn.flatMap(({ frames }, i) =>
      frames.flatMap((frame, step) =>
        NAMES.filter((_, f) => frame[f]).map((drum) => ({ style: styles[i], step, end: step + 1, drum })),
      ),
    );
    await stage.picture('patterns', {
      title: 'What it plays when asked for a style',
      data: { values },
      facet: { row: { field: 'style', type: 'nominal', title: null, sort: styles } },
      spec: {
        width: 800,
        height: 90,
        mark: { type: 'bar', stroke: 'white' },
        encoding: {
          x: {
            field: 'step',
            type: 'quantitative',
            title: 'step',
            scale: { domain: [0, 80], nice: false },
            axis: { tickMinStep: 4 },
          },
          x2: { field: 'end' },
          y: { field: 'drum', type: 'nominal', title: null, sort: NAMES, scale: { domain: NAMES } },
          color: { field: 'drum', type: 'nominal', legend: null },
        },
      },
    });
    await stage.write('patterns.mid', midi(drawn.flatMap(({ frames }) => frames)));
  },
};
