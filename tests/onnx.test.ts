/** ONNX's operators RNN, GRU and LSTM: peepholes, both forms of the GRU, directions, lengths, initial states. */
import { fileURLToPath } from 'node:url';
import { input, Model, Recurrent, type RecurrentOptions, type Rows, read, type Tape } from 'gatewise';
import { test } from 'uvu';
import { ok } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';
import { close } from './support/numbers.js';
import { type OperatorTest, operatorTests } from './support/onnx.js';

/** Gates in ONNX's order, as places in ours. */
const ORDER = { RNN: [0], GRU: [1, 0, 2], LSTM: [0, 3, 1, 2] } as const;

/** Blocks of n numbers, put in our order. */
function reorder(values: ArrayLike<number>, op: keyof typeof ORDER, n: number): Float32Array {
  const out = new Float32Array(values.length);
  ORDER[op].forEach((ours, theirs) => {
    out.set(Array.prototype.slice.call(values, theirs * n, (theirs + 1) * n), ours * n);
  });
  return out;
}

function check({ op: name, attributes, inputs, outputs }: OperatorTest, build: string): void {
  const op = name as keyof typeof ORDER;
  const G = ORDER[op].length;
  const [T, B, I] = inputs.X.dims;
  const H = attributes.hidden_size as number;
  const { direction = 'forward', activations = [] } = attributes as { direction?: string; activations?: string[] };
  const D = direction === 'bidirectional' ? 2 : 1;
  const options: RecurrentOptions = {
    cell: op.toLowerCase() as 'rnn',
    inputSize: I,
    hiddenSize: H,
    bidirectional: D === 2,
    reverse: direction === 'reverse',
    ...(op === 'GRU' ? { reset: attributes.linear_before_reset ? 'after' : 'before' } : {}),
    ...(op === 'RNN' && activations[0] === 'Relu' ? { activation: 'relu' } : {}),
    ...(inputs.P ? { peepholes: true } : {}),
  };
  const r = runtime(build);
  const model = new Model(r, 0, (b) => new Recurrent(b, 'rnn', options));
  for (let d = 0; d < D; d++) {
    const suffix = `_l0${d === 1 || direction === 'reverse' ? '_reverse' : ''}`;
    const part = (t: { data: ArrayLike<number> }, n: number) => Array.prototype.slice.call(t.data, d * n, (d + 1) * n);
    model.set(`rnn.weight_ih${suffix}`, reorder(part(inputs.W, G * H * I), op, H * I));
    model.set(`rnn.weight_hh${suffix}`, reorder(part(inputs.R, G * H * H), op, H * H));
    const b = inputs.B ? part(inputs.B, 2 * G * H) : new Array(2 * G * H).fill(0);
    model.set(`rnn.bias_ih${suffix}`, reorder(b.slice(0, G * H), op, H));
    model.set(`rnn.bias_hh${suffix}`, reorder(b.slice(G * H), op, H));
    // peepholes are i o f there, i f o here
    if (inputs.P) {
      const p = part(inputs.P, 3 * H);
      model.set(`rnn.weight_peephole${suffix}`, [...p.slice(0, H), ...p.slice(2 * H), ...p.slice(H, 2 * H)]);
    }
  }
  model.forward((tape, rnn) => {
    const lengths = inputs.sequence_lens?.data;
    const x = input(tape, inputs.X.data, { T, B, F: I, lengths });
    const state = (values: ArrayLike<number> | undefined) =>
      Array.from({ length: D }, (_, d) =>
        input(tape, values ? Array.prototype.slice.call(values, d * B * H, (d + 1) * B * H) : new Float32Array(B * H), {
          T: 1,
          B,
          F: H,
        }),
      );
    const initial = { h: state(inputs.initial_h?.data), c: op === 'LSTM' ? state(inputs.initial_c?.data) : [] };
    const { output, h, c } = rnn.forward(tape, x, initial);
    const all = (rows: readonly Rows[]) => Float32Array.from(rows.flatMap((row) => [...read(tape as Tape, row)]));
    const y = read(tape, output);
    // theirs is [T,D,B,H]
    const swapped = new Float32Array(y.length);
    for (let t = 0; t < T; t++) {
      for (let b = 0; b < B; b++) {
        for (let d = 0; d < D; d++) {
          const from = ((t * B + b) * D + d) * H;
          swapped.set(y.subarray(from, from + H), ((t * D + d) * B + b) * H);
        }
      }
    }
    ok(Object.keys(outputs).length > 0);
    if (outputs.Y) close(swapped, outputs.Y.data, 1e-6, 'Y');
    if (outputs.Y_h) close(all(h), outputs.Y_h.data, 1e-6, 'Y_h');
    if (outputs.Y_c) close(all(c), outputs.Y_c.data, 1e-6, 'Y_c');
  });
  r.dispose();
}

const official = process.env.GATEWISE_REFERENCE ?? fileURLToPath(new URL('../../../shared', import.meta.url));
const theirs = operatorTests(`${official}/onnx-node`);
if (theirs.length === 0)
  console.log("  SKIPPED: ONNX's own operator tests are not here (GATEWISE_REFERENCE names their folder)");
const cases = [...operatorTests(fileURLToPath(new URL('../../tests/onnx', import.meta.url))), ...theirs];

for (const build of builds) {
  for (const c of cases) test(`${build}: ${c.op} ${c.name}`, () => check(c, build));
}
test('there are cases', () => ok(cases.length >= 4));

test.run();
