/* The nearest point of a hyperplane inside the box, as tinyproto/kernels/hyperplane.py.

   The step δ of least norm with w·(x + δ) = c and 0 ≤ x + δ ≤ 1. Let uⱼ be the distance from xⱼ to
   the bound on the side to which it has to move. Then |δⱼ| = min(τ sⱼ, uⱼ), where sⱼ is |wⱼ| in L2
   and 1 in L∞, and f(τ) = Σⱼ |wⱼ| min(τ sⱼ, uⱼ) = |c − w·x| gives τ. f is concave and piecewise
   linear, so Newton's steps from τ = 0 find τ exactly. Where the box is too small, every
   coordinate ends at its bound. */

import { dot } from "./vectors.js";

export function projectionStep(x, w, c, kind) {
  const residual = c - dot(w, x);
  const sign = residual > 0 ? 1 : -1;
  const room = x.map((value, j) => (w[j] * sign > 0 ? 1 - value : value));
  const speed = w.map((value) => (kind === "l2" ? Math.abs(value) : 1));
  const tau = boxMultiplier(w, room, speed, Math.abs(residual));
  return w.map((value, j) => Math.sign(value * sign) * Math.min(tau * speed[j], room[j]));
}

function boxMultiplier(w, room, speed, wanted) {
  let tau = 0;
  for (let step = 0; step <= w.length; step++) {
    let atBound = 0;
    let slope = 0;
    for (let j = 0; j < w.length; j++) {
      if (speed[j] * tau < room[j]) slope += Math.abs(w[j]) * speed[j];
      else atBound += Math.abs(w[j]) * room[j];
    }
    const next = (wanted - atBound) / slope;
    if (!(slope > 0) || !(next > tau)) break;
    tau = next;
  }
  return tau;
}
