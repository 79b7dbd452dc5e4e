/** Random configurations of the cells that PyTorch has, forward and backward, against PyTorch in double precision. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dotLoss, gradientOf, input, Model, Recurrent, type RecurrentOptions, Runtime, read } from 'gatewise';
import { Chance } from './chance.js';

/** The error in single precision that is allowed, relative to the largest number, and at least this number itself. */
const BOUND = 2e-5;

interface Configuration {
  readonly cell: 'rnn' | 'lstm' | 'gru';
  readonly activation: 'tanh' | 'relu';
  readonly I: number;
  readonly H: number;
  /** The projection of an LSTM, or 0. */
  readonly P: number;
  readonly layers: number;
  readonly bias: boolean;
  readonly bidirectional: boolean;
  readonly T: number;
  readonly B: number;
  readonly lengths: readonly number[];
  readonly start: boolean;
}

interface Result {
  readonly y: readonly number[];
  readonly h: readonly number[];
  readonly c: readonly number[];
  readonly dx: readonly number[];
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

function configuration(chance: Chance): Configuration {
  const cell = chance.of(['rnn', 'lstm', 'gru'] as const);
  const [T, B] = [1 + chance.below(12), 1 + chance.below(6)];
  const H = 2 + chance.below(chance.yes(0.2) ? 60 : 12);
  return {
    cell,
    activation: cell === 'rnn' && chance.yes() ? 'relu' : 'tanh',
    I: 1 + chance.below(chance.yes(0.2) ? 60 : 10),
    H,
    P: cell === 'lstm' && chance.yes(0.3) ? 1 + chance.below(H - 1) : 0,
    layers: 1 + chance.below(3),
    bias: chance.yes(0.8),
    bidirectional: chance.yes(0.4),
    T,
    B,
    lengths: Array.from({ length: B }, (_, b) => (b === 0 ? T : 1 + chance.below(T))),
    start: chance.yes(),
  };
}

function numbers(chance: Chance, n: number, size: number): Float32Array {
  return Float32Array.from({ length: n }, () => size * (2 * chance.next() - 1));
}

/** What differs, or null. */
function difference(name: string, have: ArrayLike<number>, want: readonly number[]): string | null {
  if (have.length !== want.length) return `${name}: ${have.length} numbers, PyTorch has ${want.length}`;
  const bound = BOUND * Math.max(1, ...want.map(Math.abs));
  const at = want.findIndex((v, i) => !(Math.abs(have[i] - v) <= bound));
  return at < 0 ? null : `${name}[${at}] is ${have[at]}, PyTorch has ${want[at]}`;
}

/** @returns cases that agree and that do not */
export async function compareWithTorch(python: string, seed: number, cases: number): Promise<[number, number]> {
  const script = fileURLToPath(new URL('../../../tests/fuzz/pytorch.py', import.meta.url));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let [passed, failed] = [0, 0];
  for (let n = 0; n < cases; n++) {
    const chance = new Chance(seed, 'torch', n);
    const c = configuration(chance);
    const { cell, activation, I, H, P, layers, bias, bidirectional, T, B, lengths, start } = c;
    const options: RecurrentOptions = {
      cell,
      inputSize: I,
      hiddenSize: H,
      numLayers: layers,
      bias,
      bidirectional,
      ...(P ? { projectionSize: P } : {}),
      ...(cell === 'rnn' ? { activation } : {}),
    };
    const runtime = Runtime.createSync();
    const model = new Model(runtime, n, (b) => new Recurrent(b, 'rnn', options));
    const weights: Record<string, number[]> = {};
    // with larger weights rounding errors grow from step to step, in PyTorch's single precision as well
    const largest = Math.min(0.6, 1.5 / Math.sqrt(H));
    for (const { name, size } of model.parameters) {
      const values = numbers(chance, size, largest);
      model.set(name, values);
      weights[name.slice('rnn.'.length)] = [...values];
    }
    const x = numbers(chance, T * B * I, 2);
    const directions = bidirectional ? 2 : 1;
    const F = (P || H) * directions;
    const up = numbers(chance, T * B * F, 1);
    // what lies past an end counts nothing
    up.forEach((_, i) => {
      if (Math.floor(i / F / B) >= lengths[Math.floor(i / F) % B]) up[i] = 0;
    });
    const state = model.layers.state(B);
    if (start)
      for (const kind of ['h', 'c'] as const) for (const one of state[kind]) one.set(numbers(chance, one.length, 1));
    const nested = (all: readonly Float32Array[]) =>
      all.map((one) =>
        Array.from({ length: B }, (_, b) => [...one.subarray((b * one.length) / B, ((b + 1) * one.length) / B)]),
      );
    const about = { ...c, weights, x: [...x], up: [...up], h: start ? nested(state.h) : null, c: nested(state.c) };
    child.stdin.write(`${JSON.stringify(about)}\n`);
    let y = new Float32Array(0);
    let dx: () => ArrayLike<number> = () => [];
    model.valueAndGrad((tape, rnn) => {
      const rows = input(tape, x, { T, B, F: I, lengths }, { gradient: true });
      const { output } = rnn.forward(tape, rows, state);
      y = Float32Array.from(read(tape, output));
      const gradient = gradientOf(tape, rows);
      dx = () => gradient.values ?? [];
      return dotLoss(tape, output, up);
    });
    const line = await lines.next();
    if (line.done) throw new Error(`${python} ended after ${n} cases`);
    const want: Result = JSON.parse(line.value);
    const found = [
      difference('output', y, want.y),
      difference(
        'h',
        state.h.flatMap((one) => [...one]),
        want.h,
      ),
      difference(
        'c',
        state.c.flatMap((one) => [...one]),
        want.c,
      ),
      difference('gradient of x', dx(), want.dx),
      ...Object.entries(want.gradients).map(([name, own]) => difference(name, model.gradient(`rnn.${name}`), own)),
    ].filter((finding) => finding !== null);
    runtime.dispose();
    if (found.length) {
      failed++;
      console.log(`torch ${n}: ${found[0]}\n    ${JSON.stringify(c)}`);
    } else passed++;
  }
  child.stdin.end();
  return [passed, failed];
}
