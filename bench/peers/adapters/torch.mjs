/** PyTorch, in a process of Python: ../torch/peer.py. It tells its own time and memory. */
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pack, unpack } from '../../../build/bench/peers/safetensors.js';
import { LEARNING_RATE, STEPS } from '../../../build/bench/peers/workloads.js';

const script = fileURLToPath(new URL('../torch/peer.py', import.meta.url));
const folder = fileURLToPath(new URL('../../../build/peers/', import.meta.url));

export async function prepare(workload, { weights, inputs, targets }, { python, threads, wall = threads > 1 }) {
  const name = `${folder}${workload.id}-torch-${threads}`;
  const numbered = (prefix, arrays) => Object.fromEntries(arrays.map((values, k) => [`${prefix}.${k}`, values]));
  const arrays = { ...weights, ...numbered('inputs', inputs), ...numbered('targets', targets) };
  const work = { ...workload, count: inputs.length, steps: STEPS, learningRate: LEARNING_RATE };
  writeFileSync(`${name}.in`, pack(arrays, { workload: JSON.stringify(work) }));

  const child = spawn(python, [script, `${name}.in`, String(threads), wall ? 'wall' : 'cpu'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  process.on('exit', () => child.kill());
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += data));
  const ended = new Promise((_, reject) => {
    child.on('error', reject);
    // the last line of a traceback names the error
    child.on('close', (code) => reject(new Error(stderr.trim().split('\n').pop() || `Python ended with ${code}`)));
  });
  // unhandled only while nothing is asked
  ended.catch(() => {});
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const answer = lines.next().then(({ value, done }) => (done ? ended : JSON.parse(value)));
    return Promise.race([answer, ended]);
  };

  const { version, note } = await ask({ ask: 'hello' });
  let maxRss = 0;
  const time = async (n) => {
    const answer = await ask({ ask: 'run', n });
    maxRss = answer.maxRss;
    return answer.ms;
  };
  return {
    engine: version,
    note: wall ? `${note}; wall time` : note,
    results: async () => {
      await ask({ ask: 'results', file: `${name}.out` });
      const results = unpack(readFileSync(`${name}.out`));
      for (const end of ['in', 'out']) rmSync(`${name}.${end}`);
      return results;
    },
    end: () => child.kill(),
    run: time,
    time,
    maxRss: () => maxRss,
  };
}
