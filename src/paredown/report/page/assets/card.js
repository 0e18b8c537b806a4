// The card of the chosen trial.
"use strict";

const DETAILS = {
  tokens: "tokens decoded, mean", fixed_tokens: "at a fixed number of tokens", fixed_tokens_median: "ms at that number", fixed_tokens_ratio: "times the uncompressed model's at that number",
  fixed_tokens_ci95: "its interval", timed_beside: "timed beside", others_share: "share of other load", drifted: "the reference drifted", stopped: "timing ended by",
  clock_median: "by the clock, ms", per_token: "ms a token", rtf: "real-time factor", p90: "90th percentile, ms", signature: "signature", instructions: "instructions",
  length_ratio: "length ratio", length_cap_hits: "cut off by the length cap", audio_s: "seconds of audio", reason: "why",
};

function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return value === true ? "yes" : value === false ? "no" : String(value);
}

function provenance(name, kind, figure) {
  const parts = [`${kind}: ${figure.provenance}`, `${figure.samples} ${figure.samples === 1 ? "observation" : "observations"}`];
  if (figure.ci95) parts.push("95 % interval");
  parts.push(figure.target ? `on target ${figure.target}` : "the same on any machine");
  for (const [key, value] of Object.entries(figure.detail || {})) parts.push(`${DETAILS[key] || key} ${name === "size_bytes" && typeof value === "number" ? show("x_bytes", value) : written(value)}`);
  return make("p", { class: "how" }, parts.join("; "));
}

function figureText(name, figure) {
  if (!figure) return make("td", { class: "number" }, "–");
  const unsure = figure.provenance === "estimated" ? make("small", {}, " estimated") : null;
  return make("td", { class: "number" }, show(name, figure.value), unsure, " ", make("small", {}, around(name, figure.value, figure.ci95)));
}

function figuresTable(card) {
  const again = card.figures.some((row) => row.again);
  const rows = card.figures.map((row) => {
    const how = make("details", {}, make("summary", {}, "how"), row.search ? provenance(row.name, "search", row.search) : null,
      row.again ? provenance(row.name, row.name in WORDS && !row.name.includes("@") ? "test" : "strict", row.again) : null);
    return make("tr", {}, make("th", { scope: "row" }, label(row.name)), figureText(row.name, row.search), again ? figureText(row.name, row.again) : null, make("td", {}, how));
  });
  const split = study.study.final && study.study.final.split ? "on test; costs strict" : "costs strict";
  const head = ["", "on search", again ? split : null, "how"].filter((word) => word !== null);
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures of the trial" }, make("table", { class: "figures" },
    make("thead", {}, make("tr", {}, head.map((word) => make("th", { scope: "col" }, word)))), make("tbody", {}, rows)));
}

// What every row tells, for a trial without a whole card.
function shortTable(trial) {
  const rows = study.objectives.map((objective, place) => {
    const value = valueOf(trial, place);
    if (value === null || value === undefined) return null;
    const how = `${HOW[trial.how[place]] || "unknown"}; ${trial.samples[place]} ${trial.samples[place] === 1 ? "observation" : "observations"}`;
    return make("tr", {}, make("th", { scope: "row" }, label(objective.name)),
      make("td", { class: "number" }, show(objective.name, value), " ", make("small", {}, around(objective.name, value, trial.ci[place]))), make("td", {}, make("span", { class: "how" }, how)));
  }).filter(Boolean);
  if (!rows.length) return make("p", { class: "note" }, "Nothing was measured of it.");
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures of the trial" }, make("table", { class: "figures" }, make("tbody", {}, rows)));
}

function barChart(pairs, write) {
  const most = Math.max(...pairs.map(([, value]) => Math.abs(value)), 1e-12);
  return make("div", { class: "bars" }, pairs.map(([name, value]) => [
    make("span", {}, name), make("span", { class: value < 0 ? "bar minus" : "bar", style: `width:${(100 * Math.abs(value)) / most}%` }), make("span", { class: "number" }, write(value)),
  ]));
}

function bytesPart(anatomy) {
  const whole = anatomy.size_bytes, files = anatomy.files.reduce((sum, [, size]) => sum + size, 0);
  const bytes = (value) => (whole >= 1e6 ? `${digits(value / 1e6, 2)} MB` : show("x_bytes", value));
  const pairs = [...anatomy.groups, ["graphs and manifest", files]];
  return make("div", {}, make("h3", {}, "Where its bytes go"), barChart(pairs, (value) => `${bytes(value)}  ${((100 * value) / whole).toFixed(0)} %`),
    make("p", { class: "note" }, `${show("x_bytes", whole)} in all, exact, by module group: codes, scales and masks as the bundle holds them.`));
}

