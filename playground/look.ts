/** Looks into a model: gates over a line, units and what they follow, histograms of weights. */
import { inspect } from 'gatewise';
import { flowMap, lagMap } from 'gatewise/dynamics';
import type { FlowView, GateView, UnitView, WeightView } from './protocol.js';
import type { Session } from './sessions.js';

const LONGEST = 80;

/** The last layer that reads forward, over the characters of a text: gates and states by name, each [T,H]. */
function trace(session: Session, text: string) {
  const { model } = session.task;
  const vocabulary = session.text?.vocabulary ?? [];
  const ids = new Map(vocabulary.map((token, id) => [token, id]));
  const characters = Array.from(text).filter((c) => ids.has(c));
  if (!characters.length) throw new Error('The line has no character that the model knows.');
  const weights = model.get('embedding.weight');
  const E = weights.length / vocabulary.length;
  const x = new Float32Array(characters.length * E);
  characters.forEach((c, t) => {
    const id = ids.get(c) as number;
    x.set(weights.subarray(id * E, (id + 1) * E), t * E);
  });
  const traces = inspect(model, model.layers.rnn, x, { T: characters.length, B: 1 }).filter(({ reverse }) => !reverse);
  const { gates, h, c } = traces[traces.length - 1];
  return { characters, named: { ...gates, h, ...(c ? { c } : {}) } };
}

export function gateView(session: Session, line: string): GateView {
  const { characters, named } = trace(session, Array.from(line).slice(0, LONGEST).join(''));
  const T = characters.length;
  const gates = Object.fromEntries(
    Object.entries(named).map(([name, values]) => {
      const H = values.length / T;
      return [name, Array.from({ length: T }, (_, t) => values.slice(t * H, (t + 1) * H))];
    }),
  );
  return { characters, gates };
}

/** Properties of a text that a unit may follow, one number for each character. */
function properties(characters: readonly string[]): Record<string, number[]> {
  let [line, word, quote] = [0, 0, 0];
  const found: Record<string, number[]> = {
    'position in the line': [],
    'position in the word': [],
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
  const { characters, named } = trace(
    session,
    Array.from(session.text?.held ?? '')
      .slice(0, 1500)
      .join(''),
  );
  const T = characters.length;
  const H = named.h.length / T;
  const views = Object.entries(properties(characters)).map(([property, list]) => {
    let [unit, best] = [0, 0];
    for (let k = 0; k < H; k++) {
      const r = correlation(list, named.h, k, H);
      if (Math.abs(r) > Math.abs(best)) [unit, best] = [k, r];
    }
    const shown = Math.min(T, 240);
    return {
      unit,
      property,
      correlation: best,
      characters: characters.slice(0, shown),
      values: Float32Array.from({ length: shown }, (_, t) => named.h[t * H + unit]),
    };
  });
  return views
    .filter(({ correlation: r }) => r !== 0)
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
  return { steps: flowMap(flow), lags: lagMap({ [session.cell]: flow }), text };
}
