/** Tables of the README that come from the code. */
import { CELL_NAMES, cells } from 'gatewise';
import type { CellAbout } from '#dist/bindings/cells/cell.js';
import { gatesOf } from '#dist/bindings/cells/index.js';

const about = new Map<string, CellAbout>();
for (const name of CELL_NAMES) about.set(name, (await import(`#dist/bindings/cells/${name}.js`)).about);

/** The cells: formula, source, gates, parameters and shapes. */
export function cellTable(): string {
  const rows = CELL_NAMES.map((name) => {
    const { options, hasC } = cells[name];
    const gates = gatesOf(name);
    const { title, formula, source } = about.get(name) as CellAbout;
    const G = gates.length;
    const rows = G > 1 ? `${G}H` : 'H';
    const shapes = `\`weight_ih\` [${rows}, I], \`weight_hh\` [${rows}, H], \`bias_ih\`, \`bias_hh\` [${rows}]`;
    const states = hasC ? 'h, c' : 'h';
    return `| \`${name}\` ${title} | ${formula} | ${gates.join(' ')} | ${states} | ${shapes} | ${Object.keys(options).join(', ')} | ${source} |`;
  });
  return [
    '| cell | formula | gates | states | parameters | options | source |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