function boughtPart(trial, anatomy) {
  const command = `paredown show ${study.study.shell_folder} --trial ${trial.n} --ablate`;
  const note = make("p", { class: "note" }, "Bytes saved by each technique, the others left as they are: computed exactly, nothing was built. They overlap, so they need not sum up; below zero it costs bytes. What each bought in quality and latency is measured by ", make("code", {}, command));
  const empty = make("p", { class: "note" }, "No technique changes its bytes.");
  return make("div", {}, make("h3", {}, "What each technique bought"), anatomy.axes.length ? barChart(anatomy.axes, (value) => show("x_bytes", value)) : empty, note);
}

function ablationPart(card) {
  const names = study.objectives.map((objective) => objective.name);
  const rows = card.ablation.map((one) => make("tr", {}, make("th", { scope: "row" }, one.axis), names.map((name) => make("td", { class: "number" },
    one.bought[name] === undefined ? "–" : name === "quality" ? show(name, one.bought[name]) : `× ${digits(one.bought[name], 3)}`))));
  return make("div", {}, make("h3", {}, "Measured: what each technique bought"), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What each technique bought" },
    make("table", { class: "figures" }, make("thead", {}, make("tr", {}, ["", ...names.map(label)].map((word) => make("th", { scope: "col" }, word)))), make("tbody", {}, rows))),
  make("p", { class: "note" }, "Measured when this page was written, with and without each technique: quality gained or lost, costs as share of what they would be without it."));
}

function timePart(card) {
  const parts = [make("h3", {}, "Where its milliseconds go")], stages = card.stages, anatomy = card.anatomy;
  if (stages) {
    parts.push(barChart(stages.ms, (value) => show(stages.name, value)), make("p", { class: "note" },
      `Measured: the mean share of each stage in ${stages.runs} runs, of the ${label(stages.name)} above.`));
  } else {
    parts.push(make("p", {}, "Not known by stage: when this was timed, stages were not told."));
  }
  if (anatomy) {
    parts.push(make("h3", {}, "Its work"), barChart(anatomy.macs, (value) => show("macs", value)),
      make("p", { class: "note" }, "Exact: multiply-accumulates of 5 s of audio and 16 tokens. Bit-widths and zeros leave it as it is."));
  }
  return make("div", {}, parts);
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", {});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function exportPart(trial) {
  const command = `${study.study.command} ${trial.n} -o ${study.study.output}-${trial.n}`;
  const button = make("button", { type: "button", id: "copy" }, "Copy");
  button.addEventListener("click", () => copy(command, button));
  return make("div", { class: "command" }, make("pre", { tabindex: 0 }, make("code", { id: "export" }, command)), button);
}

function tags(trial, card) {
  const found = picksOf(trial.n).map((rule) => make("span", { class: "tag pick" }, rule));
  if (trial.state !== "complete") found.push(make("span", { class: "tag" }, trial.state));
  if (trial.values) found.push(make("span", { class: "tag" }, trial.on_front ? "on the front" : "dominated"));
  if (trial.values && study.budgets.length) found.push(make("span", { class: trial.feasible ? "tag good" : "tag" }, trial.feasible ? "keeps the budgets" : `misses ${nice((trial.missed || []).join(", "))}`));
  if (card && card.verdict) found.push(make("span", { class: card.verdict.passed ? "tag good" : "tag" }, card.verdict.passed ? "confirmed without loss" : "not without loss"));
  return make("div", { class: "tags" }, found);
}

function verdictWords(verdict) {
  const unit = study.study.metric;
  return `On ${study.study.confirmed_on}: lost ${signed(verdict.loss, 2)} ${unit}, at most ${signed(verdict.upper95, 2)} (one-sided 95 %), margin ${verdict.margin} ${unit}, ${verdict.utterances} utterances, ${verdict.test}.`;
}

function showCard(trial) {
  const card = study.cards[trial.n], anatomy = card && card.anatomy;
  const alike = trial.alike && trial.alike.length ? make("p", { class: "note" }, `Where it is better than trial ${trial.alike.join(", ")}, the 95 % intervals meet: it is not shown to beat ${trial.alike.length > 1 ? "them" : "it"} in anything.`) : null;
  const missing = !anatomy && card && study.missing.anatomy ? make("p", { class: "note" }, `Where its bytes go: ${study.missing.anatomy}`) : null;
  $("trial").replaceChildren(
    make("h2", { id: "trial-title" }, `Trial ${trial.n}`), make("p", { class: "lead" }, trial.what), tags(trial, card), ...(trial.reason ? [make("p", { class: "note" }, `${trial.state}: ${trial.reason}`)] : []),
    card ? figuresTable(card) : shortTable(trial), ...[card && card.verdict ? make("p", { class: "note" }, verdictWords(card.verdict)) : null, alike, missing].filter(Boolean),
    exportPart(trial), structure(trial), ...(anatomy ? [make("div", { class: "columns" }, bytesPart(anatomy), timePart(card), boughtPart(trial, anatomy))] : card ? [timePart(card)] : []), ...(card && card.ablation ? [ablationPart(card)] : []),
  );
}
