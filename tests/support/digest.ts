/** Prints what the one training gives, for the comparison of engines. */
import { trainOnce } from '../browser/train.js';

const { digest, text } = await trainOnce();
console.log(JSON.stringify({ digest, text }));
