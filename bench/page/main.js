/** The suite of `npm run bench:suite` in a page. `?seconds=N`: at most so long a case, default 2; `?only=TEXT`: suites whose name contains it. */
import { instantiate } from '@assemblyscript/loader';
import Benchmark from 'benchmark';
import { Runtime } from 'gatewise';
import lodash from 'lodash';
import { speedChart } from '../../build/bench/charts.js';
import { runSuite, SUITES } from '../../build/bench/suites.js';
import { svgOf } from '../../build/examples/support/picture.js';
import scalar from '../../build/wasm/bench-simd.wasm?url';

const log = document.getElementById('log');
const options = new URLSearchParams(location.search);
const seconds = Number(options.get('seconds') ?? 2);
const only = options.get('only') ?? '';

/** Name and version of the engine, and how many processors there are; a page is not told more of its machine. */
function where() {
  const agent = navigator.userAgent;
  const [, name, version] = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(agent) ?? ['', 'unknown', ''];
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${navigator.hardwareConcurrency} processors, ${name === 'Version' ? 'Safari' : name} ${version}`;
}

try {
  const { instance } = await instantiate(fetch(scalar));
  const cores = {
    scalar: instance.exports,
    simd: await Runtime.create(),
    // not every engine has it
    relaxed: await Runtime.create({ build: 'relaxed' }).catch(() => undefined),
  };
  // outside of Node it finds lodash only when it is given
  const Bench = Benchmark.runInContext({ _: lodash });
  // the loops that it generates call it by this name
  globalThis.Benchmark = Bench;
  const all = [];
  for (const make of SUITES) {
    const suite = make(cores);
    if (!suite.name.includes(only)) continue;
    log.append(`${suite.name}, ${suite.note}\n`);
    all.push(...(await runSuite(Bench, suite, (line) => log.append(`  ${line}\n`), seconds)));
  }
  document.getElementById('chart').innerHTML = await svgOf(speedChart(all, where()));
  globalThis.measured = all;
} catch (error) {
  log.append(String(error.stack ?? error));
  globalThis.failed = String(error);
}
