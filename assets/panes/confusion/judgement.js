// How well the ranking of pairs agrees with the labels.

import { pen } from "../lib/canvas.js";
import { BLUE, GREEN } from "../lib/colours.js";
import { make, table } from "../lib/elements.js";
import { count, percent } from "../lib/numbers.js";
import { KINDS } from "./kinds.js";

// Make the elements that judge the ranking of a kind; none without labels.
export function judgement({ evaluation, parameters }, kind) {
  if (!evaluation) return [""];
  const result = evaluation[kind];
  if (!result) {
    const words = "By the labels, no pair is a true error: this ranking cannot be judged.";
    return [make("p", { class: "legend" }, words)];
  }
  const type = evaluation.truth === "type1" ? "Type 1" : "Type 2";
  const truth = kind === "confusion" ? `${type} confusion` : `${type} confusion disparity`;
  const label = `Cost-effectiveness: AUCEC ${result.aucec}, random 0.5, optimum ${result.aucec_optimum}`;
  const curve = make("canvas", { role: "img", "aria-label": label });
  new ResizeObserver(() => drawCurve(curve, result)).observe(curve);
  const errors = `${result.errors} of ${count(result.pairs, "pair")}`;
  return [
    make(
      "details",
      { class: "against", open: true },
      make("summary", {}, `Against the labels: ${errors} are true errors (${truth} above mean + 1 sd)`),
      make(
        "div",
        {},
        figures(result, kind, truth, `top ${parameters.top_percent} %`),
        make(
          "figure",
          {},
          curve,
          make(
            "figcaption",
            {},
            "Share of the true errors among the first pairs: — this ranking, – – optimum, ·· random",
          ),
        ),
      ),
    ),
  ];
}

function figures(result, kind, truth, top) {
  const gain = percent(result.aucec_gain_over_random);
  const spearman = result.spearman === null ? "not defined" : result.spearman.toFixed(2);
  const titles = ["Reported", "True", "False", "Precision", "Recall"];
  const aucec = `AUCEC ${result.aucec.toFixed(3)}, ${gain} above random (0.5); the optimum is `;
  return make(
    "div",
    {},
    table(titles, [...rows(KINDS[kind].cut, result.one_sd), ...rows(top, result.top_percent)]),
    make("p", {}, `${aucec}${result.aucec_optimum.toFixed(3)}.`),
    make("p", {}, `Spearman's correlation of ${KINDS[kind].measure} and ${truth}: ${spearman}.`),
  );
}

// Make two rows on the pairs up to a cut: the ranking's, and those of as many pairs taken at random.
function rows(words, { tp, fp, precision, recall, random_precision: chance, random_recall: chanceRecall }) {
  const share = (value) => (value === null ? "–" : percent(value));
  const reported = tp + fp;
  const right = (chance * reported).toFixed(1);
  const wrong = ((1 - chance) * reported).toFixed(1);
  return [
    [words, tp, fp, share(precision), share(recall)],
    ["at random", right, wrong, share(chance), share(chanceRecall)],
  ];
}

function drawCurve(node, { errors, pairs, curve }) {
  if (!node.clientWidth) return;
  const brush = pen(node);
  const style = getComputedStyle(node);
  brush.font = `11px ${style.fontFamily}`;
  const [left, top, right, foot] = [40, 10, node.clientWidth - 12, node.clientHeight - 26];
  const at = ([x, y]) => [left + x * (right - left), foot - y * (foot - top)];
  brush.fillStyle = style.color;
  brush.globalAlpha = 0.6;
  drawAxes(brush, at);
  drawLine(brush, [[0, 1], [0, 0], [1, 0]].map(at), { style: style.color, dash: [], width: 1 });
  drawLine(brush, [[0, 0], [1, 1]].map(at), { style: style.color, dash: [1, 4], width: 1.5 });
  brush.globalAlpha = 1;
  drawLine(brush, [[0, 0], [errors / pairs, 1], [1, 1]].map(at), { style: GREEN, dash: [6, 4], width: 1.5 });
  drawLine(brush, curve.map(at), { style: BLUE, dash: [], width: 2.5 });
}

function drawAxes(brush, at) {
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const text = `${100 * share} %`;
    brush.textAlign = "right";
    brush.textBaseline = "middle";
    brush.fillText(text, at([0, 0])[0] - 5, at([0, share])[1]);
    brush.textAlign = share === 1 ? "right" : "center";
    brush.textBaseline = "top";
    brush.fillText(text, at([share, 0])[0] + (share === 1 ? 8 : 0), at([0, 0])[1] + 6);
  }
}

function drawLine(brush, points, { style, dash, width }) {
  brush.strokeStyle = style;
  brush.lineWidth = width;
  brush.setLineDash(dash);
  brush.beginPath();
  for (const point of points) brush.lineTo(...point);
  brush.stroke();
}
