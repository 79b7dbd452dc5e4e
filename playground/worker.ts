/** Trains one model, tells the page about it, and answers what the page asks. */
import { flowView, gateView, unitViews, weightViews } from './look.js';
import type { FromWorker, Point, Settings, ToWorker, ViewName } from './protocol.js';
import { type Session, sessions } from './sessions.js';

/** Milliseconds between reports of the loss, and of training between validations. */
const [REPORT, VALIDATE] = [100, 1500];

const send = (message: FromWorker, transfer: Transferable[] = []) => postMessage(message, { transfer });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let session: Session | undefined;
let rate = 0;
let steps: AsyncIterator<{ loss: number }> | undefined;
/** Whether the steps were begun with another learning rate. */
let stale = false;
/** Steps that may be made before the next pause. */
let allowed = 0;
/** Seconds of training after which it pauses. */
let until = Number.POSITIVE_INFINITY;
let wake = () => {};
/** Work for which no `fit` may be running. */
const between: (() => void)[] = [];
let points: Point[] = [];
let [made, seconds] = [0, 0];
let [reported, validated] = [0, Number.NEGATIVE_INFINITY];

async function train(): Promise<void> {
  while (session) {
    if (stale || between.length) {
      stale = false;
      await steps?.return?.();
      steps = undefined;
      for (const work of between.splice(0)) work();
    }
    if (allowed <= 0) {
      report();
      if (between.length) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      continue;
    }
    allowed--;
    const began = performance.now();
    steps ??= session.fit(rate)[Symbol.asyncIterator]();
    const { value, done } = await steps.next();
    if (done) {
      steps = undefined;
      continue;
    }
    seconds += (performance.now() - began) / 1000;
    made++;
    points.push([made, seconds, value.loss]);
    const over = seconds >= until;
    if (over) allowed = 0;
    if (made === 1 || performance.now() - reported > REPORT) {
      report();
      await pause(0); // messages of the page
    }
    if ((seconds - validated) * 1000 > VALIDATE || allowed === 0) await validate(session);
    if (over) {
      report();
      send({ type: 'over' });
    }
  }
}

function report(): void {
  if (points.length) send({ type: 'progress', points });
  points = [];
  reported = performance.now();
}

async function validate(current: Session): Promise<void> {
  validated = seconds;
  const { value, sample } = await current.validate();
  if (current === session) send({ type: 'validation', step: made, seconds, value, sample });
}

async function start(settings: Settings, data: string, model?: Uint8Array): Promise<void> {
  rate = settings.learningRate;
  const made = await sessions[settings.task](settings, data, model);
  session = made;
  const { held } = made;
  const views: ViewName[] = ['gates', ...(held === null ? [] : ['units' as const]), 'weights', 'flow', 'code'];
  const line = held && (held.split('\n').find(({ length }) => length > 30) ?? held).slice(0, 80);
  const parameters = made.task.model.parameters.reduce((sum, { size }) => sum + size, 0);
  const { loss, metric, perStep, unit } = made;
  send({ type: 'ready', parameters, perStep, unit, views, loss, metric, line });
  // what a model from a file does, before it is trained on
  if (model) await validate(made);
  await train();
}

/** What answers a question of the page. */
function answering(current: Session, { id, view, line }: { id: number; view: ViewName; line: string }): () => void {
  const views = {
    gates: () => gateView(current, line),
    units: () => unitViews(current),
    weights: () => weightViews(current),
    flow: () => flowView(current),
    code: () => current.code(rate),
  };
  return () => {
    try {
      send({ type: 'answer', id, value: views[view]() });
    } catch (error) {
      send({ type: 'error', id, message: error instanceof Error ? error.message : String(error) });
    }
  };
}

addEventListener('message', async ({ data: message }: MessageEvent<ToWorker>) => {
  try {
    if (message.type === 'start') await start(message.settings, message.data, message.model);
    if (message.type === 'rate') {
      rate = message.learningRate;
      stale = true;
    }
    if (message.type === 'run') {
      allowed = Number.POSITIVE_INFINITY;
      until = message.seconds;
    }
    if (message.type === 'pause') allowed = 0;
    if (message.type === 'step') allowed = 1;
    if (message.type === 'run' || message.type === 'step') wake();
    if (message.type === 'view' && session) {
      const answer = answering(session, message);
      if (message.view !== 'flow') answer();
      else {
        between.push(answer);
        wake();
      }
    }
    if (message.type === 'save' && session) {
      const bytes = session.task.save();
      send({ type: 'answer', id: message.id, value: bytes }, [bytes.buffer]);
    }
  } catch (error) {
    const id = 'id' in message ? { id: message.id } : {};
    send({ type: 'error', message: error instanceof Error ? error.message : String(error), ...id });
  }
});
