/** Files that are written whole or not at all. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** What can go wrong, in words that say what to do. */
function explain(error: unknown, path: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    ENOENT: `the folder ${dirname(resolve(path))} does not exist; make it, or choose another with --out`,
    EACCES: 'it may not be written there; choose another place with --out',
    EPERM: 'it may not be written there; choose another place with --out',
    EROFS: 'the file system is read-only; choose another place with --out',
    EISDIR: 'it is a folder; name a file with --out',
    ENOSPC: 'the disk is full; nothing was left behind',
    EDQUOT: 'your quota is used up; nothing was left behind',
  };
  return new Error(`${path} could not be written: ${why[code ?? ''] ?? message}`);
}

/** Writes to a temporary name beside the file, then renames. */
export async function writeWhole(path: string, bytes: Uint8Array, openFile: typeof open = open): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await openFile(temporary, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw explain(error, path);
  }
}

/** Throws early what `writeWhole` would throw late. */
export async function checkWritable(path: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'w');
    await file.close();
    await rm(temporary, { force: true });
  } catch (error) {
    throw explain(error, path);
  }
}
