/** Looks into a model: gates over a line, units and what they follow, histograms of weights. */
import { inspect } from 'gatewise';
import { flowMap, lagMap } from 'gatewise/dynamics';
import type { FlowView, GateView, UnitView, WeightView } from './protocol.js';
import type { Session, Steps } from './sessions.js';

const LONGEST = 80;
/** What follows the name of a gate that reads from the end. */
const BACKWARD = 'backward in time';

/** The last layer, over the steps that it reads: gates and states by name, each [T,H]. With two directions, those of both. */
function trace({ task: { model } }: Session, { x, labels }: Steps): Record<string, Float32Array> {
  const traces = inspect(model, model.layers.rnn, x, { T: labels.length, B: 1 });
  const last = Math.max(...traces.map(({ layer }) => layer));
  return Object.assign(
    {},
    ...traces
      .filter(({ layer }) => layer === last)
      .map(({ gates, h, c, reverse }) => {
        const named = Object.entries({ ...gates, h, ...(c ? { c } : {}) });
        return Object.fromEntries(named.map(([name, values]) => [reverse ? `${name} ${BACKWARD}` : name, values]));
      }),
  );
}

export function gateView(session: Session, line: string): GateView {
  const steps = session.steps(Array.from(line).slice(0, LONGEST).join(''));
  const T = steps.labels.length;
  const gates = Object.fromEntries(
    Object.entries(trace(session, steps)).map(([name, values]) => {
      const H = values.length / T;
      return [name, Array.from({ length: T }, (_, t) => values.slice(t * H, (t + 1) * H))];
    }),
  );
  return { labels: steps.labels, marks: steps.marks, gates };
}

/** Properties of a text that a unit may follow, one number for each character. */
function properties(characters: readonly string[]): Record<string, number[]> {
  let [line, word, quote] = [0, 0, 0];
  const found: Record<string, number[]> = {
    'position in the line': [],
    'position in the word': [],
    'first letter of a word': [],
    'inside quotation marks': [],
    'space or line break': [],
    'capital letter': [],
    vowel: [],
    punctuation: [],
  };
  for (const c of characters) {
    if (c === '\n') line = 0;
    else line++;
    const letter = /\p{L}/u.test(c);
    word = letter ? word + 1 : 0;
    if (c === '“') quote = 1;
    else if (c === '”') quote = 0;
    else if (c === '"') quote = 1 - quote;
    const values = [
      line,
      word,
      word === 1,
      quote,
      /\s/.test(c),
      letter && c !== c.toLowerCase(),
      /[aeiou]/i.test(c),
      /\p{P}/u.test(c),
    ];
    Object.values(found).forEach((list, i) => list.push(Number(values[i])));
  }
  return found;
}

/** Pearson's correlation of a list with every H-th number. */
function correlation(property: readonly number[], values: Float32Array, unit: number, H: number): number {
  const T = property.length;
  let [sx, sy, sxx, syy, sxy] = [0, 0, 0, 0, 0];
  for (let t = 0; t < T; t++) {
    const [x, y] = [property[t], values[t * H + unit]];
    sx += x;
    sy += y;
    sxx += x * x;
    syy += y * y;
    sxy += x * y;
  }
  const spread = (sxx - (sx * sx) / T) * (syy - (sy * sy) / T);
  return spread > 1e-12 ? (sxy - (sx * sy) / T) / Math.sqrt(spread) : 0;
}

/** For each property the unit that follows it best, the strongest first. */
export function unitViews(session: Session): UnitView[] {
  const text = Array.from(session.held ?? '').slice(0, 3000);
  const steps = session.steps(text.join(''));
  const T = steps.from.length;
  const { h } = trace(session, steps);
  const H = h.length / T;
  const characters = steps.from.map((i) => text[i]);
  const views = Object.entries(properties(text)).map(([property, all]) => {
    const list = steps.from.map((i) => all[i]);
    let [unit, best] = [0, 0];
    for (let k = 0; k < H; k++) {
      const r = correlation(list, h, k, H);
      if (Math.abs(r) > Math.abs(best)) [unit, best] = [k, r];
    }
    const shown = Math.min(T, 240);
    return {
      unit,
      property,
      correlation: best,
      characters: characters.slice(0, shown),
      values: Float32Array.from({ length: shown }, (_, t) => h[t * H + unit]),
    };
  });
  return views
    .filter(({ correlation: r }) => Math.abs(r) >= 0.1)
    .sort((a, b) => Math.abs(b.correlation) - Math.abs(a.correlation));
}

const BINS = 41;

export function weightViews(session: Session): WeightView[] {
  const { model } = session.task;
  return model.parameters.map(({ name, shape }) => {
    const values = model.get(name);
    let span = 1e-6;
    for (const w of values) span = Math.max(span, Math.abs(w));
    const counts = new Array<number>(BINS).fill(0);
    for (const w of values) counts[Math.min(BINS - 1, Math.floor(((w + span) / (2 * span)) * BINS))]++;
    return { name, shape: shape.join(' × '), low: -span, high: span, counts };
  });
}

const share = (x: number) => `${(100 * x).toFixed(0)} %`;

export function flowView(session: Session): FlowView {
  const flow = session.flow();
  const text = flow.layers.map(({ name, layer, reverse, gamma, saturated, dead }) => {
    const factor = gamma === null ? '' : `factor per step γ = ${gamma.toFixed(3)}; `;
    return `${name}, layer ${layer + 1}${reverse ? ', backward in time' : ''}: ${factor}${share(saturated)} of the gates saturated, ${share(dead)} of the units dead`;
  });
  return { steps: flowMap(flow), lags: lagMap({ [flow.layers[0].cell]: flow }), text };
}
