/** The options of recurrent layers, those of single cells included: their schema, and what cannot be combined. */
import type { CellDescription, Clash } from '../../cells/cell.js';
import { CELL_NAMES, CELL_OPTIONS, type CellName, cells } from '../../cells/index.js';
import * as check from '../../check.js';
import {
  type Options,
  object,
  oneOf,
  option,
  optional,
  type Reader,
  rate,
  readOptions,
  required,
  type Schema,
  type Settings,
} from '../../options.js';
import { checkInitializer } from '../initializer.js';

const widths: Reader<number | readonly number[]> = (name, value) => {
  if (!Array.isArray(value)) return check.whole(name, value);
  const list = Array.from(value, (H: unknown, l) => check.whole(`${name}[${l}]`, H));
  if (list.length === 0) throw new RangeError(`${name}: expected at least one`);
  return Object.freeze(list);
};

const STARTS = object({
  input: optional(checkInitializer),
  recurrent: optional(checkInitializer),
  bias: optional(checkInitializer),
});
type Starts = ReturnType<typeof STARTS>;
const IRNN: Starts = {
  input: { kind: 'normal', std: 0.001 },
  recurrent: { kind: 'identity' },
  bias: { kind: 'constant', value: 0 },
};

const LAYER = {
  /** The kind of cell. */
  cell: required<CellName>(oneOf(...CELL_NAMES)),
  /** I: features of the input. */
  inputSize: required(check.whole),
  /** H: units of each layer, or a list, layer by layer. */
  hiddenSize: required(widths),
  /** Number of layers; default 1, or the length of the list in `hiddenSize`. */
  numLayers: optional(check.whole),
  /** Whether there are biases, default true. */
  bias: option(check.flag, true),
  /** Whether each layer runs in both directions of time, default false. */
  bidirectional: option(check.flag, false),
  /** How the outputs of the two directions become one, default `'concat'`. */
  merge: optional(oneOf('concat', 'sum', 'mean', 'mul')),
  /** Whether time runs backwards, in all layers, default false. */
  reverse: option(check.flag, false),
  /** The state of a sequence before its first step, if none is given: `'zero'` or `'learned'` (`h0_l0` …). Default `'zero'`. */
  initialState: option(oneOf('zero', 'learned'), 'zero'),
  /** Share of the outputs between layers that is dropped in training, default 0. */
  dropout: option(rate, 0),
  /** The same of each layer's inputs and fed back states, one mask for all steps (Gal & Ghahramani 2016, arXiv:1512.05287v5). Default 0. */
  variationalDropout: option(rate, 0),
  /** Share of h that keeps its old value, default 0 (Krueger et al. 2017, arXiv:1606.01305v4); at inference its expectation. */
  zoneoutHidden: option(rate, 0),
  /** The same of c, default 0. */
  zoneoutCell: option(rate, 0),
  /** Share of the recurrent weights that is dropped for each sequence, default 0 (Merity et al. 2018, arXiv:1708.02182v1). */
  weightDrop: option(rate, 0),
  /** Whether both products, and the cell state of an LSTM before its tanh, are normalised, default false (Ba et al. 2016, arXiv:1607.06450v1). */
  layerNorm: option(check.flag, false),
  /**
   * How weights of x, of h (gate by gate), and biases start; default as in PyTorch: uniform within 1/√H, for `residual` zeros but for the
   * weights of x. `'irnn'`: those of an IRNN, for `rnn` with `activation: 'relu'`: U is the identity (Le et al. 2015, arXiv:1504.00941v2).
   */
  initializers: option<Starts | 'irnn'>((name, value) => (value === 'irnn' ? value : STARTS(name, value)), {}),
};

/** The schema of a recurrent layer with any cell. `checkRecurrent` checks values, since a cell's options depend on the cell. */
export const RECURRENT_OPTIONS = { ...LAYER, ...CELL_OPTIONS };

// a cell's own options wait until the cell is known
const ALL: typeof LAYER = {
  ...LAYER,
  ...Object.fromEntries(Object.keys(CELL_OPTIONS).map((key) => [key, optional((_, value) => value)])),
};

/** What `new Recurrent` takes. */
export interface RecurrentOptions extends Options<typeof RECURRENT_OPTIONS> {}

/** The checked options of a recurrent layer, defaults filled in. */
export interface Checked {
  readonly options: Settings<typeof LAYER>;
  readonly cell: CellDescription;
  /** The cell's own options. */
  readonly own: Settings<Schema>;
  readonly initializers: Starts;
  /** H of each layer. */
  readonly widths: readonly number[];
}

/**
 * Checks the options of a recurrent layer.
 *
 * @throws TypeError, RangeError for invalid options, and for those that cannot be combined
 */
export function checkRecurrent(name: string, given: RecurrentOptions): Checked {
  const options = readOptions(name, ALL, given);
  const ofCell = Object.entries(options).filter(([key, value]) => key in CELL_OPTIONS && value !== undefined);
  const cell: CellDescription = cells[options.cell];
  for (const [key] of ofCell) {
    if (!(key in cell.options)) throw new RangeError(`${key}: not an option of cell '${options.cell}'`);
  }
  const own = readOptions(name, cell.options, Object.fromEntries(ofCell));
  const { hiddenSize, bias, bidirectional, zoneoutCell } = options;
  const irnn = options.initializers === 'irnn';
  const initializers = options.initializers === 'irnn' ? IRNN : options.initializers;
  const list = typeof hiddenSize === 'object' ? hiddenSize : undefined;
  const numLayers = options.numLayers ?? list?.length ?? 1;
  if (list && list.length !== numLayers) {
    throw new RangeError(`hiddenSize: lists ${list.length} layers, numLayers is ${numLayers}`);
  }
  const widths = list ?? Array.from({ length: numLayers }, () => hiddenSize as number);
  const clashes: readonly Clash[] = [
    [bidirectional && options.reverse, 'bidirectional', 'reverse', 'a bidirectional layer has both directions'],
    [options.merge && !bidirectional, 'merge', 'bidirectional: false', 'there is one direction only'],
    [options.dropout && numLayers === 1, 'dropout', 'numLayers: 1', 'it acts between layers'],
    [zoneoutCell && !cell.hasC, 'zoneoutCell', `cell: '${options.cell}'`, 'the cell has no state c'],
    [
      !bidirectional && (cell.functions?.(own) ?? []).some(([, f]) => Array.isArray(f)),
      'two functions',
      'bidirectional: false',
      'there is one direction only',
    ],
    ...(cell.clashes?.(own, { ...options, initializers, irnn, widths }) ?? []),
    [irnn && options.cell !== 'rnn', "initializers: 'irnn'", `cell: '${options.cell}'`, 'an IRNN is an rnn with ReLU'],
    [!bias && !irnn && initializers.bias, 'initializers.bias', 'bias: false', 'there is no bias'],
  ];
  for (const [wrong, a, b, why] of clashes) {
    if (wrong) check.clash(a, b, why);
  }
  return { options, cell, own, initializers, widths };
}
