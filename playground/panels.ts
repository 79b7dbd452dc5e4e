/** The views below the loss. Each shows the lanes as they are now. */
import type { Lane } from './lane.js';
import { Chart, heat, histogram, shade } from './plots.js';
import type { GateView, Sample } from './protocol.js';

export interface Panel {
  readonly title: string;
  /** Whether the lanes have what it shows. */
  readonly shown: (lanes: readonly Lane[]) => boolean;
  /** Draws it; called again while models train. */
  readonly draw: (box: HTMLElement, lanes: readonly Lane[]) => void | Promise<void>;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function laneBox(lane: Lane, lanes: readonly Lane[], ...children: Node[]): HTMLElement {
  const title = lanes.length > 1 ? [make('h3', { textContent: lane.name })] : [];
  const box = make('div', { className: 'lane' }, ...title, ...children);
  box.style.setProperty('--lane', `var(--lane-${lane.index})`);
  return box;
}

function sampleOf(sample: Sample): Node[] {
  if (sample.kind === 'text') return [make('p', { className: 'text', textContent: sample.text })];
  if (sample.kind === 'rows') {
    // where the input can be read from what was expected, it is left out
    const inputs = sample.rows.some(({ input }) => input !== '');
    const row = (tag: 'th' | 'td', cells: readonly string[]) =>
      make('tr', {}, ...cells.slice(inputs ? 0 : 1).map((textContent) => make(tag, { textContent })));
    const rows = sample.rows.map(({ input, expected, got }) =>
      row('td', [input, expected, `${got === expected ? '✓' : '✗'} ${got}`]),
    );
    const table = make(
      'table',
      {},
      make('caption', { textContent: 'Held-out examples' }),
      make('thead', {}, row('th', ['input', 'expected', 'predicted'])),
      make('tbody', {}, ...rows),
    );
    return [make('div', { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: 'Held-out examples' }, table)];
  }
  const figure = make('figure', {}, make('div'));
  queueMicrotask(() => {
    const { name, past, truth, forecast } = sample;
    const from = past.length - 1;
    const line = (values: readonly number[], start: number) => values.map((y, i) => [start + i, y] as const);
    const chart = new Chart(figure.firstElementChild as HTMLElement, 'step', name || 'value');
    chart.draw([
      { name: 'series', lane: 0, points: [...line(past, 0), ...line(truth, from + 1)] },
      { name: 'forecast', lane: 1, points: line([past[from], ...forecast], from), dash: [6, 4] },
    ]);
    chart.describe(
      `The last ${truth.length} steps of the series and their forecast: ${forecast.map((y) => y.toPrecision(4)).join(', ')}`,
    );
  });
  return [figure];
}

const samples: Panel = {
  title: 'Samples',
  shown: () => true,
  draw(box, lanes) {
    const boxes = lanes.map((lane) =>
      laneBox(
        lane,
        lanes,
        ...(lane.sample ? sampleOf(lane.sample) : [make('p', { className: 'hint', textContent: 'No sample yet.' })]),
      ),
    );
    box.replaceChildren(...boxes);
  },
};

/** Which lane, line and gate the person looks at. */
const looking = { lane: 0, line: '', gate: '', column: 0, unit: 0 };

const MEANING: Readonly<Record<string, string>> = {
  i: 'i, input gate',
  f: 'f, forget gate',
  o: 'o, output gate',
  g: 'g, candidate',
  r: 'r, reset gate',
  z: 'z, update gate',
  n: 'n, candidate',
  h: 'h, state',
  c: 'c, cell state',
};

/** A gate by its letter and name. A layer that reads from the end adds words to the letter. */
function meaning(gate: string): string {
  const [letter, ...words] = gate.split(' ');
  return [MEANING[letter] ?? letter, ...words].join(' ');
}

const stepName = ({ line }: Lane) => (line === null ? 'step' : 'character');

function laneChoice(lanes: readonly Lane[], again: () => void): Node[] {
  if (lanes.length < 2) return [];
  const select = make(
    'select',
    {},
    ...lanes.map(({ name, index }) => make('option', { value: String(index), textContent: name })),
  );
  select.value = String(looking.lane);
  select.onchange = () => {
    looking.lane = Number(select.value);
    again();
  };
  return [make('label', {}, 'Model ', select)];
}

const picked = (lanes: readonly Lane[]) => lanes[looking.lane] ?? lanes[0];

/** Gates over the characters of a line, drawn into a box that keeps its controls while values change. */
const gates: Panel = {
  title: 'Gates',
  shown: (lanes) => lanes.some(({ views }) => views.includes('gates')),
  async draw(box, lanes) {
    const lane = picked(lanes);
    const view = await lane.view('gates', looking.line || (lane.line ?? ''));
    const names = Object.keys(view.gates);
    if (!names.includes(looking.gate)) looking.gate = names.find((name) => name === 'f' || name === 'z') ?? names[0];
    if (box.dataset.lane !== `${lane.index} ${lane.name}` || !box.querySelector('canvas')) {
      gateControls(box, lanes, lane, names, () => gates.draw(box, lanes));
    }
    drawGates(box, lane, view);
  },
};

function gateControls(
  box: HTMLElement,
  lanes: readonly Lane[],
  lane: Lane,
  names: readonly string[],
  again: () => void,
): void {
  box.dataset.lane = `${lane.index} ${lane.name}`;
  const input = make('input', { value: looking.line || (lane.line ?? ''), maxLength: 80 });
  input.oninput = () => {
    looking.line = input.value;
    again();
  };
  const select = make(
    'select',
    {},
    ...names.map((name) => make('option', { value: name, textContent: meaning(name) })),
  );
  select.value = looking.gate;
  select.onchange = () => {
    looking.gate = select.value;
    again();
  };
  const canvas = make('canvas', { tabIndex: 0 });
  canvas.setAttribute('role', 'img');
  const move = (column: number, unit: number) => {
    looking.column = column;
    looking.unit = unit;
    read(box);
  };
  canvas.onmousemove = ({ offsetX, offsetY }) => move(Math.floor(offsetX / CELL[0]), Math.floor(offsetY / CELL[1]));
  canvas.onkeydown = (event) => {
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    move(looking.column + step[0], looking.unit + step[1]);
  };
  box.replaceChildren(
    make(
      'div',
      { className: 'controls' },
      ...laneChoice(lanes, again),
      ...(lane.line === null ? [] : [make('label', { className: 'wide' }, 'Line to read ', input)]),
      make('label', {}, 'Gate or state ', select),
    ),
    make('p', {
      className: 'hint',
      textContent: `A column for each ${stepName(lane)}, a row for each unit of the last layer. Point at a cell, or use the arrow keys, to read it.`,
    }),
    make(
      'div',
      { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: 'Heat map of gates' },
      make('div', { className: 'axis', ariaHidden: 'true' }),
      canvas,
    ),
    make('p', { className: 'hint legend' }),
    make('p', { className: 'reading', role: 'status' }),
  );
}

const CELL = [12, 4] as const;
let drawn: { readonly lane: Lane; readonly view: GateView } | undefined;

function drawGates(box: HTMLElement, lane: Lane, view: GateView): void {
  drawn = { lane, view };
  const values = view.gates[looking.gate];
  const state = ['h', 'c', 'g', 'n'].includes(looking.gate.split(' ')[0]);
  const [low, high] = state ? [-1, 1] : [0, 1];
  const canvas = box.querySelector('canvas') as HTMLCanvasElement;
  heat(canvas, values, low, high, CELL);
  canvas.setAttribute(
    'aria-label',
    `${meaning(looking.gate)}: ${values[0].length} units over ${view.labels.length} ${stepName(lane)}s. Arrow keys read values.`,
  );
  const axis = box.querySelector('.axis') as HTMLElement;
  axis.style.cssText = `display:grid;grid-template-columns:repeat(${view.marks.length},${CELL[0]}px);font:12px ui-monospace,monospace`;
  axis.replaceChildren(...view.marks.map((textContent) => make('span', { textContent })));
  const legend = box.querySelector('.legend') as HTMLElement;
  legend.replaceChildren(
    `${low} `,
    ...[0, 0.25, 0.5, 0.75, 1].map((share) => {
      const swatch = make('span', { textContent: '\u2003' });
      swatch.style.background = shade(share);
      return swatch;
    }),
    ` ${high}`,
  );
  read(box);
}

function read(box: HTMLElement): void {
  if (!drawn) return;
  const { lane, view } = drawn;
  const values = view.gates[looking.gate];
  looking.column = Math.min(values.length - 1, Math.max(0, looking.column));
  looking.unit = Math.min(values[0].length - 1, Math.max(0, looking.unit));
  const { column, unit } = looking;
  const at = lane.line === null ? view.labels[column] : `${column + 1} ${view.labels[column]}`;
  const text = `${stepName(lane)} ${at}, unit ${unit + 1}: ${looking.gate} = ${values[column][unit].toFixed(3)}`;
  (box.querySelector('.reading') as HTMLElement).textContent = text;
}

const units: Panel = {
  title: 'Units',
  shown: (lanes) => lanes.some(({ views }) => views.includes('units')),
  async draw(box, lanes) {
    const views = await picked(lanes).view('units');
    const parts = views.map(({ unit, property, correlation, characters, values }) => {
      const spans = characters.map((c, t) => {
        const span = make('span', { className: 'tint', textContent: c });
        span.style.setProperty('--side', values[t] < 0 ? 'var(--low)' : 'var(--high)');
        span.style.setProperty('--tint', String(Math.round(70 * Math.min(1, Math.abs(values[t])))));
        return span;
      });
      const title = `Unit ${unit + 1} follows: ${property} (correlation ${correlation.toFixed(2)})`;
      return make('section', {}, make('h3', { textContent: title }), make('p', { className: 'text' }, ...spans));
    });
    box.replaceChildren(
      make('div', { className: 'controls' }, ...laneChoice(lanes, () => units.draw(box, lanes))),
      make('p', {
        className: 'hint',
        textContent:
          'For each property of held-out text, the unit of the last layer whose state h is most correlated with it. Orange: h is negative. Blue: h is positive.',
      }),
      ...parts,
    );
  },
};

const weights: Panel = {
  title: 'Weights',
  shown: (lanes) => lanes.length > 0,
  async draw(box, lanes) {
    const views = await picked(lanes).view('weights');
    box.replaceChildren(
      make('div', { className: 'controls' }, ...laneChoice(lanes, () => weights.draw(box, lanes))),
      make('p', {
        className: 'hint',
        textContent:
          'How the weights of each parameter are distributed. Horizontal: value. Vertical: number of weights; the highest bar has the number above it.',
      }),
      make('div', { className: 'histograms' }, ...views.map(histogram)),
    );
  },
};

const flow: Panel = {
  title: 'Gradient flow',
  shown: (lanes) => lanes.some(({ views }) => views.includes('flow')),
  async draw(box, lanes) {
    const { steps, lags, text } = await picked(lanes).view('flow');
    const picture = (svg: string, alt: string) => {
      const image = make('img', { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt });
      return make('div', { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: alt }, image);
    };
    box.replaceChildren(
      make('div', { className: 'controls' }, ...laneChoice(lanes, () => flow.draw(box, lanes))),
      make('p', {
        className: 'hint',
        textContent:
          'How large the gradient of the loss is at each step of a batch, and how much of it is left after each lag. It vanishes where the factor per step is below 1 and explodes where it is above 1.',
      }),
      picture(steps, 'Norm of the gradient of the loss with respect to the state, by step'),
      picture(lags, 'Norm of the gradient that is left, by lag'),
      ...text.map((textContent) => make('p', { textContent })),
    );
  },
};

const code: Panel = {
  title: 'Code',
  shown: (lanes) => lanes.length > 0,
  async draw(box, lanes) {
    const text = await picked(lanes).view('code');
    const shown = `${looking.lane} ${text}`;
    if (box.dataset.code === shown && box.hasChildNodes()) return;
    box.dataset.code = shown;
    const copy = make('button', { type: 'button', textContent: 'Copy' });
    copy.onclick = async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
    };
    box.replaceChildren(
      make('div', { className: 'controls' }, ...laneChoice(lanes, () => code.draw(box, lanes)), copy),
      make('p', {
        className: 'hint',
        textContent:
          'This program trains the same model on the same part of your data in Node. Install the package with npm install gatewise, and name your file as the program does.',
      }),
      make('pre', { textContent: text, tabIndex: 0 }),
    );
  },
};

export const PANELS: readonly Panel[] = [samples, gates, units, flow, weights, code];
export { looking };
