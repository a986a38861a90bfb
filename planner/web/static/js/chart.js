// Line charts from the table that stands beside each of them: one source, so picture and table cannot differ.
(function () {
  "use strict";
  if (!window.echarts) return;
  const drawn = [];

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function options(table) {
    const heads = Array.from(table.tHead.rows[0].cells).slice(1);
    const rows = Array.from(table.tBodies[0].rows);
    const used = heads.map((head, index) => ({ head, index })).filter(({ index }) => rows.some((row) => row.cells[index + 1].dataset.value));
    const at = (row, index) => (row.cells[index].dataset.value ? Number(row.cells[index].dataset.value) : null);
    const ink = color("--muted");
    return {
      animation: false,
      aria: { enabled: true, decal: { show: true } },
      textStyle: { color: ink },
      legend: { textStyle: { color: ink }, top: 0, type: "scroll" },
      grid: { left: 8, right: 8, top: 48, bottom: 8, containLabel: true },
      tooltip: { trigger: "axis", renderMode: "richText" },
      xAxis: { type: "value", name: "s", nameTextStyle: { color: ink }, axisLabel: { color: ink }, splitLine: { show: false } },
      yAxis: used.map(({ head }, order) => ({
        type: "value",
        name: head.dataset.unit,
        position: order === 0 ? "left" : "right",
        offset: order > 1 ? (order - 1) * 46 : 0,
        nameTextStyle: { color: ink },
        axisLabel: { color: ink },
        scale: true,
        splitLine: { show: order === 0, lineStyle: { color: color("--line") } },
      })),
      series: used.map(({ head, index }, order) => ({
        name: head.dataset.title,
        type: "line",
        showSymbol: rows.length < 3,
        yAxisIndex: order,
        lineStyle: { width: 2, type: ["solid", "dashed", "dotted"][order % 3] },
        itemStyle: { color: color("--series-" + ((order % 6) + 1)) },
        data: rows.map((row) => [at(row, 0), at(row, index + 1)]),
      })),
    };
  }

  function draw() {
    for (const place of document.querySelectorAll("[data-chart-of]")) {
      const table = document.getElementById(place.dataset.chartOf);
      if (!table || !table.tBodies[0].rows.length) continue;
      place.hidden = false;
      const chart = echarts.getInstanceByDom(place) || echarts.init(place, null, { renderer: "svg" });
      chart.setOption(options(table), true);
      if (!drawn.includes(chart)) drawn.push(chart);
    }
  }

  draw();
  document.addEventListener("planner:theme", draw);
  document.addEventListener("htmx:afterSettle", draw);
  window.addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
})();
