/* The L∞ distance to a polyhedron in a box, as solve_linf of
   tinyproto/prototypes/certificate/projection.py.

   If the nearest point of one row's half-space satisfies the other rows too, it is the solution.
   Else the distance is the root r of the least violation v of the rows in the box cut to |δⱼ| ≤ r
   (minimax.js). v is convex and decreases with r. The multipliers λ of v replace all rows by the
   single one a·δ ≥ λ·h with a = Gᵀλ, whose distance r(λ) is never beyond the root, so that Newton's
   steps r ← r(λ) reach it. Where no δ of the box satisfies that row, the distance is ∞. */

import { clip, combine, dot } from "./vectors.js";
import { firstBasis, leastViolation } from "./minimax.js";

const NEWTON_STEPS = 50;

/* δ and its length; `exact` is false where the search did not end, and the distance then a lower
   bound. Stops early once the distance is known to exceed `limit`. */
export function distanceLinf({ G, h, low, high }, limit = Infinity) {
  const radii = G.map((row, k) => halfspaceRadius(row, h[k], low, high));
  const farthest = radii.indexOf(Math.max(...radii));
  let distance = radii[farthest];
  let delta = halfspacePoint(G[farthest], distance, low, high);
  const satisfied = G.every((row, k) => dot(row, delta) >= h[k] - 1e-12 * Math.max(...h, 0));
  if (satisfied || distance >= limit) return { delta, distance, exact: true };
  let basis = firstBasis(G, farthest);
  let r = distance;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const cut = [low.map((value) => Math.max(value, -r)), high.map((value) => Math.min(value, r))];
    const found = leastViolation(G, h, ...cut, basis);
    if (!found) break;
    ({ basis, delta } = found);
    const a = combine(found.lambda, G);
    const reached = halfspaceRadius(a, dot(found.lambda, h), low, high);
    if (found.violation <= 1e-11 || reached <= r * (1 + 1e-12))
      return { delta, distance, exact: true };
    distance = reached;
    if (distance > limit || distance === Infinity) return { delta, distance, exact: true };
    r = distance;
  }
  return { delta, distance, exact: false };
}

/* The least r with a point of g·δ ≥ h in the box cut to |δⱼ| ≤ r, ∞ where there is none:
   Σⱼ |gⱼ| min(r, sⱼ) = h, where sⱼ is the side of the box to which gⱼ points. With the coordinates
   sorted by s, the sum is linear in r between one s and the next. */
export function halfspaceRadius(g, h, low, high) {
  if (h <= 0) return 0;
  const sides = Array.from(g, (value, j) => ({
    weight: Math.abs(value),
    side: value > 0 ? high[j] : -low[j],
  }));
  sides.sort((one, other) => one.side - other.side);
  let slope = sides.reduce((sum, { weight }) => sum + weight, 0);
  let saturated = 0;
  for (const { weight, side } of sides) {
    const r = (h - saturated) / slope;
    if (slope > 0 && r <= side) return Math.max(r, 0);
    saturated += weight * side;
    slope -= weight;
  }
  return Infinity;
}

function halfspacePoint(g, r, low, high) {
  if (r === Infinity) return new Float64Array(g.length);
  return clip(
    g.map((value) => Math.sign(value) * r),
    low,
    high,
  );
}
