// Line charts from the table that stands beside each of them: one source, so picture and table cannot differ.
// Each column is a small chart of its own over the same time, so that no axis serves two units.
(function () {
  "use strict";
  if (!window.echarts) return;
  const ROW = 104; // pixels of one small chart, its title included
  const BOTTOM = 8;
  const drawn = [];

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function number(cell) {
    return cell.dataset.value ? Number(cell.dataset.value) : null;
  }

  // The columns that hold any value: what the driver never told is left to the table.
  function columns(table) {
    const rows = Array.from(table.tBodies[0].rows);
    return Array.from(table.tHead.rows[0].cells)
      .map((head, index) => ({
        title: head.dataset.title,
        unit: head.dataset.unit,
        points: rows.map((row) => [number(row.cells[0]), number(row.cells[index])]),
      }))
      .slice(1)
      .filter((column) => column.points.some((point) => point[1] !== null));
  }

  function options(found) {
    const ink = color("--muted");
    const line = color("--line");
    const last = found.length - 1;
    return {
      animation: false,
      aria: { enabled: true },
      textStyle: { color: ink },
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      tooltip: { trigger: "axis", renderMode: "richText" },
      title: found.map((column, row) => ({
        text: column.title + ", " + column.unit,
        left: 0,
        top: row * ROW,
        textStyle: { fontSize: 12, fontWeight: 600, color: ink },
      })),
      grid: found.map((_, row) => ({ left: 52, right: 12, top: row * ROW + 24, height: ROW - 40 })),
      xAxis: found.map((_, row) => ({
        type: "value",
        gridIndex: row,
        min: 0,
        max: "dataMax",
        axisLabel: { show: row === last, color: ink, formatter: "{value} s" },
        axisTick: { show: row === last },
        axisLine: { lineStyle: { color: line } },
        splitLine: { show: false },
      })),
      yAxis: found.map((_, row) => ({
        type: "value",
        gridIndex: row,
        scale: true,
        splitNumber: 2,
        axisLabel: { color: ink },
        splitLine: { lineStyle: { color: line } },
      })),
      series: found.map((column, row) => ({
        name: column.title + ", " + column.unit,
        type: "line",
        xAxisIndex: row,
        yAxisIndex: row,
        showSymbol: column.points.length < 3,
        lineStyle: { width: 2 },
        itemStyle: { color: color("--series-" + ((row % 6) + 1)) },
        data: column.points,
      })),
    };
  }

  function draw() {
    for (const place of document.querySelectorAll("[data-chart-of]")) {
      const table = document.getElementById(place.dataset.chartOf);
      const found = table ? columns(table) : [];
      if (!found.length) continue;
      place.hidden = false;
      place.style.height = found.length * ROW + BOTTOM + "px";
      const chart = echarts.getInstanceByDom(place) || echarts.init(place, null, { renderer: "svg" });
      chart.setOption(options(found), true);
      if (!drawn.includes(chart)) drawn.push(chart);
    }
  }

  draw();
  document.addEventListener("planner:theme", draw);
  window.addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
})();
