/** The benchmark of this device. */
import type { BenchRow } from './bench-worker.js';
import { make, type Panel } from './panels.js';

/** The browser and its version, and how many processors the page is told of. */
function device(): string {
  const [, name, version] = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent) ?? ['', 'unknown', ''];
  const browser = name === 'Version' ? 'Safari' : name;
  return `${browser} ${version}, ${navigator.hardwareConcurrency} logical processors, ${new Date().toISOString().slice(0, 10)}`;
}

const HEAD: readonly string[] = ['work', 'GFLOP/s', 'share of the peak of one core'];

const aligned = ([work, ...numbers]: readonly string[]) =>
  [work.padEnd(22), ...numbers.map((text, i) => text.padStart(HEAD[i + 1].length))].join('  ');

function run(box: HTMLElement, button: HTMLButtonElement): void {
  button.disabled = true;
  const body = make('tbody');
  const head = make(
    'tr',
    {},
    ...HEAD.map((text, i) => make('th', { textContent: text, scope: 'col', className: i ? 'number' : '' })),
  );
  const status = make('p', { role: 'status', textContent: 'Measuring for about fifteen seconds …' });
  const lines = [
    `gatewise playground, ${device()}`,
    'LSTM, 128 units, 128 inputs; read: 100 steps, batch 1; training: 32 steps, batch 64',
    aligned(HEAD),
  ];
  const table = make(
    'table',
    {},
    make('caption', { textContent: 'Speed on this device' }),
    make('thead', {}, head),
    body,
  );
  box.querySelector('.measured')?.replaceChildren(table, status);
  const worker = new Worker(new URL('./bench-worker.ts', import.meta.url), { type: 'module', name: 'bench' });
  const end = (text: string) => {
    status.textContent = text;
    button.disabled = false;
    worker.terminate();
  };
  worker.onerror = ({ message }) => end(`The worker could not be started. ${message}`);
  worker.onmessage = ({ data }: MessageEvent<BenchRow | string>) => {
    if (typeof data === 'string') {
      end(data === 'done' ? 'Done.' : data);
      if (data === 'done') box.querySelector('.measured')?.append(copyable(lines.join('\n')));
      return;
    }
    const cells = [data.name, data.gflops.toFixed(2), `${(100 * data.share).toFixed(0)} %`];
    lines.push(aligned(cells));
    body.append(
      make('tr', {}, ...cells.map((text, i) => make('td', { textContent: text, className: i ? 'number' : '' }))),
    );
  };
  worker.postMessage('start');
}

function copyable(text: string): HTMLElement {
  const copy = make('button', { type: 'button', textContent: 'Copy the results' });
  copy.onclick = async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = 'Copied';
  };
  return make('div', {}, make('pre', { textContent: text, tabIndex: 0 }), make('div', { className: 'controls' }, copy));
}

export const bench: Panel = {
  title: 'Benchmark',
  shown: () => true,
  draw(box) {
    if (box.querySelector('button')) return;
    const button = make('button', { type: 'button', textContent: 'Measure this device' });
    button.onclick = () => run(box, button);
    box.replaceChildren(
      make('p', {
        className: 'hint',
        textContent:
          'An LSTM of 128 units reads a sequence of 100 steps, on one core. Then it trains with batches of 64 sequences of 32 steps, in this worker and by replicas on several cores. The peak is what a loop of multiplications and additions in registers reaches on one core. With int16 weights fewer bits are multiplied, and replicas have more cores, so these shares can be above 100\u00a0%. Pause training first.',
      }),
      make('div', { className: 'controls' }, button),
      make('div', { className: 'measured' }),
    );
  },
};
