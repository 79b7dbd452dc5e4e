/** Browsers: in the page, in a worker, in an AudioWorklet, under a strict policy, and where WebAssembly is refused. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pace, pages } from './pace.mjs';
import { debian, home, output, part, project, Skip, same } from './support.mjs';

const TYPES = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm', css: 'text/css' };

/** Serves a folder. Paths that begin with /refused/ get a policy that forbids WebAssembly. */
function serve(folder) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const refused = pathname.startsWith('/refused/');
    const path = join(folder, pathname.replace('/refused/', '/').replace(/\/$/, '/index.html'));
    if (!existsSync(path) || statSync(path).isDirectory()) return response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': TYPES[path.split('.').pop()] ?? 'application/octet-stream',
      'content-security-policy': `default-src 'self' data:; script-src 'self'${refused ? '' : " 'wasm-unsafe-eval'"}`,
    });
    response.end(readFileSync(path));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve({ url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() }),
    );
  });
}

const FILES = {
  'index.html': `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>gatewise</title>
<script type="module" src="page.js"></script>`,
  'page.js': `import * as gatewise from './gatewise/index.js';
import { digests } from './program.js';
const safe = async (work) => { try { return await work(); } catch (error) { return { error: error.name + ': ' + error.message }; } };
const inWorker = () => new Promise((resolve, reject) => {
  const worker = new Worker('worker.js', { type: 'module' });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message || 'the worker failed'));
});
const inWorklet = async () => {
  if (!globalThis.OfflineAudioContext?.prototype || !('audioWorklet' in OfflineAudioContext.prototype)) return null;
  const context = new OfflineAudioContext(1, 128, 48000);
  await context.audioWorklet.addModule('worklet.js');
  const node = new AudioWorkletNode(context, 'digests');
  const found = new Promise((resolve) => { node.port.onmessage = ({ data }) => resolve(data); });
  node.connect(context.destination);
  await context.startRendering();
  return found;
};
globalThis.outcome = JSON.stringify({
  page: await safe(() => digests(gatewise)),
  worker: await safe(inWorker),
  worklet: await safe(inWorklet),
});
document.title = 'done';
`,
  'worker.js': `import * as gatewise from './gatewise/index.js';
import { digests } from './program.js';
postMessage(digests(gatewise));
`,
  'worklet.js': `import * as gatewise from './gatewise/index.js';
import { digests } from './program.js';
registerProcessor('digests', class extends AudioWorkletProcessor {
  constructor() {
    super();
    try { this.port.postMessage(digests(gatewise)); } catch (error) { this.port.postMessage({ error: String(error) }); }
  }
  process() { return false; }
});
`,
};

/** What both pages have to say: the same bits three times, and one clear error where WebAssembly is refused. */
function judge(allowed, refused) {
  const { page, worker, worklet } = JSON.parse(allowed);
  const note = `${same(page)}; worker${same(worker) && ''}`;
  const third = worklet ? `, AudioWorklet${same(worklet) && ''}` : '; it has no AudioWorklet';
  const { page: denied } = JSON.parse(refused);
  if (!/content security policy|'wasm-unsafe-eval'/i.test(denied.error ?? '')) {
    throw new Error(
      `where WebAssembly is refused: expected an error that names the policy, got ${JSON.stringify(denied)}`,
    );
  }
  return `${note}${third}; refused WebAssembly is named`;
}

/** What one browser says to all pages: the same bits everywhere, one refusal, and frames while it trains. */
async function judged(name, url, outcomeOf) {
  const note = judge(await outcomeOf(url), await outcomeOf(`${url}refused/`));
  await pace(name, () => outcomeOf(`${url}pace.html`));
  return note;
}

async function run(name, command, packages, drive) {
  debian(command, ...packages);
  const folder = project(`browser-${name}`, drive.packages ?? []);
  cpSync(join(home, 'package/dist'), join(folder, 'gatewise'), { recursive: true });
  for (const [file, text] of Object.entries(FILES)) writeFileSync(join(folder, file), text);
  pages(folder);
  const { url, close } = await serve(folder);
  try {
    return await drive.run(folder, url);
  } finally {
    close();
  }
}

