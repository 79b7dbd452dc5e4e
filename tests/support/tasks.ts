/** What the tests of task models share: gradients, trainings, and models that are told something wrong. */
import { gradcheck, type Loss, type Model, type Run, type Tape } from 'gatewise';
import type { EpochProgress, FitHistory } from 'gatewise/tasks';
import { equal, ok, throws } from 'uvu/assert';

/** A pass over examples that looks at losses and gradients and changes no weight. */
export const LOOK = { epochs: 1, learningRate: 0, clipNorm: 0 } as const;

/** Whether two files are the same. */
export const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** That the gradients of `work` are those of its loss, for every parameter; only those of `idle` are 0. Returns the worst error. */
export function checkGradients<L>(
  model: Model<L>,
  work: (tape: Tape, layers: L) => Loss | readonly { loss: Loss; weight: number }[],
  idle: readonly string[] = [],
): number {
  const result = gradcheck(model, work);
  const bad = result.parameters.filter(({ error }) => !(error <= result.bound));
  ok(result.ok, JSON.stringify(bad));
  const names = result.parameters.filter(({ along }) => along === 'gradient').map(({ name }) => name);
  const wanted = model.parameters.map(({ name }) => name).filter((name) => !idle.includes(name));
  equal(names, wanted, 'parameters that have a gradient');
  return result.worst;
}

/** All gradients as the last step left them. */
export function gradients(model: Model<unknown>): Float32Array {
  const all = model.parameters.map(({ name }) => model.gradient(name));
  const joined = new Float32Array(all.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const one of all) {
    joined.set(one, at);
    at += one.length;
  }
  return joined;
}

/** Multiplies all weights, so that an untrained model says different things. */
export function scaleWeights(model: Model<unknown>, factor: number): void {
  for (const { name } of model.parameters)
    model.set(
      name,
      model.get(name).map((w) => factor * w),
    );
}

interface Trained {
  readonly model: Model<unknown>;
  fit(examples: readonly never[], options: object): Run<EpochProgress, FitHistory>;
}

/** The losses and the last gradients of a pass over these examples that changes nothing. */
export async function look<T extends Trained>(
  task: T,
  examples: Parameters<T['fit']>[0],
  options: object = {},
): Promise<{ losses: number[]; gradients: Float32Array }> {
  const losses: number[] = [];
  const run = task.fit(examples as readonly never[], { batchSize: examples.length, ...LOOK, ...options });
  for await (const { loss } of run) losses.push(loss);
  return { losses, gradients: gradients(task.model) };
}

/**
 * The same examples as one padded batch and one by one.
 *
 * @param weight what an example counts in the mean, say its steps
 * @returns the losses, and the gradients
 */
export async function batchAndSingles<T extends Trained>(
  task: T,
  examples: Parameters<T['fit']>[0],
  weight: (i: number) => number,
  options: object = {},
): Promise<{ loss: [number, number]; gradients: [Float32Array, Float64Array] }> {
  const batch = await look(task, examples, options);
  const total = examples.reduce((n: number, _, i) => n + weight(i), 0);
  let loss = 0;
  const sum = new Float64Array(batch.gradients.length);
  for (const [i, example] of examples.entries()) {
    const one = await look(task, [example] as never, options);
    const share = weight(i) / total;
    loss += one.losses[0] * share;
    one.gradients.forEach((g, k) => (sum[k] += g * share));
  }
  return { loss: [batch.losses[0], loss], gradients: [batch.gradients, sum] };
}

/**
 * Trains until the mean loss of a pass is below `enough`, or to the end.
 *
 * @returns that mean, and the passes made
 */
export async function learn<T extends Trained>(
  task: T,
  examples: Parameters<T['fit']>[0],
  { enough, ...options }: { enough: number; epochs: number; batchSize: number; [option: string]: unknown },
  progress: (p: EpochProgress) => void = () => {},
): Promise<{ loss: number; epoch: number }> {
  const batches = Math.ceil(examples.length / options.batchSize);
  let sum = 0;
  let n = 0;
  let loss = Number.NaN;
  let epoch = 0;
  for await (const p of task.fit(examples as readonly never[], options)) {
    progress(p);
    sum += p.loss;
    n++;
    if (n < batches) continue;
    loss = sum / n;
    epoch = p.epoch;
    sum = n = 0;
    if (loss < enough) break;
  }
  return { loss, epoch };
}

/** That each call throws such a message, and that all of them together leave the model as it was. */
export function refuses(save: () => Uint8Array, calls: readonly [() => unknown, RegExp][]): void {
  const before = save();
  for (const [call, message] of calls) throws(call, message);
  ok(same(before, save()), 'the model has changed');
}
