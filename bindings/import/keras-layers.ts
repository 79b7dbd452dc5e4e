/**
 * Layers of Keras as layers of gatewise: configurations become descriptions, weights are put in gatewise's order. An option that
 * changes the outputs and that gatewise lacks is refused by the names of the layer and of the option.
 *
 * Formulas and orders of weights: keras/src/layers of Keras 3.15. Kernels are [I,G·H] there and [G·H,I] here. Gates of an LSTM are
 * i f c o there and i f g o here, the same ones; those of a GRU z r h there and r z n here.
 */
import { type ActivationOption, FormatError, UnsupportedError } from '../index.js';
import { blocks, isRecord, sizeOf, type Tensor, transposed } from './files.js';
import { type Draft, type NetworkDescription, takeOutput } from './network.js';

type Config = Readonly<Record<string, unknown>>;

/** A layer as the file describes it. */
export interface KerasLayer {
  readonly className: string;
  readonly config: Config;
}

/** What a converter makes: descriptions, their weights by gatewise's names. */
interface Converted {
  readonly layers: Draft[];
  readonly weights: Map<string, Float32Array>;
  /** Features of its output. */
  readonly size: number;
}

export interface ImportSettings {
  /** Whether rates of dropout are taken over. */
  readonly dropout: boolean;
  /** What hard_sigmoid means; undefined: the file does not say by which version it was written. */
  readonly hardSigmoid: ActivationOption | undefined;
}

/** What a converter knows of a layer. */
interface Context extends ImportSettings {
  readonly name: string;
  readonly config: Config;
  /** Its weights in Keras's order. */
  readonly tensors: readonly Tensor[];
  /** Features of its input. */
  readonly inputSize: number;
  /** Whether its input has an axis of time. */
  readonly sequence: boolean;
}

/** Options of training and of how Keras computes, which change no output. */
const IDLE =
  /^(name|trainable|dtype|seed|implementation|unroll|stateful|use_cudnn|unit_forget_bias|zero_output_for_mask|input_dim|input_length|input_shape|input_dtype|batch_shape|batch_input_shape|sparse|ragged|optional|quantization_config|lora_rank|lora_alpha|.*_(initializer|regularizer|constraint))$/;

function unsupported(name: string, what: string): never {
  throw new UnsupportedError(`layer '${name}': ${what}`);
}

/** That a layer has no option but the known ones, and those that do nothing. */
function checkOptions(name: string, config: Config, known: readonly string[]): void {
  for (const [option, value] of Object.entries(config)) {
    if (known.includes(option) || IDLE.test(option)) continue;
    if (value !== null && value !== false)
      unsupported(name, `option '${option}' (${JSON.stringify(value)}) is not supported`);
  }
}

function flag(name: string, config: Config, option: string, usual: boolean): boolean {
  const value = config[option] ?? usual;
  if (typeof value !== 'boolean') throw new FormatError(`layer '${name}': option '${option}' is not true or false`);
  return value;
}

function number(name: string, config: Config, option: string, usual?: number): number {
  const value = config[option] ?? usual;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new FormatError(`layer '${name}': option '${option}' is not a number`);
  }
  return value;
}

/** The name of an activation, however it is written. */
function activationOf(name: string, config: Config, option: string, usual: string): string {
  const value = config[option] ?? usual;
  if (typeof value === 'string') return value;
  const inner = isRecord(value) ? value.config : undefined;
  if (typeof inner === 'string') return inner;
  return unsupported(name, `option '${option}' (${JSON.stringify(value)}) is not supported`);
}

function oneOf<const T extends string>(name: string, option: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  return found ?? unsupported(name, `option '${option}' is ${JSON.stringify(value)}; supported: ${choices.join(', ')}`);
}

/** The weights, which have to be of these shapes. */
function expectShapes(name: string, tensors: readonly Tensor[], shapes: readonly (readonly number[])[]): void {
  const show = (list: readonly (readonly number[])[]) => list.map((s) => `[${s.join(', ')}]`).join(' ') || 'no weights';
  const same = tensors.length === shapes.length && tensors.every(({ shape }, i) => shape.join() === shapes[i].join());
  if (!same) {
    throw new FormatError(
      `layer '${name}': expected weights ${show(shapes)}, got ${show(tensors.map((t) => t.shape))}`,
    );
  }
}

