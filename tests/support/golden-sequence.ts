/** The golden cases of losses over sequences, by the operation that they are of. */
import { Crf, ctcLoss, type Gradient, gradientOf, input, type Loss, Model, type Tape } from 'gatewise';
import { runtime } from './builds.js';
import { type Case, hold, load } from './golden.js';

function ctcCase(c: Case, build: string): void {
  const t = load(c);
  const [T, B, F] = c.tensors.logits[1];
  const S = c.tensors.targets[1][1];
  const { blank, reduction } = c.config;
  const targets = Array.from(t.target_lengths, (size, b) => t.targets.subarray(b * S, b * S + size));
  const r = runtime(build);
  const model = new Model(r, 0, () => null);
  let gradient: Gradient | undefined;
  const loss = model.valueAndGrad((tape) => {
    const logits = input(tape, t.logits, { T, B, F, lengths: t.input_lengths }, { gradient: true });
    gradient = gradientOf(tape, logits);
    return ctcLoss(tape, logits, targets, { blank, reduction });
  });
  hold(c, `${build} ctc`, 'loss', [loss], t.loss);
  hold(c, `${build} ctc`, 'dlogits', gradient?.values as Float32Array, t.dlogits);
  r.dispose();
}

function crfCase(c: Case, build: string): void {
  const t = load(c);
  const [B, T, K] = c.tensors.emissions[1];
  const steps = Array.from(t.lengths);
  const r = runtime(build);
  const model = new Model(r, 0, (b) => new Crf(b, 'crf', { numClasses: K }));
  for (const { name } of model.parameters) model.set(name, t[name.slice(4)]);
  // time-major, the sequences from `from` to `to`
  const tags = (from: number, to: number) =>
    Array.from(
      { length: T * (to - from) },
      (_, i) => t.tags[(from + (i % (to - from))) * T + Math.floor(i / (to - from))],
    );
  const rows = (tape: Tape, from: number, to: number) =>
    input(
      tape,
      t.emissions.subarray(from * T * K, to * T * K),
      { T, B: to - from, F: K, lengths: steps.slice(from, to) },
      { batchFirst: true, gradient: true },
    );
  const got: Record<string, ArrayLike<number>> = {};
  let demissions: Gradient | undefined;
  got.loss = [
    model.valueAndGrad((tape, crf): Loss => {
      const emissions = rows(tape, 0, B);
      demissions = gradientOf(tape, emissions, { batchFirst: true });
      return crf.loss(tape, emissions, tags(0, B), { reduction: c.config.reduction });
    }),
  ];
  got.demissions = demissions?.values ?? [];
  for (const { name } of model.parameters) got[`d${name.slice(4)}`] = model.gradient(name);
  got.nll = steps.map((_, b) =>
    model.forward((tape, crf) => crf.loss(tape, rows(tape, b, b + 1), tags(b, b + 1)).value),
  );
  const decoded = model.forward((tape, crf) => crf.decode(tape, rows(tape, 0, B)));
  got.viterbi_path = Array.from({ length: B * T }, (_, i) => decoded.tags[Math.floor(i / T)][i % T] ?? -1);
  got.viterbi_score = decoded.scores;
  for (const name of c.config.results) hold(c, `${build} crf`, name, got[name], t[name]);
  r.dispose();
}

export const sequenceCases: Record<string, (c: Case, build: string) => void> = { ctc: ctcCase, crf: crfCase };
