/** One model that trains in a worker of its own. */
import type { FromWorker, Point, Sample, Settings, ToWorker, ViewName, Views } from './protocol.js';

export interface Validated {
  readonly step: number;
  readonly seconds: number;
  readonly value: number;
}

export class Lane {
  parameters = 0;
  views: readonly ViewName[] = [];
  metric = '';
  loss = '';
  /** A line of held-out text to look into; null where the model reads no text. */
  line: string | null = null;
  /** Whether it has paused by itself, after the seconds that it was given. */
  over = false;
  readonly points: Point[] = [];
  readonly validations: Validated[] = [];
  sample: Sample | undefined;
  perStep = 0;
  unit = '';
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #asked = 0;

  constructor(
    readonly index: number,
    readonly settings: Settings,
    data: string,
    model: Uint8Array | undefined,
    changed: () => void,
    failed: (message: string) => void,
  ) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: settings.cell });
    this.ready = new Promise((resolve, reject) => {
      const fail = (message: string) => {
        reject(new Error(message));
        for (const { reject } of this.#pending.values()) reject(new Error(message));
        this.#pending.clear();
        failed(message);
      };
      this.#worker.onerror = ({ message }) => fail(message || 'The worker could not be started.');
      this.#worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
        if (message.type === 'error' && message.id === undefined) return fail(message.message);
        this.#take(message);
        if (message.type === 'ready') resolve();
        changed();
      };
    });
    this.ready.catch(() => {});
    this.send({ type: 'start', settings, data, ...(model ? { model } : {}) });
  }

  #take(message: FromWorker): void {
    if (message.type === 'ready') {
      const { type: _, ...about } = message;
      Object.assign(this, about);
    } else if (message.type === 'progress') {
      this.points.push(...message.points);
    } else if (message.type === 'validation') {
      this.validations.push(message);
      this.sample = message.sample;
    } else if (message.type === 'over') {
      this.over = true;
    } else {
      const asked = this.#pending.get(message.id ?? -1);
      this.#pending.delete(message.id ?? -1);
      if (message.type === 'answer') asked?.resolve(message.value as never);
      else asked?.reject(new Error(message.message));
    }
  }

  /** Units per second of training, over the last 50 steps. */
  get perSecond(): number {
    const recent = this.points.slice(-51);
    if (recent.length < 2) return 0;
    const [[first, from], [last, to]] = [recent[0], recent[recent.length - 1]];
    return ((last - first) * this.perStep) / (to - from);
  }

  get name(): string {
    return this.settings.cell;
  }

  /** Seconds of training so far. */
  get seconds(): number {
    return this.points.at(-1)?.[1] ?? 0;
  }

  send(message: ToWorker): void {
    this.over = false;
    this.#worker.postMessage(message);
  }

  #ask<R>(message: { type: 'save' } | { type: 'view'; view: ViewName; line: string }): Promise<R> {
    const id = this.#asked++;
    return new Promise<R>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.send({ ...message, id });
    });
  }

  view<V extends ViewName>(view: V, line = ''): Promise<Views[V]> {
    return this.#ask({ type: 'view', view, line });
  }

  save(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#ask({ type: 'save' });
  }

  end(): void {
    this.#worker.terminate();
  }
}
