// What the pages share to keep up with work that goes on. Without it, reloading does the same.

const SECOND = 1000;
export const byId = (id) => document.getElementById(id);

export function fillTable(table, rows) {
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

export function announce(text) {
  byId("announcement").textContent = text;
}

export function setProgress(bar, value) {
  bar.value = value;
  bar.textContent = `${value} of ${bar.max}`;
}

export function take(section, progress, show) {
  show(section, progress);
  section.dataset.moving = progress.moving ? "yes" : "no";
  byId("offline").hidden = true;
}

export async function follow(section, show) {
  while (section?.dataset.moving === "yes") {
    await new Promise((resolve) => setTimeout(resolve, SECOND));
    if (document.hidden) continue;
    try {
      const answer = await fetch(section.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      take(section, await answer.json(), show);
    } catch (problem) {
      byId("offline").hidden = false;
      console.warn(problem);
    }
  }
}
