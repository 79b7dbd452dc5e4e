/** Files that are written completely or not at all. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** The error with a message that says what to do. */
function explain(error: unknown, path: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    ENOENT: `the folder ${dirname(resolve(path))} does not exist; create it, or choose another one with --out`,
    EACCES: 'permission denied; choose another place with --out',
    EPERM: 'permission denied; choose another place with --out',
    EROFS: 'the file system is read-only; choose another place with --out',
    EISDIR: 'it is a folder; name a file with --out',
    ENOSPC: 'the disk is full; no partial file was left',
    EDQUOT: 'your quota is used up; no partial file was left',
  };
  return new Error(`${path} could not be written: ${why[code ?? ''] ?? message}`);
}

/** Writes to a temporary file in the same folder, then renames it. */
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

/** Throws what `writeWhole` would throw, before the work begins. */
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
