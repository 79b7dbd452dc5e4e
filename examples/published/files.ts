/** The files of published models: `--model PATH`, and how long a model takes. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Tensor } from 'gatewise';
import type { Stage } from '../support/stage.js';
import { weightsOf } from './formats.js';
import type { Weights } from './weights.js';

/** Where the weights of a model are published, and which file of it the loader reads. */
export interface Published {
  readonly where: string;
  readonly file: string;
}

/** The path of `--model PATH`. Without the option, the program says where the weights are and ends. */
export function pathOf(stage: Stage, { where, file }: Published): string | undefined {
  if (stage.model !== undefined) return stage.model;
  stage.log(`  The weights are not part of this repository. They are published at ${where}.`);
  stage.log(`  Run this again with --model PATH, where PATH is ${file}.`);
  return undefined;
}

/** A file of weights in any format that weightsOf reads, with the vocabulary in its folder; or a folder of ml5.js. */
export async function openWeights(path: string): Promise<Weights> {
  const found = await stat(path).catch(() => null);
  if (!found) throw new Error(`${path}: the file does not exist`);
  if (found.isDirectory()) return openManifest(path);
  const weights = await weightsOf(await readFile(path));
  const vocabulary = (await readdir(dirname(path))).find((name) => name.endsWith('vocab.json'));
  if (weights.vocabulary || vocabulary === undefined) return weights;
  return { ...weights, vocabulary: JSON.parse(await readFile(join(dirname(path), vocabulary), 'utf8')) };
}

/** A folder with `manifest.json`, `vocab.json`, and a file of float32 for each variable. */
async function openManifest(folder: string): Promise<Weights> {
  const json = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'));
  if (!(await readdir(folder)).includes('manifest.json')) {
    throw new Error(`${folder}: expected a file, or a folder with manifest.json`);
  }
  const manifest: Record<string, { filename: string; shape: number[] }> = await json('manifest.json');
  const tensors = new Map<string, Tensor>();
  for (const [name, { filename, shape }] of Object.entries(manifest)) {
    const bytes = await readFile(join(folder, basename(filename)));
    tensors.set(name, { shape, data: new Float32Array(new Uint8Array(bytes).buffer) });
  }
  return { tensors, vocabulary: await json('vocab.json') };
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
