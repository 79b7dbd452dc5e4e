/**
 * Random sequences of what people do with models, on runtimes that several of them share. Each is run twice: with all models on one
 * runtime, and with a runtime for each. Every result, every error and every bit has to be the same.
 */
import { createHash } from 'node:crypto';
import { Runtime } from 'gatewise';
import type { Chance } from './chance.js';
import { type AnyRun, type AnyStream, type AnyTask, subjects } from './subjects.js';
import { alien } from './verdict.js';

const OPERATIONS = [
  'create',
  'fit',
  'fit',
  'abort',
  'leave',
  'disposeWithin',
  'twice',
  'step',
  'step',
  'streamAgain',
  'save',
  'load',
  'predict',
  'evaluate',
  'generate',
  'dispose',
  'badFit',
] as const;

export interface Operation {
  readonly what: (typeof OPERATIONS)[number];
  /** The model, and another number: how many steps, say. */
  readonly model: number;
  readonly n: number;
}

export interface MisuseCase {
  /** Names of subjects. */
  readonly models: readonly string[];
  readonly operations: readonly Operation[];
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

function plain(value: unknown): string {
  return (
    JSON.stringify(value, (key, v) => {
      if (/^seconds/.test(key)) return undefined; // measured
      return ArrayBuffer.isView(v) ? Array.from(v as Float32Array) : v;
    }) ?? 'undefined'
  );
}

interface Seat {
  task: AnyTask | undefined;
  stream: AnyStream | undefined;
  file: Uint8Array | undefined;
}

/** Runs it; returns a line for each operation. */
async function play({ models, operations }: MisuseCase, shared: Runtime | null): Promise<string[]> {
  const log: string[] = [];
  const seats: Seat[] = models.map(() => ({ task: undefined, stream: undefined, file: undefined }));
  const runtimes = shared ? [] : await Promise.all(models.map(() => Runtime.create()));
  for (const { what, model, n } of operations) {
    const subject = subjects[models[model]];
    const seat = seats[model];
    const runtime = shared ?? runtimes[model];
    const create = () => subject.Task.createSync({ ...subject.options(), runtime });
    seat.task ??= create();
    const { task } = seat;
    const partly = async (run: AnyRun, each: (i: number) => boolean) => {
      let i = 0;
      for await (const _ of run) if (each(++i)) break;
      return `${i} steps`;
    };
    const long = { ...subject.fit, ...('epochs' in subject.fit ? { epochs: 8 } : { steps: 8 }) };
    const acts: Record<Operation['what'], () => unknown> = {
      create: () => {
        task.dispose();
        seat.task = create();
      },
      fit: () => task.fit(subject.data(), subject.fit),
      abort: () => {
        const controller = new AbortController();
        const run = task.fit(subject.data(), { ...long, signal: controller.signal });
        return partly(run, (i) => {
          if (i === n) controller.abort(new Error('aborted'));
          return false;
        });
      },
      leave: () => partly(task.fit(subject.data(), long), (i) => i === n),
      disposeWithin: () =>
        partly(task.fit(subject.data(), long), (i) => {
          if (i === n) task.dispose();
          return false;
        }),
      twice: async () => {
        const run = task.fit(subject.data(), subject.fit);
        let second: unknown;
        for await (const _ of run) second ??= await task.fit(subject.data(), subject.fit).then(() => 'trained', String);
        return second;
      },
      step: () => {
        if (subject.step === undefined) return 'no streams';
        seat.stream ??= task.stream?.(undefined, subject.opening ?? subject.start);
        return seat.stream?.step(subject.step);
      },
      streamAgain: () => {
        if (subject.step === undefined || !seat.stream) return 'no stream';
        seat.stream = n % 2 ? task.stream?.(seat.stream.save()) : seat.stream.clone();
        return seat.stream && digest(seat.stream.save());
      },
      save: () => {
        seat.file = task.save();
        return digest(seat.file);
      },
      load: () => {
        if (!seat.file) return 'no file';
        const loaded = subject.Task.loadSync(seat.file, { runtime });
        task.dispose();
        seat.task = loaded;
        seat.stream = undefined;
        return digest(loaded.save());
      },
      predict: () => task.predict(subject.inputs(), subject.start),
      evaluate: () => task.evaluate(subject.data(), subject.evaluate),
      generate: () => (subject.generate ? task.generate?.(...subject.generate()) : 'none'),
      dispose: () => task.dispose(),
      badFit: () => task.fit([{ input: null }], subject.fit),
    };
    let result: string;
    try {
      result = plain(await acts[what]());
    } catch (error) {
      const bad = alien(error);
      if (bad) throw new Error(`${what} of ${models[model]}: ${bad}`);
      result = String(error);
      // what was disposed is made again, every other time
      if (/disposed/.test(result) && n % 2) {
        seat.task?.dispose();
        Object.assign(seat, { task: undefined, stream: undefined });
      }
    }
    let now = '';
    try {
      now = seat.task ? digest(seat.task.save()) : '';
    } catch (error) {
      now = String(error);
    }
    log.push(`${what} ${n} of ${models[model]}: ${result} ${now}`);
  }
  for (const { task } of seats) task?.dispose();
  for (const runtime of runtimes) {
    if (runtime.memory().bytesInUse) log.push(`${runtime.memory().bytesInUse} bytes are still in use`);
    runtime.dispose();
  }
  return log;
}

export async function misuseFuzzer() {
  const names = Object.keys(subjects);
  return {
    async generate(chance: Chance): Promise<MisuseCase> {
      const models = Array.from({ length: 2 + chance.below(3) }, () => chance.of(names));
      const operations = Array.from({ length: 4 + chance.below(14) }, () => ({
        what: chance.of(OPERATIONS),
        model: chance.below(models.length),
        n: 1 + chance.below(4),
      }));
      return { models, operations };
    },

    async run(c: MisuseCase): Promise<string | null> {
      const shared = await Runtime.create();
      try {
        const [together, alone] = [await play(c, shared), await play(c, null)];
        const at = alone.findIndex((line, i) => line !== together[i]);
        if (at >= 0) {
          return `on a shared runtime: ${String(together[at]).slice(0, 400)}; on its own: ${alone[at].slice(0, 400)}`;
        }
        const left = shared.memory().bytesInUse;
        return left ? `${left} bytes are still in use` : null;
      } catch (error) {
        return (error as Error).message;
      } finally {
        shared.dispose();
      }
    },

    *smaller(c: MisuseCase): Generator<MisuseCase> {
      for (let i = 0; i < c.operations.length; i++) yield { ...c, operations: c.operations.filter((_, j) => j !== i) };
    },

    keep: (c: MisuseCase): MisuseCase => c,
  };
}
