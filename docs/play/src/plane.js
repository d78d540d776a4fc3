/* The plane: points that can be moved, the network that they make, its exact radius, and an attack. */

import { argmax, clamp, norm, subtract } from "./vectors.js";
import { classScores, decide } from "./network.js";
import { exactRadius } from "./radius.js";
import { fgsm, pgd } from "./gradient_attacks.js";
import { fab } from "./fab.js";
import {
  arrowStep, byId, chosen, formatNumber, oncePerFrame, showSentences, svgElement, whenSchemeChanges,
} from "./elements.js";
import { CLASS_NAMES, neuronName, planeNetwork, startPoints } from "./plane_points.js";
import {
  drawCells, drawMeasures, drawPairs, makeHandle, placeHandle, planePlace,
} from "./plane_figure.js";

const TOUCH = 0.06; // how far from a pointer a point may be, in the unit square
const STEP = 0.01;
const LONG_STEP = 0.05; // with Shift

export function startPlane() {
  const form = byId("plane-form"), frame = byId("plane-frame"), picture = byId("plane-points");
  const layers = ["pairs", "measures", "handles"].map((name) => svgElement("g", { class: name }));
  picture.append(...layers);
  const plane = { form, frame, layers, points: [], handles: [] };
  const update = oncePerFrame(() => showPlane(plane));
  const restart = () => {
    setPoints(plane, startPoints(Number(chosen(form, "neurons"))), update);
    update();
  };
  form.addEventListener("input", (event) => (event.target.name === "neurons" ? restart() : update()));
  form.addEventListener("reset", () => setTimeout(restart));
  form.addEventListener("submit", (event) => event.preventDefault());
  listenToPointer(plane, update);
  addEventListener("resize", update);
  whenSchemeChanges(update);
  restart();
}

function setPoints(plane, points, update) {
  plane.points = points;
  plane.handles = points.map(makeHandle);
  plane.handles.forEach((handle, i) => {
    handle.addEventListener("keydown", (event) => {
      const step = arrowStep(event);
      if (!step) return;
      event.preventDefault();
      const length = event.shiftKey ? LONG_STEP : STEP, [x, y] = points[i].at;
      movePoint(points[i], [x + length * step[0], y - length * step[1]]);
      update();
    });
  });
  // The input last, above the others.
  plane.layers[2].replaceChildren(...plane.handles.slice(1), plane.handles[0]);
}

function movePoint(point, [x, y]) {
  point.at = [clamp(x, 0, 1), clamp(y, 0, 1)];
}

/* A pointer drags the nearest point, if one is near; else a click moves the input there. */
function listenToPointer(plane, update) {
  const { frame } = plane;
  let dragged = null, clickMovesInput = true;
  frame.addEventListener("pointerdown", (event) => {
    dragged = nearestPoint(plane.points, planePlace(frame, event));
    clickMovesInput = dragged === null;
    if (!dragged) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    plane.handles[plane.points.indexOf(dragged)].focus({ preventScroll: true });
  });
  frame.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    movePoint(dragged, planePlace(frame, event));
    update();
  });
  // A finger on a point drags it; elsewhere it scrolls the page.
  const holdPage = (event) => {
    if (nearestPoint(plane.points, planePlace(frame, event.touches[0]))) event.preventDefault();
  };
  frame.addEventListener("touchstart", holdPage, { passive: false });
  for (const end of ["pointerup", "pointercancel"]) {
    frame.addEventListener(end, () => (dragged = null));
  }
  frame.addEventListener("click", (event) => {
    if (!clickMovesInput) return;
    movePoint(plane.points[0], planePlace(frame, event));
    update();
  });
}

function nearestPoint(points, place) {
  const far = points.map((point) => norm(subtract(point.at, place), "l2"));
  const nearest = far.indexOf(Math.min(...far));
  return far[nearest] <= TOUCH ? points[nearest] : null;
}

function showPlane(plane) {
  const options = readOptions(plane.form);
  const network = planeNetwork(plane.points, options.perClass);
  const found = measure(network, Float64Array.from(plane.points[0].at), options);
  drawCells(byId("plane-cells"), network);
  drawPairs(plane.layers[0], plane.points);
  drawMeasures(plane.layers[1], found);
  plane.handles.forEach((handle, i) => placeHandle(handle, plane.points[i]));
  byId("plane-eps-value").textContent = formatNumber(options.eps);
  byId("plane-steps-value").textContent = options.steps;
  byId("plane-eps").disabled = options.attack === "fab";
  byId("plane-steps").disabled = options.attack === "fgsm";
  showSentences(byId("plane-report"), describePlane(plane.points, found));
}

function readOptions(form) {
  return {
    perClass: Number(chosen(form, "neurons")),
    kind: chosen(form, "norm"),
    attack: chosen(form, "attack"),
    eps: Number(form.elements.eps.value),
    steps: Number(form.elements.steps.value),
  };
}

/* The decision at x, the radius, and the points of the attack. */
function measure(network, x, { kind, attack, eps, steps }) {
  const decision = decide(network, x), y = decision.predicted;
  const attacks = {
    fgsm: () => fgsm(network, x, y, eps, kind),
    pgd: () => pgd(network, x, y, eps, kind, steps),
    fab: () => fab(network, x, y, kind, steps),
  };
  const { path, point } = attacks[attack]();
  const reached = point && argmax(classScores(network, point).z);
  return {
    x, kind, attack, path, decision,
    ...exactRadius(network, x, kind),
    eps: attack === "fab" ? null : eps,
    reached: point && reached !== y ? { point, answer: reached } : null,
  };
}

function describePlane(points, { x, kind, attack, path, decision, radius, answer, exact, eps, reached }) {
  const named = kind === "l2" ? "L2" : "L∞";
  const winner = neuronName(points, decision.winner), rival = neuronName(points, decision.rival);
  const sentences = [
    `At x = (${formatNumber(x[0], 2)}, ${formatNumber(x[1], 2)}) the class is ` +
      `${CLASS_NAMES[decision.predicted]}: neuron ${winner} leads ${rival} by ${formatNumber(decision.margin)}.`,
  ];
  if (radius === Infinity) sentences.push("No point of the square has another class.");
  else {
    const bound = exact ? "The exact radius" : "A lower bound of the radius";
    sentences.push(`${bound} in ${named} is ${formatNumber(radius)}, towards class ${CLASS_NAMES[answer]}.`);
  }
  const name = attack.toUpperCase(), steps = path.length - 1;
  if (eps === null) {
    sentences.push(reached
      ? `FAB found a point of class ${CLASS_NAMES[reached.answer]} at the distance ` +
        `${formatNumber(norm(subtract(reached.point, x), kind))}.`
      : "FAB found no point of another class.");
  } else if (reached) {
    sentences.push(`${name} reaches class ${CLASS_NAMES[reached.answer]} after ${steps} ` +
      `${steps === 1 ? "step" : "steps"} inside the ball of radius ${formatNumber(eps)}.`);
  } else {
    const why = eps < radius
      ? "No attack can: the ball is smaller than the exact radius."
      : "It fails, although the ball holds points of another class.";
    sentences.push(`${name} reaches no other class inside the ball of radius ${formatNumber(eps)}. ${why}`);
  }
  return sentences;
}
