// Every figure in the colours of the page, drawn again when they change.
"use strict";
const drawn = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const axisLook = () => ({ gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true });

function look(layout) {
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', size: 12, color: colour("ink") },
    margin: { l: 8, r: 12, t: 12, b: 8 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink"), size: 13 }, align: "left" },
    legend: { orientation: "h", y: -0.2, yanchor: "top", x: 0, font: { color: colour("soft"), size: 12 } },
    dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
    ...layout,
  };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat("xaxis", "yaxis")) {
    whole[name] = { ...axisLook(), ...layout[name] };
  }
  return whole;
}

// `build` gives data and layout, in the colours of the moment.
function draw(node, build) {
  drawn.set(node, build);
  const { data, layout } = build();
  return Plotly.react(node, data, look(layout), { displayModeBar: false, responsive: true, displaylogo: false });
}

function redrawAll() {
  for (const [node, build] of drawn) draw(node, build);
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const other = name === "dark" ? "Light" : "Dark";
  $("theme").textContent = other;
  $("theme").setAttribute("aria-label", `Switch to ${other.toLowerCase()} colours`);
}

function startTheme() {
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  setTheme(wanted.matches ? "dark" : "light");
  wanted.addEventListener("change", (event) => { setTheme(event.matches ? "dark" : "light"); redrawAll(); });
  $("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    redrawAll();
  });
}
