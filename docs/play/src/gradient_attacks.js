/* FGSM and PGD, as tinyproto/attacks/pgd.py with random_start=False.

   A step raises the cross-entropy L of class y and is projected by P into the ball of radius eps
   around x and the box [0, 1]:

       x′ ← P(x′ + s sign ∇L)  in L∞        x′ ← P(x′ + s ∇L/‖∇L‖₂)  in L2

   PGD takes many steps of s = 2.5 eps / steps (arXiv 1706.06083), FGSM one of s = eps (1412.6572).
   */

import { argmax, clamp, norm, subtract } from "./vectors.js";
import { classScores, crossEntropyGradient } from "./network.js";

export function fgsm(network, x, y, eps, kind) {
  return pgd(network, x, y, eps, kind, 1, eps);
}

/* Stops at the first point of another class. `path` holds all points, from x to the last. */
export function pgd(network, x, y, eps, kind, steps = 20, stepSize = (2.5 * eps) / steps) {
  const path = [x];
  for (let step = 0; ; step++) {
    const point = path[path.length - 1];
    const scores = classScores(network, point);
    const succeeded = argmax(scores.z) !== y;
    if (succeeded || step === steps || eps === 0) return { path, point, succeeded };
    const gradient = crossEntropyGradient(network, scores, y);
    path.push(project(ascend(point, gradient, stepSize, kind), x, eps, kind));
  }
}

function ascend(point, gradient, stepSize, kind) {
  const length = norm(gradient, "l2") || 1;
  return point.map(
    (value, j) =>
      value + stepSize * (kind === "l2" ? gradient[j] / length : Math.sign(gradient[j])),
  );
}

/* Into the box; then, in L∞, each coordinate into the ball, in L2, the point towards x. */
export function project(moved, x, eps, kind) {
  const inBox = moved.map((value) => clamp(value, 0, 1));
  if (kind === "linf") return inBox.map((value, j) => clamp(value, x[j] - eps, x[j] + eps));
  const length = norm(subtract(inBox, x), "l2");
  return length <= eps ? inBox : inBox.map((value, j) => x[j] + (value - x[j]) * (eps / length));
}

/* The nearest point of another class that an attack inside a ball finds, by bisection over the
   radius, as tinyproto/attacks/minimum_norm.py: `attack` is a function of eps. `point` is null
   where none was found up to the radius `farthest`. */
export function minimumNorm(attack, x, kind, farthest, halvings = 16) {
  let low = 0;
  let high = farthest;
  let nearest = { point: null, distance: Infinity };
  for (let i = 0; i < halvings; i++) {
    const eps = (low + high) / 2;
    const { point, succeeded } = attack(eps);
    const distance = norm(subtract(point, x), kind);
    if (succeeded && distance <= Math.min(nearest.distance, farthest)) nearest = { point, distance };
    if (succeeded) high = eps;
    else low = eps;
  }
  return nearest;
}
