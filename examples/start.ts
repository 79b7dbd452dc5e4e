/** `npm start`: the command line of the package, with a text to train on. */
import { main } from '../cli/main.js';
import { mobyDick } from './support/book.js';

await main(process.argv.slice(2), { program: 'npm start --', builtIn: { name: 'Moby Dick', read: mobyDick } });
