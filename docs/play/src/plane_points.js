/* The points of the plane that can be moved, and the network that they make. */

import { makeNetwork } from "./network.js";

export const CLASS_NAMES = ["A", "B", "C"];
const PLANE_BETA = 10;

/* For each class the positive and the negative prototypes of up to three neurons. */
const START = [
  {
    positive: [
      [0.2, 0.74],
      [0.3, 0.22],
      [0.08, 0.48],
    ],
    negative: [
      [0.5, 0.62],
      [0.62, 0.4],
      [0.4, 0.7],
    ],
  },
  {
    positive: [
      [0.86, 0.82],
      [0.6, 0.9],
      [0.93, 0.6],
    ],
    negative: [
      [0.38, 0.5],
      [0.66, 0.56],
      [0.5, 0.76],
    ],
  },
  {
    positive: [
      [0.82, 0.2],
      [0.62, 0.12],
      [0.92, 0.4],
    ],
    negative: [
      [0.5, 0.3],
      [0.46, 0.42],
      [0.72, 0.48],
    ],
  },
];
const START_INPUT = [0.26, 0.5];

/* The input first, then each neuron's positive and negative prototype. */
export function startPoints(perClass) {
  const points = [{ kind: "input", name: "the input x", at: [...START_INPUT] }];
  START.forEach((prototypes, c) => {
    for (let k = 0; k < perClass; k++) {
      for (const kind of ["positive", "negative"]) {
        const neuron = `${CLASS_NAMES[c]}${perClass > 1 ? k + 1 : ""}`;
        const name = `${kind} prototype of neuron ${neuron}`;
        points.push({ kind, class: c, neuron, name, at: [...prototypes[kind][k]] });
      }
    }
  });
  return points;
}

export function planeNetwork(points, perClass) {
  const of = (kind) => points.filter((p) => p.kind === kind).map((p) => Float64Array.from(p.at));
  return makeNetwork(of("positive"), of("negative"), PLANE_BETA, perClass);
}

export function neuronName(points, neuron) {
  return points.filter((point) => point.kind === "positive")[neuron].neuron;
}
