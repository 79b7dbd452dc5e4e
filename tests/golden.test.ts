/** The golden cases: PyTorch in double precision, layer by layer and through fifty steps of training. */
import {
  crossEntropyLoss,
  Embedding,
  type Gradient,
  gradientOf,
  input,
  Linear,
  Model,
  Optimizer,
  Recurrent,
  type RecurrentOptions,
  type Rows,
  type Tape,
  train,
} from 'gatewise';
import { test } from 'uvu';
import { builds, runtime } from './support/builds.js';
import { type Case, cases, hold, load, table } from './support/golden.js';
import { layerCase, layerSupported } from './support/golden-layers.js';
import { sequenceCases } from './support/golden-sequence.js';
import { type Numbers, runLayers } from './support/layers.js';

/** PyTorch's names of cells in ours. */
function cellOf(name: string): Pick<RecurrentOptions, 'cell' | 'activation'> {
  if (name === 'rnn_tanh') return { cell: 'rnn' };
  if (name === 'rnn_relu') return { cell: 'rnn', activation: 'relu' };
  return { cell: name as 'lstm' | 'gru' };
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
  const { config } = c;
  const {
    input_size: I,
    hidden_size: H,
    num_layers: L,
    batch: B,
    T,
    batch_first: batchFirst,
    has_state,
    bidirectional,
  } = config;
  const r = runtime(build);
  const states = L * (bidirectional ? 2 : 1);
  const P = config.proj_size || H;
  const outputs = P * (bidirectional ? 2 : 1);
  const width = (s: string) => (s === 'h' ? P : H);
  const part = (s: string, all: ArrayLike<number> | undefined, i: number) =>
    all ? Array.prototype.slice.call(all, i * B * width(s), (i + 1) * B * width(s)) : [];
  const weights: Numbers = Object.fromEntries(
    Object.entries(t)
      .filter(([name]) => /^(weight|bias)/.test(name))
      .map(([name, v]) => [`rnn.${name}`, v]),
  );
  const upstream: Numbers = { output: batchFirst ? swap(t.grad_output, B, T, outputs) : t.grad_output };
  for (const s of ['h', 'c']) {
    for (let i = 0; i < states; i++) if (t[`grad_${s}_n`]) upstream[`${s}_n.${i}`] = part(s, t[`grad_${s}_n`], i);
  }
  const state = (tape: Tape, s: string) =>
    Array.from({ length: t[`${s}0`] ? states : 0 }, (_, i) =>
      input(tape, part(s, t[`${s}0`], i), { T: 1, B, F: width(s) }, { gradient: true }),
    );
  const named = (name: string, rows: readonly Rows[]) => Object.fromEntries(rows.map((x, i) => [`${name}.${i}`, x]));
  const { outputs: put, gradients } = runLayers(
    r,
    (b) =>
      new Recurrent(b, 'rnn', {
        ...cellOf(config.cell),
        inputSize: I,
        hiddenSize: H,
        numLayers: L,
        bidirectional,
        bias: config.bias,
        ...(config.proj_size ? { projectionSize: config.proj_size } : {}),
      }),
    weights,
    upstream,
    (tape, layer) => {
      const lengths = t.lengths ? { lengths: t.lengths } : {};
      const x = input(tape, t.x, { T, B, F: I, ...lengths }, { gradient: true, batchFirst });
      const initial = has_state ? { h: state(tape, 'h'), c: state(tape, 'c') } : undefined;
      const { output, h, c: cells } = layer.forward(tape, x, initial);
      return {
        inputs: { dx: x, ...named('dh0', initial?.h ?? []), ...named('dc0', initial?.c ?? []) },
        outputs: { output, ...named('h_n', h), ...named('c_n', cells) },
      };
    },
  );
  const got: Numbers = { ...put, ...gradients };
  const all = (name: string) =>
    Float32Array.from(Array.from({ length: states }, (_, i) => Array.from(got[`${name}.${i}`])).flat());
  for (const name of config.results) {
    const own = /^[hc]_n$|^d[hc]0$/.test(name)
      ? all(name)
      : /^d(weight|bias)/.test(name)
        ? got[`rnn.${name.slice(1)}`]
        : batchFirst
          ? swap(got[name], T, B, name === 'dx' ? I : outputs)
          : got[name];
    hold(c, `${build} ${config.cell}`, name, own, t[name]);
  }
  r.dispose();
}

