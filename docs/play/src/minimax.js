/* The least largest violation of a few rows in a box, by the dual simplex method, as
   tinyproto/prototypes/certificate/minimax.py.

       v = min over low ≤ δ ≤ high of maxₖ (hₖ − Gₖ·δ) = max over λ ≥ 0, Σλ = 1 of f(λ)
       f(λ) = λ·h − Σⱼ max over lowⱼ ≤ δⱼ ≤ highⱼ of aⱼδⱼ        a = Gᵀλ

   f is concave and piecewise linear. At a vertex the rows P have λ > 0, the coordinates J, one
   fewer, have aⱼ = 0, and every other coordinate is at the bound that the sign of its aⱼ tells. The
   primal point there solves Gₚδ + v = hₚ for δ_J and v. It is the minimum if it satisfies the other
   rows and the bounds of δ_J; else f increases along the edge of what is violated, up to the next
   vertex. */

import { argmax, clip, combine, dot } from "./vectors.js";
import { invert } from "./small_systems.js";

const TOLERANCE = 1e-12;

/* λ = 1 for one row: a vertex for any bounds. */
export function firstBasis(G, row) {
  return { rows: [row], columns: [], atHigh: Array.from(G[row], (value) => value > 0) };
}

/* v, λ, δ and the basis of the last vertex, from which the search in another box can go on; null
   where rounding errors keep the search from its end. */
export function leastViolation(G, h, low, high, basis) {
  const rows = [...basis.rows];
  const columns = [...basis.columns];
  const atHigh = [...basis.atHigh];
  for (let pivot = 0; pivot < 50 + 10 * h.length; pivot++) {
    const vertex = primalPoint(G, h, low, high, rows, columns, atHigh);
    if (!vertex) return null;
    const { delta, violation, inverse } = vertex;
    const missing = h.map((value, k) =>
      rows.includes(k) ? 0 : value - dot(G[k], delta) - violation,
    );
    const beyond = columns.map(
      (j) => Math.max(delta[j] - high[j], low[j] - delta[j]) * columnSize(G, j),
    );
    const row = argmax(missing);
    const column = columns.length ? argmax(beyond) : -1;
    const lambda = new Float64Array(h.length);
    rows.forEach((k, i) => (lambda[k] = inverse[rows.length - 1][i]));
    const edge = new Float64Array(h.length);
    let slope;
    if (column >= 0 && beyond[column] > Math.max(TOLERANCE, missing[row])) {
      const j = columns[column];
      const sign = delta[j] > high[j] ? 1 : -1;
      rows.forEach((k, i) => (edge[k] = sign * inverse[column][i]));
      slope = beyond[column] / columnSize(G, j);
      atHigh[j] = sign > 0;
      columns.splice(column, 1);
    } else if (missing[row] > TOLERANCE) {
      const entering = Float64Array.of(...columns.map((j) => G[row][j]), 1);
      const along = combine(entering, inverse);
      rows.forEach((k, i) => (edge[k] = -along[i]));
      edge[row] = 1;
      slope = missing[row];
      rows.push(row);
    } else {
      return { violation, lambda, delta: clip(delta, low, high), basis: { rows, columns, atHigh } };
    }
    const leaving = searchEdge({ G, low, high, lambda, edge, slope, rows, columns, atHigh });
    if (!leaving) return null;
    if (leaving.row !== undefined) rows.splice(rows.indexOf(leaving.row), 1);
    else columns.push(leaving.column);
  }
  return null;
}

function columnSize(G, j) {
  return G.reduce((size, row) => Math.max(size, Math.abs(row[j])), 0);
}

/* δ and v of a vertex, and the inverse of the system that they solve. */
function primalPoint(G, h, low, high, rows, columns, atHigh) {
  const inverse = invert(rows.map((k) => Float64Array.of(...columns.map((j) => G[k][j]), 1)));
  if (!inverse) return null;
  const delta = low.map((value, j) => (atHigh[j] ? high[j] : value));
  columns.forEach((j) => (delta[j] = 0));
  const right = Float64Array.from(rows, (k) => h[k] - dot(G[k], delta));
  columns.forEach((j, i) => (delta[j] = dot(inverse[i], right)));
  return { delta, violation: dot(inverse[columns.length], right), inverse };
}

/* What becomes 0 at the maximum of f along an edge: the λ of a row, or the a of a column. On the
   way each coordinate whose a changes its sign moves to its other bound, and the slope of f falls.
   */
function searchEdge({ G, low, high, lambda, edge, slope, rows, columns, atHigh }) {
  const a = combine(lambda, G);
  const change = combine(edge, G);
  columns.forEach((j) => (change[j] = 0));
  const falling = rows.filter((k) => edge[k] < 0);
  const limits = falling.map((k) => Math.max(-lambda[k] / edge[k], 0));
  const longest = Math.min(...limits);
  const passed = [];
  change.forEach((value, j) => {
    if (atHigh[j] ? value < 0 : value > 0) passed.push({ j, step: Math.max(-a[j] / value, 0) });
  });
  passed.sort((one, other) => one.step - other.step);
  for (const { j, step } of passed) {
    if (step >= longest) break;
    slope -= Math.abs(change[j]) * (high[j] - low[j]);
    if (slope <= 0) return { column: j };
    atHigh[j] = !atHigh[j];
  }
  return falling.length ? { row: falling[limits.indexOf(longest)] } : null;
}
