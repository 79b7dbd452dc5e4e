/** A sequence that is read step by step: one object with all that it depends on. */
import * as check from '../../check.js';
import { FormatError } from '../../errors.js';
import { checking, parseObject, shown } from '../../files/json.js';
import { readSafetensors, writeSafetensors } from '../../files/safetensors.js';
import { stateOf, stateTensors } from '../../files/state.js';
import type { State } from '../../nn/recurrent/state.js';
import { listOf, object, readOptions, required } from '../../options.js';
import { FORMAT } from '../../train/checkpoint.js';

/** What a stream depends on: the state of the recurrent layers, and lists of numbers that a task adds. */
export interface Memory {
  readonly state: State;
  readonly values: Record<string, readonly number[]>;
}

/** How a task reads step by step. */
export interface Source<Input, Output> {
  readonly task: string;
  readonly cell: string;
  /** Throws where the model has been disposed. */
  alive(): void;
  /** The memory of a stream that has read nothing. */
  start(): Memory;
  /** Checks the values of a file. */
  check?(values: Memory['values']): void;
  /** Checks the input, then moves the memory. */
  step(input: Input, memory: Memory): Output;
}

/**
 * Reads a sequence step by step. It holds everything that its results depend on, so a stream that is saved, loaded and continued
 * equals one that was never interrupted. One model can have any number of streams.
 */
export class Stream<Input, Output> {
  readonly #source: Source<Input, Output>;
  #memory: Memory;

  /** `task.stream()` makes one. */
  constructor(source: Source<Input, Output>, memory: Memory) {
    this.#source = source;
    this.#memory = memory;
  }

  /**
   * Reads one step or several.
   *
   * @throws TypeError, RangeError for invalid input; the stream then has not moved
   */
  step(input: Input): Output {
    this.#source.alive();
    return this.#source.step(input, this.#memory);
  }

  /** A second stream that continues from here on its own. */
  clone(): Stream<Input, Output> {
    this.#source.alive();
    const { state, values } = this.#memory;
    return new Stream(this.#source, { state: state.clone(), values: { ...values } });
  }

  /** Back to the start. */
  reset(): void {
    this.#source.alive();
    this.#memory = this.#source.start();
  }

  /** The state as a safetensors file, for `task.stream(saved)`. */
  save(): Uint8Array<ArrayBuffer> {
    this.#source.alive();
    const { task, cell } = this.#source;
    const { state, values } = this.#memory;
    return writeSafetensors(stateTensors(state), {
      gatewise: JSON.stringify({ format: FORMAT, stream: task, cell, values }),
    });
  }
}

const ABOUT = { format: required(check.whole), stream: required(check.text), cell: required(check.text) };
const NUMBERS = required(listOf<number>(check.number, 'a list of numbers'));

/**
 * The memory of a stream from what it saved.
 *
 * @throws FormatError for a file that is damaged, or the state of another task, cell or size
 */
export function loadMemory(source: Source<never, unknown>, bytes: Uint8Array | ArrayBuffer): Memory {
  const { tensors, metadata } = readSafetensors(bytes);
  const { task, cell } = source;
  const what = 'the description of a stream';
  const about = parseObject(what, metadata.gatewise ?? '');
  if (about.stream !== task || about.cell !== cell || about.format !== FORMAT) {
    throw new FormatError(
      `the file is not the state of a stream of this model: expected task '${task}', cell '${cell}' and format ${FORMAT}, got ${shown(about.stream)}, ${shown(about.cell)} and ${shown(about.format)}`,
    );
  }
  const fresh = source.start();
  const state = stateOf(tensors);
  for (const kind of ['h', 'c'] as const) {
    const sizes = ({ batch, [kind]: list }: State) => `[${list.map(({ length }) => length / batch)}]`;
    if (state.batch !== 1 || sizes(state) !== sizes(fresh.state)) {
      throw new FormatError(
        `the state's ${kind} has the sizes ${sizes(state)}, the model's layers ${sizes(fresh.state)}`,
      );
    }
  }
  const schema = Object.fromEntries(Object.keys(fresh.values).map((name) => [name, NUMBERS]));
  return checking(what, () => {
    const { values } = readOptions(what, { ...ABOUT, values: required(object(schema)) }, about);
    const memory: Memory = { state, values: { ...values } };
    source.check?.(memory.values);
    return memory;
  });
}