function softmax(c: Case, build: string): void {
  const t = load(c);
  const [R, V] = c.tensors.logits[1];
  const r = runtime(build);
  const model = new Model(r, 0, () => null);
  let gradient: Gradient | undefined;
  const loss = model.valueAndGrad((tape) => {
    const logits = input(tape, t.logits, { T: R, B: 1, F: V }, { gradient: true });
    gradient = gradientOf(tape, logits);
    const weights = t.class_weight as Float32Array | undefined;
    return crossEntropyLoss(tape, logits, t.target, { weights, ignoreIndex: c.config.ignore_index });
  });
  hold(c, `${build} cross-entropy`, 'loss', [loss], t.loss);
  hold(c, `${build} cross-entropy`, 'dlogits', gradient?.values as Float32Array, t.dlogits);
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
    (tape, layer) => ({ inputs: {}, outputs: { out: layer.forward(tape, t.indices, { T: A, B }) } }),
  );
  hold(c, `${build} embedding`, 'out', outputs.out, t.out);
  hold(c, `${build} embedding`, 'dweight', gradients['e.weight'], t.dweight);
  r.dispose();
}

async function trajectory(c: Case, build: string): Promise<void> {
  const t = load(c);
  const { config } = c;
  const { vocab, E, H, num_layers: numLayers, B, T, steps, classes, bidirectional, optimizer: chosen } = config;
  const r = runtime(build);
  const model = new Model(r, 0, (b) => {
    const rnn = new Recurrent(b, 'rnn', {
      ...cellOf(config.cell),
      inputSize: E,
      hiddenSize: H,
      numLayers,
      bidirectional,
    });
    return {
      embedding: new Embedding(b, 'embedding', { vocabularySize: vocab, embeddingSize: E }),
      rnn,
      head: new Linear(b, 'head', { inputSize: rnn.outputSize, outputSize: classes }),
    };
  });
  for (const { name } of model.parameters) model.set(name, t[`init.${name}`]);
  const optimizer = new Optimizer(model, {
    optimizer: chosen.name,
    learningRate: chosen.lr,
    momentum: chosen.momentum,
    weightDecay: chosen.weight_decay,
  });
  const state = config.task === 'lm' ? model.layers.rnn.state(B) : undefined;
  let step = 0;
  const next = () => {
    const tokens = t.tokens.subarray(step * T * B, (step + 1) * T * B);
    const targets = t.targets.subarray(step * T * B, (step + 1) * T * B);
    const lengths = t.lengths?.subarray(step * B, (step + 1) * B);
    step++;
    return {
      loss: (tape: Tape, { embedding, rnn, head }: (typeof model)['layers']) => {
        const x = embedding.forward(tape, tokens, { T, B, lengths });
        return crossEntropyLoss(tape, head.forward(tape, rnn.forward(tape, x, state).output), targets);
      },
    };
  };
  const losses: number[] = [];
  const norms: number[] = [];
  const kind = `${build} trajectory`;
  const options = { steps, clipNorm: config.clip_norm ?? 0, clipValue: config.clip_value ?? 0 };
  for await (const { step: made, loss, gradientNorm } of train(model, optimizer, options, next)) {
    losses.push(loss);
    norms.push(gradientNorm);
    if (!(`step${made}.head.weight` in t)) continue;
    for (const { name } of model.parameters) {
      hold(c, kind, `step${made}.${name}`, model.get(name), t[`step${made}.${name}`]);
    }
  }
  hold(c, kind, 'loss', losses, t.loss);
  hold(c, kind, 'grad_norm', norms, t.grad_norm);
  r.dispose();
}

/** What runs a case. */
function runner(c: Case): (c: Case, build: string) => void | Promise<void> {
  if (layerSupported(c)) return layerCase;
  const { op } = c.config;
  const kinds = { ...sequenceCases, cross_entropy: softmax, rnn: recurrent, embedding, trajectory };
  const found = kinds[(op ?? c.kind) as keyof typeof kinds];
  if (!found) throw new Error(`${c.name}: nothing runs this case`);
  return found;
}

for (const build of builds.filter((b) => b !== 'debug')) {
  for (const c of cases) test(`${build}: ${c.name}`, () => runner(c)(c, build));
}

test('the worst errors, relative to the largest number, and as multiples of the error of PyTorch in single precision', () => {
  for (const [kind, { error, where, multiple, cases: seen }] of table) {
    console.log(
      `  ${kind.padEnd(22)} ${error.toExponential(1)}  ${multiple.toFixed(1).padStart(5)} ×  ${where} (${seen.size} cases)`,
    );
  }
});

test.run();
