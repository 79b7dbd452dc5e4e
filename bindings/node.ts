/**
 * gatewise/node: checkpoints in files, for Node, Deno and Bun.
 *
 * @module gatewise/node
 */

/// <reference types="node" />
import { constants } from 'node:fs';
import { access, open, readdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import * as check from './check.js';

interface Target {
  /** The file that a path names, links followed. */
  readonly real: string;
  /** Its permissions; null where it does not exist yet. */
  readonly mode: number | null;
}

async function targetOf(path: string): Promise<Target> {
  let real = resolve(path);
  for (let links = 0; ; links++) {
    const link = await readlink(real).catch(() => null);
    if (link === null) break;
    if (links === 40) throw new Error(`${path}: its links lead in a circle`);
    real = resolve(dirname(real), link);
  }
  const found = await stat(real).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (found && !found.isFile()) {
    const kind = found.isDirectory() ? 'folder' : found.isFIFO() ? 'pipe' : found.isSocket() ? 'socket' : 'device';
    throw new Error(`${path}: expected a file, found a ${kind}`);
  }
  if (found) await access(real, constants.W_OK);
  return { real, mode: found && found.mode & 0o7777 };
}

/** What follows in the names of temporary files: processes of several machines may share a folder. */
const machine = hostname().replace(/[^\w-]/g, '_');

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes the temporary files of processes of this machine that have ended without removing them. */
async function removeLeftovers(real: string): Promise<void> {
  const start = `${basename(real)}.${machine}-`;
  for (const name of await readdir(dirname(real))) {
    if (!name.startsWith(start)) continue;
    const [, pid] = /^(\d+)(?:-\d+)?\.tmp$/.exec(name.slice(start.length)) ?? [];
    if (pid !== undefined && !runs(Number(pid))) await rm(join(dirname(real), name), { force: true });
  }
}

/** Temporary files that this process has made. */
let made = 0;

async function write(path: string, bytes: Uint8Array): Promise<void> {
  const { real, mode } = await targetOf(path);
  const temporary = `${real}.${machine}-${process.pid}-${++made}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode ?? 0o666);
    try {
      if (mode !== null) await file.chmod(mode);
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, real);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

/**
 * What the option `checkpoint` of `fit` needs to save in a file. The file holds one checkpoint or the next, whole, whenever the process
 * ends: the bytes are written to a temporary file in the same folder, which then takes the place of the file. Permissions stay as they
 * are, links are followed. Temporary files that processes of this machine left when they were killed are removed.
 *
 * @param path of the file, which need not exist yet
 * @returns saves bytes, one call after the other. Its promise is rejected, and the file is as it was, where the file cannot be written,
 *   or is a folder, a pipe, a socket or a device
 * @throws TypeError for a path that is not a string
 *
 * @example
 * ```js
 * import { readFile, rm } from 'node:fs/promises';
 * import { LanguageModel } from 'gatewise/tasks';
 * import { checkpointFile } from 'gatewise/node';
 *
 * const lm = await LanguageModel.create({ vocabulary: 'ab', hiddenSize: 4 });
 * const checkpoint = { everySeconds: 60, save: checkpointFile('model.safetensors') };
 * await lm.fit('ab'.repeat(40), { batchSize: 1, window: 8, steps: 10, checkpoint });
 * const resumed = await LanguageModel.load(await readFile('model.safetensors'));
 * console.log(resumed.training.steps); // 10
 * await rm('model.safetensors');
 * ```
 */
export function checkpointFile(path: string): (bytes: Uint8Array) => Promise<void> {
  check.text('path', path);
  let last: Promise<void> = targetOf(path).then(({ real }) => removeLeftovers(real));
  last.catch(() => {});
  return (bytes) => {
    // an earlier failure was reported to whoever asked for that checkpoint
    last = last.catch(() => {}).then(() => write(path, bytes));
    return last;
  };
}
