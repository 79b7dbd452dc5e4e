/** Files that are written completely or not at all, and texts that are read. */
import { constants } from 'node:fs';
import { access, open, readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from './arguments.js';

/** The message of an error, with what to do. */
function explain(error: unknown, path: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    ENOENT: `the folder ${dirname(resolve(path))} does not exist; create it, or choose another one with --out`,
    ENOTDIR: `${dirname(resolve(path))} is not a folder; choose another place with --out`,
    EACCES: 'permission denied; choose another place with --out',
    EPERM: 'permission denied; choose another place with --out',
    EROFS: 'the file system is read-only; choose another place with --out',
    EISDIR: 'it is a folder; name a file with --out',
    ELOOP: 'its links lead in a circle; name a file with --out',
    ENOSPC: 'the disk is full; no partial file was left',
    EDQUOT: 'your quota is used up; no partial file was left',
  };
  return `${path} could not be written: ${why[code ?? ''] ?? message}`;
}

interface Target {
  /** The file that a path names, links followed. */
  readonly real: string;
  /** What of it stays; null where there is no file yet. */
  readonly old: { readonly mode: number; readonly uid: number; readonly gid: number } | null;
}

async function targetOf(path: string): Promise<Target> {
  let real = resolve(path);
  for (let links = 0; ; links++) {
    const link = await readlink(real).catch(() => null);
    if (link === null) break;
    if (links === 40) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
    real = resolve(dirname(real), link);
  }
  try {
    const found = await stat(real);
    if (found.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
    if (!found.isFile()) {
      const kind = found.isFIFO() ? 'pipe' : found.isSocket() ? 'socket' : 'device';
      throw new Error(`it is a ${kind}; name a file with --out`);
    }
    await access(real, constants.W_OK);
    return { real, old: { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid } };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { real, old: null };
    throw error;
  }
}

/** The end of the names of this machine's temporary files: a process of another machine may share the folder. */
const machine = hostname().replace(/[^\w-]/g, '_');
const temporaryOf = (real: string) => `${real}.${machine}-${process.pid}.tmp`;

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes the temporary files that processes left which have ended without removing them. */
async function removeLeftovers(real: string): Promise<void> {
  const start = `${basename(real)}.${machine}-`;
  for (const name of await readdir(dirname(real))) {
    const [, pid] = (name.startsWith(start) && /^(\d+)\.tmp$/.exec(name.slice(start.length))) || [];
    if (pid === undefined || (Number(pid) !== process.pid && runs(Number(pid)))) continue;
    await rm(join(dirname(real), name), { force: true });
  }
}

/** Writes to a temporary file in the same folder, then renames it. Permissions stay; a link keeps leading to the file. */
export async function writeWhole(path: string, bytes: Uint8Array, openFile: typeof open = open): Promise<void> {
  let temporary: string | undefined;
  try {
    const { real, old } = await targetOf(path);
    temporary = temporaryOf(real);
    const file = await openFile(temporary, 'w', old?.mode ?? 0o666);
    try {
      if (old) {
        await file.chown(old.uid, old.gid).catch(() => {}); // only root may give a file to someone else
        await file.chmod(old.mode);
      }
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, real);
  } catch (error) {
    if (temporary) await rm(temporary, { force: true }).catch(() => {});
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
    const { real, old } = await targetOf(path);
    await removeLeftovers(real);
    const temporary = temporaryOf(real);
    const file = await open(temporary, 'w');
    await file.close();
    await rm(temporary, { force: true });
    return old !== null;
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
