// The page: verdicts, claims, findings, all scenarios.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function overview() {
  byId("headline").textContent = data.headline;
  document.title = `stackrig: ${data.headline}`;
  const total = Math.max(1, data.results.length);
  const counts = new Map();
  for (const r of data.results) counts.set(r.v, (counts.get(r.v) || 0) + 1);
  byId("tally").setAttribute("role", "img");
  byId("tally").setAttribute("aria-label", data.headline);
  for (const [verdict, count] of counts) {
    const bar = h("i", {class: `fill-${kindOf(verdict)}`, title: `${count} ${verdict}`});
    bar.style.flexGrow = count / total;
    byId("tally").append(bar);
  }
  byId("facts").append(...Object.entries(data.facts).flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
  byId("limits").append(h("p", {class: "lede"}, data.limits));
}

const KIND_WORDS = {bad: "refuted", good: "held", warn: "undecided", none: "not tested"};

function claimKind(reading) { return reading.refuted.length ? "bad" : reading.open ? "warn" : reading.held ? "good" : "none"; }

function readingRow(reading) {
  const shortest = reading.refuted[0];
  const kind = claimKind(reading);
  return h("p", {class: "small"}, h("span", {class: "reading"}, reading.name), chip(kind, KIND_WORDS[kind]), " ",
    shortest && [`${shortest.id} in ${shortest.stops} stops: `, shortest.shown ? h("a", {href: "#" + encodeURIComponent(shortest.name)}, shortest.name) : shortest.name,
      reading.refuted.length > 1 ? `, and ${reading.refuted.length - 1} more. ` : ". "],
    reading.held > 0 && `Held in ${reading.held}. `, reading.open > 0 && `Undecided in ${reading.open}. `);
}

function claims() {
  const isTested = (c) => c.readings.some((r) => claimKind(r) !== "none");
  const others = data.claims.filter((c) => !isTested(c)).map((c) => c.id);
  byId("claims").append(h("ul", {class: "claims"}, data.claims.filter(isTested).map((c) => {
    const kind = claimKind(c.readings[0]);
    return h("li", {class: `card ${kind}`}, h("header", {}, h("span", {class: "id"}, c.id), chip(kind, KIND_WORDS[kind])), h("h3", {}, c.statement), h("blockquote", {}, c.sentence),
      c.readings.filter((r, i) => i < 2 || claimKind(r) !== "none").map(readingRow));
  })), others.length > 0 && h("p", {class: "small"}, `Not tested here: ${others.join(" ")}`) || "",
  data.depths && h("pre", {class: "depths"}, data.depths) || "");
}

const findings = new Map();
let shown = null;

function showFinding(name, scroll) {
  const entry = findings.get(name);
  if (!entry) return;
  if (!entry.view) entry.view = new Finding(entry.result);
  shown = entry.view;
  byId("finding").replaceChildren(entry.view.element);
  entry.view.attached();
  for (const [other, {button}] of findings) button.setAttribute("aria-current", String(other === name));
  if (scroll) byId("findings").scrollIntoView();
}

function listFindings() {
  if (!data.details.length) return;
  byId("findings").hidden = false;
  const picker = h("nav", {class: "picker", "aria-label": "findings"});
  for (const result of data.details) {
    const key = findings.has(result.name) ? `${result.name} (${result.file} ${findings.size})` : result.name;
    const button = h("button", {type: "button", onclick: () => { location.hash = encodeURIComponent(key); }}, key);
    findings.set(key, {result, button});
    picker.append(button);
  }
  byId("findings").append(data.details.length > 1 ? picker : "", h("div", {id: "finding"}),
    data.not_shown > 0 ? h("p", {class: "hint"}, `${data.not_shown} more are not shown here: the file would grow too large. Run one of them alone for its pictures.`) : "");
  const asked = decodeURIComponent(location.hash.slice(1));
  showFinding(findings.has(asked) ? asked : data.details[0].name, findings.has(asked));
  window.addEventListener("resize", () => { if (shown) shown.attached(); });  // a phone that is turned
  window.addEventListener("hashchange", () => showFinding(decodeURIComponent(location.hash.slice(1)), true));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (shown && shown.key(event)) event.preventDefault();
  });
}

function listResults() {
  const most = 400;
  let wanted = "all";
  let words = "";
  const body = h("tbody");
  const more = h("p", {class: "small"});
  const draw = (limit) => {
    const match = data.results.filter((r) => (wanted === "all" || (wanted === "unexpected" ? !good.has(r.v) && r.v !== "SKIP" : r.v === wanted)) && (r.n + " " + r.f + " " + r.c).includes(words));
    body.replaceChildren(...match.slice(0, limit).map((r) => h("tr", {}, h("td", {}, chip(kindOf(r.v), r.v)),
      h("td", {}, findings.has(r.n) ? h("a", {href: "#" + encodeURIComponent(r.n)}, r.n) : r.n, h("p", {class: "small mono"}, r.f), r.r ? h("p", {class: "small"}, r.r) : ""),
      h("td", {}, r.c), h("td", {class: "num"}, r.s))));
    more.replaceChildren(match.length > limit ? h("button", {type: "button", onclick: () => draw(1e9)}, `Show all ${match.length}`) : `${match.length} of ${data.results.length}`);
  };
  const verdicts = [...new Set(data.results.map((r) => r.v))];
  const filters = ["all", ...(verdicts.some((v) => !good.has(v) && v !== "SKIP") ? ["unexpected"] : []), ...(verdicts.length > 1 ? verdicts : [])].map((name) =>
    h("button", {type: "button", "aria-pressed": String(name === "all"), onclick: (event) => {
      wanted = name;
      for (const other of event.target.parentNode.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === event.target));
      draw(most);
    }}, name));
  byId("results").append(h("div", {class: "tools"}, filters, h("input", {type: "search", placeholder: "name, file or claim", "aria-label": "filter", oninput: (event) => { words = event.target.value; draw(most); }})),
    h("div", {class: "card wide"}, h("table", {class: "results-table"}, h("thead", {}, h("tr", {}, h("th", {scope: "col"}, "verdict"), h("th", {scope: "col"}, "scenario"), h("th", {scope: "col"}, "claims"), h("th", {scope: "col", class: "num"}, "stops"))), body)), more);
  draw(most);
}

overview();
claims();
listFindings();
listResults();
