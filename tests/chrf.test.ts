/** chrF, on cases that were worked out by hand. */
import { test } from 'uvu';
import { is, throws } from 'uvu/assert';
import { chrF } from '../bench/reference/chrf.js';

const close = (got: number, wanted: number) => is(got.toFixed(9), wanted.toFixed(9));

test('the same text has 100, another one 0', () => {
  close(chrF(['Il fait beau.'], [['Il fait beau.']]), 100);
  close(chrF(['abc'], [['xyz']]), 0);
});

test('n-grams of one to three: abcd against abce', () => {
  // both have 4, 3, 2, 1 n-grams for n = 1…4 and share 3, 2, 1, 0: P = R = F = (3/4 + 2/3 + 1/2 + 0)/4
  close(chrF(['abcd'], [['abce']]), (100 * (3 / 4 + 2 / 3 + 1 / 2)) / 4);
});

test('recall counts four times as much as precision', () => {
  // n = 1: 2 of 2 and 2 of 4, n = 2: 1 of 1 and 1 of 3; there are no longer ones in the text. P = 1, R = (1/2 + 1/3)/2 = 5/12
  close(chrF(['ab'], [['abcd']]), (100 * 5 * (5 / 12)) / (4 + 5 / 12));
  // the other way round: P = 5/12, R = 1
  close(chrF(['abcd'], [['ab']]), (100 * 5 * (5 / 12)) / (4 * (5 / 12) + 1));
});

test('an n-gram counts as often as the reference has it', () => {
  // n = 1: aaa has 3, of which 1 counts; P = 1/3, R = 1/1; there are no longer ones in the reference
  close(chrF(['aaa'], [['a']]), (100 * 5 * (1 / 3)) / (4 / 3 + 1));
});

test('white space does not count, capitals and accents do', () => {
  close(chrF(['a b\tc'], [['abc']]), 100);
  close(chrF(['é'], [['e']]), 0);
  close(chrF(['A'], [['a']]), 0);
  // one character is one code point, not two UTF-16 units
  close(chrF(['😀'], [['😃']]), 0);
});

test('the reference that is closest counts', () => {
  close(chrF(['abcd'], [['wxyz', 'abcd', 'ab']]), 100);
  close(chrF(['ab'], [['xy', 'abcd']]), (100 * 5 * (5 / 12)) / (4 + 5 / 12));
});

test('the n-grams of all texts are counted together', () => {
  // n = 1: 4 + 1 n-grams, of which 4; n = 2: 3, n = 3: 2, n = 4: 1, all shared
  const mean = (4 / 5 + 1 + 1 + 1) / 4;
  close(chrF(['abcd', 'x'], [['abcd'], ['y']]), 100 * mean);
});

test('empty texts', () => {
  is(chrF([''], [['abc']]), 0);
  close(chrF(['', 'ab'], [['c'], ['ab']]), (100 * 5 * ((2 / 3 + 1) / 2)) / (4 + (2 / 3 + 1) / 2));
});

test('mistakes', () => {
  throws(() => chrF(['a'], []), /references: expected as many as texts, 1, got 0/);
  throws(() => chrF(['a'], [[]]), /references\[0\]: expected at least one/);
});

test.run();
