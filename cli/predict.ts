/** `gatewise predict`: a result for each line of JSON, in the order of the lines, a batch at a time. */
import { once } from 'node:events';
import { type Command, parse, UsageError } from './arguments.js';
import { loadModel } from './models.js';

export const PREDICT = {
  name: 'predict',
  usage: 'MODEL < inputs.jsonl > results.jsonl',
  summary: 'one result for each line of JSON, for models of every task',
  about: `Reads a JSON value per line from standard input: what the model's predict takes, say "a text", ["a", "token"] or
[[0.1, 0.2], [0.3, 0.4]]. Writes one JSON object per line, in the same order. Memory does not grow with the number of lines.
A result does not depend on the other lines, so parts of a file can be predicted by several processes.`,
  flags: {
    batch: { kind: 'whole', low: 1, value: 'N', help: 'lines at a time', default: '64' },
    'beam-width': { kind: 'whole', low: 1, value: 'N', help: 'hypotheses to follow (tasks that write)', default: '1' },
    'max-length': {
      kind: 'whole',
      low: 1,
      value: 'N',
      help: 'tokens or frames at most (seq2seq, sequence-generator)',
      default: '100',
    },
    steps: { kind: 'whole', low: 1, value: 'N', help: 'steps to predict (forecaster)', default: 'the horizon' },
    start: {
      kind: 'whole',
      low: 0,
      value: 'N',
      help: 'number of the first step of each history, counted from the start of the training series (forecaster with a trend)',
    },
    threshold: {
      kind: 'real',
      high: 1,
      value: 'P',
      help: 'classes of at least this probability (sequence-classifier; sequence-tagger with multiLabel)',
    },
    build: {
      kind: 'choice',
      value: 'NAME',
      choices: ['simd', 'relaxed'],
      help: 'relaxed uses fused multiply-add',
      default: 'simd',
    },
  },
} satisfies Command;

/** Names of options in the library. */
const LIBRARY: Readonly<Record<string, string>> = {
  'beam-width': 'beamWidth',
  'max-length': 'maxLength',
  steps: 'steps',
  start: 'start',
  threshold: 'threshold',
};

interface Line {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The lines of a stream of bytes, with their numbers from 1. The last one may lack its line break. */
async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void, void> {
  let number = 0;
  let parts: Uint8Array[] = [];
  const line = (): Line => ({ number: ++number, bytes: parts.length === 1 ? parts[0] : Buffer.concat(parts) });
  for await (const bytes of source) {
    let from = 0;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
      parts.push(bytes.subarray(from, at));
      yield line();
      parts = [];
      from = at + 1;
    }
    if (from < bytes.length) parts.push(bytes.subarray(from));
  }
  if (parts.length) yield line();
}

function valueIn({ number, bytes }: Line): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`line ${number}: is not UTF-8 text`);
  }
  if (!text.trim()) throw new UsageError(`line ${number}: expected a JSON value, got an empty line`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`line ${number}: is not valid JSON: ${(error as Error).message}`);
  }
}

/** A result as a line. Typed arrays become lists; 9 digits say a float32 exactly. */
function lineOf(result: unknown): string {
  const json = JSON.stringify(result, (_, value) => {
    if (value instanceof Float32Array) return Array.from(value, (x) => Number(x.toPrecision(9)));
    return ArrayBuffer.isView(value) && !(value instanceof DataView) ? Array.from(value as Int32Array) : value;
  });
  return `${json}\n`;
}

async function write(text: string): Promise<void> {
  if (text && !process.stdout.write(text)) await once(process.stdout, 'drain');
}

export async function predict(args: readonly string[]): Promise<void> {
  const { values, files } = parse(PREDICT, args);
  if (files.length !== 1) {
    const hint = files.length ? '; the inputs come from standard input' : '';
    throw new UsageError(`predict: expected one model, got ${files.length}${hint}`);
  }
  const { batch = 64, build } = values;
  const loaded = await loadModel(files[0], build === undefined ? {} : { build: build as 'simd' | 'relaxed' });
  const options: Record<string, number> = { batchSize: batch };
  for (const [name, option] of Object.entries(LIBRARY)) {
    const value = (values as Readonly<Record<string, unknown>>)[name];
    if (value === undefined) continue;
    if (!loaded.takes.includes(name)) throw new UsageError(`--${name}: is not an option of a ${loaded.task}`);
    options[option] = value as number;
  }
  if (process.stdin.isTTY) console.error('Reading JSON from the terminal, a value per line; Ctrl-D ends it.');

  /** Predicts some lines; where one is wrong, those before it are written first. */
  const flush = async (lines: readonly Line[]): Promise<void> => {
    if (!lines.length) return;
    const inputs: unknown[] = [];
    try {
      for (const line of lines) inputs.push(valueIn(line));
      await write((await loaded.predict(inputs, options)).map(lineOf).join(''));
    } catch (error) {
      if (lines.length > 1) {
        for (const line of lines) await flush([line]);
        return;
      }
      if (error instanceof UsageError) throw error;
      // the library counts within its list, which has one item
      throw new UsageError(`line ${lines[0].number}: ${(error as Error).message.replace(/^\w+\[0\](\.|: )?/, '')}`);
    }
  };
  let waiting: Line[] = [];
  for await (const line of linesOf(process.stdin)) {
    waiting.push(line);
    if (waiting.length < batch) continue;
    await flush(waiting);
    waiting = [];
  }
  await flush(waiting);
  loaded.model.dispose();
}
