/** What examples use to report: progress, metrics, pictures and files. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { writeWhole } from '../../cli/files.js';
import type { Terminal } from '../../cli/terminal.js';
import { svgOf } from './picture.js';

export interface Example {
  /** One line for the list. */
  readonly title: string;
  /** The arguments after its name, if it has any. */
  readonly usage?: string;
  run(stage: Stage): Promise<void>;
}

/** The target of a metric. */
export type Wanted = { readonly atLeast: number } | { readonly atMost: number };

export class Stage {
  /** The number of metrics that missed their target. */
  missed = 0;
  readonly #began = performance.now();

  constructor(
    readonly folder: string,
    /** The arguments after the example's name. */
    readonly words: readonly string[],
    readonly seed: number,
    readonly signal: AbortSignal,
    readonly terminal: Terminal,
    /** The file of published weights, of `--model`. */
    readonly model?: string,
  ) {}

  log(text: string): void {
    this.terminal.log(text);
  }

  progress(done: number, total: number, text: string): void {
    this.terminal.update(done, total, text);
  }

  /** Prints a metric in a unit ('%' multiplies by 100), and whether it reaches its target. */
  metric(what: string, got: number, unit = '', wanted?: Wanted): void {
    this.terminal.stop();
    const shown = (value: number) => (unit === '%' ? `${(100 * value).toFixed(1)} %` : `${value.toFixed(3)} ${unit}`);
    let goal = '';
    if (wanted) {
      const [limit, holds, word] =
        'atLeast' in wanted
          ? [wanted.atLeast, got >= wanted.atLeast, 'at least']
          : [wanted.atMost, got <= wanted.atMost, 'at most'];
      if (!holds) this.missed++;
      goal = `   target: ${word} ${shown(limit).trim()}: ${holds ? 'reached' : 'MISSED'}`;
    }
    console.log(`  ${what.padEnd(52)} ${shown(got).trim()}${goal}`);
  }

  /** Draws a chart and writes it as NAME.svg. */
  async picture(name: string, chart: TopLevelSpec): Promise<void> {
    await this.write(`${name}.svg`, new TextEncoder().encode(await svgOf(chart)));
  }

  /** Writes a file to the folder of the results. */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const path = join(this.folder, name);
    await writeWhole(path, bytes);
    this.terminal.stop();
    console.log(`  written: ${path}`);
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }
}
