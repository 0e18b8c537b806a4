// What is left of every layer: bit-widths by block and sublayer, as Fig. 2 of the lossless 4-bit Conformer paper, with widths, ranks and heads.
"use strict";
const IN_BLOCK = /^(encoder|decoder)\.(?:encoders|decoders)\.(\d+)\.(.+)$/;

function placed(path) {
  const found = IN_BLOCK.exec(path);
  return found ? { stack: found[1], block: Number(found[2]), part: found[3] } : null;
}

// Blocks of every stack that any trial of the study names.
function blockCounts() {
  const counts = {};
  const count = (stack, block) => { counts[stack] = Math.max(counts[stack] || 0, block + 1); };
  for (const path of study.layers.concat(study.paths)) {
    const at = placed(path);
    if (at) count(at.stack, at.block);
  }
  for (const trial of study.trials) for (const [stack, kept] of Object.entries(trial.keep || {})) for (const block of kept) count(stack, block);
  return counts;
}

const COUNTS = blockCounts();

function isGone(trial, stack, block) {
  return Boolean(trial.keep && trial.keep[stack] && !trial.keep[stack].includes(block));
}

function bitCell(letter) {
  if (letter === undefined) return make("td", {}, make("span", {}, ""));
  if (letter === "-") return make("td", {}, make("span", { class: "plain" }, "32"));
  const bits = letter === "h" ? 16 : Number(letter);
  const share = Math.min(100, Math.max(0, (bits - 1) * 13));
  const dark = document.documentElement.dataset.theme === "dark";
  return make("td", {}, make("span", { class: share > (dark ? 60 : 50) ? "bit deep" : "bit", style: `--share:${share}` }, String(bits)));
}

function addCell(rows, part, block, cell) {
  if (!rows.has(part)) rows.set(part, new Map());
  rows.get(part).set(block, cell);
}

function stackRows(trial, stack) {
  const rows = new Map();
  study.layers.forEach((path, place) => {
    const at = placed(path);
    if (at && at.stack === stack) addCell(rows, at.part, at.block, bitCell(trial.bits ? trial.bits[place] : "-"));
  });
  const told = (name, words, write) => (trial[name] || []).forEach(([place, size]) => {
    const at = placed(study.paths[place]);
    if (at && at.stack === stack) addCell(rows, `${at.part}: ${words}`, at.block, make("td", {}, make("span", {}, write(size))));
  });
  told("width", "units", String);
  told("rank", "rank", String);
  told("heads", "heads kept", (heads) => String(heads.length));
  return rows;
}

function stackTable(trial, stack) {
  const rows = stackRows(trial, stack), blocks = [...Array(COUNTS[stack]).keys()];
  if (!rows.size) return null;
  const head = blocks.map((block) => make("th", { scope: "col" }, String(block)));
  const body = [...rows].map(([part, cells]) => make(
    "tr", {}, make("th", { scope: "row" }, part),
    blocks.map((block) => (isGone(trial, stack, block)
      ? make("td", {}, make("span", { class: "gone", "aria-label": "block removed" }, " ")) : cells.get(block) || make("td", {}))),
  ));
  const name = `${stack}, blocks 0 to ${blocks.length - 1}`;
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Bit-widths of the ${stack}` },
    make("table", { class: "blocks" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, name), head)), make("tbody", {}, body)));
}

function outsideTable(trial) {
  const rows = study.layers.map((path, place) => [path, place]).filter(([path]) => !placed(path));
  if (!rows.length) return null;
  const body = rows.map(([path, place]) => make("tr", {}, make("th", { scope: "row" }, path), bitCell(trial.bits ? trial.bits[place] : "-")));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Bit-widths outside the blocks" },
    make("table", { class: "blocks" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "outside the blocks"), make("th", { scope: "col" }, "bits"))), make("tbody", {}, body)));
}

function keptWords(trial) {
  return Object.entries(COUNTS).map(([stack, count]) => {
    const kept = trial.keep && trial.keep[stack];
    return kept ? `${stack} blocks ${kept.join(", ")} of ${count} kept` : `all ${count} ${stack} blocks kept`;
  });
}

// What was done to the model besides bits, widths, ranks and heads, in words.
function structureWords(trial) {
  const words = keptWords(trial), [kernel, method, activations] = trial.scheme, [beam, ctc, bonus] = trial.decode;
  words.push(trial.zeros ? `zeros: ${trial.zeros.map(([group, share]) => `${group} ${(100 * share).toFixed(0)} %`).join(", ")}` : "no zeros");
  if (trial.hop) words.push(`hop length ${trial.hop} samples`);
  if (trial.rate) words.push(`${trial.rate[0]} Hz, ${trial.rate[1]}`);
  words.push(`beam ${beam}${ctc ? `, CTC weight ${ctc}` : ""}${bonus ? `, length bonus ${bonus}` : ""}`);
  words.push(trial.bits ? `${kernel} kernel, ${method} codes, ${activations} activations` : `${kernel} kernel`);
  if (trial.trained) words.push(`trained: ${trial.trained.join(", ")}`);
  if (trial.supernet) words.push(`weights of supernet ${trial.supernet}`);
  return words;
}

function structure(trial) {
  if (trial.cut) return make("p", { class: "note" }, "Left out here, where there are thousands of trials: ", make("code", {}, `paredown show ${study.study.shell_folder} --trial ${trial.n}`));
  const key = [["bit", "more bits, deeper"], ["plain", "fp32: not quantized"], ["gone", "block removed"]].map(([kind, words]) => make(
    "span", {}, make("span", { class: kind, style: "--share:50;display:inline-block;width:22px;height:14px;vertical-align:-2px;margin-right:.35rem" }), words));
  const maps = [...Object.keys(COUNTS).map((stack) => stackTable(trial, stack)), outsideTable(trial)].filter(Boolean);
  return make("div", { class: "structure" }, make("h3", {}, "What is left of every layer"), make("p", { class: "note" }, structureWords(trial).join("; ")),
    maps.length ? make("div", { class: "key blocks" }, key) : null, make("div", { class: "maps" }, maps.map((map) => make("div", {}, map))));
}
