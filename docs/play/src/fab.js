/* FAB, the fast adaptive boundary attack (arXiv 1907.02044), as tinyproto/attacks/fab.py.

   At a point x′ the boundary towards a class t is the hyperplane

       {p : z_t(x′) − z_y(x′) + g·(p − x′) = 0}        g = ∇(z_t − z_y)(x′)

   and t is the class whose hyperplane is nearest. x′ and the original x are projected onto it
   inside the box, by δ and δ_orig, and

       x′ ← (1 − α)(x′ + η δ) + α(x + η δ_orig)        α = min(‖δ‖/(‖δ‖ + ‖δ_orig‖), α_max)

   A point of another class is a candidate; a backward step x′ ← (1 − β) x + β x′ follows it. */

import { addScaled, argmax, clamp, dot, dualNorm, norm, subtract } from "./vectors.js";
import { classScores } from "./network.js";
import { projectionStep } from "./hyperplane.js";

const ALPHA_MAX = 0.1;
const ETA = 1.05;
const BETA = 0.9;

/* The nearest point of another class that was met, null if none. `path` holds all points. */
export function fab(network, x, y, kind, steps = 100) {
  let current = x;
  let point = null;
  let distance = Infinity;
  const path = [x];
  for (let step = 0; step < steps; step++) {
    current = move(network, x, current, y, kind);
    path.push(current);
    if (argmax(classScores(network, current).z) === y) continue;
    const length = norm(subtract(current, x), kind);
    if (length < distance) [point, distance] = [current, length];
    current = addScaled(x, BETA, subtract(current, x));
    path.push(current);
  }
  return { path, point, distance };
}

function move(network, x, current, y, kind) {
  const { difference, gradient } = nearestHyperplane(network, current, y, kind);
  const offset = dot(gradient, current) - difference;
  const delta = projectionStep(current, gradient, offset, kind);
  const deltaOrig = projectionStep(x, gradient, offset, kind);
  const length = Math.max(norm(delta, kind), 1e-8);
  const lengthOrig = Math.max(norm(deltaOrig, kind), 1e-8);
  const alpha = Math.min(length / (length + lengthOrig), ALPHA_MAX);
  return x.map((value, j) =>
    clamp((1 - alpha) * (current[j] + ETA * delta[j]) + alpha * (value + ETA * deltaOrig[j]), 0, 1),
  );
}

/* z_t − z_y and its gradient, for the class t of the least |z_t − z_y| / ‖g‖ in the dual norm. */
function nearestHyperplane(network, point, y, kind) {
  const { z, best } = classScores(network, point);
  let nearest = null;
  for (let shift = 1; shift < z.length; shift++) {
    const t = (y + shift) % z.length;
    const difference = z[t] - z[y];
    const gradient = subtract(network.A[best[t]], network.A[best[y]]);
    const distance = Math.abs(difference) / (dualNorm(gradient, kind) + 1e-12);
    if (!nearest || distance < nearest.distance) nearest = { difference, gradient, distance };
  }
  return nearest;
}
