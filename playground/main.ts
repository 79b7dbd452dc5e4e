/** The page: a form, the loss of every lane, and views into the models. */
import { CELL_NAMES } from 'gatewise';
import { bench } from './bench-panel.js';
import { Lane } from './lane.js';
import { looking, make, PANELS, type Panel } from './panels.js';
import { Chart, thinned } from './plots.js';
import { type Settings, TASKS, type TaskName } from './protocol.js';

const LANES = 4;
/** Milliseconds between two drawings, and between two questions to the workers. */
const [DRAW, ASK] = [200, 2000];

interface Data {
  readonly file: string;
  readonly note: string;
  readonly metric: string;
}

const SAMPLES: Readonly<Record<TaskName, Data>> = {
  write: {
    file: 'novel.txt',
    note: 'The beginning of Moby Dick. A file of your own: any text.',
    metric: 'bits per character',
  },
  classify: {
    file: 'languages.tsv',
    note: 'Pieces of 30 characters in 12 languages, from the Declaration of Human Rights. A file of your own: lines of a label, a tab and a text.',
    metric: 'share of correct classes',
  },
  tag: {
    file: 'novel.txt',
    note: 'Moby Dick without its spaces. A file of your own: any text.',
    metric: 'share of correct labels',
  },
  forecast: {
    file: 'co2.csv',
    note: 'Carbon dioxide over Mauna Loa by month, in ppm. A file of your own: one number a line, or a table whose last column is the series.',
    metric: 'mean absolute error',
  },
};

const $ = <E extends HTMLElement = HTMLInputElement>(id: string) => document.getElementById(id) as E;
const task = $<HTMLSelectElement>('task');
const [train, pause, step, reset, save] = ['train', 'pause', 'step', 'reset', 'save'].map((id) =>
  $<HTMLButtonElement>(id),
);
const status = $('status');
const alertBox = $('error');
const panels: readonly Panel[] = [...PANELS, bench];

let lanes: Lane[] = [];
let running = false;
let own: { name: string; text: string } | undefined;
let model: Uint8Array | undefined;
let dirty = false;
let chosen: Panel = panels[0];
let busy = false;

const loss = new Chart($('loss'), 'seconds of training', 'loss');
const metric = new Chart($('metric'), 'seconds of training', 'metric');

/** The name of a panel in the page. */
const slug = ({ title }: Panel) => title.toLowerCase().replaceAll(' ', '-');

// --- the form ---

for (const [name, title] of Object.entries(TASKS)) task.append(make('option', { value: name, textContent: title }));
for (const cell of CELL_NAMES) {
  const box = make('input', { type: 'checkbox', value: cell, checked: cell === 'lstm' });
  box.name = 'cell';
  $('cells').append(make('label', {}, box, cell));
}

const rate = () => Number((10 ** Number($('rate').value)).toPrecision(2));
function showRate(): void {
  const text = rate().toPrecision(2);
  $('rate-shown').textContent = text;
  $('rate').setAttribute('aria-valuetext', text);
}

function showData(): void {
  $('sample').hidden = !own;
  const { note } = SAMPLES[task.value as TaskName];
  $('data-note').textContent = own ? `${own.name}, ${own.text.length.toLocaleString('en')} characters.` : note;
}

function settings(): Settings[] {
  const cells = [...document.querySelectorAll<HTMLInputElement>('[name=cell]:checked')].map(({ value }) => value);
  if (!cells.length) throw new Error('Choose at least one cell.');
  if (cells.length > LANES) throw new Error(`Choose at most ${LANES} cells.`);
  const number = (id: string) => Number($(id).value);
  return cells.map((cell) => ({
    task: task.value as TaskName,
    cell,
    hiddenSize: number('hidden'),
    numLayers: number('layers'),
    learningRate: rate(),
    seed: number('seed'),
  }));
}

async function data(): Promise<string> {
  if (own) return own.text;
  const response = await fetch(SAMPLES[task.value as TaskName].file);
  if (!response.ok) throw new Error(`The sample could not be loaded: ${response.status}.`);
  return response.text();
}

function say(text: string): void {
  status.textContent = text;
}

function fail(message: string): void {
  alertBox.textContent = message;
  stop();
}

function buttons(): void {
  const some = lanes.length > 0;
  train.disabled = running;
  train.textContent = some && !running ? 'Continue' : 'Train';
  pause.disabled = !running;
  step.disabled = running || !some;
  reset.disabled = !some;
  save.disabled = !some;
  for (const element of document.querySelectorAll<HTMLInputElement>(
    '#task, #file, #sample, [name=cell], #hidden, #layers, #seed',
  )) {
    element.disabled = some;
  }
}

function stop(): void {
  running = false;
  for (const lane of lanes) lane.send({ type: 'pause' });
  buttons();
}

