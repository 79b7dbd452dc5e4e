/** Sound that is like speech in noise. */
import { Chance } from './chance.js';

/** A voice-like buzz with pauses, in white noise, at 16 kHz. */
export function buzz(seconds: number, seed: number): Float32Array<ArrayBuffer> {
  const rate = 16_000;
  const chance = new Chance(seed);
  return new Float32Array(seconds * rate).map((_, t) => {
    const speaking = Math.sin((2 * Math.PI * t) / 8000) > 0;
    let voice = 0;
    for (let k = 1; k <= 20; k++) voice += Math.sin((2 * Math.PI * 120 * k * t) / rate) / k;
    return (speaking ? 0.1 * voice : 0) + 0.05 * (chance.next() - 0.5);
  });
}
