/**
 * `npm run site`: guides and API reference as a static, searchable site in build/site. TypeDoc and the TypeScript that it accepts come from
 * site/package.json, installed on first use; after that it works offline. The playground is in its folder `playground`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const run = (command, ...args) => execFileSync(command, args, { cwd: root, stdio: 'inherit' });
const written = (path) => (existsSync(join(root, path)) ? statSync(join(root, path)).mtimeMs : 0);

run(process.execPath, 'tools/build.mjs', '--quiet');
if (written('site/node_modules/.package-lock.json') < written('site/package-lock.json')) {
  run('npm', 'ci', '--prefix', 'site', '--no-audit', '--no-fund');
}
rmSync(join(root, 'build/site'), { recursive: true, force: true });
run(process.execPath, 'site/node_modules/typedoc/bin/typedoc', '--options', 'site/typedoc.json');
run(process.execPath, 'tools/playground.mjs', '--build', '--out', 'build/site/playground');