function clear(): void {
  for (const lane of lanes) lane.end();
  lanes = [];
  running = false;
  model = undefined;
  alertBox.textContent = '';
  looking.lane = 0;
  looking.line = '';
  for (const box of $<HTMLElement>('panels').children) box.replaceChildren();
  say('');
  $('numbers').hidden = true;
  $<HTMLTableElement>('figures').tBodies[0].replaceChildren();
  $('loss-note').hidden = false;
  draw();
  tabs();
  buttons();
}

async function begin(): Promise<void> {
  const list = settings();
  const text = await data();
  lanes = list.map((own, index) => new Lane(index, own, text, index ? undefined : model, () => (dirty = true), fail));
  await Promise.all(lanes.map(({ ready }) => ready));
  $('loss-note').hidden = true;
  [chosen] = panels;
  tabs();
}

$<HTMLFormElement>('form').onsubmit = async (event) => {
  event.preventDefault();
  alertBox.textContent = '';
  train.disabled = true;
  try {
    running = true;
    if (!lanes.length) {
      say('Starting …');
      await begin();
    }
    const given = Number($('seconds').value);
    // every model to the same seconds in all
    const seconds = given ? Math.max(...lanes.map((lane) => lane.seconds)) + given : Number.POSITIVE_INFINITY;
    for (const lane of lanes) lane.send({ type: 'run', seconds });
    say('Training.');
  } catch (error) {
    const { message } = error as Error;
    clear();
    alertBox.textContent = message;
  }
  buttons();
};

pause.onclick = () => {
  stop();
  say('Paused.');
};
step.onclick = () => {
  for (const lane of lanes) lane.send({ type: 'step' });
};
reset.onclick = clear;
$('rate').oninput = () => {
  showRate();
  for (const lane of lanes) lane.send({ type: 'rate', learningRate: rate() });
};
task.onchange = () => {
  own = undefined;
  model = undefined;
  $('file').value = '';
  showData();
};
/** Takes a file of the person, if it is text. */
async function take(file: File): Promise<void> {
  const text = await file.text();
  // what was not valid UTF-8 is U+FFFD now
  const strange = text.match(/[\0\ufffd]/g)?.length ?? 0;
  if (text === '' || strange > text.length / 100) {
    alertBox.textContent = `${file.name}: ${text === '' ? 'the file is empty.' : 'not a text in UTF-8.'}`;
    $('file').value = '';
    return;
  }
  alertBox.textContent = '';
  own = { name: file.name, text };
  showData();
}
$('file').onchange = async () => {
  const [file] = $('file').files ?? [];
  if (file) await take(file);
};
$<HTMLButtonElement>('sample').onclick = () => {
  own = undefined;
  $('file').value = '';
  showData();
  $('file').focus();
};
$<HTMLFormElement>('form').oninput = () => {
  alertBox.textContent = '';
};

async function drop(event: DragEvent): Promise<void> {
  event.preventDefault();
  const [file] = event.dataTransfer?.files ?? [];
  if (!file) return;
  if (lanes.length) alertBox.textContent = `${file.name}: press New model first, then drop the file again.`;
  else await take(file);
}
document.body.ondragover = (event) => event.preventDefault();
document.body.ondrop = drop;

save.onclick = async () => {
  try {
    for (const lane of lanes) {
      const link = make('a', {
        href: URL.createObjectURL(new Blob([await lane.save()])),
        download: `${lane.settings.task}-${lane.name}.safetensors`,
      });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }
    say('Saved.');
  } catch (error) {
    alertBox.textContent = (error as Error).message;
  }
};

/** The tasks of this page by the names in files. */
const KINDS: Readonly<Record<string, TaskName>> = {
  'language-model': 'write',
  'sequence-classifier': 'classify',
  'sequence-tagger': 'tag',
  forecaster: 'forecast',
};

/** What a file says about its model; undefined for other files. */
function described(bytes: Uint8Array<ArrayBuffer>): { kind: string; config: Record<string, unknown> } | undefined {
  try {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const { task: kind, config } = JSON.parse(header.__metadata__.gatewise);
    return Object.hasOwn(KINDS, kind) ? { kind, config } : undefined;
  } catch {
    return undefined;
  }
}

$('load').onchange = async () => {
  const [file] = $('load').files ?? [];
  $('load').value = '';
  if (!file) return;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const found = described(bytes);
  if (!found) {
    alertBox.textContent = `${file.name}: not a model of this page. Expected a file that Save model has written.`;
    return;
  }
  const { kind, config } = found;
  clear();
  try {
    // a file of one's own stays, if it is for this task
    if (task.value !== KINDS[kind]) own = undefined;
    task.value = KINDS[kind];
    for (const box of document.querySelectorAll<HTMLInputElement>('[name=cell]'))
      box.checked = box.value === config.cell;
    $('hidden').value = String([config.hiddenSize].flat()[0]);
    $('layers').value = String(config.numLayers ?? 1);
    showData();
    model = bytes;
    await begin();
    buttons();
    say(`Loaded ${file.name}. Continue trains it on these data.`);
  } catch (error) {
    clear();
    alertBox.textContent = `${file.name}: ${(error as Error).message}`;
  }
};

