/**
 * The audio thread: runs DTLN or Silero VAD on 128 samples at a time and counts the blocks that take too long. A worklet has no clock but
 * Date.now(), whose unit is a millisecond: it says what misses the deadline, and not what a block takes.
 */
import { Runtime } from 'gatewise';
import { Dtln } from '../published/dtln.js';
import { SileroVad } from '../published/silero.js';
import { Stft } from '../published/stft.js';
import type { Weights } from '../published/weights.js';

const [BLOCK, FRAME] = [128, 512];

/** What `processorOptions` hold. */
export interface Options {
  readonly weights: Weights;
  readonly model: 'DTLN' | 'Silero VAD';
  /** The number of blocks after which it reports. */
  readonly blocks: number;
}

/** What it posts after the last block. */
export interface Measured {
  /** The enhanced samples, or the probability of speech in each frame. */
  readonly results: Float32Array;
  /** Milliseconds of the block that took longest. */
  readonly longest: number;
  /** Blocks that took longer than they last. */
  readonly late: number;
}

declare const sampleRate: number;
declare const registerProcessor: (name: string, kind: unknown) => void;
declare const AudioWorkletProcessor: new () => { readonly port: { postMessage(value: unknown): void } };

/** What is done with 128 samples: fills the output, returns results. */
type Work = (samples: Float32Array, output: Float32Array) => ArrayLike<number>;

function enhancer(weights: Weights): Work {
  const model = new Dtln(Runtime.createSync(), weights);
  const [stft, state] = [new Stft(), model.state()];
  return (samples, output) => {
    output.set(model.hop(samples, stft, state));
    return output;
  };
}

function detector(weights: Weights): Work {
  const model = new SileroVad(Runtime.createSync(), weights);
  const [frame, state] = [new Float32Array(FRAME), model.state()];
  let at = 0;
  return (samples, output) => {
    output.set(samples);
    frame.set(samples, at);
    at = (at + BLOCK) % FRAME;
    return at === 0 ? [model.frame(frame, state).speech] : [];
  };
}

class PublishedModel extends AudioWorkletProcessor {
  #work: Work = () => [];
  readonly #blocks: number;
  readonly #times: number[] = [];
  readonly #results: number[] = [];

  constructor({ processorOptions: { weights, model, blocks } }: { processorOptions: Options }) {
    super();
    this.#blocks = blocks;
    try {
      this.#work = model === 'DTLN' ? enhancer(weights) : detector(weights);
      this.port.postMessage('ready');
    } catch (error) {
      this.port.postMessage({ error: String(error) });
    }
  }

  process([[samples]]: Float32Array[][], [[output]]: Float32Array[][]): boolean {
    if (!samples || this.#times.length === this.#blocks) return true;
    const began = Date.now();
    const results = this.#work(samples, output);
    this.#times.push(Date.now() - began);
    this.#results.push(...Array.from(results));
    if (this.#times.length === this.#blocks) this.port.postMessage(this.#report());
    return true;
  }

  #report(): Measured {
    const times = this.#times;
    const deadline = (1000 * BLOCK) / sampleRate;
    return {
      results: Float32Array.from(this.#results),
      longest: Math.max(...times),
      late: times.filter((time) => time > deadline).length,
    };
  }
}

registerProcessor('published-model', PublishedModel);
