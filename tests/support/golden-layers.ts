/** Runs the golden cases of losses, normalisation and attention. */
import {
  Attention,
  bceWithLogitsLoss,
  type Gradient,
  gradientOf,
  huberLoss,
  input,
  LayerNorm,
  Model,
  mseLoss,
  type Rows,
  type Tape,
} from 'gatewise';
import { runtime } from './builds.js';
import { type Case, hold, load } from './golden.js';
import { type Numbers, runLayers } from './layers.js';

/** Whether `layerCase` has a runner for a case. */
export function layerSupported({ kind, config }: Case): boolean {
  return kind === 'layernorm' || kind === 'attention' || (kind === 'loss' && config.op in losses);
}

/** Runs a case of any kind that is supported. */
export function layerCase(c: Case, build: string): void {
  const run = { loss, layernorm, attention }[c.kind];
  run?.(c, build);
}

type Tensors = ReturnType<typeof load>;

const losses = {
  mse: (tape: Tape, x: Rows, { target }: Tensors) => mseLoss(tape, x, target),
  huber: (tape: Tape, x: Rows, { target }: Tensors, { config }: Case) =>
    huberLoss(tape, x, target, { delta: config.delta }),
  bce_with_logits: (tape: Tape, x: Rows, { target, pos_weight }: Tensors) =>
    bceWithLogitsLoss(tape, x, target, { posWeight: pos_weight }),
};

function loss(c: Case, build: string): void {
  const t = load(c);
  const shape = c.tensors.pred[1];
  const F = shape[shape.length - 1];
  const r = runtime(build);
  const model = new Model(r, 0, () => null);
  let gradient: Gradient | undefined;
  const value = model.valueAndGrad((tape) => {
    const x = input(tape, t.pred, { T: t.pred.length / F, B: 1, F }, { gradient: true });
    gradient = gradientOf(tape, x);
    return losses[c.config.op as keyof typeof losses](tape, x, t, c);
  });
  hold(c, `${build} ${c.config.op}`, 'loss', [value], t.loss);
  hold(c, `${build} ${c.config.op}`, 'dpred', gradient?.values as Float32Array, t.dpred);
  r.dispose();
}

function layernorm(c: Case, build: string): void {
  const t = load(c);
  const [T, B, F] = c.tensors.x[1];
  const r = runtime(build);
  const { outputs, gradients } = runLayers(
    r,
    (b) => new LayerNorm(b, 'n', { inputSize: F }),
    { 'n.weight': t.weight, 'n.bias': t.bias },
    { out: t.grad_out },
    (tape, layer) => {
      const x = input(tape, t.x, { T, B, F }, { gradient: true });
      return { inputs: { dx: x }, outputs: { out: layer.forward(tape, x) } };
    },
  );
  const got: Numbers = {
    ...outputs,
    dx: gradients.dx,
    dweight: gradients['n.weight'],
    dbias: gradients['n.bias'],
  };
  for (const name of c.config.results) hold(c, `${build} layernorm`, name, got[name], t[name]);
  r.dispose();
}

/** [A,B,F] to [B,A,F]. */
function swap(x: ArrayLike<number>, A: number, B: number, F: number): Float32Array {
  return Float32Array.from({ length: x.length }, (_, i) => {
    const [b, a, f] = [Math.floor(i / (A * F)), Math.floor(i / F) % A, i % F];
    return x[(a * B + b) * F + f];
  });
}

/** The tensors of these cases are [B,T,F]. */
function attention(c: Case, build: string): void {
  const t = load(c);
  const [B, Tq, Fq] = c.tensors.query[1];
  const [, Tk, Fk] = c.tensors.keys[1];
  const { score, scaled } = c.config;
  const results = { context: 'context', weights: 'weights', output: 'attn_out' };
  const upstream: Numbers = {};
  for (const [own, theirs] of Object.entries(results)) {
    const shape = c.tensors[theirs]?.[1];
    if (shape) upstream[own] = swap(t[`grad_${theirs}`], B, Tq, shape[2]);
  }
  const tensors = ['Wa', 'Wc', 'Wq', 'Wk', 'b', 'v'].filter((name) => name in t);
  const r = runtime(build);
  const { outputs, gradients } = runLayers(
    r,
    (b) =>
      new Attention(b, 'a', {
        score: score === 'bahdanau' ? 'additive' : score,
        querySize: Fq,
        keySize: Fk,
        attentionSize: t.v?.length,
        scaled,
        output: c.tensors.Wc?.[1][0],
      }),
    Object.fromEntries(tensors.map((name) => [`a.${name}`, t[name]])),
    upstream,
    (tape, layer) => {
      const options = { gradient: true, batchFirst: true };
      const query = input(tape, t.query, { T: Tq, B, F: Fq }, options);
      const keys = input(tape, t.keys, { T: Tk, B, F: Fk, lengths: t.key_lengths }, options);
      const { context, weights, output } = layer.forward(tape, query, keys);
      return {
        inputs: { dquery: query, dkeys: keys },
        outputs: { context, weights, ...(output ? { output } : {}) },
      };
    },
  );
  const got: Numbers = {
    dquery: swap(gradients.dquery, Tq, B, Fq),
    dkeys: swap(gradients.dkeys, Tk, B, Fk),
  };
  for (const name of tensors) got[`d${name}`] = gradients[`a.${name}`];
  for (const [own, theirs] of Object.entries(results)) {
    if (outputs[own]) got[theirs] = swap(outputs[own], Tq, B, outputs[own].length / (Tq * B));
  }
  for (const name of c.config.results) hold(c, `${build} attention`, name, got[name], t[name]);
  r.dispose();
}
