/* Linear systems and a quadratic program of a few unknowns, one for each neuron of a class. */

import { addScaled, dot, times } from "./vectors.js";

/* The inverse of a square matrix by Gauss and Jordan, with pivots; null if it is singular. */
export function invert(matrix) {
  const n = matrix.length;
  const rows = matrix.map((row, i) =>
    Float64Array.from({ length: 2 * n }, (_, j) => row[j] ?? +(j === n + i)),
  );
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
    if (rows[pivot][k] === 0) return null;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    rows[k] = times(rows[k], 1 / rows[k][k]);
    rows.forEach((row, i) => {
      if (i !== k) rows[i] = addScaled(row, -row[k], rows[k]);
    });
  }
  return rows.map((row) => row.slice(n));
}

/* argmin over λ ≥ 0 of ½λᵀQλ − h·λ, for Q positive semidefinite (Lawson and Hanson 1974), as
   tinyproto/prototypes/certificate/convex.py.

   The λₖ that may be positive are added one by one, always that of the steepest descent. A step
   towards their optimum stops where the first of them would become negative. */
export function nonnegativeQuadraticProgram(Q, h) {
  const n = h.length;
  const scale = Q.reduce((sum, row, k) => sum + row[k], 0) / n;
  if (scale <= 0) return h.map((value) => (value > 0 ? 1e12 : 0));
  const ridged = Q.map((row, i) => row.map((value, j) => value + (i === j ? 1e-13 * scale : 0)));
  const tolerance = 1e-12 * Math.max(...h);
  let solution = new Float64Array(n);
  let positive = [];
  for (let round = 0; round < 10 * n; round++) {
    const descent = h.map((value, k) => value - dot(ridged[k], solution));
    const candidates = [...h.keys()].filter((k) => !positive.includes(k));
    const steepest = candidates.reduce((a, k) => (a < 0 || descent[k] > descent[a] ? k : a), -1);
    if (steepest < 0 || descent[steepest] <= tolerance) break;
    positive.push(steepest);
    [solution, positive] = descend(ridged, h, solution, positive);
  }
  return solution;
}

function descend(Q, h, solution, positive) {
  while (positive.length > 0) {
    const inverse = invert(positive.map((i) => Float64Array.from(positive, (j) => Q[i][j])));
    if (!inverse) break;
    const optimum = new Float64Array(h.length);
    const right = Float64Array.from(positive, (k) => h[k]);
    positive.forEach((k, i) => (optimum[k] = dot(inverse[i], right)));
    const blocking = positive.filter((k) => optimum[k] <= 0);
    if (blocking.length === 0) return [optimum, positive];
    const fractions = blocking.map((k) => solution[k] / (solution[k] - optimum[k]));
    const fraction = Math.min(...fractions);
    const stopped = blocking.filter((_, i) => fractions[i] <= fraction);
    positive = positive.filter((k) => !stopped.includes(k));
    solution = solution.map((value, k) =>
      positive.includes(k) ? value + fraction * (optimum[k] - value) : 0,
    );
  }
  return [solution, positive];
}