/** The function of an option of a recurrent layer. */
function functionOf({ name, hardSigmoid }: Context, option: string, given: string): ActivationOption {
  const known = ['tanh', 'sigmoid', 'relu', 'linear', 'softsign', 'softplus', 'elu', 'hard_sigmoid'] as const;
  const f = oneOf(name, option, given, known);
  if (f !== 'hard_sigmoid') return f === 'linear' ? 'identity' : f;
  return (
    hardSigmoid ??
    unsupported(
      name,
      `option '${option}' is "hard_sigmoid", whose meaning depends on the version of Keras, which the file does not give`,
    )
  );
}

const CELLS = {
  SimpleRNN: { cell: 'rnn', order: [0] },
  LSTM: { cell: 'lstm', order: [0, 1, 2, 3] },
  // z r h becomes r z n
  GRU: { cell: 'gru', order: [1, 0, 2] },
} as const;

const RNN_OPTIONS = [
  'units',
  'activation',
  'recurrent_activation',
  'use_bias',
  'dropout',
  'recurrent_dropout',
  'return_sequences',
  'return_state',
  'go_backwards',
  'reset_after',
  'time_major',
];

/** A recurrent layer, in one direction or, with `backward`, in both. */
function recurrent(context: Context, className: keyof typeof CELLS, merge: string | null): Converted {
  const { name, config, tensors, inputSize: I } = context;
  const { cell, order } = CELLS[className];
  checkOptions(name, config, RNN_OPTIONS);
  if (!context.sequence) throw new FormatError(`layer '${name}': expected a sequence as its input`);
  for (const option of ['return_state', 'time_major']) {
    if (flag(name, config, option, false)) unsupported(name, `option '${option}' is not supported`);
  }
  const H = number(name, config, 'units');
  const G = order.length;
  const D = merge === null ? 1 : 2;
  const sequence = flag(name, config, 'return_sequences', false);
  const reverse = flag(name, config, 'go_backwards', false);
  if (reverse && (sequence || D === 2)) {
    unsupported(name, "option 'go_backwards' is supported without Bidirectional and with return_sequences: false only");
  }
  if (D === 2 && !sequence && merge !== 'concat' && merge !== 'sum') {
    unsupported(name, `option 'merge_mode' is '${merge}'; with return_sequences: false, supported: concat, sum`);
  }
  const bias = flag(name, config, 'use_bias', true);
  const after = cell === 'gru' && flag(name, config, 'reset_after', false);
  const doubled = after;
  const shapes = [[I, G * H], [H, G * H], ...(bias ? [doubled ? [2, G * H] : [G * H]] : [])];
  expectShapes(name, tensors, Array.from({ length: D }, () => shapes).flat());

  const weights = new Map<string, Float32Array>();
  for (let d = 0; d < D; d++) {
    const [kernel, recurrentKernel, biases] = tensors.slice(d * shapes.length, (d + 1) * shapes.length);
    const set = (tensor: string, values: Float32Array) =>
      weights.set(`${name}.${tensor}_l0${d || reverse ? '_reverse' : ''}`, blocks(values, G, order));
    set('weight_ih', transposed(kernel));
    set('weight_hh', transposed(recurrentKernel));
    if (!biases) continue;
    set('bias_ih', biases.data.subarray(0, G * H));
    set('bias_hh', doubled ? biases.data.subarray(G * H) : new Float32Array(G * H));
  }

  const own: Record<string, unknown> = {};
  const activation = functionOf(context, 'activation', activationOf(name, config, 'activation', 'tanh'));
  if (cell !== 'lstm' || activation !== 'tanh') own.activation = activation;
  if (cell !== 'rnn') {
    // what a file without the option means: hard_sigmoid before TensorFlow 2
    const gates = activationOf(name, config, 'recurrent_activation', 'hard_sigmoid');
    const f = functionOf(context, 'recurrent_activation', gates);
    if (f !== 'sigmoid') own.gateActivation = f;
  }
  if (cell === 'gru') own.reset = after ? 'after' : 'before';
  if (D === 2) own.merge = { concat: 'concat', sum: 'sum', ave: 'mean', mul: 'mul' }[merge ?? ''];

  const rate = context.dropout ? number(name, config, 'dropout', 0) : 0;
  const recurrentRate = context.dropout ? number(name, config, 'recurrent_dropout', 0) : 0;
  if (recurrentRate && recurrentRate !== rate) {
    unsupported(
      name,
      `option 'recurrent_dropout' (${recurrentRate}) is supported where it equals 'dropout' (${rate}) only; { dropout: false } imports the model without dropout`,
    );
  }
  const layers: Draft[] = [];
  if (rate && !recurrentRate) layers.push({ kind: 'dropout', name: `${name}.dropout`, rate, oneMask: true });
  layers.push({
    kind: 'recurrent',
    name,
    output: sequence ? 'sequence' : 'last',
    options: {
      cell,
      inputSize: I,
      hiddenSize: H,
      bias,
      ...(D === 2 ? { bidirectional: true } : {}),
      ...(reverse ? { reverse } : {}),
      ...(recurrentRate ? { variationalDropout: recurrentRate } : {}),
      ...own,
    },
  });
  return { layers, weights, size: D === 2 && merge === 'concat' ? 2 * H : H };
}

