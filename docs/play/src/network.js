/* A ±ED-WTA network (arXiv 2008.08750), as tinyproto/prototypes/winner_take_all.py.

   Neuron k has a positive and a negative prototype, and the network one β. Its score

       oₖ = ½β(‖x − w⁻ₖ‖² − ‖x − w⁺ₖ‖²) = Aₖ·x + bₖ
       Aₖ = β(w⁺ₖ − w⁻ₖ)        bₖ = −½β(‖w⁺ₖ‖² − ‖w⁻ₖ‖²)

   is linear in x. The neuron with the largest score, the winner, gives the class; the score z of a
   class is that of its best neuron. Neurons c K … c K + K − 1 are those of class c. */

import { argmax, combine, dot, subtract, times } from "./vectors.js";

export function makeNetwork(positive, negative, beta, perClass) {
  const A = positive.map((plus, k) => times(subtract(plus, negative[k]), beta));
  const b = positive.map(
    (plus, k) => -0.5 * beta * (dot(plus, plus) - dot(negative[k], negative[k])),
  );
  return { positive, negative, beta, perClass, classes: positive.length / perClass, A, b };
}

export function classOf(network, neuron) {
  return Math.floor(neuron / network.perClass);
}

/* The neurons of a class. */
export function neuronsOf(network, c) {
  return Array.from({ length: network.perClass }, (_, i) => c * network.perClass + i);
}

/* oₖ of all neurons. */
export function neuronScores(network, x) {
  return Float64Array.from(network.A, (row, k) => dot(row, x) + network.b[k]);
}

/* z of all classes, and the neuron that gives it for each class. */
export function classScores(network, x) {
  const o = neuronScores(network, x);
  const best = Array.from({ length: network.classes }, (_, c) =>
    neuronsOf(network, c).reduce((a, k) => (o[k] > o[a] ? k : a)),
  );
  return { z: Float64Array.from(best, (k) => o[k]), best };
}

export function predict(network, x) {
  return argmax(classScores(network, x).z);
}

/* The winner, and its rival: the best neuron of all other classes. */
export function decide(network, x) {
  const { z, best } = classScores(network, x);
  const predicted = argmax(z);
  const rivalClass = argmax(z.map((score, c) => (c === predicted ? -Infinity : score)));
  return {
    z,
    predicted,
    rivalClass,
    winner: best[predicted],
    rival: best[rivalClass],
    margin: z[predicted] - z[rivalClass],
  };
}

/* The share of each feature in oₖ, as tinyproto/evaluation/explanation.py:
   oₖ = Σⱼ ½β((xⱼ − w⁻ₖⱼ)² − (xⱼ − w⁺ₖⱼ)²). */
export function scoreShares(network, x, k) {
  const plus = network.positive[k];
  const minus = network.negative[k];
  return x.map(
    (value, j) => 0.5 * network.beta * ((value - minus[j]) ** 2 - (value - plus[j]) ** 2),
  );
}

/* The gradient at x of the cross-entropy −log softmax(z)_y.

   ∂/∂z_c = p_c − 1[c = y], and ∂z_c/∂x is the row A of the best neuron of class c. The element of
   class y is minus the sum of the others, which keeps its digits where p_y is nearly 1. */
export function crossEntropyGradient(network, { z, best }, y) {
  const top = z[argmax(z)];
  const dz = z.map((score, c) => (c === y ? 0 : Math.exp(score - top)));
  const others = dz.reduce((sum, value) => sum + value);
  const total = others + Math.exp(z[y] - top);
  dz[y] = -others;
  return combine(
    times(dz, 1 / total),
    best.map((k) => network.A[k]),
  );
}
