/**
 * Gradients carried forward in time, in double precision: the formulas themselves, M ← J M + ∂s/∂θ, with J and ∂s/∂θ from the backward
 * pass of one step of the cells' references. It is compared with backpropagation through all steps.
 */
import { cells as descriptions, type RecurrentOptions } from 'gatewise';
import { exact, Graph, Matrix } from './autodiff.js';
import { cells, type Weights } from './index.js';
import { stack } from './recurrent.js';

export type Rule = 'rtrl' | 'snap1' | 'immediate';

/** Parameters by their names without prefix, `weight_ih_l0`, and their shapes. */
export type Parameters = Record<string, { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>;

export type Gradients = Record<string, Float64Array>;

/** The loss of step t from the h of the last layer [1,H] and the parameters; null where the step has no target. */
export type LossOf = (g: Graph, h: Matrix, t: number, weights: Weights) => Matrix | null;

const matrixOf = ({ shape, data }: Parameters[string]) =>
  new Matrix(shape.length > 1 ? shape[0] : 1, shape[shape.length - 1], Float64Array.from(data));

const widthsOf = ({ hiddenSize, numLayers }: RecurrentOptions) =>
  typeof hiddenSize === 'number' ? new Array<number>(numLayers ?? 1).fill(hiddenSize) : hiddenSize;

function ownOf(weights: Weights, layer: number): Weights {
  const suffix = `_l${layer}`;
  const own = Object.entries(weights).filter(([name]) => name.endsWith(suffix));
  return Object.fromEntries(own.map(([name, matrix]) => [name.slice(0, -suffix.length), matrix]));
}

/** One step of all layers: h and c of each layer, before and after. */
function stepOf(options: RecurrentOptions, x: ArrayLike<number>, state: Float64Array, parameters: Parameters) {
  const g = new Graph(exact);
  const weights: Weights = Object.fromEntries(Object.entries(parameters).map(([name, p]) => [name, matrixOf(p)]));
  const { hasC } = descriptions[options.cell];
  const before: Matrix[] = [];
  const after: Matrix[] = [];
  const tops: Matrix[] = [];
  let input = g.matrix(1, x.length, x);
  let from = 0;
  widthsOf(options).forEach((H, layer) => {
    const part = () => {
      from += H;
      return g.matrix(1, H, state.subarray(from - H, from));
    };
    const h0 = options.cell === 'lru' ? g.zeros(1, H) : part();
    const c0 = hasC ? part() : g.zeros(1, H);
    const { h, c } = cells[options.cell].step(g, input, h0, h0, c0, ownOf(weights, layer), options);
    const fed = options.cell !== 'lru'; // its outputs are a map of c, and no part of what the next step reads
    before.push(...(fed ? [h0] : []), ...(hasC ? [c0] : []));
    after.push(...(fed ? [h] : []), ...(hasC ? [c] : []));
    tops.push(h);
    input = h;
  });
  return { g, weights, before, after, tops };
}

const join = (matrices: readonly Matrix[], of: (m: Matrix) => Float64Array) =>
  Float64Array.from(matrices.flatMap((m) => [...of(m)]));

/**
 * Gradients of each step's loss by a rule, with fixed weights, and the outputs of the last layer.
 *
 * Of the linear recurrent unit the state is c alone, a unit is one complex number, and the loss of a step reads c before the step through
 * everything that the step computes: dL/dθ = ∂L/∂θ + ∂L/∂c₀ · M₀.
 */
export function online(
  options: RecurrentOptions,
  rule: Rule,
  xs: readonly ArrayLike<number>[],
  parameters: Parameters,
  lossOf: LossOf,
): { gradients: Gradients; loss: number | null; h: Float64Array }[] {
  const widths = widthsOf(options);
  const linear = options.cell === 'lru';
  const kinds = descriptions[options.cell].hasC && !linear ? 2 : 1;
  // layer and unit of each number of the state
  const places = widths.flatMap((H, layer) =>
    Array.from({ length: kinds * H }, (_, k) => ({ layer, unit: linear ? k >> 1 : k % H, h: k < H })),
  );
  const S = places.length;
  const names = Object.keys(parameters).filter((name) => /_l\d+$/.test(name));
  const layerOf = (name: string) => Number(/_l(\d+)$/.exec(name)?.[1]);
  /** The unit that each number of a parameter enters. */
  const unitOf = (name: string, i: number) => {
    const { shape } = parameters[name];
    const row = Math.floor(i / (shape.length > 1 ? shape[1] : 1));
    return linear ? row >> 1 : row % widths[layerOf(name)];
  };
  let M: Map<string, Float64Array[]> = new Map(
    names.map((name) => [name, places.map(() => new Float64Array(parameters[name].data.length))]),
  );
  let state: Float64Array = new Float64Array(S);
  return xs.map((x, t) => {
    const next = new Map(names.map((name) => [name, [] as Float64Array[]]));
    for (let k = 0; k < S; k++) {
      const { g, weights, before, after } = stepOf(options, x, state, parameters);
      let at = 0;
      const ones = after.map((m) => Float64Array.from(m.data, () => (at++ === k ? 1 : 0)));
      g.backward(after.map((m, i) => [m, ones[i]]));
      const J = join(before, (m) => m.grad);
      for (const name of names) {
        const row = Float64Array.from((weights[name] as Matrix).grad);
        const old = M.get(name) as Float64Array[];
        if (rule !== 'immediate') J.forEach((d, j) => d && old[j].forEach((m, i) => (row[i] += d * m)));
        if (rule === 'snap1') {
          const mine = places[k].layer === layerOf(name);
          row.forEach((_, i) => {
            if (!mine || places[k].unit !== unitOf(name, i)) row[i] = 0;
          });
        }
        next.get(name)?.push(row);
      }
    }
    const last = M;
    M = next;
    const { g, weights, before, after, tops } = stepOf(options, x, state, parameters);
    state = join(after, (m) => m.data);
    const loss = lossOf(g, tops[tops.length - 1], t, weights);
    const gradients: Gradients = {};
    if (loss) {
      g.backward([[loss, [1]]]);
      for (const name of Object.keys(parameters)) gradients[name] = Float64Array.from((weights[name] as Matrix).grad);
      if (linear) {
        if (rule === 'immediate') return { gradients, loss: loss.data[0], h: tops[tops.length - 1].data };
        const back = join(before, (m) => m.grad);
        for (const name of names) {
          last.get(name)?.forEach((row, k) => {
            row.forEach((m, i) => {
              gradients[name][i] += back[k] * m;
            });
          });
        }
        return { gradients, loss: loss.data[0], h: tops[tops.length - 1].data };
      }
      // through time: what the h of each layer, or of the last one, has of every parameter
      for (const name of names) {
        const sum = new Float64Array(parameters[name].data.length);
        const rows = M.get(name) as Float64Array[];
        places.forEach(({ layer, unit, h }, k) => {
          const reads = rule === 'snap1' ? layer === layerOf(name) : layer === widths.length - 1;
          if (h && reads) rows[k].forEach((m, i) => (sum[i] += tops[layer].grad[unit] * m));
        });
        gradients[name] = sum;
      }
    }
    return { gradients, loss: loss ? loss.data[0] : null, h: tops[tops.length - 1].data };
  });
}

/** The gradients of the sum of all losses, by backpropagation through all steps. */
export function bptt(
  options: RecurrentOptions,
  xs: readonly ArrayLike<number>[],
  parameters: Parameters,
  lossOf: LossOf,
): Gradients {
  const g = new Graph(exact);
  const weights: Weights = Object.fromEntries(Object.entries(parameters).map(([name, p]) => [name, matrixOf(p)]));
  const x = xs.map((row) => g.matrix(1, row.length, row));
  const { y } = stack(g, { options, T: xs.length, B: 1 }, x, weights, null, () => new Float32Array());
  const losses = y.map((h, t) => lossOf(g, h, t, weights)).filter((loss) => loss !== null);
  g.backward(losses.map((loss) => [loss, [1]]));
  return Object.fromEntries(Object.keys(parameters).map((name) => [name, (weights[name] as Matrix).grad]));
}

/** The sum of the gradients of all steps. */
export function summed(steps: readonly { gradients: Readonly<Record<string, ArrayLike<number>>> }[]): Gradients {
  const total: Gradients = {};
  for (const { gradients } of steps) {
    for (const [name, values] of Object.entries(gradients)) {
      total[name] ??= new Float64Array(values.length);
      for (let i = 0; i < values.length; i++) total[name][i] += values[i];
    }
  }
  return total;
}
