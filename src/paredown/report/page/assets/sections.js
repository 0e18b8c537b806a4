// What stands below the trial: sensitivity, the course of the search, translations, provenance.
"use strict";

function startSensitivity() {
  for (const chart of study.charts) {
    const node = make("div", { class: "chart", style: `height:${chart.height}px`, role: "img", "aria-label": chart.title });
    const inner = chart.height > 600 ? make("div", { class: "box", tabindex: 0, role: "region", "aria-label": chart.title }, node) : node;
    $("charts").append(make("figure", { id: `chart-${chart.name}` }, make("h3", {}, chart.title), inner, make("figcaption", {}, chart.caption)));
    const lined = chart.data.length > 1;
    const layout = lined ? { ...chart.layout, margin: { l: 8, r: 12, t: 12, b: 150 }, legend: { orientation: "h", y: -0.3, yanchor: "top", x: 0, font: { size: 12 } } } : chart.layout;
    draw(node, () => ({ data: chart.data, layout: { ...layout, showlegend: lined } }));
  }
  const words = study.missing.sensitivity;
  $("sensitivity-missing").textContent = words || "";
  if (!study.charts.length && !words) $("sensitivity-missing").textContent = "Nothing was analysed.";
}

function alongOf(trial, by) {
  return by === "n" ? trial.n : trial.at === undefined ? null : trial.at / 60;
}

function bestSoFar(place, trials, by) {
  const objective = study.objectives[place], line = { x: [], y: [] }, [factor] = factorOf(place);
  let best = null;
  for (const trial of trials) {
    const value = valueOf(trial, place);
    if (trial.values && trial.feasible && (best === null || (objective.direction === "minimize" ? value < best : value > best))) best = value;
    if (best !== null) { line.x.push(alongOf(trial, by)); line.y.push(best / factor); }
  }
  return line;
}

function courseData(place, by) {
  const trials = study.trials.filter((trial) => alongOf(trial, by) !== null);
  const seen = trials.filter((trial) => Number.isFinite(valueOf(trial, place))), [factor] = factorOf(place);
  const dots = (name, some, marker) => ({
    type: "scatter", mode: "markers", name, x: some.map((trial) => alongOf(trial, by)), y: some.map((trial) => valueOf(trial, place) / factor),
    text: some.map(hover), hovertemplate: "%{text}<extra></extra>", marker, customdata: some.map((trial) => trial.n),
  });
  const accent = colour("accent");
  return [
    { type: "scatter", mode: "lines", name: "best so far", ...bestSoFar(place, trials, by), line: { shape: "hv", color: colour("pick"), width: 2 }, hoverinfo: "skip" },
    dots("keeps the budgets", seen.filter((trial) => trial.values && trial.feasible), { color: accent, size: 6 }),
    dots("misses a budget", seen.filter((trial) => trial.values && !trial.feasible), { color: accent, size: 6, symbol: "circle-open" }),
    dots("stopped early", seen.filter((trial) => !trial.values), { size: 7, symbol: "x-thin", line: { width: 1.5, color: colour("faded") } }),
  ].filter((trace) => trace.x.length);
}

function courseFigure(title, caption) {
  const node = make("div", { class: "chart", style: "height:320px", role: "img", "aria-label": title });
  $("course-charts").append(make("figure", {}, make("h3", {}, title), node, make("figcaption", {}, caption)));
  return node;
}

