// Keeps the page up to date while orders or a report are moving. Without it, reloading does the same.
"use strict";

const SECOND = 1000;
const byId = (id) => document.getElementById(id);

function fillTable(table, rows) {
  const cell = ([text, style]) => {
    const td = document.createElement("td");
    td.textContent = text;
    if (style) td.className = style;
    return td;
  };
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map(cell));
    return tr;
  }));
  table.hidden = rows.length === 0;
}

function announce(text) {
  byId("announcement").textContent = text;
}

function setProgress(bar, value) {
  bar.value = value;
  bar.textContent = `${value} of ${bar.max}`;
}

function showBatch(batch, progress) {
  for (const step of ["charged", "shipped", "notified"]) {
    setProgress(byId(step), progress[step]);
    for (const count of batch.querySelectorAll(`[data-count="${step}"]`)) count.textContent = progress[step];
  }
  const quarters = Math.floor(4 * progress.shipped / progress.total);
  if (batch.dataset.quarters !== String(quarters)) {
    batch.dataset.quarters = quarters;
    announce(`${progress.shipped} of ${progress.total} shipped`);
  }
  const steps = Object.entries(progress.by_worker).flatMap(([step, workers]) =>
    Object.entries(workers).map(([worker, count]) => [[step, "step"], [worker, "name"], [count, "number"]]));
  fillTable(byId("workers"), steps);
  byId("no-workers").hidden = steps.length > 0;
  byId("deliveries").textContent = progress.deliveries_summary;
  for (const order of progress.orders) {
    const state = document.querySelector(`[data-order="${order.id}"] .state`);
    if (!state) continue;
    state.dataset.state = order.state;
    state.textContent = order.label;
  }
}

function showReport(report, progress) {
  setProgress(byId("report-progress"), progress.percent);
  byId("report-summary").textContent = progress.summary;
  byId("start-report").disabled = progress.moving;
  byId("start-report").textContent = progress.state === "stopped" ? "Go on" : "Start a report";
  if (!progress.moving) announce(progress.summary);
  fillTable(byId("sales"), progress.sales.map((line) =>
    [[line.item], [line.orders, "number"], [`€ ${line.revenue}`, "number"]]));
}

async function follow(section, show) {
  while (section?.dataset.moving === "yes") {
    await new Promise((resolve) => setTimeout(resolve, SECOND));
    if (document.hidden) continue;
    try {
      const answer = await fetch(section.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const progress = await answer.json();
      show(section, progress);
      section.dataset.moving = progress.moving ? "yes" : "no";
      byId("offline").hidden = true;
    } catch (problem) {
      byId("offline").hidden = false;
      console.warn(problem);
    }
  }
}

follow(byId("batch"), showBatch);
follow(byId("report"), showReport);
