/** Files that are written completely or not at all, for Node, Deno and Bun. */

/// <reference types="node" />
import { constants } from 'node:fs';
import { access, open, readdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

interface Target {
  /** The file that a path names, links followed. */
  readonly real: string;
  /** What of it stays; null where it does not exist yet. */
  readonly old: { readonly mode: number; readonly uid: number; readonly gid: number } | null;
}

/** A path that cannot be written. `found`: what it is instead of a file. */
export interface PathError extends NodeJS.ErrnoException {
  readonly found?: string;
}

/**
 * The file that a path names.
 *
 * @throws PathError for what is not a file, links in a circle, and files without permission to write
 */
export async function targetOf(path: string): Promise<Target> {
  let real = resolve(path);
  for (let links = 0; ; links++) {
    const link = await readlink(real).catch(() => null);
    if (link === null) break;
    if (links === 40) throw Object.assign(new Error(`${path}: its links lead in a circle`), { code: 'ELOOP' });
    real = resolve(dirname(real), link);
  }
  const is = await stat(real).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!is) return { real, old: null };
  if (!is.isFile()) {
    const found = is.isDirectory() ? 'folder' : is.isFIFO() ? 'pipe' : is.isSocket() ? 'socket' : 'device';
    throw Object.assign(new Error(`${path}: expected a file, found a ${found}`), { found });
  }
  await access(real, constants.W_OK);
  return { real, old: { mode: is.mode & 0o7777, uid: is.uid, gid: is.gid } };
}

/** Part of the names of this machine's temporary files: processes of several machines may share a folder. */
const machine = hostname().replace(/[^\w-]/g, '_');

/** Temporary files that this process writes at present, and how many it has made. */
const writing = new Set<string>();
let made = 0;

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes the temporary files for a target that processes of this machine left behind when they were killed. */
export async function removeLeftovers({ real }: Target): Promise<void> {
  const start = `${basename(real)}.${machine}-`;
  for (const name of await readdir(dirname(real))) {
    if (!name.startsWith(start)) continue;
    const [, digits] = /^(\d+)(?:-\d+)?\.tmp$/.exec(name.slice(start.length)) ?? [];
    if (digits === undefined) continue;
    const file = join(dirname(real), name);
    // in a container, an earlier process may have had the number of this one
    const pid = Number(digits);
    if (pid === process.pid ? !writing.has(file) : !runs(pid)) await rm(file, { force: true });
  }
}

/** Calls `use` with the path of a temporary file next to a target, and removes the file if it is still there. */
async function withTemporary(real: string, use: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${real}.${machine}-${process.pid}-${++made}.tmp`;
  writing.add(temporary);
  try {
    await use(temporary);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  } finally {
    writing.delete(temporary);
  }
}

/** Throws what `writeWhole` would throw for the folder of a target. */
export function tryFolder({ real }: Target): Promise<void> {
  return withTemporary(real, async (temporary) => {
    await (await open(temporary, 'wx')).close();
    await rm(temporary);
  });
}

/** Writes to a temporary file in the same folder, then renames it. Permissions stay; a link keeps leading to the file. */
export async function writeWhole(path: string, bytes: Uint8Array, openFile: typeof open = open): Promise<void> {
  const { real, old } = await targetOf(path);
  await withTemporary(real, async (temporary) => {
    const file = await openFile(temporary, 'wx', old?.mode ?? 0o666);
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
  });
}
