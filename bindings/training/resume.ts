/** Checkpoints of models of layers: what a task's file holds, for a model of your own. */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import type { Model } from '../nn/model.js';
import type { State } from '../nn/recurrent/state.js';
import * as checkpoint from '../train/checkpoint.js';
import type { Optimizer } from '../train/optimizer.js';
import type { Schedule } from '../train/schedule.js';

/** What files of models of your own say that they hold. */
const TASK = 'layers';

/** Where a training stands, apart from the weights and the random streams. */
export interface TrainingState {
  readonly optimizer: Optimizer | null;
  readonly schedule: Schedule | null;
  /** Where the data stand: plain data of your own, or `position` of `Batches`. A file with a state has at least `{}`. */
  readonly position: object | null;
  /** The state that is carried from step to step. */
  readonly state: State | null;
}

/**
 * Writes a model of layers and where its training stands: weights, moments of the optimizer, schedule, random streams, position. A
 * training that is loaded and continued gives the same bits as one that was not interrupted.
 *
 * @param training what there is of `optimizer`, `schedule`, `position` and `state`
 * @returns a safetensors file; `loadWeights` reads the weights of it as well
 * @throws TypeError, RangeError for an optimizer of another model, or a position that is not plain data
 *
 * @example
 * ```js
 * import { input, Linear, Model, mseLoss, Optimizer, Runtime } from 'gatewise';
 * import { loadTraining, saveTraining } from 'gatewise/training';
 *
 * const runtime = await Runtime.create();
 * const make = () => new Model(runtime, 1, (b) => new Linear(b, 'line', { inputSize: 1, outputSize: 1 }));
 * const step = (model, optimizer) => {
 *   model.valueAndGrad((tape, line) => mseLoss(tape, line.forward(tape, input(tape, [1, 2], { T: 2, B: 1, F: 1 })), [3, 5]));
 *   optimizer.step();
 * };
 * const first = make();
 * const optimizer = new Optimizer(first);
 * step(first, optimizer);
 * const second = make();
 * const resumed = loadTraining(second, saveTraining(first, { optimizer, position: { step: 1 } }));
 * step(first, optimizer);
 * step(second, resumed.optimizer);
 * console.log(first.get('line.weight')[0] === second.get('line.weight')[0], resumed.position.step); // true 1
 * ```
 */
export function saveTraining(model: Model<unknown>, training: Partial<TrainingState>): Uint8Array<ArrayBuffer> {
  check.model(model);
  check.options('training', training, ['optimizer', 'schedule', 'position', 'state']);
  const { optimizer = null, schedule = null, position = null, state = null } = training;
  if (optimizer) {
    check.made('optimizer', optimizer, 'step', 'an Optimizer');
    if (optimizer.model !== model) throw new RangeError('optimizer: is of another model than the one that is saved');
  }
  if (schedule) check.made('schedule', schedule, 'rate', 'a Schedule');
  if (position !== null && !isPlain(position))
    check.fail('position', 'plain data: an object that JSON can hold', position);
  if (state !== null) check.made('state', state, 'clone', 'a State');
  // a state is read with a position only
  const place = position ?? (state ? {} : null);
  return checkpoint.save(
    model,
    { task: TASK, config: {} },
    { optimizer, schedule, position: place, state, validation: null, shards: 0 },
  );
}

/** Whether an object is unchanged by JSON. */
function isPlain(position: unknown): position is object {
  if (typeof position !== 'object' || position === null || Array.isArray(position)) return false;
  const same = (a: unknown, b: unknown): boolean => {
    if (typeof a !== 'object' || a === null) return Object.is(a, b) || (a === 0 && b === 0);
    if (typeof b !== 'object' || b === null) return false;
    const [own, other] = [Object.entries(a), Object.entries(b)];
    return (
      Array.isArray(a) === Array.isArray(b) &&
      own.length === other.length &&
      own.every(([key, value]) => same(value, (b as Record<string, unknown>)[key]))
    );
  };
  try {
    return same(position, JSON.parse(JSON.stringify(position)));
  } catch {
    return false; // a bigint, or an object inside of itself
  }
}

/**
 * Brings a model of layers to where a file stands.
 *
 * @param model with the same layers and the same seed as the one that was saved
 * @returns the optimizer, the schedule, the position and the state that were saved
 * @throws FormatError for a file that is damaged or of another model; the model is then unchanged
 */
export function loadTraining(model: Model<unknown>, bytes: Uint8Array | ArrayBuffer): TrainingState {
  check.model(model);
  const file = checkpoint.open(bytes, TASK);
  const { description, tensors } = file;
  if (!description?.training) throw new FormatError('the file does not hold a training: saveTraining writes one');
  if (JSON.stringify(description.config) !== '{}') throw new FormatError('config: a model of layers has no options');
  if (description.seed !== model.random.seed) {
    throw new FormatError(
      `the file is of a model with seed ${description.seed}, this one has seed ${model.random.seed}; the random streams would differ`,
    );
  }
  // the sizes of a carried state are those of the file: the layers check them when they are given it
  const sizes = (kind: 'h' | 'c') => {
    const found: number[] = [];
    for (let t = tensors.get(`state.${kind}.0`); t; t = tensors.get(`state.${kind}.${found.length}`)) {
      found.push(t.shape[1] ?? 0);
    }
    return found;
  };
  const batch = tensors.get('state.h.0')?.shape[0];
  const carried = () => (batch === undefined ? null : { h: sizes('h'), c: sizes('c'), batch });
  const standing = checkpoint.restore(model, file, {
    position: (name, value) => (isPlain(value) ? value : check.fail(name, 'an object', value)),
    carried,
  });
  const { optimizer, schedule, position, state } = standing;
  return { optimizer, schedule, position, state };
}
