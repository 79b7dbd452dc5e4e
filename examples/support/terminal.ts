/** Progress in a terminal: a bar below the printed lines, or plain lines if the output is piped. */
import { MultiBar, type SingleBar } from 'cli-progress';

export class Terminal {
  readonly #bars: MultiBar | null;
  #bar: SingleBar | null = null;
  #lastLine = 0;

  constructor(readonly everySeconds = 5) {
    this.#bars = process.stdout.isTTY
      ? new MultiBar({
          format: '{bar} {value}/{total}  {text}',
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 20,
          hideCursor: true,
          linewrap: false,
          gracefulExit: false,
          stream: process.stdout,
        })
      : null;
  }

  /** Moves the bar. If the output is piped: prints a line every few seconds, and always the last one. */
  update(value: number, total: number, text: string): void {
    if (this.#bars) {
      this.#bar ??= this.#bars.create(total, value, { text });
      this.#bar.setTotal(total);
      this.#bar.update(value, { text });
    } else {
      const now = performance.now() / 1000;
      if (value < total && now - this.#lastLine < this.everySeconds) return;
      this.#lastLine = now;
      console.log(`${value}/${total} ${text}`);
    }
  }

  /** Prints above the bar. */
  log(text: string): void {
    if (this.#bars) {
      this.#bars.log(`${text}\n`);
      this.#bars.update();
    } else console.log(text);
  }

  /** Removes the bar. */
  stop(): void {
    this.#bars?.stop();
    this.#bar = null;
  }
}

/** 75 s as 1:15. */
export function clock(seconds: number): string {
  const s = Math.round(seconds);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

/** 28301 as 28.3k. */
export function short(n: number): string {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)}k` : String(Math.round(n));
}
