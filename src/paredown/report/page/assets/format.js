// Figures and elements: numbers in human units, text that can never become markup.
"use strict";
const study = JSON.parse(document.getElementById("study-data").textContent);
const byNumber = new Map(study.trials.map((trial) => [trial.n, trial]));
const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// plotly reads a few tags and entities in its texts.
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const WORDS = {
  quality: "quality", size_bytes: "size", latency_ms: "latency", energy_mj: "energy", params: "parameters", macs: "multiply-accumulates",
  loss: "teacher-forced loss", chrf: "chrF", "chrf++": "chrF++", bleu: "BLEU", wer: "WER", ter: "TER", cer: "CER", peak_rss_bytes: "peak memory",
};

function label(name) {
  const [kind, target] = name.split("@");
  return (WORDS[kind] || kind) + (target ? ` on ${target}` : "");
}

function digits(value, places) {
  const text = Math.abs(value).toFixed(places).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, " ");
  return (value < 0 && Number(text.replace(/\s/g, "")) !== 0 ? "−" : "") + text;
}

function signed(value, places) {
  return (value > 0 ? "+" : "") + digits(value, places);
}

function scale(value, steps) {
  const size = Math.abs(value);
  for (const [least, factor, unit, places] of steps) if (size >= least) return [factor, unit, places];
  return steps[steps.length - 1].slice(1);
}

// The factor, the unit and the places that a figure of this size is shown with.
function manner(name, value) {
  const kind = name.split("@")[0];
  if (kind.endsWith("_bytes")) return scale(value, [[1e9, 1e9, "GB", 2], [1e5, 1e6, "MB", 2], [1e3, 1e3, "kB", 1], [0, 1, "B", 0]]);
  if (kind === "latency_ms") return scale(value, [[1e4, 1e3, "s", 1], [10, 1, "ms", 1], [0, 1, "ms", 2]]);
  if (kind === "energy_mj") return scale(value, [[1e4, 1e3, "J", 1], [10, 1, "mJ", 1], [0, 1, "mJ", 2]]);
  if (kind === "macs") return scale(value, [[1e9, 1e9, "G", 2], [1e6, 1e6, "M", 1], [0, 1, "", 0]]);
  if (kind === "params") return scale(value, [[1e6, 1e6, "M", 2], [1e3, 1e3, "k", 1], [0, 1, "", 0]]);
  if (kind === "quality") return [1, study.study.metric, 2];
  if (kind === "loss") return [1, "nats", 3];
  return [1, "", 2];
}

function show(name, value, bare) {
  if (value === null || value === undefined) return "unavailable";
  const [factor, unit, places] = manner(name, value);
  const number = name === "quality" ? signed(value, places) : digits(value / factor, places);
  return bare || !unit ? number : `${number} ${unit}`;
}

// An interval in the unit of its value.
function around(name, value, ends) {
  if (!ends) return "";
  const [factor, , places] = manner(name, value);
  const write = name === "quality" ? signed : digits;
  return `[${write(ends[0] / factor, places)}, ${write(ends[1] / factor, places)}]`;
}

// Budgets and the like, as they are set in type.
function nice(text) {
  return text.replace(/>=/g, "≥").replace(/<=/g, "≤").replace(/(^|[\s[(])-(?=\d)/g, "$1−");
}

function seconds(value) {
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

// A value of an objective of a trial: exact where it is complete, what was seen of it where it was stopped.
function valueOf(trial, place) {
  return trial.values ? trial.values[place] : trial.part ? trial.part[place] : null;
}

const HOW = { m: "measured", e: "estimated", u: "unavailable" };

function picksOf(number) {
  return study.picks.filter((pick) => pick.trial === number).map((pick) => pick.rule);
}
