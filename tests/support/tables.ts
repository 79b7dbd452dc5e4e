/** Parts of README and docs that come from the code: tables, and quotes of files. */
import { readFileSync } from 'node:fs';
import { CELL_NAMES, cells } from 'gatewise';
import type { CellAbout } from '#dist/bindings/cells/cell.js';
import { gatesOf, hasRecurrentWeights } from '#dist/bindings/cells/index.js';

const about = new Map<string, CellAbout>();
for (const name of CELL_NAMES) about.set(name, (await import(`#dist/bindings/cells/${name}.js`)).about);

/** The cells: formula, source, gates, parameters and shapes. */
export function cellTable(): string {
  const rows = CELL_NAMES.map((name) => {
    const { options, hasC } = cells[name];
    const gates = gatesOf(name);
    const { title, formula, source, parameters = '' } = about.get(name) as CellAbout;
    const G = gates.length;
    const rows = G > 1 ? `${G}H` : 'H';
    const shapes = hasRecurrentWeights(name)
      ? `\`weight_ih\` [${rows}, I], \`weight_hh\` [${rows}, H], \`bias_ih\`, \`bias_hh\` [${rows}]`
      : `\`weight_ih\` [${rows}, I], \`bias_ih\` [${rows}]`;
    const states = hasC ? 'h, c' : 'h';
    return `| \`${name}\` ${title} | ${formula} | ${gates.join(' ')} | ${states} | ${shapes}${parameters} | ${Object.keys(options).join(', ')} | ${source} |`;
  });
  return [
    '| cell | formula | gates | states | parameters | options | source |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

const root = new URL('../../../', import.meta.url);

/** What a file has between the lines `// <name>` and `// </name>`, or else its function of that name, with its comment. */
function quote(path: string, name: string): string {
  const text = readFileSync(new URL(path, root), 'utf8');
  const marked = new RegExp(`^ *// <${name}>\\n(.*?)^ *// </${name}>$`, 'ms').exec(text);
  const whole = `(^/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/\\n(?:export )?function ${name}\\([\\s\\S]*?^\\}\\n)`;
  const [, found] = marked ?? new RegExp(whole, 'm').exec(text) ?? [];
  if (found === undefined) throw new Error(`${path}: no part '${name}'`);
  return found;
}

/** The options that one cell has and others lack, with the doc comments of their schemas. */
function cellOptionTable(): string {
  const rows = CELL_NAMES.flatMap((name) => {
    const schema = quoteBetween(`bindings/cells/${name}.ts`, 'const OPTIONS = {', '};');
    const found = [...schema.matchAll(/\/\*\* (?:\w+: )?(.*?) \*\/\s*(\w+):/gs)];
    if (found.length !== Object.keys(cells[name].options).length)
      throw new Error(`${name}: an option without a comment`);
    return found.map(
      ([, text, option]) =>
        `| \`${name}\` | \`${option}\` | ${text.replace(/\s+\* /g, ' ').replace(/ (\w+): .*?\.(?= )/g, (part, other) => (other in cells ? '' : part))} |`,
    );
  });
  return ['| cell | option | meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

function quoteBetween(path: string, begin: string, end: string): string {
  const text = readFileSync(new URL(path, root), 'utf8');
  const from = text.indexOf(begin);
  return from < 0 ? '' : text.slice(from, text.indexOf(end, from));
}

/**
 * A page with its tables and quotes as they are to be: between `<!-- cells -->` and `<!-- /cells -->` the table of cells, between
 * `<!-- cell-options -->` and `<!-- /cell-options -->` that of their options, between
 * `<!-- quote PATH NAME -->` and `<!-- /quote -->` a part of a file.
 */
export function refreshed(page: string): string {
  return page
    .replace(/(<!-- cells -->\n).*?(<!-- \/cells -->)/gs, (_, begin, end) => begin + cellTable() + end)
    .replace(
      /(<!-- cell-options -->\n).*?(<!-- \/cell-options -->)/gs,
      (_, begin, end) => begin + cellOptionTable() + end,
    )
    .replace(/(<!-- quote (\S+) (\S+) -->\n).*?(<!-- \/quote -->)/gs, (_, begin, path, name, end) => {
      return `${begin}\n\`\`\`typescript\n${quote(path, name)}\`\`\`\n\n${end}`;
    });
}
