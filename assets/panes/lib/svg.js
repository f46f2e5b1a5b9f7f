// Drawings in SVG.

const SVG = "http://www.w3.org/2000/svg";

export function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Return the function that maps numbers from `low` to `high` onto coordinates from `start` to `end`.
export function scale([low, high], [start, end]) {
  return (value) => start + ((end - start) * (value - low)) / (high - low);
}

const rounded = (number) => number.toFixed(1);

// Write points as the attribute of a polyline.
export function points(pairs) {
  return pairs.map((pair) => pair.map(rounded).join()).join(" ");
}

// Write the path of a staircase: from `start` along and up to every step, then along to `end`.
export function stairs(start, steps, end) {
  const climbs = steps.map(([x, y]) => `H${rounded(x)}V${rounded(y)}`);
  return `M${start.map(rounded).join()}${climbs.join("")}H${rounded(end)}`;
}
