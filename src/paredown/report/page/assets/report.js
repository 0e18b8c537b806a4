// Puts the page together.
"use strict";

function startHeading() {
  const { name, model, split, counts, on_front: onFront, verdict, warning, sampler, seed, ended, identity } = study.study;
  $("title").textContent = name;
  $("verdict").textContent = nice(verdict);
  $("warning").hidden = !warning;
  $("warning").textContent = warning ? `Warning: ${warning}.` : "";
  const cpu = identity["target's cpu"], threads = identity["target's threads"];
  const facts = [
    ["model", model], ["judged on", split], ["trials", ["complete", "stopped", "rejected", "interrupted", "running"].filter((state, place) => place < 3 || counts[state]).map((state) => `${counts[state]} ${state}`).join(", ")], ["on the front", String(onFront)],
    ["budgets", nice(study.budgets.map((budget) => budget.text).join(", ")) || "none"], ["target", cpu ? `${cpu}, ${threads} thread${threads === 1 ? "" : "s"}` : "not recorded"],
    ["search", `${sampler}, seed ${seed}`], ["last figure", ended ? ended.slice(0, 16).replace("T", " ") : "not known"],
  ];
  $("facts").replaceChildren(...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
  $("front-words").textContent = "Trials that no other trial dominates. Quality is the difference to the uncompressed model, above 0 where better; bars and brackets are 95 % intervals. Choose a point or a row to see its trial.";
  $("front-note").textContent = study.budgets.length ? "Dashed: budgets; what lies in the shaded part misses one. Faded: dominated. Trials that were stopped early have unfinished figures and are shown when their legend is pressed." : "Faded: dominated. Trials that were stopped early have unfinished figures and are shown when their legend is pressed.";
  $("footer").textContent = `Written by ${study.study.made_by.name} ${study.study.made_by.version}. This file needs no network; the figures of the front stand in it as JSON (study-data), those of paredown front --json.`;
}

startTheme();
startHeading();
if (study.trials.length) {
  startFront();
  const first = study.study.leading !== null ? study.study.leading : (study.front[0] || study.trials.map((one) => ({ trial: one.n })).at(-1) || {}).trial;
  front.chosen = first;
  showTable();
  drawFront();
  showCard(byNumber.get(first));
} else {
  $("front-words").textContent = "The study has no trial yet.";
  $("trial").hidden = true;
}
startSensitivity();
startCourse();
startHeard();
startProvenance();
