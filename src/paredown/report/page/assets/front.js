// The front: a scatter in any two objectives, and a table whose rows choose a trial.
"use strict";
const front = { x: 0, y: 0, chosen: null, sorted: null, rising: false };

function standing(trial) {
  if (trial.state !== "complete") return `${trial.state === "stopped" ? "stopped early" : trial.state}: an unfinished figure`;
  const parts = [trial.on_front ? "on the front" : "dominated"];
  if (trial.missed) parts.push(`misses ${nice(trial.missed.join(", "))}`);
  return parts.join("; ");
}

function hover(trial) {
  const lines = [`<b>trial ${trial.n}</b>  ${plain(trial.what)}`];
  study.objectives.forEach((objective, place) => {
    const value = valueOf(trial, place);
    if (value === null || value === undefined) return;
    const unsure = trial.how && trial.how[place] === "e" ? " (estimated)" : "";
    const ends = trial.ci ? around(objective.name, value, trial.ci[place]) : "";
    lines.push(plain(`${label(objective.name)} ${show(objective.name, value)} ${ends}${unsure}`));
  });
  const rules = picksOf(trial.n);
  if (rules.length) lines.push(plain(`pick: ${rules.join(", ")}`));
  lines.push(plain(standing(trial)));
  return lines.join("<br>");
}

function factorOf(place) {
  const name = study.objectives[place].name.split("@")[0];
  return name.endsWith("_bytes") ? [1e6, "MB"] : name === "latency_ms" ? [1, "ms"] : name === "energy_mj" ? [1, "mJ"] : [1, study.study.metric];
}

function coordinates(trials, place) {
  const [factor] = factorOf(place);
  return trials.map((trial) => valueOf(trial, place) / factor);
}

function bars(trials, place) {
  const [factor] = factorOf(place);
  const ends = (trial, end) => {
    const value = valueOf(trial, place), ci = trial.ci && trial.ci[place];
    return ci ? Math.max(0, (end ? ci[1] - value : value - ci[0]) / factor) : 0;
  };
  if (!trials.some((trial) => trial.ci && trial.ci[place])) return { visible: false };
  return { type: "data", symmetric: false, array: trials.map((one) => ends(one, 1)), arrayminus: trials.map((one) => ends(one, 0)), thickness: 1, width: 3 };
}

function series(name, trials, marker, more) {
  return {
    type: "scatter", mode: "markers", name, x: coordinates(trials, front.x), y: coordinates(trials, front.y),
    customdata: trials.map((trial) => trial.n), text: trials.map(hover), hovertemplate: "%{text}<extra></extra>", marker, ...more,
  };
}

function withBars(trials, tint) {
  return { error_x: { ...bars(trials, front.x), color: tint }, error_y: { ...bars(trials, front.y), color: tint } };
}

// Labels above and below in turn, from left to right, so that neighbours do not run into each other.
function spread(trials) {
  const order = trials.map((trial, at) => at).sort((one, other) => valueOf(trials[one], front.x) - valueOf(trials[other], front.x));
  const found = [];
  order.forEach((at, turn) => { found[at] = turn % 2 ? "bottom center" : "top center"; });
  return found;
}

function frontData() {
  const seen = study.trials.filter((trial) => [front.x, front.y].every((place) => Number.isFinite(valueOf(trial, place))));
  const complete = seen.filter((trial) => trial.values);
  const plainModel = complete.filter((trial) => trial.label === "uncompressed");
  const on = complete.filter((trial) => trial.on_front && !plainModel.includes(trial));
  const kept = on.filter((trial) => trial.feasible), missed = on.filter((trial) => !trial.feasible);
  const stopped = seen.filter((trial) => trial.state === "stopped");
  const picked = complete.filter((trial) => picksOf(trial.n).length);
  const faded = complete.filter((trial) => !trial.on_front && !plainModel.includes(trial));
  const accent = colour("accent"), ink = colour("ink");
  const data = [series("dominated", faded, { size: 7, color: colour("faded"), opacity: 0.4 })];
  if (stopped.length) data.push(series("stopped early", stopped, { size: 8, symbol: "x-thin", line: { width: 1.5, color: colour("faded") } }, { visible: "legendonly" }));
  if (missed.length) data.push(series("on the front, misses a budget", missed, { size: 9, symbol: "circle-open", color: accent, line: { width: 2 } }, withBars(missed, colour("faded"))));
  data.push(series("on the front", kept, { size: 10, color: accent }, withBars(kept, accent)));
  if (plainModel.length) data.push(series("uncompressed", plainModel, { size: 11, symbol: "diamond", color: colour("soft") }));
  data.push(series("picks", picked, { size: 17, symbol: "circle-open", color: colour("pick"), line: { width: 2.5 } }, {
    mode: matchMedia("(max-width: 720px)").matches ? "markers" : "markers+text", texttemplate: picked.map((trial) => plain(picksOf(trial.n).join(", "))), textposition: spread(picked), textfont: { color: colour("pick"), size: 12 },
  }));
  const chosen = seen.filter((trial) => trial.n === front.chosen);
  data.push(series("chosen", chosen, { size: 24, symbol: "circle-open", color: ink, line: { width: 1.5 } }, { showlegend: false, hoverinfo: "skip", hovertemplate: null }));
  return data;
}

