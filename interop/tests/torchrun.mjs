/** train_ddp.py, started by torchrun. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The words of a command that trains on some processes of this machine. */
export function torchrun({ root }, ranks, options) {
  const torch = ['--standalone', `--nproc-per-node=${ranks}`, '--max-restarts=0', '--local-addr=127.0.0.1'];
  const own = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
  return ['-m', 'torch.distributed.run', ...torch, join(root, 'interop/train_ddp.py'), '--backend', 'gloo', ...own];
}

/** The losses that it wrote. */
export function lossesOf(path) {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line).loss);
}

export const farthest = (a, b) =>
  a.length === b.length && a.length > 0 ? Math.max(...a.map((v, i) => Math.abs(v - b[i]))) : Number.POSITIVE_INFINITY;
