/** Options of the recurrent layers as a task takes them: the input's width follows from the task. */
import type { CellName } from '../../cells/index.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../../nn/recurrent/options.js';
import { type Option, type Options, option, type Settings } from '../../options.js';

type Others = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize'>;
type OthersSchema = { [K in keyof Others]-?: Option<NonNullable<Others[K]>, undefined> };

const { cell: CELL, inputSize: _, hiddenSize: SIZE, ...rest } = RECURRENT_OPTIONS;
const names = Object.keys(rest) as (keyof Others)[];
// without defaults: checkRecurrent fills them in, and sees which were given
const others = Object.fromEntries(
  names.map((key) => [key, { read: rest[key].read, fallback: undefined, required: false }]),
) as OthersSchema;

/** The schema of a task's recurrent layers, with its own defaults. */
export function stackSchema(cell: CellName, hiddenSize: number) {
  return {
    ...others,
    /** The kind of cell. */
    cell: option(CELL.read, cell),
    /** Units of each recurrent layer, or a list, layer by layer. */
    hiddenSize: option(SIZE.read, hiddenSize),
  };
}

/** The same for models that read from left to right: without the options of other directions. */
export function oneWaySchema(cell: CellName, hiddenSize: number) {
  const { bidirectional: _, merge: __, reverse: ___, ...rest } = stackSchema(cell, hiddenSize);
  return rest;
}

export interface OneWayOptions extends Options<ReturnType<typeof oneWaySchema>> {}

export type StackSchema = ReturnType<typeof stackSchema>;

/** The options of the layers. @throws TypeError, RangeError */
export function stackOf(
  settings: Partial<Settings<StackSchema>> & Pick<Settings<StackSchema>, 'cell' | 'hiddenSize'>,
  inputSize: number,
): RecurrentOptions {
  const { cell, hiddenSize } = settings;
  const given = names.filter((key) => settings[key] !== undefined);
  const own = Object.fromEntries(given.map((key) => [key, settings[key]])) as Others;
  const stack: RecurrentOptions = { ...own, cell, hiddenSize, inputSize };
  checkRecurrent('create', stack);
  return stack;
}

export interface StackOptions extends Options<StackSchema> {}
