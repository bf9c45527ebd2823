import type { SeededRandom } from '../faults/random.js';

/** Few letters, so that patterns and paths meet often; é and 漢 are several bytes. */
const letters = ['a', 'a', 'b', 'c', '/', '-', 'é', '漢', 'z', '😀'];
const specials = ['^', ']', '[', '*', '?', '\\', '-'];

/** All that a pattern can hold: escapes, classes (negated, reversed, not closed, empty), runs of stars, a backslash at the end. */
export function somePattern(random: SeededRandom): string {
  // Where pieces between stars could overlap.
  if (random.below(4) === 0) return repeated(random, ['a', 'b', 'a', 'b', '*', '*', '?'], 8);
  let pattern = random.below(3) === 0 ? '/' : '';
  for (let left = random.below(7); left > 0; left--) pattern += somePart(random);
  return random.below(12) === 0 ? `${pattern}\\` : pattern;
}

function somePart(random: SeededRandom): string {
  const kind = random.below(13);
  if (kind < 4) return random.pick(letters);
  if (kind < 6) return '*'.repeat(random.pick([1, 1, 2, 3]));
  if (kind < 7) return '?'.repeat(random.pick([1, 1, 2, 3]));
  if (kind < 8) return `\\${random.pick([...letters, ...specials])}`;
  if (kind < 9) return random.pick(specials);
  return someClass(random);
}

function someClass(random: SeededRandom): string {
  let inside = random.below(3) === 0 ? '^' : '';
  for (let left = random.below(4); left > 0; left--) {
    const [from, to] = [random.pick(letters), random.pick(letters)];
    const kind = random.below(6);
    if (kind < 2) inside += `${from}-${to}`;
    else if (kind < 3) inside += `\\${random.pick([...letters, ...specials])}`;
    else if (kind < 4) inside += random.pick(['-', `${from}-`, '^', '[', '\\]-']);
    else inside += from;
  }
  return `[${inside}${random.below(7) === 0 ? '' : ']'}`;
}

/** A text made from a pattern, so that it often matches it, or just does not. */
export function textNear(pattern: string, random: SeededRandom): string {
  let text = '';
  const chars = [...pattern];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string;
    if (char === '*') text += someText(random, 3);
    else if (char === '?') text += random.pick(letters);
    else if (char === '[') {
      const close = chars.indexOf(']', at + 1);
      const inside = chars.slice(at + 1, close < 0 ? chars.length : close);
      text += random.pick([...inside, ...letters]);
      at = close < 0 ? chars.length : close;
    } else if (char !== '\\' || random.below(8) === 0) text += char;
  }
  if (random.below(4) > 0) return text;
  const at = random.below(text.length + 1);
  const changed = text.slice(0, at) + someText(random, 1) + text.slice(at + random.below(2));
  // Half a character becomes a whole one.
  return Buffer.from(changed).toString();
}

export function someText(random: SeededRandom, lengthMax: number): string {
  if (random.below(3) === 0) return repeated(random, ['a', 'b'], lengthMax);
  return repeated(random, [...letters, ...letters, ...letters, ...specials], lengthMax);
}

function repeated(random: SeededRandom, parts: readonly string[], lengthMax: number): string {
  let text = '';
  for (let left = random.below(lengthMax + 1); left > 0; left--) text += random.pick(parts);
  return text;
}
