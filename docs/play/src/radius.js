/* The exact robustness radius: the distance from x to the nearest point of another class, inside
   the box [0, 1], as tinyproto/prototypes/certificate/radius.py.

   A rival neuron m, one of another class, wins at x + δ where its score is at least that of every
   neuron k of the predicted class. These points form a polyhedron with one row for each k:

       G δ ≥ h        Gₖ = A_m − Aₖ        hₖ = oₖ − o_m

   The radius is the least distance to the polyhedra of all rivals. Each row alone is at the
   distance hₖ/‖Gₖ‖ or more (in the dual norm), so that a rival with a larger bound than the best
   distance so far is left out.

   All is in float64, correct up to rounding; the package also proves its radius in real numbers. */

import { dualNorm, subtract, times } from "./vectors.js";
import { classOf, decide, neuronScores, neuronsOf } from "./network.js";
import { distanceL2 } from "./radius_l2.js";
import { distanceLinf } from "./radius_linf.js";

/* The radius, the nearest δ and the class there. The radius is ∞, and δ null, where no point of the
   box has another class; `exact` is false where it is a lower bound only. */
export function exactRadius(network, x, kind) {
  const o = neuronScores(network, x);
  const { predicted } = decide(network, x);
  const own = neuronsOf(network, predicted);
  const low = x.map((value) => -value);
  const high = x.map((value) => 1 - value);
  let nearest = { distance: Infinity, delta: null, rival: null, exact: true };
  for (const { rival, bound } of sortedRivals(network, o, own, kind)) {
    if (bound >= nearest.distance) break;
    const { G, h } = polyhedron(network, o, own, rival, kind);
    const found = distanceTo({ G, h, low, high }, kind, nearest.distance);
    if (found.distance < nearest.distance) nearest = { ...found, rival };
  }
  const { distance, delta, rival, exact } = nearest;
  return { radius: distance, delta, exact, answer: delta && classOf(network, rival) };
}

/* The neurons of other classes, each with the largest bound of its rows, the smallest first. A row
   of 0, of a rival that is a copy of an own neuron, proves nothing, or that the rival never wins.
   */
function sortedRivals(network, o, own, kind) {
  const norms = differenceNorms(network, kind);
  const bound = (k, m) =>
    norms[m][k] > 0 ? (o[k] - o[m]) / norms[m][k] : o[k] > o[m] ? Infinity : 0;
  return [...network.A.keys()]
    .filter((m) => !own.includes(m))
    .map((m) => ({ rival: m, bound: Math.max(...own.map((k) => bound(k, m))) }))
    .sort((one, other) => one.bound - other.bound);
}

/* ‖A_m − Aₖ‖ of all pairs in the dual norm, computed once for a network. */
function differenceNorms(network, kind) {
  network.norms ??= {};
  network.norms[kind] ??= network.A.map((one) =>
    Float64Array.from(network.A, (other) => dualNorm(subtract(one, other), kind)),
  );
  return network.norms[kind];
}

/* The rows G and h of a rival, each divided by ‖Gₖ‖, without rows of 0. */
function polyhedron(network, o, own, m, kind) {
  const norms = differenceNorms(network, kind)[m];
  const used = own.filter((k) => norms[k] > 0);
  return {
    G: used.map((k) => times(subtract(network.A[m], network.A[k]), 1 / norms[k])),
    h: Float64Array.from(used, (k) => (o[k] - o[m]) / norms[k]),
  };
}

function distanceTo(problem, kind, limit) {
  if (problem.h.every((value) => value <= 0)) {
    return { delta: new Float64Array(problem.low.length), distance: 0, exact: true };
  }
  return kind === "l2" ? distanceL2(problem, limit) : distanceLinf(problem, limit);
}
