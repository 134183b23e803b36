// An import while it is moving: live, or by asking again and again where a stream does not get through.
import { announce, byId, fillTable, follow, setProgress, take } from "./progress.js";

function showImport(section, progress) {
  setProgress(byId("import-progress"), progress.done);
  byId("import-summary").textContent = progress.summary;
  byId("import-outcome").textContent = progress.outcome;
  byId("import-buttons").hidden = !["running", "stopped"].includes(progress.state);
  byId("go-on").hidden = progress.moving;
  byId("refused").hidden = progress.refusals.length === 0;
  fillTable(byId("refusals"), progress.refusals.map((row) => [[row.line, "number"], [row.name, "name"], [row.reason]]));
  const quarters = Math.floor(4 * progress.done / progress.total);
  if (!progress.moving || section.dataset.quarters !== String(quarters)) announce(progress.summary);
  section.dataset.quarters = quarters;
}

function listen(section) {
  const events = new EventSource(section.dataset.live);
  events.onmessage = (event) => {
    take(section, JSON.parse(event.data), showImport);
    if (section.dataset.moving === "no") events.close();
  };
  events.onerror = () => {
    // A stream that only ended is opened again by the browser.
    if (events.readyState === EventSource.CLOSED) follow(section, showImport);
  };
}

const section = byId("import");
if (section?.dataset.moving === "yes") listen(section);
