/**
 * Runs the Python blocks of docs/guides/ in build/python and prints their output. Needs Python with
 * keras, a backend of it, torch, numpy and safetensors.
 *
 *     npm run docs:python [-- NAME]    only pages whose name contains NAME; PYTHON names the interpreter
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [name = ''] = process.argv.slice(2);
const cwd = join(root, 'build/python');
mkdirSync(cwd, { recursive: true });
let failed = 0;
for (const page of readdirSync(join(root, 'docs/guides'))) {
  if (!page.includes(name)) continue;
  const text = readFileSync(join(root, 'docs/guides', page), 'utf8');
  [...text.matchAll(/^```python\n(.*?)^```$/gms)].forEach(([, code], i) => {
    const file = join(cwd, `${page}-${i + 1}.py`);
    writeFileSync(file, code);
    const { status, stdout, stderr } = spawnSync(process.env.PYTHON ?? 'python3', [file], { cwd, encoding: 'utf8' });
    console.log(`${page}, Python block ${i + 1}: ${status === 0 ? stdout.trim() : `failed\n${stderr}`}`);
    if (status !== 0) failed++;
  });
}
process.exitCode = failed > 0 ? 1 : 0;
