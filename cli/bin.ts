#!/usr/bin/env node
/** `gatewise`, the program of the package. */
import { main } from './main.js';

await main(process.argv.slice(2), { program: 'gatewise' });
