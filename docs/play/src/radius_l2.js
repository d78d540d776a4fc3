/* The L2 distance to a polyhedron in a box, as solve_l2 of
   tinyproto/prototypes/certificate/projection.py.

       min ½‖δ‖²  with  Gδ ≥ h,  low ≤ δ ≤ high

   has a dual with one multiplier λₖ ≥ 0 for each row,

       D(λ) = λ·(h − Gδ(λ)) + ½‖δ(λ)‖²        δ(λ) = clip(Gᵀλ, low, high)        ∇D = h − Gδ(λ)

   D is concave and its maximum is the minimum above. It is piecewise quadratic: each piece is a
   quadratic program in the coordinates that are not clipped, and Newton's steps go from piece to
   piece. A piece may be singular, so ½ρ‖λ − λ₀‖² is subtracted from it: ρ grows until D increases,
   and shrinks after each step that increases it. */

import { clip, combine, dot, gram, norm } from "./vectors.js";
import { nonnegativeQuadraticProgram } from "./small_systems.js";

/* δ and its length; ∞ where D grows beyond what the farthest corner of the box allows: then there
   is no δ. Stops early once the distance is known to exceed `limit`. */
export function distanceL2(problem, limit = Infinity) {
  const { G, h, low, high } = problem;
  const corner =
    norm(
      low.map((value, j) => Math.max(-value, high[j])),
      "l2",
    ) *
    (1 + 1e-9);
  const tolerance = 1e-11 * Math.max(...h, 0);
  const Q = gram(G);
  const scale = Q.reduce((sum, row, k) => sum + row[k], 0) / h.length;
  let best = dual(problem, nonnegativeQuadraticProgram(Q, h));
  for (let step = 0, damping = 1e-9; step < 1000 && damping <= 1e9; step++) {
    const violations = best.gradient.map((g, k) =>
      best.lambda[k] > 0 ? Math.abs(g) : Math.max(g, 0),
    );
    if (Math.max(...violations) <= tolerance || best.distance > Math.min(corner, limit)) break;
    const next = dual(problem, maximizePiece(problem, best, damping * scale));
    if (next.value > best.value) [best, damping] = [next, Math.max(damping / 10, 1e-12)];
    else damping *= 10;
  }
  return {
    delta: best.delta,
    distance: best.distance > corner ? Infinity : best.distance,
    exact: true,
  };
}

function dual({ G, h, low, high }, lambda) {
  const delta = clip(combine(lambda, G), low, high);
  const gradient = h.map((value, k) => value - dot(G[k], delta));
  const value = dot(lambda, gradient) + 0.5 * dot(delta, delta);
  return { lambda, delta, gradient, value, distance: Math.sqrt(2 * Math.max(value, 0)) };
}

/* The λ of the maximum of the quadratic piece at λ₀, minus ½ρ‖λ − λ₀‖². */
function maximizePiece({ G, h, low, high }, { lambda, delta }, rho) {
  const moved = combine(lambda, G);
  const free = [];
  const clipped = delta.slice();
  moved.forEach((value, j) => {
    if (value > low[j] && value < high[j]) {
      free.push(j);
      clipped[j] = 0;
    }
  });
  const rows = G.map((row) => Float64Array.from(free, (j) => row[j]));
  const Q = gram(rows);
  Q.forEach((row, k) => (row[k] += rho));
  const right = h.map((value, k) => value - dot(G[k], clipped) + rho * lambda[k]);
  return nonnegativeQuadraticProgram(Q, right);
}
