/** An operation and its reference: checks the reference's gradient against central differences, each build's kernels against the reference. */
import { exact, Graph, type Matrix, type Round, single } from '../reference/autodiff.js';
import { guarded } from './builds.js';
import { runLayers } from './layers.js';
import { close, error } from './numbers.js';

export type Numbers = Record<string, Float32Array>;
export type Results = Record<string, ArrayLike<number>>;

/** What an operation is, to a test: its inputs, its outputs and how to get both ways. */
export interface Operation {
  readonly title: string;
  readonly inputs: Numbers;
  /** Upstream gradient of each output. */
  readonly upstream: Numbers;
  reference(graph: Graph, inputs: Record<string, Matrix>): Record<string, Matrix>;
  /** Shapes of the inputs, as the reference wants them. */
  readonly shapes: Record<string, readonly [number, number]>;
  kernel(build: string): { outputs: Results; gradients: Results };
}

function evaluate(op: Operation, round: Round, inputs: Record<string, ArrayLike<number>> = op.inputs) {
  const graph = new Graph(round);
  const matrices = Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [name, graph.matrix(...op.shapes[name], values)]),
  );
  return { graph, matrices, outputs: op.reference(graph, matrices) };
}

function gradients(op: Operation, round: Round) {
  const { graph, matrices, outputs } = evaluate(op, round);
  graph.backward(Object.entries(outputs).map(([name, m]) => [m, op.upstream[name]] as const));
  return {
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, m]) => [name, m.data])),
    gradients: Object.fromEntries(Object.entries(matrices).map(([name, m]) => [name, m.grad])),
  };
}

/**
 * Central differences of fourth order of the loss, at up to `most` elements of each input, spread over it. An element within a step of
 * a kink, where the slopes on both sides differ, is left out; there may be few of them.
 */
export function checkReference(op: Operation, most = 12): void {
  const { gradients: want } = gradients(op, exact);
  const loss = (inputs: Record<string, ArrayLike<number>>) => {
    const { outputs } = evaluate(op, exact, inputs);
    let sum = 0;
    for (const [name, m] of Object.entries(outputs))
      for (let i = 0; i < m.data.length; i++) sum += m.data[i] * op.upstream[name][i];
    return sum;
  };
  const step = 1e-5;
  const middle = loss(op.inputs);
  let seen = 0;
  let left = 0;
  for (const [name, values] of Object.entries(op.inputs)) {
    const gradient = want[name];
    const largest = Math.max(...Array.from(gradient, Math.abs));
    const stride = Math.max(1, Math.floor(values.length / most));
    for (let i = 0; i < values.length; i += stride) {
      const moved = Float64Array.from(values);
      const at = (distance: number) => {
        moved[i] = values[i] + distance;
        return loss({ ...op.inputs, [name]: moved });
      };
      const [above, below] = [at(step), at(-step)];
      seen++;
      if (Math.abs(above - 2 * middle + below) / step > 0.02 * (largest || 1)) {
        left++;
        continue;
      }
      const slope = (8 * (above - below) - (at(2 * step) - at(-2 * step))) / (12 * step);
      const off = Math.abs(slope - gradient[i]) / (largest || 1);
      if (!(off <= 1e-7)) throw new Error(`${op.title}: d${name}[${i}] is ${gradient[i]}, differences give ${slope}`);
    }
  }
  if (left > seen / 10) throw new Error(`${op.title}: ${left} of ${seen} elements lie at a kink`);
}

/**
 * Each output, and each gradient, within 1e-6 of the reference or four times the error that the reference has, in the worst of its
 * outputs or gradients, when every one of its operations is rounded to single precision.
 */
export function checkKernel(op: Operation, build: string): void {
  const want = gradients(op, exact);
  const rounded = gradients(op, single);
  const got = op.kernel(build);
  for (const kind of ['outputs', 'gradients'] as const) {
    const theirs = Object.entries(want[kind]).map(([name, w]) => error(rounded[kind][name], w));
    const bound = Math.max(1e-6, 4 * Math.max(...theirs));
    for (const [name, w] of Object.entries(want[kind])) {
      close(got[kind][name], w, bound, `${op.title}, ${build}: ${kind} ${name}`);
    }
  }
}

/** The same between guard words. */
export function run<L>(
  build: string,
  ...work: Parameters<typeof runLayers<L>> extends [unknown, ...infer Rest] ? Rest : never
) {
  const { runtime, check } = guarded(build);
  const results = runLayers<L>(runtime, ...work);
  check();
  runtime.dispose();
  return results;
}
