/** `node build/bench/quantized.js`: quantized layers against the same layers in float32, in turns in one process. */
import { readFileSync } from 'node:fs';
import { type CellName, input, Model, Recurrent, Runtime } from 'gatewise';
import { type Dtype, quantizeSync } from 'gatewise/quantized';
import { numbers } from './numbers.js';
import { count, optionsOf, refuse } from './options.js';
import { accuracy } from './quantized-accuracy.js';

const HELP = `node build/bench/quantized.js [--json] [--only TEXT] [--samples N] [--accuracy FOLDER]

Times recurrent layers at B=1: a sequence of 100 steps, and a single step. float32 on simd and, where the
engine has it, on relaxed, int16 and int8 on both modules take turns in one process, by the processor's
time. A ratio is the median over the samples of float32 simd's time divided by the other's; in
parentheses, of float32 relaxed's.

  --json             one object a line
  --only TEXT        rows whose id contains TEXT
  --samples N        samples a row, default 15
  --accuracy FOLDER  instead: what quantizing costs a character model (FOLDER/data/tinyshakespeare,
                     FOLDER/reference/charlm_s1.final.safetensors) and a tagger (FOLDER/data/ud-ewt),
                     which is trained first
`;

const options = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  samples: { type: 'string', default: '15' },
  accuracy: { type: 'string' },
});
const samples = count('--samples', options.samples);

/** Milliseconds of processor that this process has had. */
function clock(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** How many times as fast, the median over the samples. */
function ratio(slow: readonly number[], fast: readonly number[]): number {
  return Number(median(fast.map((t, i) => slow[i] / t)).toFixed(2));
}

/** A packaged module, or null where this engine cannot run it. */
function wasm(name: string): WebAssembly.Module | null {
  const bytes = new Uint8Array(readFileSync(new URL(`../wasm/${name}.wasm`, import.meta.url)));
  return WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
}

const relaxed = wasm('relaxed');
const quantizedRelaxed = wasm('quantized-relaxed');

interface Contestant {
  readonly sequence: () => void;
  readonly step: () => void;
  readonly end: () => void;
}

const T = 100;

function contestants(cell: CellName, I: number, H: number): Record<string, Contestant> {
  const layer = { cell, inputSize: I, hiddenSize: H };
  const x = numbers(T * I);
  const first = x.subarray(0, I);
  const model = (module: WebAssembly.Module | undefined) =>
    new Model(Runtime.createSync({ module }), 1, (b) => new Recurrent(b, 'rnn', layer));
  const float = (module?: WebAssembly.Module): Contestant => {
    const own = model(module);
    const state = own.layers.state(1);
    const output = new Float32Array(H);
    return {
      sequence: () => {
        own.forward((tape, rnn) => {
          rnn.forward(tape, input(tape, x, { T, B: 1, F: I }));
        });
      },
      step: () => {
        own.layers.step(first, state, output);
      },
      end: () => own.runtime.dispose(),
    };
  };
  const integer = (dtype: Dtype, module?: WebAssembly.Module): Contestant => {
    const source = model(undefined);
    const quantized = quantizeSync(source, { dtype, layers: { rnn: layer }, calibrate: { rnn: 1 }, module });
    source.runtime.dispose();
    const rnn = quantized.recurrent('rnn');
    const outputs = new Float32Array(T * H);
    const output = new Float32Array(H);
    const state = rnn.state(1);
    return {
      sequence: () => {
        rnn.forward(x, { T, B: 1 }, undefined, outputs);
      },
      step: () => {
        rnn.step(first, state, output);
      },
      end: () => quantized.dispose(),
    };
  };
  return {
    float32: float(),
    ...(relaxed ? { 'float32 relaxed': float(relaxed) } : {}),
    int16: integer('int16'),
    int8: integer('int8'),
    ...(quantizedRelaxed
      ? { 'int16 relaxed': integer('int16', quantizedRelaxed), 'int8 relaxed': integer('int8', quantizedRelaxed) }
      : {}),
  };
}

/** Milliseconds of one run of each, sample by sample. */
function times(runs: Readonly<Record<string, () => void>>): Record<string, number[]> {
  const repeats: Record<string, number> = {};
  for (const [name, run] of Object.entries(runs)) {
    const end = clock() + 300;
    let n = 0;
    const began = clock();
    for (; n < 10 || clock() < end; n++) run();
    repeats[name] = Math.max(1, Math.ceil((4 * n) / (clock() - began)));
  }
  const all: Record<string, number[]> = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (let i = 0; i < samples; i++) {
    for (const [name, run] of Object.entries(runs)) {
      const began = clock();
      for (let k = 0; k < repeats[name]; k++) run();
      all[name].push((clock() - began) / repeats[name]);
    }
  }
  return all;
}

function speed(): void {
  const sizes = [
    [64, 128],
    [256, 256],
    [512, 512],
  ];
  const rows = (['lstm', 'gru', 'rnn'] as const).flatMap((cell) =>
    sizes.flatMap(([I, H]) => (['sequence', 'step'] as const).map((what) => ({ cell, I, H, what }))),
  );
  const chosen = rows.filter(({ cell, H, what }) => `${cell}-${what}-h${H}`.includes(options.only));
  if (chosen.length === 0) refuse(`--only ${options.only}: no such row`);
  for (const { cell, I, H, what } of chosen) {
    const all = contestants(cell, I, H);
    const measured = times(Object.fromEntries(Object.entries(all).map(([name, c]) => [name, c[what]])));
    for (const { end } of Object.values(all)) end();
    const entries = Object.entries(measured).map(([name, list]) => ({
      name,
      us: Number((1000 * median(list)).toFixed(2)),
      ratio: ratio(measured.float32, list),
      ...(measured['float32 relaxed'] ? { toRelaxed: ratio(measured['float32 relaxed'], list) } : {}),
    }));
    const id = `${cell}-${what}-h${H}`;
    if (options.json) console.log(JSON.stringify({ id, node: process.version, entries }));
    else
      console.log(
        id.padEnd(20) +
          entries
            .map(({ name, us, ratio, toRelaxed }) => `${name} ${us} µs ×${ratio}${toRelaxed ? ` (×${toRelaxed})` : ''}`)
            .join(',  '),
      );
  }
}

if (options.accuracy === undefined) speed();
else await accuracy(options.accuracy, options.json);
