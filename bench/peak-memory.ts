/**
 * Peak memory of a process that does nothing but one of the works of `npm run bench`: prepares it and runs it twenty times.
 *
 *     node build/bench/peak-memory.js ID BUILD    prints 10⁶ bytes
 *
 * A process inherits its parent's peak, so its parent has to be a small one.
 */
import type { Build } from './builds.js';
import { works } from './works.js';

const [id, build] = process.argv.slice(2);
const work = works.find((work) => work.id === id);
if (!work) throw new Error(`there is no work called ${id}`);
const { run } = work.prepare(build as Build);
for (let i = 0; i < 20; i++) run();
console.log((process.resourceUsage().maxRSS * 1024) / 1e6);
