/** What the loaders of published models share: files of weights, and weights of other frameworks in PyTorch's order. */
import { readFile } from 'node:fs/promises';
import type { Tensor } from 'gatewise';
import { readSafetensors } from 'gatewise/import/pytorch';
import type { Stage } from '../support/stage.js';

/** Where the weights of a model are published, and the file that its loader reads. */
export interface Published {
  readonly where: string;
  readonly file: string;
}

/** The bytes of `--model PATH`. Without the option, the program says where the weights are and ends. */
export async function fileOf(stage: Stage, { where, file }: Published): Promise<Uint8Array | undefined> {
  if (stage.model !== undefined) return readFile(stage.model);
  stage.log(`  The weights are not part of this repository. They are published at ${where}.`);
  stage.log(`  Run this again with --model PATH, where PATH is ${file}.`);
  return undefined;
}

/** The tensors of a safetensors file by name. A missing one is an error that names it. */
export function tensorsOf(bytes: Uint8Array): (name: string) => Tensor {
  const { tensors } = readSafetensors(bytes);
  return (name) => {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new Error(`the file has no tensor '${name}'; it has ${[...tensors.keys()].slice(0, 5).join(', ')} …`);
    return tensor;
  };
}

/** A matrix [R,C] as [C,R]. */
export function transposed({ shape: [R, C], data }: Tensor): Float32Array {
  return Float32Array.from({ length: R * C }, (_, i) => data[(i % R) * C + Math.floor(i / R)]);
}

/** Equal parts of a list in another order: `order[k]` is the part that comes k-th. */
export function reordered(values: ArrayLike<number>, order: readonly number[]): Float32Array {
  const size = values.length / order.length;
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[order[Math.floor(i / size)] * size + (i % size)],
  );
}

/** Rows `from` to `to` of a matrix [R,C]. */
export function rowsOf({ shape: [, C], data }: Tensor, from: number, to: number): Tensor {
  return { shape: [to - from, C], data: data.subarray(from * C, to * C) };
}

/** Microseconds that one of `count` items takes: the fastest of five runs. */
export function microsecondsPerItem(count: number, work: () => void): number {
  const times = Array.from({ length: 5 }, () => {
    const began = performance.now();
    work();
    return performance.now() - began;
  });
  return (1000 * Math.min(...times)) / count;
}

/** The index that a number from 0 to 1 falls on: softmax(logits / temperature) as lengths side by side. */
export function drawn(logits: Float32Array, temperature: number, at: number): number {
  const max = Math.max(...logits);
  const weights = Array.from(logits, (x) => Math.exp((x - max) / temperature));
  let rest = at * weights.reduce((sum, weight) => sum + weight, 0);
  return weights.findIndex((weight, k) => {
    rest -= weight;
    return rest < 0 || k === weights.length - 1;
  });
}
