/** What the page and a training worker send to each other. */

export const TASKS = {
  write: 'Write like a text',
  classify: 'Classify lines of text',
  tag: 'Find words in unspaced text',
  forecast: 'Forecast a series',
} as const;
export type TaskName = keyof typeof TASKS;

export interface Settings {
  readonly task: TaskName;
  readonly cell: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly learningRate: number;
  readonly seed: number;
}

/** What a model does at the moment: a text, lines with what was expected, or a series with its forecast. */
export type Sample =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'rows'; readonly rows: readonly { input: string; expected: string; got: string }[] }
  | {
      readonly kind: 'series';
      /** Name of the column, such as its unit; '' without one. */
      readonly name: string;
      readonly past: readonly number[];
      readonly truth: readonly number[];
      readonly forecast: readonly number[];
    };

/** Gates and states of a layer over the characters of a line, or over the steps of a series: [T][H]. */
export interface GateView {
  /** What each step is, in a sentence and on the axis. */
  readonly labels: readonly string[];
  readonly marks: readonly string[];
  readonly gates: Readonly<Record<string, readonly Float32Array[]>>;
}

/** A unit and what it follows: the correlation of its state with a property of the text. */
export interface UnitView {
  readonly unit: number;
  readonly property: string;
  readonly correlation: number;
  readonly characters: readonly string[];
  /** The state at each character. */
  readonly values: Float32Array;
}

export interface WeightView {
  readonly name: string;
  readonly shape: string;
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}

/** How gradients flow through time: pictures as SVG, and what they say in words. */
export interface FlowView {
  readonly steps: string;
  readonly lags: string;
  readonly text: readonly string[];
}

export interface Views {
  code: string;
  flow: FlowView;
  gates: GateView;
  units: readonly UnitView[];
  weights: readonly WeightView[];
}
export type ViewName = keyof Views;

export type ToWorker =
  | { type: 'start'; settings: Settings; data: string; model?: Uint8Array }
  | { type: 'rate'; learningRate: number }
  /** `seconds`: of training in all, after which it pauses. */
  | { type: 'run'; seconds: number }
  | { type: 'pause' }
  | { type: 'step' }
  | { type: 'view'; id: number; view: ViewName; line: string }
  | { type: 'save'; id: number };

/** Points of the loss: step, seconds of training, loss. */
export type Point = readonly [step: number, seconds: number, loss: number];

export type FromWorker =
  | {
      type: 'ready';
      parameters: number;
      perStep: number;
      unit: string;
      views: readonly ViewName[];
      loss: string;
      metric: string;
      /** A line of held-out text; null where the model reads no text. */
      line: string | null;
    }
  | { type: 'progress'; points: readonly Point[] }
  /** The seconds of `run` are over. */
  | { type: 'over' }
  | { type: 'validation'; step: number; seconds: number; value: number; sample: Sample }
  | { type: 'answer'; id: number; value: unknown }
  | { type: 'error'; message: string; id?: number };
