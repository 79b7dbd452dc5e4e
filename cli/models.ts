/** Models of every task, from their files. */
import * as tasks from 'gatewise/tasks';
import { fromFormat1 } from '#dist/bindings/files/renames.js';
import { UsageError } from './arguments.js';
import { readBytes } from './files.js';

/** What the commands need of a model, whatever its task. */
export interface Loaded {
  readonly task: string;
  /** The format of its file; null where gatewise did not write it. */
  readonly format: number | null;
  readonly bytes: number;
  readonly model: Described;
  /** Options of `predict` that this task has, apart from the batch size. */
  readonly takes: readonly string[];
  predict(inputs: readonly unknown[], options: object): PromiseLike<readonly unknown[]>;
}

interface Described {
  readonly config: object;
  readonly runtime: { readonly build: string };
  readonly training: { readonly steps: number; readonly options: object } | null;
  summary(): tasks.Summary;
  dispose(): void;
}

type Opened = Pick<Loaded, 'model' | 'takes' | 'predict'>;
type Open = (bytes: Uint8Array, options: tasks.LoadOptions) => Promise<Opened>;

function opened<M extends Described>(
  model: M,
  predict: (model: M, inputs: readonly unknown[], options: object) => PromiseLike<readonly unknown[]>,
  takes: readonly string[] = [],
): Opened {
  return { model, takes, predict: (inputs, options) => predict(model, inputs, options) };
}

const sequences = (inputs: readonly unknown[]) => inputs as readonly tasks.Sequence[];
const WRITING = ['beam-width', 'max-length'];

/** `predict` checks its inputs itself: what a line holds is passed on as it is. */
const TASKS: Readonly<Record<string, Open>> = {
  'language-model': async (bytes, from) =>
    opened(await tasks.LanguageModel.load(bytes, from), (m, x, o) => m.predict(x as readonly string[], o)),
  'sequence-classifier': async (bytes, from) =>
    opened(await tasks.SequenceClassifier.load(bytes, from), (m, x, o) => m.predict(sequences(x), o), ['threshold']),
  'sequence-regressor': async (bytes, from) =>
    opened(await tasks.SequenceRegressor.load(bytes, from), (m, x, o) => m.predict(sequences(x), o)),
  'sequence-tagger': async (bytes, from) =>
    opened(await tasks.SequenceTagger.load(bytes, from), (m, x, o) => m.predict(sequences(x), o), ['threshold']),
  seq2seq: async (bytes, from) =>
    opened(await tasks.Seq2Seq.load(bytes, from), (m, x, o) => m.predict(sequences(x), o), WRITING),
  transcriber: async (bytes, from) =>
    opened(await tasks.Transcriber.load(bytes, from), (m, x, o) => m.predict(sequences(x), o), ['beam-width']),
  'sequence-generator': async (bytes, from) =>
    opened(
      await tasks.SequenceGenerator.load(bytes, from),
      (m, x, o) => m.predict(x as readonly tasks.GeneratorInput[], o),
      WRITING,
    ),
  forecaster: async (bytes, from) =>
    opened(await tasks.Forecaster.load(bytes, from), (m, x, o) => m.predict(x as readonly tasks.SeriesInput[], o), [
      'steps',
      'start',
    ]),
};

/** What a file says about itself; null where it says nothing that can be read. */
function descriptionOf(bytes: Uint8Array): { task: string; format: number } | null {
  try {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const given = JSON.parse(header.__metadata__.gatewise);
    const { task } = given.format === 1 ? fromFormat1(given) : given;
    return typeof task === 'string' ? { task, format: given.format } : null;
  } catch {
    return null;
  }
}

/**
 * @param path of a model of any task; a state dict of PyTorch is read as a language model
 * @throws UsageError that begins with the path
 */
export async function loadModel(path: string, options: tasks.LoadOptions = {}): Promise<Loaded> {
  const bytes = await readBytes(path);
  const about = descriptionOf(bytes);
  const task = about?.task ?? 'language-model';
  // a task that this version does not know is refused by any of those that it knows
  const open = Object.hasOwn(TASKS, task) ? TASKS[task] : TASKS['language-model'];
  try {
    return { task, format: about?.format ?? null, bytes: bytes.length, ...(await open(bytes, options)) };
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
}

export async function loadLanguageModel(path: string, options: tasks.LoadOptions = {}): Promise<tasks.LanguageModel> {
  const bytes = await readBytes(path, '; train a model first');
  const task = descriptionOf(bytes)?.task;
  if (task !== undefined && task !== 'language-model' && Object.hasOwn(TASKS, task)) {
    throw new UsageError(`${path}: expected a language-model, got a ${task}; predict and info take every task`);
  }
  try {
    return await tasks.LanguageModel.load(bytes, options);
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
}
