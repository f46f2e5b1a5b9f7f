// An unsafe set in a few sentences.

import { count, whole } from "../lib/numbers.js";

const verb = (number, one, several) => (number === 1 ? one : several);

// Say how many images of an unsafe set, the answer of run/KEY/unsafe, are chosen, taken out and labelled.
export function facts({ chosen, images, counted, inside, same, rejected, rows }) {
  const left = (marks) => marks.filter((mark, place) => mark && !rows.out[place]).length;
  const out = rows.out.filter(Boolean).length;
  const outside = left(rows.outside);
  const labels = left(rows.label);
  const apart = images - inside;
  return [
    `${count(chosen, "image")} of ${whole(images)} ${verb(chosen, "is", "are")} chosen (${counted})`,
    out ? `, ${whole(out)} more ${verb(out, "was", "were")} taken out` : "",
    ". ",
    `${count(apart, "image")} of the improvement set ${verb(apart, "belongs", "belong")} to no cluster`,
    outside ? `; ${whole(outside)} of those ${verb(outside, "is", "are")} chosen, marked “outside”` : "",
    ". ",
    same ? `${count(same, "image")} left out for looking the same as a chosen one. ` : "",
    rejected ? `${count(rejected, "file")} could not be used. ` : "",
    labels ? `${count(labels, "label")} filled in.` : "",
  ].join("");
}
