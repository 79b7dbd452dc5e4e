/**
 * The learner of examples/federated, which a test holds up: it says that it has started, and waits until it may go on. The folder of
 * both files is in the environment.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const word = (name) => process.argv[process.argv.indexOf(name) + 1];
const gate = join(process.env.LEARNER_GATES, `${word('--part')}-${word('--round')}`);
writeFileSync(`${gate}.waiting`, '');
while (!existsSync(`${gate}.open`)) await new Promise((done) => setTimeout(done, 20));
await import('../../examples/federated/learner.mjs');
