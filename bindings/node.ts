/**
 * gatewise/node: checkpoints in files, for Node, Deno and Bun.
 *
 * @module gatewise/node
 */

import * as check from './check.js';
import { removeLeftovers, targetOf, writeWhole } from './whole-file.js';

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
  let last: Promise<void> = targetOf(path).then(removeLeftovers);
  last.catch(() => {});
  return (bytes) => {
    // an earlier failure was reported to whoever asked for that checkpoint
    last = last.catch(() => {}).then(() => writeWhole(path, bytes));
    return last;
  };
}