/** A layer in a wrapper. */
function innerOf(name: string, config: Config, option: string): KerasLayer {
  const inner = config[option];
  if (!isRecord(inner) || typeof inner.class_name !== 'string' || !isRecord(inner.config)) {
    throw new FormatError(`layer '${name}': option '${option}' is not a layer`);
  }
  return { className: inner.class_name, config: inner.config };
}

/** The function that a layer applies to its outputs. */
function activated(name: string, activation: string): Draft[] {
  if (activation === 'linear') return [];
  const f = oneOf(name, 'activation', activation, ['tanh', 'sigmoid', 'relu', 'softmax', 'log_softmax']);
  if (f === 'softmax') return [{ kind: 'softmax', name }];
  if (f === 'log_softmax') return [{ kind: 'logSoftmax', name }];
  return [{ kind: 'activation', name: `${name}.${f}`, activation: f }];
}

const same = (size: number, ...layers: Draft[]): Converted => ({ layers, weights: new Map(), size });

const CONVERTERS: Readonly<Record<string, (context: Context) => Converted>> = {
  SimpleRNN: (context) => recurrent(context, 'SimpleRNN', null),
  LSTM: (context) => recurrent(context, 'LSTM', null),
  GRU: (context) => recurrent(context, 'GRU', null),
  Bidirectional(context) {
    const { name, config } = context;
    checkOptions(name, config, ['layer', 'backward_layer', 'merge_mode', 'return_sequences', 'return_state']);
    const { className, config: forward } = innerOf(name, config, 'layer');
    if (!Object.hasOwn(CELLS, className))
      unsupported(name, `a layer of class ${className} in Bidirectional is not supported`);
    if (config.backward_layer) {
      const backward = innerOf(name, config, 'backward_layer');
      if (backward.className !== className)
        unsupported(name, `option 'backward_layer' is of class ${backward.className}, 'layer' of ${className}`);
      for (const option of RNN_OPTIONS) {
        const [a, b] = [forward[option] ?? null, backward.config[option] ?? null];
        if (option !== 'go_backwards' && JSON.stringify(a) !== JSON.stringify(b)) {
          unsupported(
            name,
            `option '${option}' of 'backward_layer' is ${JSON.stringify(b)}, that of 'layer' ${JSON.stringify(a)}`,
          );
        }
      }
    }
    const merge = oneOf(name, 'merge_mode', config.merge_mode ?? 'none', ['concat', 'sum', 'ave', 'mul']);
    return recurrent({ ...context, config: { ...forward, name } }, className as keyof typeof CELLS, merge);
  },
  TimeDistributed(context) {
    const { name, config } = context;
    checkOptions(name, config, ['layer']);
    const { className, config: inner } = innerOf(name, config, 'layer');
    if (!['Dense', 'Dropout', 'Activation', 'LayerNormalization'].includes(className)) {
      unsupported(name, `a layer of class ${className} in TimeDistributed is not supported`);
    }
    return CONVERTERS[className]({ ...context, config: inner });
  },
  Embedding({ name, config, tensors }) {
    checkOptions(name, config, ['output_dim', 'mask_zero']);
    const [V, E] = [number(name, config, 'input_dim'), number(name, config, 'output_dim')];
    expectShapes(name, tensors, [[V, E]]);
    return {
      layers: [{ kind: 'embedding', name, vocabularySize: V, embeddingSize: E }],
      weights: new Map([[`${name}.weight`, tensors[0].data]]),
      size: E,
    };
  },
  Dense({ name, config, tensors, inputSize: I }) {
    checkOptions(name, config, ['units', 'activation', 'use_bias']);
    const O = number(name, config, 'units');
    const bias = flag(name, config, 'use_bias', true);
    expectShapes(name, tensors, [[I, O], ...(bias ? [[O]] : [])]);
    const weights = new Map([[`${name}.weight`, transposed(tensors[0])]]);
    if (bias) weights.set(`${name}.bias`, tensors[1].data);
    return {
      layers: [
        { kind: 'linear', name, inputSize: I, outputSize: O, bias },
        ...activated(name, activationOf(name, config, 'activation', 'linear')),
      ],
      weights,
      size: O,
    };
  },
  Conv1D({ name, config, tensors, inputSize: I, sequence }) {
    const known = ['filters', 'kernel_size', 'strides', 'padding', 'dilation_rate', 'groups', 'data_format'];
    checkOptions(name, config, [...known, 'activation', 'use_bias']);
    if (!sequence) throw new FormatError(`layer '${name}': expected a sequence as its input`);
    oneOf(name, 'data_format', config.data_format ?? 'channels_last', ['channels_last']);
    if (number(name, config, 'groups', 1) !== 1) unsupported(name, "option 'groups' is supported with 1 only");
    // a number, or a list of one
    const one = (option: string) => {
      const value = config[option] ?? 1;
      return number(name, { [option]: Array.isArray(value) ? value[0] : value }, option);
    };
    const [O, K] = [number(name, config, 'filters'), one('kernel_size')];
    const [stride, dilation] = [one('strides'), one('dilation_rate')];
    const given = oneOf(name, 'padding', config.padding ?? 'valid', ['valid', 'same', 'causal']);
    if (given === 'same' && stride > 1)
      unsupported(name, "option 'padding' is 'same'; it is supported with strides: 1 only");
    const bias = flag(name, config, 'use_bias', true);
    expectShapes(name, tensors, [[K, I, O], ...(bias ? [[O]] : [])]);
    // [K,I,O] there, [O,I,K] here
    const [{ data }] = tensors;
    const weight = Float32Array.from(data, (_, n) => {
      const [o, i, k] = [Math.floor(n / (I * K)), Math.floor(n / K) % I, n % K];
      return data[(k * I + i) * O + o];
    });
    const padding = given === 'valid' ? 0 : given;
    const options = { inputSize: I, outputSize: O, kernelSize: K, stride, dilation, padding, bias } as const;
    return {
      layers: [
        { kind: 'conv1d', name, options },
        ...activated(name, activationOf(name, config, 'activation', 'linear')),
      ],
      weights: new Map([[`${name}.weight`, weight], ...(bias ? [[`${name}.bias`, tensors[1].data] as const] : [])]),
      size: O,
    };
  },
  LayerNormalization({ name, config, tensors, inputSize: F, sequence }) {
    checkOptions(name, config, ['axis', 'epsilon', 'center', 'scale', 'rms_scaling']);
    const [axis, ...more] = Array.isArray(config.axis) ? config.axis : [config.axis ?? -1];
    if (more.length || (axis !== -1 && axis !== (sequence ? 2 : 1))) {
      unsupported(name, `option 'axis' is ${JSON.stringify(config.axis)}; supported: the last axis`);
    }
    if (config.rms_scaling === true) unsupported(name, "option 'rms_scaling' is not supported");
    const [scale, center] = [flag(name, config, 'scale', true), flag(name, config, 'center', true)];
    const shapes = [scale, center].filter(Boolean).map(() => [F]);
    expectShapes(name, tensors, shapes);
    const weight = scale ? tensors[0].data : new Float32Array(F).fill(1);
    const bias = center ? tensors[tensors.length - 1].data : new Float32Array(F);
    return {
      layers: [{ kind: 'layerNorm', name, inputSize: F, epsilon: number(name, config, 'epsilon', 1e-3) }],
      weights: new Map([
        [`${name}.weight`, weight],
        [`${name}.bias`, bias],
      ]),
      size: F,
    };
  },
  Dropout({ name, config, inputSize, dropout }) {
    checkOptions(name, config, ['rate', 'noise_shape']);
    const { noise_shape: noise } = config;
    const oneMask = Array.isArray(noise) && noise.length === 3 && noise[0] !== 1 && noise[1] === 1 && noise[2] !== 1;
    if (Array.isArray(noise) && !oneMask)
      unsupported(name, `option 'noise_shape' (${JSON.stringify(noise)}) is not supported`);
    const rate = number(name, config, 'rate');
    return dropout && rate ? same(inputSize, { kind: 'dropout', name, rate, oneMask }) : same(inputSize);
  },
  SpatialDropout1D({ name, config, inputSize, dropout }) {
    checkOptions(name, config, ['rate', 'noise_shape']);
    const rate = number(name, config, 'rate');
    return dropout && rate ? same(inputSize, { kind: 'dropout', name, rate, oneMask: true }) : same(inputSize);
  },
  Activation({ name, config, inputSize }) {
    checkOptions(name, config, ['activation']);
    return same(inputSize, ...activated(name, activationOf(name, config, 'activation', 'linear')));
  },
  Softmax({ name, config, inputSize }) {
    checkOptions(name, config, ['axis']);
    if ((config.axis ?? -1) !== -1) unsupported(name, `option 'axis' is ${JSON.stringify(config.axis)}; supported: -1`);
    return same(inputSize, ...activated(name, 'softmax'));
  },
  GlobalAveragePooling1D({ name, config, inputSize }) {
    checkOptions(name, config, ['data_format', 'keepdims']);
    if ((config.data_format ?? 'channels_last') !== 'channels_last')
      unsupported(name, "option 'data_format' is not supported");
    if (config.keepdims === true) unsupported(name, "option 'keepdims' is not supported");
    return same(inputSize, { kind: 'pool', name, pool: 'mean' });
  },
};

