/* The plane: points that can be moved, the network that they make, its exact radius, and an attack.
 */

import { clamp, norm, subtract } from "./vectors.js";
import {
  arrowStep,
  byId,
  chosen,
  formatNumber,
  oncePerFrame,
  showSentences,
  svgElement,
  whenSchemeChanges,
} from "./elements.js";
import { planeNetwork, startPoints } from "./plane_points.js";
import { describePlane, measurePlane } from "./plane_report.js";
import {
  drawCells,
  drawMeasures,
  drawPairs,
  makeHandle,
  placeHandle,
  planePlace,
} from "./plane_figure.js";

const TOUCH = 0.06; // how far from a pointer a point may be, in the unit square
const STEP = 0.01;
const LONG_STEP = 0.05; // with Shift

export function startPlane() {
  const form = byId("plane-form");
  const frame = byId("plane-frame");
  const picture = byId("plane-points");
  const layers = ["pairs", "measures", "handles"].map((name) => svgElement("g", { class: name }));
  picture.append(...layers);
  const plane = { form, frame, layers, points: [], handles: [] };
  const update = oncePerFrame(() => showPlane(plane));
  const restart = () => {
    setPoints(plane, startPoints(Number(chosen(form, "neurons"))), update);
    update();
  };
  form.addEventListener("input", (event) =>
    event.target.name === "neurons" ? restart() : update(),
  );
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
      const length = event.shiftKey ? LONG_STEP : STEP;
      const [x, y] = points[i].at;
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
  let dragged = null;
  let clickMovesInput = true;
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
  const found = measurePlane(network, Float64Array.from(plane.points[0].at), options);
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
