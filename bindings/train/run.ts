/** What a run drives: a generator, or what maps one. */
export interface Work<Progress, Result> {
  next(): Promise<IteratorResult<Progress, Result>>;
  return(): Promise<unknown>;
  /** The same as `next` until it is done, where nobody looks at the progress. */
  all?(): Promise<Result>;
}

/**
 * Long work: `await` it for its result, or iterate it for its progress. It runs in both cases; if it is neither awaited nor iterated, it
 * starts by itself in the next turn of the event loop.
 */
export class Run<Progress, Result> implements PromiseLike<Result>, AsyncIterable<Progress> {
  readonly #work: Work<Progress, Result>;
  readonly #result: Promise<Result>;
  readonly #signal: AbortSignal | undefined;
  #settle!: (end: Promise<Result>) => void;
  #started = false;

  /** @param signal what may abort the work: its reason is not reported as an unhandled rejection where nobody awaits the run */
  constructor(work: Work<Progress, Result> | AsyncGenerator<Progress, Result, void>, signal?: AbortSignal) {
    this.#signal = signal;
    this.#work = 'throw' in work ? { next: () => work.next(), return: () => work.return(undefined as Result) } : work;
    this.#result = new Promise((resolve) => {
      this.#settle = resolve;
    });
    setTimeout(() => this.#drive());
  }

  /**
   * A run whose progress is that of a generator, seen through `map`.
   *
   * @param start called when the run starts; what it throws is the run's error
   * @param end called once the run is over, however it ended
   * @param signal as that of the constructor
   */
  static of<Raw, Progress, Result>(
    start: () => AsyncGenerator<Raw, Result, void>,
    map: (progress: Raw) => Progress,
    end: () => void = () => {},
    signal?: AbortSignal,
  ): Run<Progress, Result> {
    let work: AsyncGenerator<Raw, Result, void> | undefined;
    let over = false;
    const finish = () => {
      if (work && !over) end();
      over = true;
    };
    const driven: Work<Progress, Result> = {
      async next(): Promise<IteratorResult<Progress, Result>> {
        try {
          work ??= start();
          const step = await work.next();
          if (!step.done) return { done: false, value: map(step.value) };
          finish();
          return step;
        } catch (error) {
          finish();
          throw error;
        }
      },
      async return() {
        await work?.return(undefined as Result);
        finish();
      },
    };
    return new Run(driven, signal);
  }

  /** Runs to the end, unless someone iterates. */
  #drive(): Promise<Result> {
    if (!this.#started) {
      this.#started = true;
      this.#settle(
        (async () => {
          if (this.#work.all) return this.#work.all();
          while (true) {
            const next = await this.#work.next();
            if (next.done) return next.value;
          }
        })().catch((error) => {
          // who aborts a run knows that it ends
          if (this.#signal?.aborted && error === this.#signal.reason) this.#result.catch(() => {});
          throw error;
        }),
      );
    }
    return this.#result;
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is awaited for its result
  then<A = Result, B = never>(
    done?: ((value: Result) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#drive().then(done, failed);
  }

  catch<B = never>(failed: (reason: unknown) => B | PromiseLike<B>): Promise<Result | B> {
    return this.#drive().catch(failed);
  }

  finally(done: () => void): Promise<Result> {
    return this.#drive().finally(done);
  }

  /** Leaving the loop early stops the work after the running step. */
  [Symbol.asyncIterator](): AsyncGenerator<Progress, void, void> {
    if (this.#started) throw new Error('this run has been awaited or iterated before');
    this.#started = true;
    return this.#iterate();
  }

  async *#iterate(): AsyncGenerator<Progress, void, void> {
    let end: Promise<Result> = Promise.reject(new Error('the loop over this run was left before its end'));
    end.catch(() => {});
    try {
      while (true) {
        const next = await this.#work.next();
        if (next.done) {
          end = Promise.resolve(next.value);
          return;
        }
        yield next.value;
      }
    } catch (error) {
      end = Promise.reject(error);
      end.catch(() => {});
      throw error;
    } finally {
      await this.#work.return();
      this.#settle(end);
      this.#result.catch(() => {});
    }
  }
}

/** The longest time between two turns of the event loop, in ms, if steps are shorter: a frame of a page has 16.7. */
const FRAME = 16;

/** Lets the event loop turn, so that a page can draw its frames. */
export class Breather {
  #last: number;
  #step: number;

  /** @param loop the clock in ms, and a turn of the event loop */
  constructor(readonly loop: { now(): number; turn(): Promise<void> } = { now: () => performance.now(), turn }) {
    this.#last = this.#step = loop.now();
  }

  /** To be called after each step; waits if another step as long as this one would exceed a frame. */
  async breathe(): Promise<void> {
    const now = this.loop.now();
    const step = now - this.#step;
    this.#step = now;
    if (now - this.#last + step <= FRAME) return;
    await this.loop.turn();
    this.#last = this.#step = this.loop.now();
  }
}

interface Host {
  readonly document?: unknown;
  readonly setImmediate?: (f: () => void) => void;
  readonly setTimeout: (f: () => void) => unknown;
  readonly MessageChannel?: typeof globalThis.MessageChannel;
}

/**
 * The next turn of the event loop. In a page it is a timer: messages alone starve the frames of Firefox, and the continuation of
 * scheduler.yield() goes before the timers of the page. Elsewhere it is faster: timers wait for 4 ms when they are nested.
 */
export function turn(host: Host = globalThis as Host): Promise<void> {
  const { document, setImmediate, MessageChannel } = host;
  return new Promise((resolve) => {
    if (setImmediate) setImmediate(resolve);
    else if (MessageChannel && !document) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    } else host.setTimeout(resolve);
  });
}
