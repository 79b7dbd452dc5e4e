/** Tables of the README that come from the code. */
import { CELL_NAMES, cells } from 'gatewise';
import { CELL_DEFAULTS, type CellAbout } from '#dist/bindings/cells/cell.js';

const about = new Map<string, CellAbout>();
for (const name of CELL_NAMES) about.set(name, (await import(`#dist/bindings/cells/${name}.js`)).about);

/** The cells: formula, source, gates, parameters and shapes. */
export function cellTable(): string {
  const rows = CELL_NAMES.map((name) => {
    const { gates, options, hasC } = cells[name];
    const { title, formula, source } = about.get(name) as CellAbout;
    const G = gates(CELL_DEFAULTS).length;
    const rows = G > 1 ? `${G}H` : 'H';
    const shapes = `\`weight_ih\` [${rows}, I], \`weight_hh\` [${rows}, H], \`bias_ih\`, \`bias_hh\` [${rows}]`;
    const states = hasC ? 'h, c' : 'h';
    return `| \`${name}\` ${title} | ${formula} | ${gates(CELL_DEFAULTS).join(' ')} | ${states} | ${shapes} | ${options.join(', ')} | ${source} |`;
  });
  return [
    '| cell | formula | gates | states | parameters | options | source |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
