/**
 * The page: reads a file of weights as it is published and runs the model in the audio thread, as fast as it goes and in real time.
 * Vite bundles it, with worklet.ts.
 */
import { weightsOf } from '../published/formats.js';
import { buzz } from '../support/voice.js';
import type { Measured, Options } from './worklet.js';
// the address of the bundle
import worklet from './worklet.js?worker&url';

const [RATE, BLOCK] = [16_000, 128];

/** What the page finds out. */
export interface Outcome {
  readonly model: Options['model'];
  /** Milliseconds that a block lasts. */
  readonly deadline: number;
  /** Milliseconds of a block when blocks come as fast as they are taken: the mean by the page's clock, with all that is around it. */
  readonly mean: number;
  readonly results: readonly number[];
  /** In real time. */
  readonly live: Omit<Measured, 'results'> & { readonly blocks: number };
}

/** A node whose model has been made, and what it reports at the end. */
async function node(context: BaseAudioContext, options: Options): Promise<[AudioWorkletNode, Promise<Measured>]> {
  await context.audioWorklet.addModule(worklet);
  const made = new AudioWorkletNode(context, 'published-model', { processorOptions: options });
  made.connect(context.destination);
  const next = () =>
    new Promise<Measured>((resolve, reject) => {
      made.port.onmessage = ({ data }) => (data.error === undefined ? resolve(data) : reject(new Error(data.error)));
      made.onprocessorerror = () => reject(new Error('the worklet failed'));
    });
  await next();
  return [made, next()];
}

function play(context: BaseAudioContext, samples: Float32Array<ArrayBuffer>, to: AudioNode): void {
  const buffer = context.createBuffer(1, samples.length, RATE);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(to);
  source.start();
}

export async function measure(file: Uint8Array, samples: Float32Array<ArrayBuffer>): Promise<Outcome> {
  const weights = await weightsOf(file);
  const model = weights.tensors.has('lstm_3/kernel') ? 'DTLN' : 'Silero VAD';
  const blocks = Math.floor(samples.length / BLOCK);
  const offline = new OfflineAudioContext(1, blocks * BLOCK, RATE);
  const [first, results] = await node(offline, { weights, model, blocks });
  play(offline, samples, first);
  const began = performance.now();
  await offline.startRendering();
  const mean = (performance.now() - began) / blocks;
  const live = new AudioContext({ sampleRate: RATE });
  await live.resume();
  const [second, measured] = await node(live, { weights, model, blocks });
  play(live, samples, second);
  const { longest, late } = await measured;
  await live.close();
  return {
    model,
    deadline: (1000 * BLOCK) / RATE,
    mean,
    results: [...(await results).results],
    live: { longest, late, blocks },
  };
}

/** A file that the user chooses. */
function offer(): void {
  const input = document.querySelector<HTMLInputElement>('#weights');
  const shown = document.querySelector('#shown');
  if (!input || !shown) throw new Error('the page is not index.html');
  input.onchange = async () => {
    const [file] = input.files ?? [];
    if (!file) return;
    shown.textContent = 'Five seconds of sound …';
    try {
      const { model, deadline, mean, live } = await measure(new Uint8Array(await file.arrayBuffer()), buzz(5, 1));
      shown.textContent = `${model}: blocks of ${deadline} ms take ${mean.toFixed(2)} ms
In real time the longest took ${live.longest} ms; ${live.late} of ${live.blocks} took longer than they last`;
    } catch (error) {
      shown.textContent = String(error);
    }
  };
}

/** For a program that opens the page as `?auto`: the weights and the samples are files next to it. */
async function fromFiles(): Promise<Outcome> {
  const [weights, samples] = await Promise.all(
    ['weights', 'samples'].map(async (name) => (await fetch(`/${name}.bin`)).arrayBuffer()),
  );
  return measure(new Uint8Array(weights), new Float32Array(samples));
}

offer();
if (location.search === '?auto') {
  fromFiles().then(
    (outcome) => Object.assign(window, { outcome }),
    (error) => Object.assign(window, { outcome: { error: String(error) } }),
  );
}
