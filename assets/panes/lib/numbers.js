// How numbers are written: whole ones with thousands apart, shares as percentages.

const MOST_DIGITS = 100; // that toFixed takes

export const whole = (number) => number.toLocaleString("en");

export const count = (number, noun, nouns = `${noun}s`) => `${whole(number)} ${number === 1 ? noun : nouns}`;

// A share, 0 to 1, as a percentage. What is not all is never written as 100 %, and what is
// something never as 0 %: it gets as many decimals as it takes.
export function percent(share, digits = share < 0.1 ? 1 : 0) {
  const written = (decimals) => (100 * share).toFixed(decimals);
  const ends = (text) => (share > 0 && Number(text) === 0) || (share < 1 && Number(text) === 100);
  let decimals = digits;
  while (share > 0 && share < 1 && ends(written(decimals)) && decimals < MOST_DIGITS) decimals += 1;
  return `${written(decimals)} %`;
}

// A number with four significant digits, without zeros at its end.
export function figure(value, digits = 4) {
  return String(Number(Number(value).toPrecision(digits)));
}

// A whole number, as its decimal digits, that may be larger than numbers can be.
export function large(digits) {
  return digits.length < 16 ? whole(Number(digits)) : `about 10^${digits.length - 1}`;
}

// The lowest and the highest of values, of which null is unknown; without any, Infinity and -Infinity.
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

// A figure and its percent sign stay on one line.
export const unbroken = (text) => text.replaceAll(" %", "\u00a0%");

export function clip(text, longest) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
