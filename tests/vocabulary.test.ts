/** Words of texts, vocabularies of data with their unknown token, and what is read for tokens that they lack. */
import { LanguageModel, SequenceClassifier, Vocabulary, words } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';

test('words: numbers, punctuation, apostrophes, lower case, normal form C, languages without spaces', () => {
  equal(words('You WON 1,000 £!\n Don’t call: 0800.'), [
    'you',
    'won',
    '1,000',
    '£',
    '!',
    'don’t',
    'call',
    ':',
    '0800',
    '.',
  ]);
  equal(words('Ünïted', { lowerCase: false }), words('U\u0308ni\u0308ted', { lowerCase: false }));
  is(words('u\u0308')[0].length, 1);
  equal(words('猫が好き', { locale: 'ja' }).join(''), '猫が好き');
  ok(words('猫が好き', { locale: 'ja' }).length > 1);
  equal(words('  \n'), []);
  throws(() => words(7 as never), /^text: expected a string, got 7$/);
  throws(() => words('a', { lower: true } as never), /^words: unknown option 'lower'; did you mean 'lowerCase'\?$/);
});

test('Vocabulary.of: the unknown token comes first unless it is refused', () => {
  const texts = [['b', 'a', 'b'], ['c', 'b', 'a'], ['<unk>']];
  equal(Vocabulary.of(texts).tokens, ['<unk>', 'b', 'a', 'c']);
  equal(Vocabulary.of(texts, { minCount: 2, maxSize: 2 }).tokens, ['<unk>', 'b']);
  equal(Vocabulary.of(texts.slice(0, 2), { unknown: false }).tokens, ['b', 'a', 'c']);
  equal(Vocabulary.of(texts.slice(0, 2), { unknown: 'c' }).tokens, ['c', 'b', 'a']);
  const letters = Vocabulary.of(['abba']);
  ok(letters.characters);
  equal([...letters.encode('text', 'aéb')], [1, 0, 2]);
  is(letters.decode([1, 0, 2]), 'a<unk>b');
  throws(() => Vocabulary.of(texts, { unknown: true as never }), /^unknown: expected a string, got true$/);
  throws(() => Vocabulary.of(['ab'], { unknown: false }).encode('text', 'c'), /^text: "c" is not in the vocabulary$/);
});

test('a model with a vocabulary of data reads tokens that it has not seen, also after save and load', async () => {
  const { tokens } = Vocabulary.of([words('one two three'), words('two')]);
  const options = { vocabulary: tokens, classes: ['x', 'y', 'z'], hiddenSize: 4, seed: 1 };
  using model = await SequenceClassifier.create(options);
  using loaded = await SequenceClassifier.load(model.save());
  using named = await SequenceClassifier.create({ ...options, unknown: 'two' });
  for (const task of [model, loaded]) {
    const [a, b] = await task.predict([words('one seven'), ['one', '<unk>']]);
    equal(a, b);
  }
  const [a, b] = await named.predict([words('one seven'), ['one', 'two']]);
  equal(a, b, 'unknown names another token');
  using lm = await LanguageModel.create({ vocabulary: Vocabulary.of(['ab']).tokens, hiddenSize: 4 });
  equal(await lm.predict(['aé']), await lm.predict([['a', '<unk>']]));
});

test('results by name, and null below the threshold', async () => {
  using model = await SequenceClassifier.create({
    vocabulary: 'ab',
    classes: ['x', 'y', '__proto__'],
    hiddenSize: 4,
    seed: 1,
  });
  const [said] = await model.predict(['ab']);
  equal(
    Object.entries(said.probability),
    ['x', 'y', '__proto__'].map((name, c) => [name, said.probabilities[c]]),
  );
  const most = Math.max(...said.probabilities);
  is(said.probability[said.label], most);
  const [at] = await model.predict(['ab'], { threshold: most });
  is(at.label, said.label);
  const [above] = await model.predict(['ab'], { threshold: most + 1e-6 });
  is(above.label, null);
  equal(above.probabilities, said.probabilities);
  throws(
    () => model.predict(['ab'], { threshold: 1.5 }),
    /^threshold: expected a finite number of at least 0 and at most 1/,
  );
  using many = await SequenceClassifier.create({
    vocabulary: 'ab',
    classes: ['x', 'y'],
    multiLabel: true,
    hiddenSize: 4,
    seed: 1,
  });
  const [{ probabilities }] = await many.predict(['ab']);
  const [{ labels }] = await many.predict(['ab'], { threshold: Math.max(...probabilities) });
  equal(labels, [probabilities[0] > probabilities[1] ? 'x' : 'y']);
  equal((await many.predict(['ab'], { threshold: 0 }))[0].labels, ['x', 'y']);
});

test.run();
