// Numbers as text: whole ones with separated thousands, shares as percentages.

const MOST_DIGITS = 100; // the most that toFixed takes

export const whole = (number) => number.toLocaleString("en");

export const count = (number, noun, nouns = `${noun}s`) => `${whole(number)} ${number === 1 ? noun : nouns}`;

// Write a share, 0 to 1, as a percentage. A share below 1 is never written as 100 %, and a share above 0
// never as 0 %: it gets as many decimals as that takes.
export function percent(share, digits = share < 0.1 ? 1 : 0) {
  const written = (decimals) => (100 * share).toFixed(decimals);
  const ends = (text) => (share > 0 && Number(text) === 0) || (share < 1 && Number(text) === 100);
  let decimals = digits;
  while (share > 0 && share < 1 && ends(written(decimals)) && decimals < MOST_DIGITS) decimals += 1;
  return `${written(decimals)} %`;
}

// Write a number with four significant digits, without trailing zeros.
export function figure(value, digits = 4) {
  return String(Number(Number(value).toPrecision(digits)));
}

// Write a whole number of which the decimal digits are given: it may be larger than a number can be.
export function large(digits) {
  return digits.length < 16 ? whole(Number(digits)) : `about 10^${digits.length - 1}`;
}

// Return the lowest and the highest value; null is unknown. Without any value: Infinity and -Infinity.
export function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Keep every figure and its percent sign on one line.
export const unbroken = (text) => text.replaceAll(" %", "\u00a0%");

export function clip(text, longest) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