// --- what is shown ---

function draw(): void {
  dirty = false;
  const [first] = lanes;
  if (first?.metric) {
    loss.name(first.loss);
    metric.name(first.metric);
  }
  loss.draw(
    lanes.map(({ name, index, points }) => ({ name, lane: index, points: thinned(points.map(([, s, y]) => [s, y])) })),
  );
  metric.draw(
    lanes.map(({ name, index, validations }) => ({
      name: `${name}, held out`,
      lane: index,
      points: validations.map(({ seconds, value }) => [seconds, value] as const),
      dots: true,
    })),
  );
  if (!first?.points.length) return;
  const head = ['model', 'parameters', 'steps', 'seconds', 'loss', first.metric, `${first.unit} per second`];
  const rows = lanes.map((lane) => {
    const [made, seconds, value] = lane.points.at(-1) ?? [0, 0, Number.NaN];
    const recent = lane.points.slice(-20);
    const mean = recent.reduce((sum, [, , y]) => sum + y, 0) / recent.length || value;
    const held = lane.validations.at(-1)?.value;
    return [
      lane.name,
      lane.parameters.toLocaleString('en'),
      made.toLocaleString('en'),
      seconds.toFixed(1),
      mean.toFixed(3),
      held === undefined ? '–' : held.toFixed(3),
      Math.round(lane.perSecond).toLocaleString('en'),
    ];
  });
  const cell = (tag: 'td' | 'th') => (textContent: string, i: number) =>
    make(tag, { textContent, className: i ? 'number' : '' });
  const table = $<HTMLTableElement>('figures');
  $('numbers').hidden = false;
  table.tHead?.replaceChildren(make('tr', {}, ...head.map(cell('th'))));
  table.tBodies[0].replaceChildren(...rows.map((row) => make('tr', {}, ...row.map(cell('td')))));
  loss.describe(rows.map(([name, , , seconds, value]) => `${name}: loss ${value} after ${seconds} seconds`).join('; '));
  metric.describe(rows.map(([name, , , , , value]) => `${name}: ${first.metric} ${value}`).join('; '));
}

/** The tabs of what there is to show, and the panel of the chosen one. */
function tabs(): void {
  const shown = panels.filter((panel) => panel.shown(lanes) && (lanes.length > 0 || panel === bench));
  if (!shown.includes(chosen)) chosen = shown[0];
  const list = $<HTMLElement>('tabs');
  const had = list.contains(document.activeElement);
  list.replaceChildren(
    ...shown.map((panel) => {
      const name = slug(panel);
      const tab = make('button', { type: 'button', role: 'tab', id: `tab-${name}`, textContent: panel.title });
      tab.setAttribute('aria-selected', String(panel === chosen));
      tab.setAttribute('aria-controls', `panel-${name}`);
      tab.tabIndex = panel === chosen ? 0 : -1;
      tab.onclick = () => choose(panel);
      tab.onkeydown = ({ key }) => {
        const move = { ArrowLeft: -1, ArrowRight: 1 }[key];
        if (move === undefined) return;
        choose(shown[(shown.indexOf(panel) + move + shown.length) % shown.length]);
        list.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
      };
      return tab;
    }),
  );
  if (had) list.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
  const boxes = $<HTMLElement>('panels');
  for (const panel of panels) {
    const id = `panel-${slug(panel)}`;
    let box = document.getElementById(id);
    if (!box) {
      box = make('div', { id, role: 'tabpanel' });
      box.setAttribute('aria-labelledby', `tab-${slug(panel)}`);
      boxes.append(box);
    }
    box.hidden = panel !== chosen;
  }
  void look();
}

function choose(panel: Panel): void {
  chosen = panel;
  tabs();
}

/** Draws the chosen panel, one question at a time. */
async function look(): Promise<void> {
  if (busy || !chosen?.shown(lanes) || (!lanes.length && chosen !== bench)) return;
  busy = true;
  const panel = chosen;
  try {
    await panel.draw(document.getElementById(`panel-${slug(panel)}`) as HTMLElement, lanes);
  } catch (error) {
    if (lanes.length) alertBox.textContent = (error as Error).message;
  } finally {
    busy = false;
  }
  if (chosen !== panel) void look();
}

setInterval(() => {
  if (dirty) draw();
  if (running && lanes.length && lanes.every(({ over }) => over)) {
    stop();
    say(`Paused after ${Math.max(...lanes.map(({ seconds }) => seconds)).toFixed(0)} s of training.`);
  }
}, DRAW);
let asked = '';
setInterval(() => {
  // again where a model has moved on
  const now = lanes.map(({ points, validations }) => `${points.length} ${validations.length}`).join();
  if (now === asked || document.hidden) return;
  asked = now;
  const selecting = chosen.title === 'Samples' && String(getSelection() ?? '') !== '';
  if (!selecting) void look();
}, ASK / 2);

// a table that scrolls can be reached with the keyboard
$('numbers').tabIndex = 0;
showRate();
showData();
buttons();
tabs();
