/** One server and two clients of examples/federated on this machine; one client is killed in the middle of a round, and comes back. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LanguageModel } from 'gatewise/tasks';

export const title =
  'Flower: a client is killed in the middle of a round, and comes back; with one client, the local chain bit for bit';
export const needs = 'torch';
export const modules = ['flwr', 'safetensors', 'numpy'];

/** A port of this machine that nothing listens on. */
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** Speeches of four roles, made up. */
function speeches() {
  const roles = ['First Gate', 'Second Gate', 'Third Gate', 'All'];
  const says = [
    'open, and be glad.',
    'shut! who goes there?',
    "forget what is past; keep what's new.",
    'we carry it on.',
  ];
  return Array.from({ length: 400 }, (_, i) => {
    const n = (i * i + 3 * i) % 7;
    return `${roles[i % 4]}:\n${says[n % 4]} ${says[(n * i) % 4]}\n`;
  }).join('\n');
}

/** Programs that are ended with the test, with all that they have started. */
class Group {
  #programs = [];

  constructor(t, env) {
    this.t = t;
    this.env = env;
  }

  start(tool, args) {
    const program = this.t.start(this.t.program(tool), args, { env: this.env, detached: true });
    this.#programs.push(program);
    return program;
  }

  /** Ends a program and its children, which are a process group of their own. */
  async kill(program, signal) {
    if (program.child.exitCode === null && program.child.signalCode === null) process.kill(-program.child.pid, signal);
    await program.ended;
  }

  async end() {
    for (const program of this.#programs.reverse()) await this.kill(program, 'SIGKILL');
  }
}

/** A learner's model as bytes that do not depend on who wrote the file. */
async function model(path) {
  const lm = await LanguageModel.load(readFileSync(path));
  const bytes = lm.save({ weightsOnly: true });
  lm.dispose();
  return bytes;
}

export default async function (t) {
  const at = (name) => join(t.folder, name);
  const learner = join(t.root, 'examples/federated/learner.mjs');
  const [link, ...ports] = await Promise.all([freePort(), freePort(), freePort()]);
  mkdirSync(at('flwr'));
  mkdirSync(at('gates'));
  writeFileSync(
    at('flwr/config.toml'),
    `[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:${link}"\ninsecure = true\n`,
  );
  writeFileSync(at('speeches.txt'), speeches());
  await t.run(process.execPath, [learner, 'create', at('start.safetensors'), '--hidden', '24']);
  const env = {
    ...t.env,
    FLWR_HOME: at('flwr'),
    FLWR_TELEMETRY_ENABLED: '0',
    LEARNER_GATES: at('gates'),
    PATH: `${t.program('')}:${process.env.PATH}`,
  };
  const group = new Group(t, env);
  const server = group.start('flower-superlink', [
    '--insecure',
    '--host=127.0.0.1',
    `--port=${link}`,
    '--disable-runtime-dependency-installation',
  ]);
  const client = (part) => {
    const config = {
      'partition-id': part,
      'num-partitions': 2,
      data: JSON.stringify(at('speeches.txt')),
      learner: JSON.stringify(join(t.root, 'interop/tests/gated-learner.mjs')),
      node: JSON.stringify(process.execPath),
    };
    const words = Object.entries(config).map(([key, value]) => `${key}=${value}`);
    const where = ['--superlink', `127.0.0.1:${link}`, '--host=127.0.0.1', `--port=${ports[part]}`];
    return group.start('flower-supernode', ['--insecure', ...where, '--node-config', words.join(' ')]);
  };
  const waiting = (part, round) => t.until(() => existsSync(at(`gates/${part}-${round}.waiting`)), 120);
  const open = (part, round) => writeFileSync(at(`gates/${part}-${round}.open`), '');
  const nodes = async (wanted) => {
    const listed = () => t.run(t.program('flwr'), ['supernode', 'list', 'here', '--format', 'json'], { env });
    const online = (text) => text.split('"status": "online"').length - 1;
    return t.until(async () => online(await listed().catch(() => '')) === wanted, 120);
  };
  const start = (rounds, output) => {
    const orders = {
      model: at('start.safetensors'),
      output: at(output),
      rounds,
      steps: 8,
      'batch-size': 4,
      window: 16,
      timeout: 300,
    };
    const config = Object.entries(orders).map(
      ([key, value]) => `${key}=${typeof value === 'string' ? JSON.stringify(value) : value}`,
    );
    return group.start('flwr', [
      'run',
      join(t.root, 'examples/federated'),
      'here',
      '--stream',
      '--run-config',
      config.join(' '),
    ]);
  };
  /** [results, failures] of each round, as the server has counted them. */
  const counted = ({ output }) =>
    Array.from(output.matchAll(/Received (\d+) results and (\d+) failures/g), ([, results, failures]) => [
      +results,
      +failures,
    ]);

  try {
    if (!(await t.until(() => /running|started|Uvicorn|Starting/i.test(server.output), 60)))
      throw new Error(server.output);
    const stays = client(0);
    let other = client(1);
    if (!(await nodes(2)))
      throw new Error(`two clients are not there:\n${server.output}\n${stays.output}\n${other.output}`);
    const run = start(3, 'trained.safetensors');
    if (!((await waiting(0, 1)) && (await waiting(1, 1))))
      throw new Error(`no round began:\n${run.output}\n${stays.output}`);
    await group.kill(other, 'SIGKILL');
    open(0, 1);
    await waiting(0, 2);
    t.check(
      'the round is closed with what was left, and one failure is counted',
      `${counted(run)}` === '1,1',
      counted(run),
    );
    other = client(1);
    const back = await nodes(2);
    t.check('the client that was killed is back', back);
    for (const [part, round] of [
      [0, 2],
      [0, 3],
      [1, 3],
    ])
      open(part, round);
    const code = await run.ended;
    const rounds = counted(run);
    t.check('it takes part again', `${rounds.slice(1)}` === '1,0,2,0', JSON.stringify(rounds));
    const done = code === 0 && existsSync(at('trained.safetensors'));
    if (!t.check('the run ends, and leaves a model', done)) throw new Error(run.output);
    const trained = await LanguageModel.load(readFileSync(at('trained.safetensors')));
    const first = await LanguageModel.load(readFileSync(at('start.safetensors')));
    const [after, before] = [await trained.evaluate('we carry it on.'), await first.evaluate('we carry it on.')];
    t.check('it has learned', after.loss < before.loss, `${before.loss.toFixed(3)} to ${after.loss.toFixed(3)}`);
    trained.dispose();
    first.dispose();

    await group.kill(other, 'SIGTERM');
    if (!(await nodes(1))) throw new Error(`one client is not alone:\n${server.output}`);
    const alone = start(3, 'alone.safetensors');
    await alone.ended;
    let local = at('start.safetensors');
    for (const round of [1, 2, 3]) {
      const next = at(`local-${round}.safetensors`);
      const orders = [
        '--data',
        at('speeches.txt'),
        '--part=0',
        '--parts=2',
        '--steps=8',
        '--batch-size=4',
        '--window=16',
      ];
      await t.run(process.execPath, [learner, 'train', local, next, `--round=${round}`, ...orders]);
      local = next;
    }
    const same =
      existsSync(at('alone.safetensors')) &&
      Buffer.compare(await model(at('alone.safetensors')), await model(local)) === 0;
    t.check('with one client, the model equals the local chain bit for bit', same, JSON.stringify(counted(alone)));
  } finally {
    await group.end();
  }
}
