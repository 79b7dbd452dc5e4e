/** Reads the golden cases. */
import { readFileSync } from 'node:fs';

const folder = new URL('../../../tests/golden/', import.meta.url);

export interface Case {
  readonly name: string;
  readonly kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: as many shapes as kinds
  readonly config: any;
  readonly f32_err: Record<string, number>;
  readonly tensors: Record<string, readonly [string, readonly number[]]>;
  readonly file: string;
}

export const cases: Case[] = JSON.parse(readFileSync(new URL('index.json', folder), 'utf8')).cases;

/** All tensors of a case, integers as integers. */
export function load({ file, tensors }: Case): Record<string, Float32Array | Int32Array> {
  const bytes = readFileSync(new URL(file, folder));
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  return Object.fromEntries(
    Object.keys(tensors).map((name) => {
      const { dtype, data_offsets } = header[name];
      const [from, to] = data_offsets.map((at: number) => at + 8 + length);
      const data = new Uint8Array(bytes.subarray(from, to)).buffer;
      return [name, dtype === 'I32' ? new Int32Array(data) : new Float32Array(data)];
    }),
  );
}

/** The worst errors seen, by kind: relative to max|want|, and as multiples of what PyTorch's single precision has. */
export const table = new Map<string, { error: number; where: string; multiple: number; cases: Set<string> }>();

/** Holds a result to the rule of the golden cases. */
export function hold(c: Case, kind: string, name: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  if (got.length !== want.length)
    throw new Error(`${c.name} ${name}: ${got.length} numbers, ${want.length} were expected`);
  let worst = 0;
  let at = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    const d = Math.abs(got[i] - want[i]);
    if (!(d <= worst)) [worst, at] = [d, i];
    largest = Math.max(largest, Math.abs(want[i]));
  }
  const theirs = c.f32_err[name] ?? 0;
  const bound = Math.max(1e-5, 4 * theirs) * largest + 1e-7;
  if (!(worst <= bound)) {
    throw new Error(`${c.name} ${name}[${at}]: ${got[at]}, expected ${want[at]}; off by ${worst}, allowed ${bound}`);
  }
  const entry = table.get(kind) ?? { error: 0, where: '', multiple: 0, cases: new Set() };
  const error = largest > 1e-30 ? worst / largest : 0;
  entry.cases.add(c.name);
  if (error >= entry.error) {
    entry.error = error;
    entry.where = `${c.name} ${name}`;
    entry.multiple = theirs > 0 ? error / theirs : 0;
  }
  table.set(kind, entry);
}
