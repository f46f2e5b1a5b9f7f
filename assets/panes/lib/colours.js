// Colours: ramps of red, green and blue (0 to 255) for numbers, and distinct colours for categories.

export const RED = "#ef4444"; // what is chosen
export const BLUE = "#3b82f6";
export const GREEN = "#16a34a";
export const UNKNOWN = "hsl(0 0% 62%)";
export const OTHERS = "hsl(25 12% 42%)";

// Viridis (van der Walt and Smith, 2015), which is perceptually uniform.
export const VIRIDIS = [
  [68, 1, 84], [72, 36, 117], [60, 79, 138], [42, 120, 142], [31, 158, 137], [94, 201, 98], [253, 231, 37],
];
// The same without its darkest tenth, which would not stand out from a dark page.
export const BRIGHT_VIRIDIS = [
  [72, 36, 117], [68, 57, 131], [60, 79, 138], [50, 100, 142], [42, 120, 142], [35, 138, 141],
  [31, 158, 137], [53, 183, 121], [94, 201, 98], [155, 217, 60], [223, 227, 24],
];
// Twelve colours that are as distinct as possible for colour-blind people, too (after Paul Tol's schemes).
export const CATEGORIES = [
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
  "#ee7733", "#009988", "#6655cc", "#999933", "#cc3311", "#bb99dd",
];
const NOISE_COLOUR = "hsl(0 0% 55%)";
const GOLDEN_ANGLE = 137.508; // degrees of hue between a cluster and the next

// Return the colour of a ramp at a share of its length, 0 to 1; its stops are equally far apart.
export function mix(ramp, share) {
  const place = share * (ramp.length - 1);
  const below = Math.min(Math.floor(place), ramp.length - 2);
  return ramp[below].map((from, channel) => from + (place - below) * (ramp[below + 1][channel] - from));
}

export function css(colour) {
  return `rgb(${colour.map(Math.round).join(" ")})`;
}

// Return the colour of a cluster; noise (a negative number) is grey.
export function ofCluster(id) {
  return id < 0 ? NOISE_COLOUR : `hsl(${(id * GOLDEN_ANGLE + 210) % 360} 65% 48%)`;
}

// Return the colour of an angle, as a share of a whole turn. All have one lightness and chroma, so that no
// angle looks larger than another.
export function cyclic(share) {
  return `oklch(0.68 0.13 ${Math.round(360 * share + 20)})`;
}
