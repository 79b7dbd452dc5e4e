/** A worker from the page's side: how it starts, requests and their answers, how it ends. */
import { type Answer, builtin, PROTOCOL, unpackError } from './messages.js';

/** A worker that could not be started, or that has ended by itself. */
export class WorkerError extends Error {
  override name = 'WorkerError';
}

/** What a Web Worker and a thread of Node have in common, once `listen` has made them alike. */
interface Thread {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  terminate(): unknown;
  ref?(): void;
  unref?(): void;
}

interface NodeThread extends Thread {
  on(event: string, listener: (value: never) => void): void;
}
type NodeWorker = new (url: URL, options: object) => NodeThread;

/** Where the worker file is, if not next to the file of this entry. */
export interface WorkerOptions {
  /**
   * Address of `gatewise/worker-thread.js`, for pages that serve it themselves. By default it is found by
   * `new URL('./worker-thread.js', import.meta.url)`, which bundlers know.
   */
  url?: string | URL | undefined;
}

/** Longest time that the start of a worker may take, in ms. */
const START = 60_000;

interface Listeners {
  message(answer: Answer): void;
  /** The thread has ended or cannot be reached. */
  end(why: string): void;
}

/** A worker of the engine: by the file next to this one, by an address, or by its text. */
function spawn(source: { url?: string | URL | undefined; text?: string }, { message, end }: Listeners): Thread {
  const { url, text } = source;
  if (typeof Worker === 'function') {
    const type = 'module' as const;
    const blob = text === undefined ? '' : URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
    const own = blob || url;
    // written out, so that bundlers find the file
    const worker = own
      ? new Worker(own, { type })
      : new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => {
      if (blob) URL.revokeObjectURL(blob);
      message(data);
    };
    worker.onmessageerror = () => end('a message could not be read');
    worker.onerror = (event) => {
      event.preventDefault();
      end(event.message || 'the file could not be loaded');
    };
    return worker;
  }
  const Own = builtin<{ Worker: NodeWorker }>('node:worker_threads')?.Worker;
  if (!Own) throw new Error('this engine has no workers');
  const file = new URL('./worker-thread.js', import.meta.url);
  const data = text === undefined ? url : `data:text/javascript,${encodeURIComponent(text)}`;
  const thread = new Own(new URL(data ?? file), { execArgv: [] });
  thread.on('message', message);
  thread.on('messageerror', () => end('a message could not be read'));
  thread.on('error', ({ message: why }: Error) => end(why));
  thread.on('exit', (code: number) => end(`it exited with code ${code}`));
  return thread;
}

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** A running worker and the requests that it has not answered. */
export class Link {
  readonly #name: string;
  readonly #pending = new Map<number, Pending>();
  #thread: Thread | null = null;
  #over: Error | null = null;
  #last = 0;
  #ready!: Pending;
  /** Called with messages that answer no request. */
  call: (answer: Answer) => void = () => {};

  private constructor(name: string) {
    this.#name = name;
  }

  /**
   * Starts a worker by its address; where that fails and none was given, by its text.
   *
   * @param name what errors call it
   * @throws WorkerError that says what to serve or to allow
   */
  static async open(name: string, { url }: WorkerOptions): Promise<Link> {
    const failures: string[] = [];
    for (const byText of url === undefined ? [false, true] : [false]) {
      const link = new Link(name);
      try {
        await link.#start(byText ? { text: (await import('./text.js')).default } : { url });
        return link;
      } catch (error) {
        link.close();
        failures.push((error as Error).message);
      }
    }
    throw new WorkerError(
      `${name} could not be started (${failures.join('; ')}). Serve the file gatewise/worker-thread.js and pass its address as \`url\`; a content security policy needs worker-src 'self' for it, or worker-src blob: without it`,
    );
  }

  #start(source: { url?: string | URL | undefined; text?: string }): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer after ${START / 1000} s`)), START);
      const settled = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      };
      this.#ready = { resolve: settled(resolve), reject: settled(reject) };
      try {
        this.#thread = spawn(source, { message: (answer) => this.#receive(answer), end: (why) => this.#end(why) });
      } catch (error) {
        this.#ready.reject(error);
      }
    });
  }

  #receive(answer: Answer): void {
    const { ready, id = 0, error, callback } = answer;
    const own = callback === undefined ? this.#pending.get(id) : undefined;
    if (ready !== undefined) {
      if (ready === PROTOCOL) this.#ready.resolve(answer);
      else this.#ready.reject(new Error('the worker file is of another version of gatewise'));
      this.#idle();
    } else if (own) {
      this.#pending.delete(id);
      this.#idle();
      if (error) own.reject(error.cause ? error : unpackError(error));
      else own.resolve(answer);
    } else this.call(answer);
  }

  /** A worker that has nothing to do keeps no process alive. */
  #idle(): void {
    if (this.#pending.size === 0) this.#thread?.unref?.();
  }

  #end(why: string): void {
    if (this.#over) return;
    this.#ready.reject(new Error(why));
    this.#finish(new WorkerError(`${this.#name} has ended: ${why}`));
  }

  #finish(error: Error): void {
    this.#over ??= error;
    this.#thread?.terminate();
    for (const { reject } of this.#pending.values()) reject(this.#over);
    this.#pending.clear();
  }

  /** Ends the worker; what is pending and what follows is rejected. */
  close(): void {
    this.#finish(new Error('this model has been disposed'));
  }

  /** Whether it has not ended. */
  get running(): boolean {
    return !this.#over;
  }

  /** @throws the reason for which the worker has ended */
  alive(): void {
    if (this.#over) throw this.#over;
  }

  /**
   * Sends a request that is not answered.
   *
   * @throws TypeError for what cannot be copied
   */
  send(what: string, fields: object, id = 0, transfer: ArrayBuffer[] = []): void {
    this.alive();
    try {
      this.#thread?.postMessage({ id, what, ...fields }, transfer);
    } catch (error) {
      throw new TypeError(`${what}: a value cannot be sent to a worker (${(error as Error).message})`);
    }
  }

  /** The same, where it does not matter whether the worker has ended. */
  tell(what: string, fields: object): void {
    if (!this.#over) this.send(what, fields);
  }

  /** Sends a request and waits for its answer. */
  async ask(what: string, fields: object, transfer: ArrayBuffer[] = []): Promise<Answer> {
    const id = ++this.#last;
    this.send(what, fields, id, transfer);
    this.#thread?.ref?.();
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }
}