// Ends of an axis around all complete trials, in what plotly calls a range: powers of ten where it is logarithmic.
function range(place) {
  const [factor] = factorOf(place), log = study.objectives[place].scale === "log";
  const values = study.trials.filter((trial) => trial.values).flatMap((trial) => [valueOf(trial, place), ...((trial.on_front && trial.ci && trial.ci[place]) || [])]);
  const turned = values.map((value) => value / factor).filter((value) => !log || value > 0).map((value) => (log ? Math.log10(value) : value));
  if (!turned.length) return undefined;
  const low = Math.min(...turned), high = Math.max(...turned), margin = 0.08 * (high - low) || 0.1;
  return [low - margin, high + margin];
}

function budgetShapes() {
  const shapes = [], annotations = [];
  for (const [place, axis] of [[front.x, "x"], [front.y, "y"]]) {
    const objective = study.objectives[place], [factor] = factorOf(place), ends = range(place);
    for (const budget of study.budgets.filter((one) => one.measure === objective.name)) {
      const limit = budget.limit / factor, log = objective.scale === "log";
      if (!ends || (log && limit <= 0)) continue;
      const far = budget.direction === "minimize" ? ends[1] : ends[0], end = log ? 10 ** far : far;
      const across = axis === "x" ? { xref: "x", yref: "paper", y0: 0, y1: 1 } : { xref: "paper", yref: "y", x0: 0, x1: 1 };
      const beyond = budget.direction === "minimize" ? end > limit : end < limit;
      if (beyond) shapes.push({ type: "rect", layer: "below", line: { width: 0 }, fillcolor: colour("faded"), opacity: 0.13, ...across, [`${axis}0`]: limit, [`${axis}1`]: end });
      shapes.push({ type: "line", layer: "below", line: { color: colour("pick"), width: 1.5, dash: "dash" }, ...across, [`${axis}0`]: limit, [`${axis}1`]: limit });
      const at = log ? Math.log10(limit) : limit;
      const text = { text: plain(nice(budget.text)), showarrow: false, font: { size: 11, color: colour("pick") } };
      annotations.push(axis === "x" ? { ...text, x: at, xref: "x", y: 0, yref: "paper", yanchor: "bottom", xanchor: "right", textangle: -90 } : { ...text, y: at, yref: "y", x: 1, xref: "paper", xanchor: "right", yanchor: "bottom" });
    }
  }
  return { shapes, annotations };
}

function axis(place) {
  const objective = study.objectives[place], [, unit] = factorOf(place);
  const look = { title: { text: plain(`${label(objective.name)}, ${unit}`), standoff: 8 }, range: range(place) };
  if (objective.scale !== "log") return look;
  return { ...look, type: "log", tickvals: [1, 2, 3, 5, 7].flatMap((digit) => [-2, -1, 0, 1, 2, 3, 4, 5].map((power) => Number(`${digit}e${power}`))), tickformat: "~g" };
}

function drawFront() {
  return draw($("front-chart"), () => ({
    data: frontData(),
    layout: { ...budgetShapes(), xaxis: axis(front.x), yaxis: axis(front.y), hovermode: "closest", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: colour("soft"), size: 12 } } },
  }));
}

function choose(number, move) {
  front.chosen = number;
  drawFront();
  showTable();
  showCard(byNumber.get(number));
  if (move) $("trial").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function startFront() {
  const names = study.objectives.map((objective) => objective.name);
  front.y = Math.max(0, names.indexOf("quality"));
  front.x = names.includes("size_bytes") ? names.indexOf("size_bytes") : Math.max(0, names.findIndex((name) => name !== "quality"));
  for (const side of ["x", "y"]) {
    const select = $(`axis-${side}`);
    names.forEach((name, place) => select.append(make("option", { value: place, selected: place === front[side] }, label(name))));
    select.addEventListener("change", () => { front[side] = Number(select.value); drawFront(); });
  }
  for (const number of new Set(study.picks.map((pick) => pick.trial))) {
    $("picks").append(make("button", { type: "button", "data-trial": number, onclick: () => choose(number, true) }, `${picksOf(number).join(", ")}: trial ${number}`));
  }
  drawFront().then((node) => node.on("plotly_click", (event) => {
    const number = event.points[0].customdata;
    if (number !== undefined) choose(number, false);
  }));
}
