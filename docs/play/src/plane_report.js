/* What is true in the plane, and how the page says it. */

import { argmax, norm, subtract } from "./vectors.js";
import { classScores, decide } from "./network.js";
import { exactRadius } from "./radius.js";
import { fgsm, pgd } from "./gradient_attacks.js";
import { fab } from "./fab.js";
import { formatNumber } from "./elements.js";
import { CLASS_NAMES, neuronName } from "./plane_points.js";

/* The decision at x, the radius, and the points of the attack. */
export function measurePlane(network, x, { kind, attack, eps, steps }) {
  const decision = decide(network, x);
  const y = decision.predicted;
  const attacks = {
    fgsm: () => fgsm(network, x, y, eps, kind),
    pgd: () => pgd(network, x, y, eps, kind, steps),
    fab: () => fab(network, x, y, kind, steps),
  };
  const { path, point } = attacks[attack]();
  const reached = point && argmax(classScores(network, point).z);
  return {
    x,
    kind,
    attack,
    path,
    decision,
    ...exactRadius(network, x, kind),
    eps: attack === "fab" ? null : eps,
    reached: point && reached !== y ? { point, answer: reached } : null,
  };
}

/* A sentence each on the decision, the radius and the attack. */
export function describePlane(points, found) {
  return [describeWinner(points, found), describeRadius(found), describeAttack(found)];
}

function describeWinner(points, { x, decision }) {
  const [across, up] = [...x].map((value) => formatNumber(value, 2));
  const winner = neuronName(points, decision.winner);
  const rival = neuronName(points, decision.rival);
  return (
    `At x = (${across}, ${up}) the class is ${CLASS_NAMES[decision.predicted]}: ` +
    `neuron ${winner} leads ${rival} by ${formatNumber(decision.margin)}.`
  );
}

function describeRadius({ kind, radius, answer, exact }) {
  if (radius === Infinity) return "No point of the square has another class.";
  const bound = exact ? "The exact radius" : "A lower bound of the radius";
  const norm = kind === "l2" ? "L2" : "L∞";
  return `${bound} in ${norm} is ${formatNumber(radius)}, towards class ${CLASS_NAMES[answer]}.`;
}

function describeAttack({ x, kind, attack, path, radius, eps, reached }) {
  const reachedClass = reached && CLASS_NAMES[reached.answer];
  if (attack === "fab") {
    if (!reached) return "FAB found no point of another class.";
    const distance = formatNumber(norm(subtract(reached.point, x), kind));
    return `FAB found a point of class ${reachedClass} at the distance ${distance}.`;
  }
  const name = attack.toUpperCase();
  const ball = `inside the ball of radius ${formatNumber(eps)}`;
  if (reached) {
    const steps = path.length - 1;
    return `${name} reaches class ${reachedClass} after ${steps} step${steps > 1 ? "s" : ""} ${ball}.`;
  }
  const why =
    eps < radius
      ? "No attack can: the ball is smaller than the exact radius."
      : "It fails, although the ball holds points of another class.";
  return `${name} reaches no other class ${ball}. ${why}`;
}
