/** Every type in a public signature is exported from the same entry: read from the declarations that the package ships. */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const sources = new Map<string, string>();
const sourceOf = (path: string): string => {
  const text = sources.get(path) ?? readFileSync(path, 'utf8').replace(/\/\*.*?\*\//gs, '');
  sources.set(path, text);
  return text;
};
const resolve = (from: string, target: string) => normalize(join(dirname(from), target.replace(/\.js$/, '.d.ts')));
const namesIn = (list: string) =>
  list
    .split(',')
    .map((item) => item.trim().replace(/^type /, ''))
    .filter(Boolean)
    .map((item) => item.split(' as '));

/** What an entry exports: the names that declarations have, their files, and whether they are exported as types only. */
function exportsOf(entry: string): Map<string, { path: string; typeOnly: boolean }> {
  const found = new Map<string, { path: string; typeOnly: boolean }>();
  for (const [, type, list, target] of sourceOf(entry).matchAll(/export (type )?\{([^}]*)\} from '([^']*)';/g)) {
    for (const [name] of namesIn(list)) found.set(name, { path: resolve(entry, target), typeOnly: type !== undefined });
  }
  return found;
}

/** The declarations of a name in a file, without private members. */
function declarationsOf(path: string, name: string): string {
  const text = sourceOf(path);
  const parts: string[] = [];
  const start = new RegExp(
    `^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|const|function) ${name}\\b`,
    'gm',
  );
  for (const { index } of text.matchAll(start)) {
    let depth = 0;
    let end = index;
    for (; end < text.length; end++) {
      const c = text[end];
      if ('{([<'.includes(c)) depth++;
      // the arrow of a function type closes nothing
      else if ('})]'.includes(c) || (c === '>' && text[end - 1] !== '=')) depth--;
      if (
        depth === 0 &&
        (c === ';' ||
          (c === '}' &&
            /^[ \t]*\n/.test(text.slice(end + 1)) &&
            !/^type|^(export )?(declare )?(const|type)/.test(text.slice(index, index + 30))))
      )
        break;
    }
    parts.push(text.slice(index, end + 1));
  }
  return parts
    .join('\n')
    .replace(/^\s*(?:private|#)[^;]*;/gm, '')
    .replace(/'[^']*'/g, "''");
}

/** The types of this package that a declaration mentions, by the names of their declarations. */
function mentioned(path: string, declaration: string): string[] {
  const text = sourceOf(path);
  const known = new Map<string, string>();
  for (const [, list] of text.matchAll(/import (?:type )?\{([^}]*)\} from '(\.[^']*)';/g)) {
    for (const [name, as = name] of namesIn(list)) known.set(as, name);
  }
  for (const [, name] of text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|interface|type) (\w+)/gm))
    known.set(name, name);
  const used = new Set(declaration.match(/\b[A-Z]\w*/g) ?? []);
  return [...known].filter(([name]) => used.has(name)).map(([, own]) => own);
}

/** Types that schemas are computed with: people see what follows from them. */
const MACHINERY = ['Option', 'Options', 'Settings', 'Reader', 'Schema', 'Value'];

/** The layers inside of a recurrent layer, and numbers that the core knows cells by: for this package's own files. */
const INTERNAL = ['Direction', 'Cell', 'Seq'];

/** Types that an entry does not export though its signatures mention them. */
function missing(entry: string): string[] {
  const exported = exportsOf(join(dist, entry));
  const names = new Set(exported.keys());
  const lacks: string[] = [];
  for (const [name, { path, typeOnly }] of exported) {
    const whole = declarationsOf(path, name);
    // nobody can call the constructor of a class that is exported as a type
    const declaration = typeOnly ? whole.replace(/^\s*constructor\([^;]*;/gm, '') : whole;
    for (const type of mentioned(path, declaration)) {
      if (type !== name && !names.has(type) && ![...MACHINERY, ...INTERNAL].includes(type))
        lacks.push(`${type}, of ${name}`);
    }
  }
  return lacks.sort();
}

for (const entry of ['bindings/index.d.ts', 'bindings/infer.d.ts', 'bindings/quantized.d.ts']) {
  test(`${entry} exports every type of its signatures`, () => {
    ok(exportsOf(join(dist, entry)).size > 15);
    equal(missing(entry), []);
  });
}

test('a type that is not exported is found', () => {
  const path = join(dist, 'probe.d.ts');
  sources.set(
    path,
    "import type { A, B } from './a.js';\nexport interface C {\n  a: A;\n  f(): { c: C };\n}\nexport declare function d(x: C): void;\n",
  );
  equal(mentioned(path, declarationsOf(path, 'C')), ['A', 'C']);
  equal(mentioned(path, declarationsOf(path, 'd')), ['C']);
  is(declarationsOf(path, 'C').includes('function'), false);
});

test.run();