/** Chromium and Firefox, both by puppeteer: Firefox is driven by WebDriver BiDi. */
const puppeteer = (browser, executablePath) => ({
  packages: ['puppeteer-core@24'],
  async run(folder, url) {
    const { default: library } = await import(
      join(folder, 'node_modules/puppeteer-core/lib/esm/puppeteer/puppeteer-core.js')
    );
    const instance = await library.launch({
      browser,
      executablePath,
      headless: true,
      args: browser === 'chrome' ? ['--no-sandbox'] : [],
    });
    const outcomeOf = async (address) => {
      const page = await instance.newPage();
      await page.goto(address);
      for (let i = 0; i < 600; i++) {
        const outcome = await page.evaluate(() => globalThis.outcome ?? null);
        if (outcome) {
          await page.close();
          return outcome;
        }
        await sleep(100);
      }
      throw new Error('no outcome after a minute');
    };
    try {
      const version = (await instance.version()).replace(/^\w+\//, '');
      return { version, note: await judged(browser === 'chrome' ? 'Chromium' : 'Firefox', url, outcomeOf) };
    } finally {
      await instance.close();
    }
  },
});

/** WebKitGTK by its own WebDriver, on a display without a screen. */
const webkit = {
  async run(_, url) {
    const port = 4555;
    const driver = spawn('xvfb-run', ['-a', 'WebKitWebDriver', `--port=${port}`], {
      stdio: 'ignore',
      detached: true,
      // its pages get their language from here, and C, the default, is not one
      env: { ...process.env, LANG: 'en_US.UTF-8' },
    });
    const call = async (method, path, body) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
      const { value } = await response.json();
      if (value?.error) throw new Error(`${value.error}: ${value.message}`);
      return value;
    };
    try {
      const browser = output('sh', ['-c', 'ls /usr/lib/*/webkit2gtk-4.*/MiniBrowser | tail -1']);
      const options = { binary: browser, args: ['--automation'] };
      let session;
      for (let i = 0; i < 50 && !session; i++) {
        await sleep(200);
        session = await call('POST', '/session', {
          capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': options } },
        }).catch((error) => {
          if (i === 49) throw error;
        });
      }
      const { sessionId, capabilities } = session;
      const outcomeOf = async (address) => {
        await call('POST', `/session/${sessionId}/url`, { url: address });
        for (let i = 0; i < 600; i++) {
          const outcome = await call('POST', `/session/${sessionId}/execute/sync`, {
            script: 'return window.outcome || null',
            args: [],
          });
          if (outcome) return outcome;
          await sleep(100);
        }
        throw new Error('no outcome after a minute');
      };
      const note = await judged('WebKitGTK', url, outcomeOf);
      await call('DELETE', `/session/${sessionId}`);
      return { version: capabilities.browserVersion, note };
    } finally {
      process.kill(-driver.pid);
    }
  },
};

export async function browsers(only) {
  if (process.platform !== 'linux') {
    for (const name of ['Chromium', 'Firefox', 'WebKitGTK'])
      await part(name, '', () => Promise.reject(new Skip('only on Debian')));
    return;
  }
  const where = 'page, worker, AudioWorklet';
  const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (only('chromium'))
    await part('Chromium', where, () => run('chromium', chromium, ['chromium'], puppeteer('chrome', chromium)));
  if (only('firefox')) {
    await part('Firefox', where, () =>
      run('firefox', 'firefox-esr', ['firefox-esr'], puppeteer('firefox', '/usr/bin/firefox-esr')),
    );
  }
  if (only('webkit')) {
    await part('WebKitGTK', where, () =>
      run('webkit', 'WebKitWebDriver', ['webkit2gtk-driver', 'xvfb', 'xauth'], webkit),
    );
  }
}
