/** The golden cases: PyTorch in double precision, layer by layer and through fifty steps of training. */
import {
  crossEntropy,
  Embedding,
  input,
  Linear,
  Model,
  Optimizer,
  Recurrent,
  type Rows,
  type Tape,
  train,
} from 'gatewise';
import { test } from 'uvu';
import { builds, runtime } from './support/builds.js';
import { type Case, cases, hold, load, table } from './support/golden.js';
import { sequenceCases } from './support/golden-sequence.js';
import { type Numbers, packed, runLayers } from './support/layers.js';

/** Whether there is a layer for a case. */
function supported({ kind, config }: Case): boolean {
  if (config.op in sequenceCases) return true;
  if (kind === 'rnn')
    return (
      config.cell === 'lstm' &&
      !config.bidirectional &&
      config.bias &&
      !config.proj_size &&
      !config.inputs.includes('lengths')
    );
  if (kind === 'loss') return config.op === 'cross_entropy';
  if (kind === 'trajectory') return config.cell === 'lstm' && config.task === 'lm';
  return kind === 'embedding';
}

/** [A,B,F] to [B,A,F]. */
function swap(x: ArrayLike<number>, A: number, B: number, F: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let a = 0; a < A; a++)
    for (let b = 0; b < B; b++) for (let f = 0; f < F; f++) y[(b * A + a) * F + f] = x[(a * B + b) * F + f];
  return y;
}

function recurrent(c: Case, build: string): void {
  const t = load(c);
  const { input_size: I, hidden_size: H, num_layers: L, batch: B, T, batch_first: batchFirst, has_state } = c.config;
  const r = runtime(build);
  const weights: Numbers = Object.fromEntries(
    Object.entries(t)
      .filter(([name]) => /^(weight|bias)/.test(name))
      .map(([name, v]) => [`rnn.${name}`, v]),
  );
  const upstream: Numbers = { output: batchFirst ? swap(t.grad_output, B, T, H) : t.grad_output };
  for (const s of ['h', 'c']) {
    for (let l = 0; l < L; l++) upstream[`${s}_n.${l}`] = t[`grad_${s}_n`]?.subarray(l * B * H, (l + 1) * B * H);
  }
  const state = (tape: Tape, s: string) =>
    Array.from({ length: L }, (_, l) =>
      input(tape, t[`${s}0`].subarray(l * B * H, (l + 1) * B * H), { T: 1, B, F: H }, { gradient: true }),
    );
  const named = (name: string, rows: readonly Rows[]) => Object.fromEntries(rows.map((x, l) => [`${name}.${l}`, x]));
  const { outputs, gradients } = runLayers(
    r,
    (b) => new Recurrent(b, 'rnn', { cell: c.config.cell, inputSize: I, hiddenSize: H, numLayers: L }),
    weights,
    upstream,
    (tape, layer) => {
      const x = input(tape, t.x, { T, B, F: I }, { gradient: true, batchFirst });
      const initial = has_state ? { h: state(tape, 'h'), c: state(tape, 'c') } : undefined;
      const { output, h, c: cells } = layer.forward(tape, x, initial);
      return {
        inputs: { dx: x, ...named('dh0', initial?.h ?? []), ...named('dc0', initial?.c ?? []) },
        outputs: { output, ...named('h_n', h), ...named('c_n', cells) },
      };
    },
  );
  const got: Numbers = { ...outputs, ...gradients };
  const all = (name: string) =>
    Float32Array.from(Array.from({ length: L }, (_, l) => Array.from(got[`${name}.${l}`])).flat());
  for (const name of c.config.results) {
    const own = /^[hc]_n$|^d[hc]0$/.test(name)
      ? all(name)
      : /^d(weight|bias)/.test(name)
        ? got[`rnn.${name.slice(1)}`]
        : batchFirst
          ? swap(got[name], T, B, name === 'dx' ? I : H)
          : got[name];
    hold(c, `${build} ${c.config.cell}`, name, own, t[name]);
  }
  r.dispose();
}

