/**
 * Every `@example` in a doc comment runs against the built package, and prints what the comment behind its `console.log` says. The
 * examples of one file share a process.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as layers from 'gatewise';
import * as tasks from 'gatewise/tasks';
import { test } from 'uvu';
import { is, ok } from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/examples-in-comments');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
// the files that the examples of importers read
cpSync(join(root, 'tests/import'), folder, { recursive: true });

interface Example {
  readonly file: string;
  readonly line: number;
  readonly code: string;
  /** What the comments say is printed: the last lines of it. */
  readonly prints: readonly string[];
}

/** The examples of a source: the fenced block after an `@example`, or all lines up to the next tag. */
export function examplesOf(file: string, source: string): Example[] {
  const examples: Example[] = [];
  for (const { 0: comment, index } of source.matchAll(/\/\*\*.*?\*\//gs)) {
    for (const tag of comment.matchAll(
      /^[ \t]*(?:\/\*\*|\*) ?@example\b[^\n]*\n(.*?)(?=^[ \t]*\* ?@\w|[ \t]*\*\/)/gms,
    )) {
      const text = tag[1].replace(/^[ \t]*\* ?/gm, '').trimEnd();
      const fenced = /^```(?:js|ts)?\n(.*?)^```/ms.exec(text);
      const code = fenced ? fenced[1] : text;
      const line = source.slice(0, index + tag.index).split('\n').length;
      // `console.log(…); // 1 2 3`, or the comment on the next line
      const prints = [...code.matchAll(/console\.log\([^\n]*\);(?:\n)?[ \t]*\/\/ ([^\n]*)/g)].map(([, said]) =>
        said.trim(),
      );
      examples.push({ file, line, code, prints });
    }
  }
  return examples;
}

const sources = readdirSync(join(root, 'bindings'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.includes('wasm'))
  .sort();

/** The names of the package that an example without imports uses, imported. */
function imports(code: string): string {
  if (/^import /m.test(code)) return '';
  const lines = Object.entries({ gatewise: layers, 'gatewise/tasks': tasks }).map(([entry, exports]) => {
    const used = Object.keys(exports).filter((name) => new RegExp(`\\b${name}\\b`).test(code));
    const own = entry === 'gatewise' ? used : used.filter((name) => !(name in layers));
    return `import { ${own.join(', ')} } from '${entry}'; `;
  });
  return lines.join('');
}

/** Runs the examples of one file; what each prints, or its error. */
function run(name: string, examples: readonly Example[]): Promise<{ printed: string[]; error: string | null }[]> {
  const files = examples.map(({ code }, i) => {
    const path = join(folder, `${name}-${i}.mjs`);
    writeFileSync(path, imports(code) + code);
    return path;
  });
  const runner = join(folder, `${name}.mjs`);
  writeFileSync(
    runner,
    `import { format } from 'node:util';
const log = console.log;
const results = [];
for (const file of ${JSON.stringify(files)}) {
  const result = { printed: [], error: null };
  console.log = (...values) => result.printed.push(format(...values));
  try {
    await import(file);
  } catch (error) {
    result.error = String(error?.stack ?? error);
  }
  results.push(result);
}
log(JSON.stringify(results));
`,
  );
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [runner], { cwd: folder });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.on('close', () => {
      try {
        done(JSON.parse(out));
      } catch {
        failed(new Error(`${name}: ${out}\n${err}`));
      }
    });
  });
}

let count = 0;
for (const file of sources) {
  const examples = examplesOf(file, readFileSync(join(root, 'bindings', file), 'utf8'));
  if (examples.length === 0) continue;
  count += examples.length;
  const name = file.replace(/\W/g, '-');
  const started = run(name, examples);
  started.catch(() => {});
  examples.forEach(({ line, code, prints }, i) => {
    test(`bindings/${file}:${line}: the example runs, and prints what it says`, async () => {
      const { printed, error } = (await started)[i];
      is(error, null, code);
      prints.forEach((said, k) => {
        is(printed[k], said, code);
      });
    });
  });
}

test('examples are found, and what they say is compared', () => {
  ok(count >= 40, `${count} examples`);
  const source =
    '/**\n * A.\n *\n * @example\n * ```js\n * console.log(1); // 1\n * ```\n * @returns b\n */\n/** @example\n * 2\n */';
  const found = examplesOf('a.ts', source);
  is(found.length, 2);
  is(found[0].code, 'console.log(1); // 1\n');
  is(found[0].prints.join(), '1');
  is(found[1].code.trim(), '2');
});

test.run();
