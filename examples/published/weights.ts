/** What the loaders of published models share: tensors by name, and weights of other frameworks in PyTorch's order. */
import type { Tensor } from 'gatewise';

/** What the files of a model hold. It can be posted to a worker or a worklet. */
export interface Weights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The numbers of characters, where they are published. */
  readonly vocabulary?: Readonly<Record<string, number>>;
}

/** The tensors by name. A missing one is an error that names it. */
export function tensorsOf({ tensors }: Weights): (name: string) => Tensor {
  return (name) => {
    const tensor = tensors.get(name);
    if (!tensor)
      throw new Error(`the file has no tensor '${name}'; it has ${[...tensors.keys()].slice(0, 5).join(', ')} …`);
    return tensor;
  };
}

/** The numbers of characters. */
export function vocabularyOf({ vocabulary }: Weights, file: string): Readonly<Record<string, number>> {
  if (!vocabulary) throw new Error(`expected ${file} in the folder of the weights`);
  return vocabulary;
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
