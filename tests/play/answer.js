/* What the page's functions say of a network and its inputs. Node (node.mjs) and a browser (the page
   itself) have them as global names. A question is made in test_numerics.py. */

function networkOf({ page, positive, negative, beta, perClass }) {
  const rows = (matrix) => matrix.map((row) => Float64Array.from(row));
  if (!page) return makeNetwork(rows(positive), rows(negative), beta, perClass);
  const [plus, minus] = [page.positive, page.negative].map((part) => float16Rows(part, 784));
  return makeNetwork(plus, minus, page.beta, page.perClass);
}

function solveProgram(Q, h) {
  const rows = Q.map((row) => Float64Array.from(row));
  return Array.from(nonnegativeQuadraticProgram(rows, Float64Array.from(h)));
}

/* JSON has no ∞: it becomes null. */
function answer({ network, inputs, eps, few, drawings, programs }) {
  if (programs) return programs.map(([Q, h]) => solveProgram(Q, h));
  const victim = networkOf(network);
  const x = network.page
    ? pixelRows(network.page.digits, 784)
    : inputs.map((row) => Float64Array.from(row));
  const lists = (matrix) => matrix.map((row) => Array.from(row));
  const decisions = x.map((input) => decide(victim, input));
  const answers = {
    positive: lists(victim.positive),
    negative: lists(victim.negative),
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
  }
  return answers;
}