function startCourse() {
  const { counts, planned, seconds: took, sampler, seed } = study.study;
  const ran = took ? ` in ${seconds(took)}` : "";
  $("course-words").textContent = `${counts.complete + counts.stopped + counts.rejected} of ${planned} planned trials${ran}; sampler ${sampler}, seed ${seed}.`;
  const timed = study.trials.some((trial) => trial.at !== undefined);
  if (!timed) $("course-x").querySelector('option[value="at"]').remove();
  const nodes = study.objectives.map((objective) => courseFigure(label(objective.name), objective.name === "quality" ? "Difference to the uncompressed model, above 0 where better. Best so far: of those that keep the budgets." : "Lower is better. Best so far: of those that keep the budgets."));
  const grown = study.volume.length ? courseFigure("hypervolume", "How much of the space of objectives the front covers, budgets kept; it only grows.") : null;
  const refresh = () => {
    const by = $("course-x").value, title = { text: by === "n" ? "trial" : "minutes", standoff: 6 };
    const low = { orientation: "h", y: -0.22, yanchor: "top", x: 0 };
    nodes.forEach((node, place) => draw(node, () => ({ data: courseData(place, by), layout: { hovermode: "closest", legend: { ...low, font: { color: colour("soft"), size: 12 } }, xaxis: { title }, yaxis: { ...axis(place), range: undefined } } })));
    if (grown) draw(grown, () => {
      const pairs = study.volume.map(([number, volume]) => [alongOf(byNumber.get(number), by), volume]).filter(([at]) => at !== null);
      return { data: [{ type: "scatter", mode: "lines", x: pairs.map(([at]) => at), y: pairs.map(([, volume]) => volume), line: { shape: "hv", color: colour("accent"), width: 2 }, hovertemplate: "%{x:.4~g}: %{y:.4~g}<extra></extra>" }], layout: { showlegend: false, xaxis: { title }, yaxis: { rangemode: "tozero" } } };
    });
  };
  $("course-x").addEventListener("change", refresh);
  refresh();
  startStopped();
}

function startStopped() {
  const ended = study.trials.filter((trial) => trial.state === "stopped" || trial.state === "rejected");
  $("stopped").hidden = !ended.length;
  const rows = ended.map((trial) => make("tr", {}, make("td", {}, make("button", { type: "button", onclick: () => choose(trial.n, true) }, `Trial ${trial.n}`)), make("td", {}, trial.state), make("td", {}, trial.reason || ""), make("td", {}, trial.what)));
  $("stopped-table").replaceChildren(make("tbody", {}, rows));
}

function markedText(spans) {
  return spans.map(([text, differs], place) => [place ? " " : "", differs ? make("mark", { class: text ? null : "gap", title: text ? null : "words are missing here" }, text) : text]).flat();
}

function startHeard() {
  const words = study.missing.translations;
  if (study.study.metric === "WER") for (const id of ["heard-link", "heard-title"]) $(id).textContent = "Transcripts";
  if (!study.heard.length) {
    $("heard-words").textContent = words || "No pick has been heard yet.";
    return;
  }
  const compared = study.heard.some((one) => one.baseline !== null) ? "the uncompressed model" : "the reference";
  $("heard-words").textContent = `Utterances of search: those where trials differ most, and some by chance. Marked words differ from what ${compared} says.${words ? ` ${words}` : ""}`;
  $("heard-controls").hidden = false;
  const numbers = study.heard[0].texts.map(([number]) => number);
  for (const number of numbers) $("heard-pick").append(make("option", { value: number }, `trial ${number}: ${picksOf(number).join(", ")}`));
  const refresh = () => $("heard-list").replaceChildren(...study.heard.map((one) => utterance(one, Number($("heard-pick").value))));
  $("heard-pick").addEventListener("change", refresh);
  refresh();
}

function utterance(one, number) {
  const found = one.texts.find(([other]) => other === number);
  const rows = [["reference", one.reference], ["uncompressed", one.baseline === null ? "not known" : one.baseline], [`trial ${number}`, markedText(found[1])]];
  if (one.said) rows.unshift(["said", one.said]);
  const player = one.audio ? make("audio", { controls: true, preload: "none", src: one.audio, "aria-label": `Audio of ${one.id}` }) : make("p", { class: "note" }, "audio left out");
  return make("article", { class: "utterance" }, make("div", {}, make("p", { class: "note" }, `${one.id}${one.differs ? "" : ", by chance"}`), player),
    make("dl", {}, rows.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])));
}

function startProvenance() {
  const { identity, made_by, seed, ended, final } = study.study;
  const rows = Object.entries(identity).filter(([, value]) => value !== null && value !== "").map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]);
  const target = rows.filter(([name]) => name.includes("target's")), rest = rows.filter(([name]) => !name.includes("target's"));
  if (study.study.target) target.unshift(["target", study.study.target]);
  const whole = [["last figure", ended || "not known"], ["seed", String(seed)], ["written by", `${made_by.name} ${made_by.version}`], ...target, ...rest];
  if (final && final.split) whole.push(["test", `${final.split}; looked at after ${final.looks.join(", ")} trials`]);
  $("provenance-table").replaceChildren(make("tbody", {}, whole.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "how" }, value)))));
}
