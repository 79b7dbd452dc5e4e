/** What `gatewise bench` is made of: the rows of `npm run bench`, which the command line loads when it is asked for them. */
export { builds } from './builds.js';
export { functions, measureFunction } from './functions.js';
export { engine, machine } from './machine.js';
export { measure } from './measure.js';
export { works } from './works.js';
