import { activated } from './activation.js';
import type { Graph, Matrix } from './autodiff.js';
import type { CellReference, Weights } from './index.js';

/** (x - mean) / σ of each row, times a gain. */
export function normalized(g: Graph, x: Matrix, gain: Matrix, epsilon = 1e-5): Matrix {
  const mean = g.scale(g.sumRows(x), 1 / x.columns);
  const wide = (m: Matrix) => g.pick(m, x.rows, x.columns, (i) => i);
  const d = g.sub(x, wide(mean));
  const variance = g.scale(g.sumRows(g.mul(d, d)), 1 / x.columns);
  return g.mul(g.div(d, wide(g.sqrt(g.shift(variance, epsilon)))), gain);
}

/** W x + b and U u + b, each normalised where there are gains. Missing weights and biases count as zero. */
export function products(g: Graph, x: Matrix, u: Matrix, w: Weights): { fromX: Matrix; fromU: Matrix } {
  const side = (input: Matrix, weight: Matrix | undefined, bias: Matrix | undefined, gain: Matrix | undefined) => {
    let a = weight ? g.product(input, weight) : g.zeros(input.rows, (w.weight_ih as Matrix).rows);
    if (gain) a = normalized(g, a, gain);
    return bias ? g.add(a, bias) : a;
  };
  return {
    fromX: side(x, w.weight_ih, w.bias_ih, w.norm_ih),
    fromU: side(u, w.weight_hh, w.bias_hh, w.norm_hh),
  };
}

/**
 * Long short-term memory. Gates in rows i f g o, coupled i g o:
 *
 *     a = W x + b + U u + b          c' = σ(a_f) c + σ(a_i) tanh(a_g)          h' = σ(a_o) tanh(c')
 */
export const lstm: CellReference = {
  step: (g, x, u, _h, c, w, settings) => {
    const H = c.columns;
    const { fromX, fromU } = products(g, x, u, w);
    const a = g.add(fromX, fromU);
    const gate = (n: number) => g.columns(a, n * H, (n + 1) * H);
    const peep = (n: number, state: Matrix, net: Matrix) =>
      w.weight_peephole ? g.add(net, g.mul(state, g.columns(w.weight_peephole, n * H, (n + 1) * H))) : net;
    const [fAt, gAt, oAt] = settings.coupled ? [0, 1, 2] : [1, 2, 3];
    const { activation, gateActivation = 'sigmoid', outputActivation = activation, activationClip: limit } = settings;
    const sigma = (net: Matrix) => activated(g, gateActivation, net, limit);
    const i = sigma(peep(0, c, gate(0)));
    const f = settings.coupled ? g.shift(g.scale(i, -1), 1) : sigma(peep(1, c, gate(fAt)));
    let next = g.add(g.mul(f, c), g.mul(i, activated(g, activation, gate(gAt), limit)));
    if (settings.cellClip) next = g.clamp(next, settings.cellClip);
    const o = sigma(peep(settings.coupled ? 1 : 2, next, gate(oAt)));
    const shown = w.norm_c ? g.add(normalized(g, next, w.norm_c), w.norm_c_bias as Matrix) : next;
    const m = g.mul(o, activated(g, outputActivation, shown));
    return { h: w.weight_hr ? g.product(m, w.weight_hr) : m, c: next };
  },
  cases: [
    { projectionSize: 5 },
    { projectionSize: 3, numLayers: 2, bidirectional: true },
    { projectionSize: 5, weightDrop: 0.3 },
    { peepholes: true },
    { coupled: true },
    { coupled: true, peepholes: true, numLayers: 2 },
    { cellClip: 0.4 },
    { cellClip: 0.5, peepholes: true, projectionSize: 4 },
    { forgetBias: 1 },
    { zoneoutCell: 0.4 },
    { zoneoutCell: 0.4, zoneoutHidden: 0.2, peepholes: true, cellClip: 0.6, projectionSize: 5 },
    { layerNorm: true, projectionSize: 5, peepholes: true, coupled: true, cellClip: 0.7 },
    { projectionSize: 4, bidirectional: true, ragged: true },
    { zoneoutCell: 0.4, zoneoutHidden: 0.2, weightDrop: 0.2, peepholes: true, ragged: true },
    { gateActivation: 'hardSigmoid' },
    { activation: 'softsign' },
    { outputActivation: 'elu' },
    {
      gateActivation: { kind: 'hardSigmoid', alpha: 0.2 },
      activation: 'relu',
      outputActivation: 'softsign',
      ragged: true,
    },
    { gateActivation: 'softsign', activation: 'softplus', peepholes: true, coupled: true, cellClip: 0.4 },
    { gateActivation: 'hardSigmoid', outputActivation: 'identity', peepholes: true, projectionSize: 4, H: 17 },
    { gateActivation: 'hardSigmoid', activation: 'scaledTanh', layerNorm: true, outputActivation: 'softsign' },
    { activationClip: 0.4 },
    { activationClip: 0.4, peepholes: true, activation: 'elu', outputActivation: 'tanh', cellClip: 0.5 },
    { gateActivation: ['sigmoid', 'hardSigmoid'], activation: ['softsign', 'tanh'], bidirectional: true, numLayers: 2 },
  ],
};
