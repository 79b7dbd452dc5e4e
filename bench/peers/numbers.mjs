/**
 * Writes what the processes of one workload share: weights, inputs, and results in double precision. A process of its own, because
 * a process inherits its parent's peak of memory.
 */
import { writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';
import { expected, numbers, quantized, workloads } from '../../build/bench/peers/workloads.js';

const [id, cell, file] = process.argv.slice(2);
const workload = [...workloads, ...quantized].find((w) => w.id === id);
const data = numbers(workload);
writeFileSync(file, serialize({ workload, numbers: data, expected: expected(workload, data, cell) }));
