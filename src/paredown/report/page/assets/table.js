// The front as a table; a row's button chooses its trial, a column's sorts by it.
"use strict";

function sortedRows() {
  const rows = study.front.slice();
  if (front.sorted === null) return rows;
  const name = study.objectives[front.sorted].name, turn = front.rising ? 1 : -1;
  return rows.sort((one, other) => turn * (one.values[name] - other.values[name]));
}

function sortBy(place) {
  front.rising = front.sorted === place ? !front.rising : study.objectives[place].direction === "minimize";
  front.sorted = place;
  showTable();
  $("front-table").querySelectorAll("thead button")[place].focus();
}

function figureCell(trial, objective, place, row) {
  const value = row.values[objective.name], ends = trial.ci && trial.ci[place];
  const unsure = trial.how[place] === "e" ? make("small", {}, " estimated") : null;
  const again = row.final && ({ ...row.final.strict, ...row.final.test })[objective.name];
  const second = again && again.value !== null
    ? make("div", {}, make("small", {}, `${objective.name === "quality" ? "test" : "strict"} ${show(objective.name, again.value)} ${around(objective.name, again.value, again.ci95)}`)) : null;
  return make("td", { class: "number" }, show(objective.name, value), unsure, " ", make("small", {}, around(objective.name, value, ends)), second);
}

function showTable() {
  const heads = study.objectives.map((objective, place) => make(
    "th", { scope: "col", "aria-sort": front.sorted === place ? (front.rising ? "ascending" : "descending") : null },
    make("button", { type: "button", onclick: () => sortBy(place) }, label(objective.name) + (front.sorted === place ? (front.rising ? " ↑" : " ↓") : "")),
  ));
  const rows = sortedRows().map((row) => {
    const trial = byNumber.get(row.trial), rules = picksOf(row.trial);
    const button = make("button", { type: "button", "data-trial": row.trial, "aria-pressed": String(row.trial === front.chosen), onclick: () => choose(row.trial, true) }, `Trial ${row.trial}`);
    const budget = row.feasible ? "kept" : `misses ${nice((trial.missed || []).join(", "))}`;
    return make(
      "tr", { class: row.trial === front.chosen ? "chosen" : null },
      make("td", {}, button), study.objectives.map((objective, place) => figureCell(trial, objective, place, row)),
      study.budgets.length ? make("td", {}, budget) : null,
      make("td", {}, rules.map((rule) => make("span", { class: "tag pick" }, rule))), make("td", { class: "words" }, trial.what),
    );
  });
  const columns = [make("th", { scope: "col" }, "trial"), ...heads, study.budgets.length ? make("th", { scope: "col" }, "budgets") : null, make("th", { scope: "col" }, "pick"), make("th", { scope: "col" }, "made of")];
  const chosen = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.trial : undefined;
  const inside = $("front-table").contains(document.activeElement);
  $("front-table").replaceChildren(make("thead", {}, make("tr", {}, columns)), make("tbody", {}, rows));
  if (inside && chosen !== undefined) $("front-table").querySelector(`button[data-trial="${chosen}"]`).focus();
}
