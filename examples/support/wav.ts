/** Recordings, by the package `wavefile`. */
import { readFile } from 'node:fs/promises';
import wavefile from 'wavefile';

/** The first channel of a WAV file, from -1 to 1, at this rate. */
export async function recording(path: string, rate: number): Promise<Float32Array> {
  const wav = new wavefile.WaveFile(await readFile(path));
  wav.toSampleRate(rate);
  wav.toBitDepth('32f');
  const samples: unknown = wav.getSamples(false, Float32Array);
  return Array.isArray(samples) ? samples[0] : (samples as Float32Array);
}

/** A WAV file of one channel. */
export function wavOf(samples: Float32Array, rate: number): Uint8Array {
  const wav = new wavefile.WaveFile();
  wav.fromScratch(1, rate, '32f', samples);
  return wav.toBuffer();
}
