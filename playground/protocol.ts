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
      readonly past: readonly number[];
      readonly truth: readonly number[];
      readonly forecast: readonly number[];
    };

/** Gates and states of a layer over the characters of a line: [T][H]. */
export interface GateView {
  readonly characters: readonly string[];
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
  flow: FlowView;
  gates: GateView;
  units: readonly UnitView[];
  weights: readonly WeightView[];
}
export type ViewName = keyof Views;

export type ToWorker =
  | { type: 'start'; settings: Settings; data: string; model?: Uint8Array }
  | { type: 'rate'; learningRate: number }
  | { type: 'run' }
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
      metric: string;
      line: string;
      code: string;
    }
  | { type: 'progress'; points: readonly Point[] }
  | { type: 'validation'; step: number; seconds: number; value: number; sample: Sample }
  | { type: 'answer'; id: number; value: unknown }
  | { type: 'error'; message: string; id?: number };
