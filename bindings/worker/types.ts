/** The types of tasks in workers: those of the tasks, with promises where the page has to wait. */
import type * as tasks from '../tasks/index.js';
import type { Run } from '../train/run.js';

/** The tasks by their names. */
export interface Tasks {
  readonly LanguageModel: typeof tasks.LanguageModel;
  readonly SequenceClassifier: typeof tasks.SequenceClassifier;
  readonly SequenceRegressor: typeof tasks.SequenceRegressor;
  readonly SequenceTagger: typeof tasks.SequenceTagger;
  readonly Seq2Seq: typeof tasks.Seq2Seq;
  readonly Transcriber: typeof tasks.Transcriber;
  readonly SequenceGenerator: typeof tasks.SequenceGenerator;
  readonly Forecaster: typeof tasks.Forecaster;
}

/** A stream whose state is in the worker. Inputs are read in the order of the calls. */
export interface RemoteStream<Input, Output> {
  step(input: Input): Promise<Output>;
  /** A second stream that continues from here on its own. */
  clone(): Promise<RemoteStream<Input, Output>>;
  reset(): Promise<void>;
  save(): Promise<Uint8Array<ArrayBuffer>>;
}

type Remote<F> = F extends (...args: infer A) => infer R
  ? R extends Run<infer _P, infer _R>
    ? F
    : R extends tasks.Stream<infer Input, infer Output>
      ? (...args: A) => Promise<RemoteStream<Input, Output>>
      : (...args: A) => Promise<R>
  : F;

type Immediate = 'dispose' | typeof Symbol.dispose;
type Left = 'model' | 'runtime' | 'firstBatch' | `${string}Sync`;

/** A model of the task `M` in a worker. */
export type RemoteModel<M> = {
  readonly [K in keyof M as K extends Left ? never : K]: K extends Immediate ? M[K] : Remote<M[K]>;
};

/** What `create` and `load` take in a worker: a runtime cannot be sent there. */
type Own<O> = Omit<O, 'runtime'>;
type Bytes = Uint8Array | ArrayBuffer;
type Load = Own<tasks.LoadOptions>;
type Made<M> = Promise<RemoteModel<M>>;

/** `create` and `load` of each task, with its models in workers. */
export interface InWorker {
  readonly LanguageModel: {
    create(options: Own<tasks.LanguageModelOptions>): Made<tasks.LanguageModel>;
    load(bytes: Bytes, options?: Load): Made<tasks.LanguageModel>;
  };
  readonly SequenceClassifier: {
    create<const C extends string, M extends boolean = false>(
      options: Own<tasks.SequenceClassifierOptions<C, M>>,
    ): Made<tasks.SequenceClassifier<C, M>>;
    load(bytes: Bytes, options?: Load): Made<tasks.SequenceClassifier>;
  };
  readonly SequenceRegressor: {
    create(options: Own<tasks.SequenceRegressorOptions>): Made<tasks.SequenceRegressor>;
    load(bytes: Bytes, options?: Load): Made<tasks.SequenceRegressor>;
  };
  readonly SequenceTagger: {
    create<const C extends tasks.Classes, K extends boolean = false, M extends boolean = false>(
      options: Own<tasks.SequenceTaggerOptions<C, K, M>>,
    ): Made<tasks.SequenceTagger<C, K, M>>;
    load(bytes: Bytes, options?: Load): Made<tasks.SequenceTagger>;
  };
  readonly Seq2Seq: {
    create<const S extends tasks.Sources, A extends tasks.AttentionScore | undefined = undefined>(
      options: Own<tasks.Seq2SeqOptions<S, A>>,
    ): Made<tasks.Seq2Seq<S, A>>;
    load(bytes: Bytes, options?: Load): Made<tasks.Seq2Seq>;
  };
  readonly Transcriber: {
    create(options: Own<tasks.TranscriberOptions>): Made<tasks.Transcriber>;
    load(bytes: Bytes, options?: Load): Made<tasks.Transcriber>;
  };
  readonly SequenceGenerator: {
    create<
      const T extends tasks.GeneratorTarget,
      I extends number | undefined = undefined,
      const C extends readonly string[] | undefined = undefined,
    >(options: Own<tasks.SequenceGeneratorOptions<T, I, C>>): Made<tasks.SequenceGenerator<T, tasks.Conditioned<I, C>>>;
    load(bytes: Bytes, options?: Load): Made<tasks.SequenceGenerator>;
  };
  readonly Forecaster: {
    create<const V extends string = never, const T extends V = V>(
      options: Own<tasks.ForecasterOptions<V, T>>,
    ): Made<tasks.Forecaster<T>>;
    load<T extends string = never>(bytes: Bytes, options?: Load): Made<tasks.Forecaster<T>>;
  };
}
