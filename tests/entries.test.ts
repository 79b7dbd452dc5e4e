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
function exportsOf(path: string): Map<string, { path: string; typeOnly: boolean }> {
  const found = new Map<string, { path: string; typeOnly: boolean }>();
  const text = sourceOf(path);
  for (const [, name] of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:class|interface|type|const|function) (\w+)/gm,
  )) {
    found.set(name, { path, typeOnly: false });
  }
  for (const [, type, list, target] of text.matchAll(/export (type )?\{([^}]*)\} from '([^']*)';/g)) {
    for (const [name] of namesIn(list)) found.set(name, { path: resolve(path, target), typeOnly: type !== undefined });
  }
  for (const [, target] of text.matchAll(/export \* from '([^']*)';/g)) {
    for (const [name, place] of exportsOf(resolve(path, target))) found.set(name, place);
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
    .replace(/^\s*(?:private|protected|#)[^;]*;/gm, '')
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

/**
 * For this package's own files: the layers inside of a recurrent layer and of tasks, cells by their numbers in the core, the parts
 * that a task is made of.
 */
const LAYERS = [
  'Direction',
  'EncoderDecoder',
  'ConditionalDecoder',
  'ForecastLayers',
  'LanguageLayers',
  'TaggerLayers',
];
const INTERNAL = [...LAYERS, 'Cell', 'Seq', 'Memory', 'Source', 'StackSchema', 'Cut'];

/** Constants are schemas or lists of options: people see the interfaces that follow from them. */
const isConstant = (name: string) => /^[A-Z_]+$/.test(name);

const MAIN = 'bindings/index.d.ts';

/** Types that an entry does not export though its signatures mention them. */
function missing(entry: string): string[] {
  const exported = exportsOf(join(dist, entry));
  const names = new Set(exported.keys());
  const lacks: string[] = [];
  const own = entry === MAIN ? new Map() : exportsOf(join(dist, MAIN));
  for (const [name, { path, typeOnly }] of exported) {
    // what comes from gatewise is checked there
    if (own.get(name)?.path === path) continue;
    const whole = declarationsOf(path, name);
    // nobody can call the constructor of a class that is exported as a type
    const declaration = typeOnly ? whole.replace(/^\s*constructor\([^;]*;/gm, '') : whole;
    for (const type of mentioned(path, declaration)) {
      if (type !== name && !names.has(type) && !isConstant(type) && ![...MACHINERY, ...INTERNAL].includes(type))
        lacks.push(`${type}, of ${name}`);
    }
  }
  return lacks.sort();
}

const { exports: entries } = JSON.parse(readFileSync(join(dist, '../package.json'), 'utf8'));
const declared = Object.values<{ types?: string }>(entries)
  .map(({ types }) => types?.replace('./dist/', '') ?? '')
  .filter((path) => path.startsWith('bindings/'));

test('the declarations of every entry are read', () => {
  ok(declared.length >= 11, declared.join(' '));
  for (const entry of declared) ok(exportsOf(join(dist, entry)).size > 0, entry);
});

for (const entry of declared) {
  test(`${entry} exports every type of its signatures`, () => {
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
