"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");

  // Colours are named in the figures and decided by the page's style, so that charts follow it.
  const coloured = (value, style) => {
    if (typeof value === "string" && value.startsWith("var(")) {
      return style.getPropertyValue(value.slice(4, -1)).trim();
    }
    if (Array.isArray(value)) return value.map((inner) => coloured(inner, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
    }
    return value;
  };

  const axis = (own) => ({
    automargin: true,
    gridcolor: "var(--line)",
    zerolinecolor: "var(--line)",
    linecolor: "var(--line)",
    ...own,
  });

  const layoutOf = (own, lines) => ({
    paper_bgcolor: "var(--card)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "var(--text)" },
    margin: { l: 48, r: 12, t: 8, b: 44 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    hovermode: lines ? "x unified" : "closest",
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--text)" } },
    dragmode: touch.matches ? false : "zoom",
    ...own,
    xaxis: axis(own.xaxis),
    yaxis: axis(own.yaxis),
  });

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const chart of document.querySelectorAll(".chart")) {
      const source = document.getElementById(chart.id.replace(/-chart$/, "-figure"));
      const { data, layout } = JSON.parse(source.textContent);
      const lines = data.every((trace) => trace.type === "scatter" && trace.mode !== "markers");
      const whole = coloured({ data, layout: layoutOf(layout, lines) }, style);
      Plotly.react(chart, whole.data, whole.layout, {
        responsive: true,
        displayModeBar: "hover",
        displaylogo: false,
        modeBarButtons: [["toImage"]],
        toImageButtonOptions: { format: "svg", filename: chart.id.replace(/-chart$/, "") },
      });
    }
  };

  draw();
  dark.addEventListener("change", draw);
})();
