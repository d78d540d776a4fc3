/* What the page's JavaScript computes: node numerics.mjs FOLDER_OF_SOURCES < questions > answers.

   A question is a network (a page's data, or prototypes), inputs, norms and radii; see test_numerics.py. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const source = (name) => import(new URL(name, folder));
const { makeNetwork, neuronScores, decide, scoreShares } = await source("network.js");
const { float16Rows, pixelRows } = await source("decode.js");
const { exactRadius } = await source("radius.js");
const { attackWithin, findTruth } = await source("truth.js");
const { fitDigit } = await source("fit_digit.js");

const rows = (matrix) => matrix.map((row) => Float64Array.from(row));
const lists = (matrix) => matrix.map((row) => Array.from(row));

function networkOf({ page, positive, negative, beta, perClass }) {
  if (!page) return makeNetwork(rows(positive), rows(negative), beta, perClass);
  return makeNetwork(float16Rows(page.positive, 784), float16Rows(page.negative, 784), page.beta, page.perClass);
}

/* JSON has no ∞: it becomes null. */
function answer({ network, inputs, eps, few, drawings }) {
  const victim = networkOf(network);
  const x = network.page ? pixelRows(network.page.digits, 784) : rows(inputs);
  const decisions = x.map((input) => decide(victim, input));
  const answers = {
    positive: lists(victim.positive), negative: lists(victim.negative),
    scores: lists(x.map((input) => neuronScores(victim, input))),
    predicted: decisions.map(({ predicted }) => predicted),
    winner: decisions.map(({ winner }) => winner),
    rival: decisions.map(({ rival }) => rival),
    shares: lists(x.slice(0, 3).map((input, i) => scoreShares(victim, input, decisions[i].rival))),
    fitted: lists((drawings ?? []).map((drawing) => fitDigit(Float64Array.from(drawing)))),
  };
  for (const [kind, size] of Object.entries(eps)) {
    const radii = x.map((input) => exactRadius(victim, input, kind));
    answers[kind] = {
      radius: radii.map(({ radius }) => radius),
      delta: radii.slice(0, few).map(({ delta }) => delta && Array.from(delta)),
      exact: radii.map(({ exact }) => exact),
      attacks: x.map((input, i) => attackWithin(victim, input, decisions[i].predicted, size, kind)),
      truth: x.slice(0, few).map((input) => findTruth(victim, input, kind)),
    };
    for (const attack of answers[kind].attacks) delete attack.point;
    for (const truth of answers[kind].truth) delete truth.nearest;
  }
  return answers;
}

const questions = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(questions.map(answer)));
