/* What is true of a digit in a norm: the exact radius, and how far FGSM, PGD and FAB came. */

import { add, norm, subtract } from "./vectors.js";
import { predict } from "./network.js";
import { exactRadius } from "./radius.js";
import { fgsm, minimumNorm, pgd } from "./gradient_attacks.js";
import { fab } from "./fab.js";

/* The answer y at x, the radius and the nearest point, and for each attack the distance of the
   nearest point of another class that it found, ∞ for none. */
export function findTruth(network, x, kind) {
  const y = predict(network, x);
  const farthest = kind === "l2" ? Math.sqrt(x.length) : 1;
  const { radius, delta, answer, exact } = exactRadius(network, x, kind);
  return {
    y,
    radius,
    exact,
    answer,
    nearest: delta && add(x, delta),
    fab: fab(network, x, y, kind).distance,
    pgd: minimumNorm((eps) => pgd(network, x, y, eps, kind), x, kind, farthest).distance,
    fgsm: minimumNorm((eps) => fgsm(network, x, y, eps, kind), x, kind, farthest).distance,
  };
}

/* Whether PGD and FGSM change the answer y within eps, and where PGD ends. */
export function attackWithin(network, x, y, eps, kind) {
  const found = pgd(network, x, y, eps, kind);
  return {
    pgd: found.succeeded,
    fgsm: fgsm(network, x, y, eps, kind).succeeded,
    point: found.point,
    answer: predict(network, found.point),
    distance: norm(subtract(found.point, x), kind),
  };
}
