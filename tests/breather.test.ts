/** How long work keeps the event loop: with a clock that the test controls. */
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';

// not exported by an entry: the parts of a run
const { Breather, turn } = await import(new URL('../../dist/bindings/train/run.js', import.meta.url).href);

/** Steps that take the given ms each; the times between two turns of the event loop. */
async function gaps(steps: readonly number[]): Promise<number[]> {
  let now = 1000;
  let last = now;
  const seen: number[] = [];
  const breather = new Breather({
    now: () => now,
    turn: async () => {
      seen.push(now - last);
      now += 4; // what a nested timer waits
      last = now;
    },
  });
  for (const step of steps) {
    now += step;
    await breather.breathe();
  }
  return seen;
}

test('steps shorter than a frame: the event loop turns at least every 16 ms, and not after each step', async () => {
  for (const step of [0.1, 1, 3, 5, 8]) {
    const seen = await gaps(Array(1000).fill(step));
    ok(
      seen.every((gap) => gap <= 16.001),
      `${step} ms: ${Math.max(...seen)}`,
    );
    ok(seen.length <= (1000 * step) / 8 + 1, `${step} ms: ${seen.length} turns`);
  }
});

test('steps longer than half a frame: the event loop turns after each', async () => {
  for (const step of [9, 16, 50]) equal(await gaps(Array(20).fill(step)), Array(20).fill(step));
});

test('a page gets a timer, a worker a message, Node an immediate', async () => {
  const used: string[] = [];
  const host = (name: string) => (f: () => void) => {
    used.push(name);
    f();
  };
  const { MessageChannel } = globalThis;
  await turn({ document: {}, setTimeout: host('timer'), MessageChannel });
  await turn({ setTimeout: host('timer'), setImmediate: host('immediate'), MessageChannel });
  equal(used, ['timer', 'immediate']);
  await turn({ setTimeout: host('timer'), MessageChannel });
  is(used.length, 2, 'a worker uses neither');
});

test.run();