function softmax(c: Case, build: string): void {
  const t = load(c);
  const [R, V] = c.tensors.logits[1];
  const r = runtime(build);
  const model = new Model(r, 0, () => null);
  let gradient: Float32Array | undefined;
  const targets = Int32Array.from(t.target, (y) => (y === c.config.ignore_index ? -1 : y));
  const loss = model.backward((tape) => {
    const logits = input(tape, t.logits, { T: R, B: 1, F: V }, { gradient: true });
    tape.record(() => {
      gradient = packed(tape, logits, 'gradient');
    });
    return crossEntropy(tape, logits, targets, { weights: t.class_weight as Float32Array | undefined });
  });
  hold(c, `${build} cross-entropy`, 'loss', [loss], t.loss);
  hold(c, `${build} cross-entropy`, 'dlogits', gradient as Float32Array, t.dlogits);
  r.dispose();
}

function embedding(c: Case, build: string): void {
  const t = load(c);
  const [V, E] = c.tensors.weight[1];
  const [A, B] = c.tensors.indices[1];
  const r = runtime(build);
  const { outputs, gradients } = runLayers(
    r,
    (b) => new Embedding(b, 'e', { vocabularySize: V, embeddingSize: E, paddingToken: c.config.padding_idx }),
    { 'e.weight': t.weight },
    { out: t.grad_out },
    (tape, layer) => ({ inputs: {}, outputs: { out: layer.forward(tape, t.indices, A, B) } }),
  );
  hold(c, `${build} embedding`, 'out', outputs.out, t.out);
  hold(c, `${build} embedding`, 'dweight', gradients['e.weight'], t.dweight);
  r.dispose();
}

async function trajectory(c: Case, build: string): Promise<void> {
  const t = load(c);
  const { vocab, E, H, num_layers, B, T, steps, classes, optimizer: chosen, clip_norm, clip_value } = c.config;
  const r = runtime(build);
  const model = new Model(r, 0, (b) => ({
    embedding: new Embedding(b, 'embedding', { vocabularySize: vocab, embeddingSize: E }),
    rnn: new Recurrent(b, 'rnn', { cell: c.config.cell, inputSize: E, hiddenSize: H, numLayers: num_layers }),
    head: new Linear(b, 'head', { inputSize: H, outputSize: classes }),
  }));
  for (const { name } of model.parameters) model.set(name, t[`init.${name}`]);
  const optimizer = new Optimizer(model, {
    optimizer: chosen.name,
    learningRate: chosen.lr,
    momentum: chosen.momentum,
  });
  const state = model.layers.rnn.state(B);
  let at = 0;
  const next = () => {
    const tokens = t.tokens.subarray(at, at + T * B);
    const targets = t.targets.subarray(at, at + T * B);
    at += T * B;
    return {
      loss: (tape: Tape, { embedding, rnn, head }: (typeof model)['layers']) =>
        crossEntropy(
          tape,
          head.forward(tape, rnn.forward(tape, embedding.forward(tape, tokens, T, B), state).output),
          targets,
        ),
    };
  };
  const losses: number[] = [];
  const norms: number[] = [];
  const kind = `${build} trajectory`;
  const options = { steps, clipNorm: clip_norm ?? 0, clipValue: clip_value ?? 0 };
  for await (const { step, loss, gradientNorm } of train(model, optimizer, options, next)) {
    losses.push(loss);
    norms.push(gradientNorm);
    if (`step${step}.head.weight` in t) {
      for (const { name } of model.parameters)
        hold(c, kind, `step${step}.${name}`, model.get(name), t[`step${step}.${name}`]);
    }
  }
  hold(c, kind, 'loss', losses, t.loss);
  hold(c, kind, 'grad_norm', norms, t.grad_norm);
  r.dispose();
}

for (const build of builds.filter((b) => b !== 'debug')) {
  for (const c of cases.filter(supported)) {
    const run = sequenceCases[c.config.op] ?? { rnn: recurrent, loss: softmax, embedding, trajectory }[c.kind];
    test(`${build}: ${c.name}`, () => run?.(c, build));
  }
}

test('the worst errors, relative to the largest number, and as multiples of the error of PyTorch in single precision', () => {
  for (const [kind, { error, where, multiple, cases: seen }] of table) {
    console.log(
      `  ${kind.padEnd(22)} ${error.toExponential(1)}  ${multiple.toFixed(1).padStart(5)} ×  ${where} (${seen.size} cases)`,
    );
  }
});

test.run();