/** Whether weights go with a layer, and those of which layer in it. */
export const weightPaths = ({ className, config }: KerasLayer): readonly string[] => {
  if (className === 'Bidirectional') return ['forward_layer/cell', 'backward_layer/cell'];
  if (className === 'TimeDistributed') {
    return weightPaths(innerOf('TimeDistributed', config, 'layer')).map((path) => (path ? `layer/${path}` : 'layer'));
  }
  return [Object.hasOwn(CELLS, className) ? 'cell' : ''];
};

/** The network of a chain of layers, and its weights. */
export function convert(
  layers: readonly KerasLayer[],
  inputShape: readonly unknown[] | undefined,
  weightsOf: (index: number) => readonly Tensor[],
  settings: ImportSettings,
): { description: NetworkDescription; weights: Map<string, Float32Array> } {
  const weights = new Map<string, Float32Array>();
  const drafts: Draft[] = [];
  let mask: number | null = null;
  let sequence = true;
  const features = inputShape?.[2];
  const tokens = layers[0]?.className === 'Embedding';
  if (!tokens && (inputShape?.length !== 3 || typeof features !== 'number')) {
    throw new UnsupportedError(
      `the input of the model has shape ${JSON.stringify(inputShape ?? null)}; expected [batch, time, features], or [batch, time] and an Embedding`,
    );
  }
  const inputSize = typeof features === 'number' && !tokens ? features : 0;
  let size = inputSize;
  layers.forEach((layer, index) => {
    const { className, config } = layer;
    const name = typeof config.name === 'string' ? config.name : `layer_${index}`;
    if (className === 'Masking') {
      checkOptions(name, config, ['mask_value']);
      if (drafts.length) unsupported(name, 'Masking is supported as the first layer only');
      mask = number(name, config, 'mask_value', 0);
      return;
    }
    if (!Object.hasOwn(CONVERTERS, className)) unsupported(name, `class ${className} is not supported`);
    const tensors = weightsOf(index);
    tensors.forEach(({ shape, data }) => {
      if (sizeOf(shape) !== data.length) throw new FormatError(`layer '${name}': the file is damaged`);
    });
    const made = CONVERTERS[className]({ ...settings, name, config, tensors, inputSize: size, sequence });
    if (className === 'Embedding' && config.mask_zero === true) mask = 0;
    for (const [key, values] of made.weights) weights.set(key, values);
    drafts.push(...made.layers);
    size = made.size;
    sequence &&= !made.layers.some((d) => d.kind === 'pool' || (d.kind === 'recurrent' && d.output === 'last'));
  });
  const { chain, output } = takeOutput(drafts);
  return { description: { batchFirst: true, inputSize, mask, layers: chain, output }, weights };
}
