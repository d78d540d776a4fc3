/* The attack on a digit: ε, a guess, and then the truth. */

import { norm, subtract } from "./vectors.js";
import {
  byId,
  chosen,
  element,
  formatNumber,
  oncePerFrame,
  showSentences,
  whenSchemeChanges,
} from "./elements.js";
import { drawPixels, drawSigned, figureOf, showPicture } from "./pictures.js";
import { attackWithin, findTruth } from "./truth.js";

const RANGE = {
  l2: { max: 4, step: 0.02, first: 1 },
  linf: { max: 0.3, step: 0.002, first: 0.08 },
};
const NORM_NAMES = { l2: "L2", linf: "L∞" };

/* Returns the function that takes a new digit { x }. */
export function startAttackPanel(network) {
  const form = byId("attack-form");
  const panel = { network, form, x: null, truth: null, guess: null, guesses: 0, right: 0 };
  const update = oncePerFrame(() => showPanel(panel));
  const forget = () => {
    Object.assign(panel, { truth: null, guess: null });
    update();
  };
  form.addEventListener("input", (event) => {
    if (event.target.name !== "norm") return update();
    setRange(form);
    forget();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("guess-yes").addEventListener("click", () => takeGuess(panel, true));
  byId("guess-no").addEventListener("click", () => takeGuess(panel, false));
  whenSchemeChanges(update);
  setRange(form);
  return ({ x }) => {
    panel.x = x;
    forget();
  };
}

function setRange(form) {
  const { max, step, first } = RANGE[chosen(form, "norm")];
  Object.assign(form.elements.eps, { min: 0, max, step, value: first });
}

/* A guess counts once for a digit and a norm: afterwards the truth is on the page. */
function takeGuess(panel, guess) {
  const { network, x, form } = panel;
  const kind = chosen(form, "norm");
  const eps = Number(form.elements.eps.value);
  panel.truth = findTruth(network, x, kind);
  const { pgd } = attackWithin(network, x, panel.truth.y, eps, kind);
  panel.guess = { eps, isRight: pgd === guess };
  panel.guesses += 1;
  panel.right += pgd === guess ? 1 : 0;
  showPanel(panel);
  byId("attack-eps").focus({ preventScroll: true });
}

function showPanel(panel) {
  const { form, truth, x, network } = panel;
  const kind = chosen(form, "norm");
  const eps = Number(form.elements.eps.value);
  const digits = kind === "l2" ? 2 : 3;
  byId("attack-eps-value").textContent = formatNumber(eps, digits);
  byId("guess-question").textContent =
    "Does PGD with 20 steps change the answer, if it may move the image by " +
    `ε = ${formatNumber(eps, digits)} in ${NORM_NAMES[kind]}?`;
  byId("guess").hidden = truth !== null;
  byId("truth").hidden = truth === null;
  if (!truth) return showSentences(byId("truth-report"), ["Guess, and see the truth."]);
  const within = attackWithin(network, x, truth.y, eps, kind);
  showSentences(byId("truth-report"), describeTruth(panel, within, eps, kind, digits));
  showDistances(truth, eps, kind);
  showPictures(x, truth, within, kind);
}

function describeTruth({ truth, guess, guesses, right }, within, eps, kind, digits) {
  const sentences = [];
  const shown = formatNumber(eps, digits);
  if (eps === guess.eps) {
    sentences.push(
      `Your guess was ${guess.isRight ? "right" : "wrong"}: ${right} of ${guesses} right so far.`,
    );
  }
  sentences.push(`Within ${shown}, ${describeAttacks(within)}.`);
  if (truth.radius === Infinity) sentences.push("No image at all has another answer.");
  else {
    const bound = truth.exact ? "The exact radius" : "A lower bound of the radius";
    sentences.push(
      `${bound} in ${NORM_NAMES[kind]} is ${formatNumber(truth.radius, 4)}: ` +
        (eps < truth.radius
          ? `no attack of size ${shown} can succeed.`
          : `an image with the answer ` + `${truth.answer} lies within ${shown}.`),
    );
  }
  sentences.push("Move ε and see what changes; choose another digit or norm to guess again.");
  return sentences;
}

function describeAttacks({ pgd, fgsm }) {
  const first = `PGD ${pgd ? "changes" : "does not change"} the answer`;
  if (pgd === fgsm) return `${first}, ${pgd ? "and so does" : "nor does"} FGSM`;
  return `${first}, but FGSM does${fgsm ? "" : " not"}`;
}

function showDistances(truth, eps, kind) {
  const found = [
    ["Exact radius", truth.radius],
    ["FAB", truth.fab],
    ["PGD", truth.pgd],
    ["FGSM", truth.fgsm],
  ];
  const finite = found.map(([, distance]) => distance).filter(Number.isFinite);
  const longest = Math.max(RANGE[kind].max / 4, eps, ...finite) * 1.04;
  const rows = found.map(([name, distance]) => {
    const long = (100 * Math.min(distance, longest)) / longest;
    const bar = element("span", {
      class: "bar",
      style: `left: 0; width: ${Number.isFinite(distance) ? long : 0}%`,
    });
    const line = element("span", { class: "eps-line", style: `left: ${(100 * eps) / longest}%` });
    const times = Number.isFinite(distance) ? ` (${formatNumber(distance / truth.radius)} ×)` : "";
    const value = Number.isFinite(distance) ? formatNumber(distance, 4) + times : "found none";
    return element(
      "tr",
      { class: name === "Exact radius" ? "winner" : "other" },
      element("th", { scope: "row" }, name),
      element("td", { class: "track", "aria-hidden": "true" }, bar, line),
      element("td", { class: "value" }, value),
    );
  });
  byId("distances").tBodies[0].replaceChildren(...rows);
}

function showPictures(x, truth, within, kind) {
  showPicture(figureOf("digit"), `the input, answer ${truth.y}`, (canvas) => drawPixels(canvas, x));
  const moved = formatNumber(within.distance);
  const attacked = `where PGD ends: answer ${within.answer}, moved by ${moved}`;
  showPicture(figureOf("attacked"), attacked, (canvas) => drawPixels(canvas, within.point));
  const nearest = truth.nearest ?? x;
  const change = subtract(nearest, x);
  const largest = norm(change, "linf");
  const tie = truth.nearest ? `the nearest image at which ${truth.answer} ties` : "no such image";
  showPicture(figureOf("nearest"), tie, (canvas) => drawPixels(canvas, nearest));
  const size =
    `the change to it, at most ${formatNumber(largest)} a pixel, ` +
    `${formatNumber(norm(change, kind))} in ${NORM_NAMES[kind]}`;
  showPicture(figureOf("change"), size, (canvas) => drawSigned(canvas, change, largest));
}
