/* The decision for a digit: the pair of prototypes that won, the pair that lost, and what each
   pixel adds to the score. */

import { clamp, norm, subtract } from "./vectors.js";
import { decide, scoreShares } from "./network.js";
import { arrowStep, byId, element, formatNumber, whenSchemeChanges } from "./elements.js";
import { drawPixels, drawSigned, figureOf, pixelAt, showPicture, SIDE } from "./pictures.js";

/* Returns the function that shows the decision for { x, label }. */
export function startDecision(network) {
  const view = { network, shares: null, x: null, pixel: [14, 14] };
  const canvas = byId("shares");
  const update = () => showShares(view);
  byId("share-of").addEventListener("input", update);
  whenSchemeChanges(update);
  canvas.addEventListener("keydown", (event) => {
    const step = arrowStep(event);
    if (!step) return;
    event.preventDefault();
    choosePixel(
      view,
      view.pixel.map((value, i) => value + step[i]),
    );
  });
  for (const name of ["pointermove", "pointerdown"]) {
    canvas.addEventListener(name, (event) => choosePixel(view, pixelAt(canvas, event)));
  }
  return ({ x, label }) => {
    Object.assign(view, { x, decision: decide(network, x) });
    const isBlack = x.every((value) => value === 0);
    byId("decision-report").textContent =
      (isBlack ? "Nothing is drawn yet: this is a black image. " : "") +
      describeDecision(view.decision, label);
    showPrototypes(view);
    showClassScores(view.decision);
    update();
  };
}

function describeDecision({ predicted, rivalClass, margin }, label) {
  const wrong = label !== null && label !== predicted ? ` That is wrong: it is a ${label}.` : "";
  return (
    `The network answers ${predicted}.${wrong} Its best neuron leads the best one of all other ` +
    `classes, one of ${rivalClass}, by ${formatNumber(margin)}.`
  );
}

function showPrototypes({ network, x, decision: { winner, rival, predicted, rivalClass } }) {
  showPicture(figureOf("input"), "the input x", (canvas) => drawPixels(canvas, x));
  for (const [role, k, c] of [
    ["winner", winner, predicted],
    ["rival", rival, rivalClass],
  ]) {
    for (const [kind, sign] of [
      ["positive", "⁺"],
      ["negative", "⁻"],
    ]) {
      const prototype = network[kind][k];
      const half = 0.5 * norm(subtract(x, prototype), "l2") ** 2;
      const which = `${role === "winner" ? "won" : "lost"}: w${sign} of a neuron of ${c}`;
      const caption = `${which}, ½‖x − w${sign}‖² = ${formatNumber(half)}`;
      showPicture(figureOf(`${role}-${kind}`), caption, (canvas) => drawPixels(canvas, prototype));
    }
  }
}

/* A bar for each class, to the right of 0 or to the left. */
function showClassScores({ z, predicted, rivalClass }) {
  const low = Math.min(...z, 0);
  const width = Math.max(...z, 0) - low || 1;
  const rows = [...z].map((score, c) => {
    const left = (100 * (Math.min(score, 0) - low)) / width;
    const long = (100 * Math.abs(score)) / width;
    const bar = element("span", { class: "bar", style: `left: ${left}%; width: ${long}%` });
    const zero = element("span", { class: "zero", style: `left: ${(-100 * low) / width}%` });
    const role = c === predicted ? "winner" : c === rivalClass ? "rival" : "other";
    return element(
      "tr",
      { class: role },
      element("th", { scope: "row" }, String(c)),
      element("td", { class: "track", "aria-hidden": "true" }, bar, zero),
      element("td", { class: "value" }, formatNumber(score)),
    );
  });
  byId("class-scores").tBodies[0].replaceChildren(...rows);
}

function showShares(view) {
  const {
      network,
      x,
      decision: { winner, rival },
    } = view,
    of = byId("share-of").value;
  const won = scoreShares(network, x, winner);
  const lost = scoreShares(network, x, rival);
  view.shares = { margin: subtract(won, lost), winner: won, rival: lost }[of];
  drawSigned(byId("shares"), view.shares, norm(view.shares, "linf"));
  choosePixel(view, view.pixel);
}

function choosePixel(view, place) {
  view.pixel = place.map((value) => clamp(Math.floor(value), 0, SIDE - 1));
  const [column, row] = view.pixel;
  const j = row * SIDE + column;
  const sum = view.shares.reduce((total, share) => total + share, 0);
  byId("share-report").textContent =
    `Row ${row}, column ${column}: the pixel is ${formatNumber(view.x[j], 2)}, its share ` +
    `${formatNumber(view.shares[j])}. All shares together: ${formatNumber(sum)}.`;
}
