/** Files that are written completely or not at all, and texts that are read. */
import { type open, readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import * as files from '#dist/bindings/whole-file.js';
import { UsageError } from './arguments.js';

/** The message of an error, with what to do. */
function explain(error: unknown, path: string): string {
  const { code, message, found } = error as files.PathError;
  if (found) return `${path} could not be written: it is a ${found}; name a file with --out`;
  const why: Record<string, string> = {
    ENOENT: `the folder ${dirname(resolve(path))} does not exist; create it, or choose another one with --out`,
    ENOTDIR: `${dirname(resolve(path))} is not a folder; choose another place with --out`,
    EACCES: 'permission denied; choose another place with --out',
    EPERM: 'permission denied; choose another place with --out',
    EROFS: 'the file system is read-only; choose another place with --out',
    ELOOP: 'its links lead in a circle; name a file with --out',
    ENOSPC: 'the disk is full; no partial file was left',
    EDQUOT: 'your quota is used up; no partial file was left',
  };
  return `${path} could not be written: ${why[code ?? ''] ?? message}`;
}

/** `writeWhole` of the bindings, with errors that name what to do. */
export async function writeWhole(path: string, bytes: Uint8Array, openFile?: typeof open): Promise<void> {
  try {
    await files.writeWhole(path, bytes, openFile);
  } catch (error) {
    throw new Error(explain(error, path));
  }
}

/**
 * Throws what `writeWhole` would throw, before the work begins; removes the temporary files of dead processes.
 *
 * @returns whether the file exists
 */
export async function checkWritable(path: string): Promise<boolean> {
  try {
    const target = await files.targetOf(path);
    await files.removeLeftovers(target);
    await files.tryFolder(target);
    return target.old !== null;
  } catch (error) {
    throw new UsageError(explain(error, path));
  }
}

/** The bytes of a file. @param hint what to do where there is no such file */
export async function readBytes(path: string, hint = ''): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UsageError(`${path}: the file does not exist${hint}`);
    if (code === 'EISDIR') throw new UsageError(`${path}: is a folder; expected a file`);
    if (code === 'EACCES') throw new UsageError(`${path}: permission denied`);
    throw new UsageError(`${path}: ${message}`);
  }
}

/** A file of UTF-8 text, its line breaks as `\n`. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n');
  } catch {
    throw new UsageError(`${path}: is not UTF-8 text`);
  }
}
