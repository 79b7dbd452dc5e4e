/** What a run of `fit` leaves: its numbers in columns, ready for a table or a plot. */
import type { Progress } from './fit.js';

/** Columns of numbers: entry i of each column belongs to the same step, epoch or validation. */
export interface FitHistory {
  /** One entry for each step of this run. `epoch` is the number of epochs so far, with a fraction. */
  readonly steps: Readonly<
    Record<'step' | 'epoch' | 'loss' | 'gradientNorm' | 'learningRate' | 'secondsElapsed', readonly number[]>
  >;
  /** One entry for each epoch that ended in this run. `loss` is the mean over the steps of this run. */
  readonly epochs: Readonly<Record<'epoch' | 'step' | 'loss', readonly number[]>>;
  /**
   * One entry for each validation: `step`, `epoch`, and every number of the report by its path, say `'classes.spam.f1'`. A new validation
   * begins with the model before the first step.
   */
  readonly validations: Readonly<Record<string, readonly number[]>>;
  /** The step whose weights the model has now, and the metric there; null without validation. */
  readonly best: { readonly step: number; readonly metric: string; readonly value: number } | null;
  /** Whether `patience` ended the run. */
  readonly stopped: boolean;
  /**
   * Workers that computed the gradients at the end, and how numbers came and went: in memory that they share with this thread, or in
   * buffers that are passed on. null without `workers`.
   */
  readonly workers: { readonly workers: number; readonly memory: 'shared' | 'transferred' | null } | null;
}

/** Collects the history of a run. */
export class Recorder {
  readonly #steps = {
    step: [] as number[],
    epoch: [] as number[],
    loss: [] as number[],
    gradientNorm: [] as number[],
    learningRate: [] as number[],
    secondsElapsed: [] as number[],
  };
  readonly #epochs = { epoch: [] as number[], step: [] as number[], loss: [] as number[] };
  readonly #validations: Record<string, number[]> = { step: [], epoch: [] };
  #sum = 0;
  #count = 0;
  best: FitHistory['best'] = null;
  stopped = false;
  workers: FitHistory['workers'] = null;

  step(progress: Progress, epoch: number): void {
    const { step, loss, gradientNorm, learningRate, secondsElapsed } = progress;
    push(this.#steps, { step, epoch, loss, gradientNorm, learningRate, secondsElapsed });
    this.#sum += loss;
    this.#count++;
    if (!Number.isInteger(epoch)) return;
    push(this.#epochs, { epoch, step, loss: this.#sum / this.#count });
    this.#sum = this.#count = 0;
  }

  validation(step: number, epoch: number, metrics: Readonly<Record<string, number>>): void {
    push(this.#validations, { ...metrics, step, epoch });
  }

  get history(): FitHistory {
    const { best, stopped, workers } = this;
    return { steps: this.#steps, epochs: this.#epochs, validations: this.#validations, best, stopped, workers };
  }
}

/** One entry more in every column. */
function push(columns: Record<string, number[]>, entry: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(entry)) {
    columns[name] ??= [];
    columns[name].push(value);
  }
}
