/** Damaged files are refused with a named error or read, never anything else; a library that is missing is named. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { unzipSync, zipSync } from 'fflate';
import { FormatError, Runtime, UnsupportedError } from 'gatewise';
import { loadKeras, loadTfjs } from 'gatewise/import/keras';
import { loadOnnx, loadOnnxNode } from 'gatewise/import/onnx';
import { readPyTorch, readSafetensors } from 'gatewise/import/pytorch';
import { test } from 'uvu';
import { ok } from 'uvu/assert';
import { random } from './support/numbers.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const file = (name: string) => new Uint8Array(readFileSync(join(root, 'tests/import', name)));
const runtime = await Runtime.create();

/** A file within a zip file. */
function inZip(
  name: string,
  entry: string,
  load: (bytes: Uint8Array) => unknown,
): [Uint8Array, (bytes: Uint8Array) => unknown] {
  const entries = unzipSync(file(name));
  return [entries[entry], (bytes) => load(zipSync({ ...entries, [entry]: bytes }, { level: 0 }))];
}

const keras = (bytes: Uint8Array) => loadKeras(runtime, bytes);
const targets: Record<string, [Uint8Array, (bytes: Uint8Array) => unknown]> = {
  '.pt': [file('tagger.pt'), readPyTorch],
  'data.pkl': inZip('tagger.pt', 'tagger/data.pkl', readPyTorch),
  '.safetensors': [file('kinds.safetensors'), readSafetensors],
  '.keras': [file('keras-masking.keras'), keras],
  'config.json': inZip('keras-masking.keras', 'config.json', keras),
  'model.weights.h5': inZip('keras-masking.keras', 'model.weights.h5', keras),
  '.h5': [new Uint8Array(gunzipSync(file('keras-functional.h5.gz'))), keras],
  'model.json': [file('tfjs-gru.json'), (bytes) => loadTfjs(runtime, new TextDecoder().decode(bytes), file)],
  '.onnx': [file('onnx-mean-dynamo.onnx'), (bytes) => loadOnnx(runtime, bytes)],
  'node of .onnx': [file('onnx-gru-relu.onnx'), (bytes) => loadOnnxNode(runtime, bytes, { node: 'gru-relu' })],
};

for (const [name, [whole, load]] of Object.entries(targets)) {
  test(`${name}: 60 kinds of damage`, async () => {
    const next = random(7);
    let refused = 0;
    for (let i = 0; i < 60; i++) {
      let bytes = whole.slice();
      if (i % 3 === 0) bytes = bytes.slice(0, Math.floor(next() * bytes.length));
      else for (let n = 0; n <= i % 3; n++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
      try {
        await load(bytes);
      } catch (error) {
        refused++;
        const named = error instanceof FormatError || error instanceof UnsupportedError || error instanceof RangeError;
        ok(named, `damage ${i}: ${String(error)}`);
      }
    }
    ok(refused >= 15, `${refused} of 60`);
  });
}

test('a library that is missing is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatewise-'));
  try {
    for (const name of readdirSync(join(root, 'dist')).filter((n) => n.endsWith('.js'))) {
      cpSync(join(root, 'dist', name), join(folder, name));
    }
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    cpSync(join(root, 'node_modules/@assemblyscript'), join(folder, 'node_modules/@assemblyscript'), {
      recursive: true,
    });
    const attempt = (entry: string, call: string, name: string) => {
      const code = `import { Runtime } from './index.js';
        import * as entry from './import-${entry}.js';
        import { readFileSync } from 'node:fs';
        const bytes = readFileSync(${JSON.stringify(join(root, 'tests/import', name))});
        const runtime = Runtime.createSync();
        await entry.${call}.catch((error) => console.log(error.name + ': ' + error.message));`;
      return spawnSync(process.execPath, ['--input-type=module', '-e', code], {
        cwd: folder,
        encoding: 'utf8',
      }).stdout;
    };
    for (const [entry, call, name, library] of [
      ['pytorch', 'readPyTorch(bytes)', 'tagger.pt', 'fflate'],
      ['keras', 'loadKeras(runtime, bytes)', 'keras-masking.keras', 'fflate'],
      ['onnx', 'loadOnnx(runtime, bytes)', 'onnx-mean-dynamo.onnx', 'pbf'],
    ]) {
      const said = attempt(entry, call, name);
      ok(said.includes(`UnsupportedError: this import needs the package '${library}'`), `${name}: ${said}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.run();
