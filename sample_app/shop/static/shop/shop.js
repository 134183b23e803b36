// Orders and a report while they are moving.
import { announce, byId, fillTable, follow, setProgress } from "./progress.js";

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
  byId("cancel-report").hidden = ["done", "cancelled"].includes(progress.state);
  byId("report-file").hidden = !progress.file;
  byId("report-file").firstElementChild.href = progress.file;
  if (!progress.moving) announce(progress.summary);
  fillTable(byId("sales"), progress.sales.map((line) =>
    [[line.item], [line.orders, "number"], [`€ ${line.revenue}`, "number"]]));
}

follow(byId("batch"), showBatch);
follow(byId("report"), showReport);
