// A sweep: what was put at each boundary of the run and what became of it, the same by function, and the findings.

const functionOf = (place) => place.replace(/ #\d+$/, "").split(" ").pop().split("+")[0];
// Height of a cell by what became of it: colour is never the only sign.
const fateHeight = {"-": 3, p: 7, o: 12, r: 18, e: 18, h: 18, i: 18, F: 18};
const fateClass = {"-": "na", p: "pruned", o: "off", r: "rejoined", e: "executed", h: "missed", i: "missed", F: "failed"};

/// "3-7, 9" as [first, last] each.
function stretches(numbers) {
  const out = [];
  for (const n of numbers) {
    if (out.length && out[out.length - 1][1] === n - 1) out[out.length - 1][1] = n;
    else out.push([n, n]);
  }
  return out;
}

class SweepMap {
  constructor(sweep, onSelect) {
    this.s = sweep;
    this.rows = Object.keys(sweep.map);
    this.columns = sweep.places.map((place, i) => place ? i : -1).filter((i) => i >= 0);
    this.n = this.columns.length;
    this.step = Math.max(4, Math.min(24, Math.floor(Math.min(1020, window.innerWidth - 150) / Math.max(1, this.n))));
    this.found = new Set(sweep.findings.flatMap((f) => Object.values(f.seen_at).flat()));
    this.names = s("svg", {width: 104, "aria-hidden": "true"});
    this.svg = s("svg", {width: this.n * this.step + 2, role: "img", "aria-label": this.summary()});
    this.y = 0;
    this.functions();
    this.marks();
    for (const row of this.rows) this.row(row);
    this.cursor = s("rect", {class: "cursor", y: 0, width: this.step, height: this.y});
    this.svg.append(this.cursor);
    for (const svg of [this.names, this.svg]) svg.setAttribute("height", this.y + 2);
    this.scroll = h("div", {class: "scroll", tabindex: "-1"}, this.svg);
    this.scroll.addEventListener("click", (event) => onSelect(Math.floor((event.clientX - this.svg.getBoundingClientRect().left) / this.step)));
    this.element = h("div", {class: "timeline"}, h("div", {class: "names"}, this.names), this.scroll);
  }

  letter(row, boundary) { return this.s.map[row][boundary] || " "; }
  label(text, y) { this.names.append(s("text", {x: 8, y, "font-size": text.length > 14 ? 9 : 11}, text.length > 17 ? text.slice(0, 16) + "…" : text)); }

  summary() {
    const parts = [`Map of ${this.n} boundaries of the run by ${this.rows.length} event${this.rows.length === 1 ? "" : "s"}.`];
    for (const row of this.rows) {
      const counts = Object.keys(this.s.fates).map((fate) => [fate, this.columns.filter((b) => this.letter(row, b) === fate).length]).filter(([, count]) => count > 0);
      parts.push(`${row}: ${counts.map(([fate, count]) => `${count} ${this.s.fates[fate]}`).join("; ") || "nowhere"}.`);
    }
    return parts.join(" ");
  }

  functions() {
    this.label("function", 14);
    let shaded = false;
    for (const [from, to, name] of runs(this.n, (i) => functionOf(this.s.places[this.columns[i]]))) {
      const x = from * this.step;
      const width = (to - from) * this.step;
      if (shaded) this.svg.append(s("rect", {class: "band", x, y: 0, width, height: 26 + 24 * this.rows.length + 16}, s("title", {}, name)));
      shaded = !shaded;
      const fits = Math.floor((width - 6) / 5.6);
      if (fits > 2) this.svg.append(s("text", {class: "soft", x: x + 3, y: 14, "font-size": 9.5}, s("title", {}, name), name.length > fits ? name.slice(0, fits - 1) + "…" : name));
    }
    this.y = 22;
  }

  marks() {
    if (!this.found.size) return;
    this.label("finding", this.y + 10);
    this.columns.forEach((boundary, i) => {
      const x = (i + .5) * this.step;
      if (this.found.has(boundary)) this.svg.append(s("path", {class: "found", d: `M${x - 3.5} ${this.y + 2}h7l-3.5 8z`}));
    });
    this.y += 16;
  }

  row(row) {
    const bottom = this.y + 21;
    this.label(row, this.y + 15);
    for (const fate of Object.keys(fateHeight)) {
      const d = runs(this.n, (i) => this.letter(row, this.columns[i]) === fate).filter(([, , here]) => here)
        .map(([from, to]) => `M${from * this.step} ${bottom}v-${fateHeight[fate]}H${to * this.step}v${fateHeight[fate]}z`).join("");
      if (d) this.svg.append(s("path", {class: `f-${fateClass[fate]}`, d}, s("title", {}, `${row}: ${this.s.fates[fate]}`)));
    }
    this.y += 24;
  }

  select(i) {
    this.cursor.setAttribute("x", i * this.step);
    const x = i * this.step;
    if (x < this.scroll.scrollLeft || x + this.step > this.scroll.scrollLeft + this.scroll.clientWidth) this.scroll.scrollLeft = x - this.scroll.clientWidth * .5;
  }
}

class SweepView {
  constructor(r) {
    this.s = r.sweep;
    this.violations = r.violations;
    this.shown = r.shown;
    this.replay = r.replay;
    this.map = new SweepMap(this.s, (i) => this.select(i));
    this.now = h("p", {class: "now", "aria-live": "polite"});
    const first = this.map.columns.findIndex((b) => this.map.found.has(b));
    this.element = [this.findings(), this.history(), this.byFunction()];
    if (this.map.n) this.select(Math.max(0, first));
  }

  history() {
    if (!this.map.n) return null;
    this.slider = h("input", {type: "range", min: 0, max: this.map.n - 1, "aria-label": "boundary", oninput: () => this.select(Number(this.slider.value))});
    const button = (text, label, go) => h("button", {type: "button", "aria-label": label, title: label, onclick: () => this.select(go())}, text);
    return [h("h4", {}, "Every boundary of the run, left to right"), this.map.element,
      h("div", {class: "controls"}, button("◀", "boundary before", () => this.at - 1), this.slider, button("▶", "next boundary", () => this.at + 1),
        this.map.found.size > 0 && button("▼ finding", "next finding", () => this.nextFinding())),
      h("p", {class: "hint keys"}, h("kbd", {}, "←"), " ", h("kbd", {}, "→"), " one boundary, ", h("kbd", {}, "Home"), " ", h("kbd", {}, "End"), " first and last, ", h("kbd", {}, "F"), " next finding"),
      this.now,
      h("ul", {class: "legend"}, Object.entries(this.s.fates).filter(([fate]) => fateClass[fate]).map(([fate, words]) => h("li", {}, h("i", {class: `f-${fateClass[fate]}`}), words)), h("li", {}, "▼ finding")),
      this.asTable()];
  }

  /// Boundaries that fared alike, in one row.
  asTable() {
    const {columns, rows} = this.map;
    const body = h("tbody");
    const details = h("details", {}, h("summary", {}, "The same as a table"), h("div", {class: "wide"}, h("table", {class: "dense"},
      h("thead", {}, h("tr", {}, ["boundaries", "function", ...rows].map((x) => h("th", {scope: "col"}, x)))), body)));
    details.addEventListener("toggle", () => {
      if (body.childElementCount) return;
      const key = (i) => [functionOf(this.s.places[columns[i]]), ...rows.map((row) => this.map.letter(row, columns[i]))].join("\n");
      body.append(...runs(columns.length, key).map(([from, to]) => h("tr", {},
        [to - from > 1 ? `${columns[from]} to ${columns[to - 1]}` : columns[from], functionOf(this.s.places[columns[from]]),
          ...rows.map((row) => this.s.fates[this.map.letter(row, columns[from])])].map((x) => h("td", {}, x)))));
    });
    return details;
  }

  byFunction() {
    const functions = Object.keys(this.s.coverage);
    const order = this.s.places.map((place) => place && functionOf(place));
    functions.sort((a, b) => (order.indexOf(a) + 1 || 1e9) - (order.indexOf(b) + 1 || 1e9));
    const events = [...new Set(functions.flatMap((f) => Object.keys(this.s.coverage[f])))].sort();
    const failures = (name, event) => this.s.findings.flatMap((f) => f.seen_at[event] || []).filter((b) => order[b] === name).length;
    const applicable = (name) => Object.values(this.s.coverage[name]).some((c) => c.executed + c.incomplete + c.host_skipped > 0);
    const nothing = functions.filter((name) => !applicable(name));
    return [h("h4", {}, "By function: placements executed, of those applicable"),
      h("div", {class: "wide"}, h("table", {class: "dense coverage"}, h("thead", {}, h("tr", {}, h("th", {scope: "col"}, "function"), events.map((e) => h("th", {scope: "col", class: "num"}, e)))),
        h("tbody", {}, functions.filter(applicable).map((name) => h("tr", {}, h("th", {scope: "row"}, name), events.map((event) => this.cell(this.s.coverage[name][event], failures(name, event)))))))),
      nothing.length > 0 && h("p", {class: "small"}, `Nothing was applicable in ${nothing.join(", ")}.`),
      h("details", {}, h("summary", {}, "What this covers, in words"), h("pre", {}, this.s.statement))];
  }

  cell(cell, failures) {
    if (!cell) return h("td", {class: "num"}, "");
    const applicable = cell.executed + cell.incomplete + cell.host_skipped;
    const why = Object.entries({...cell.na, ...cell.pruned}).map(([reason, count]) => `${count}: ${reason}`).join("; ");
    if (applicable === 0) return h("td", {class: "num none", title: why}, why ? "n/a" : "");
    const kind = failures ? "bad" : cell.executed < applicable ? "warn" : "good";
    return h("td", {class: `num ${kind}`, title: why || null}, failures ? `✗ ${failures} · ` : "", cell.executed < applicable ? `${cell.executed} of ${applicable}` : cell.executed);
  }

  findings() {
    return this.s.findings.map((f, i) => {
      const v = this.violations[i];
      const command = f.file ? `./rig replay ${f.file}` : this.replay;
      return h("section", {class: "invariant", "aria-label": `${v.id} ${f.object}`},
        h("p", {class: "seen"}, h("b", {class: "changed"}, v.id), v.title ? ` ${v.title}. ` : " ", f.text), v.sentence && h("blockquote", {}, v.sentence),
        h("p", {class: "small"}, `At ${f.where}; ${f.count} placement${f.count === 1 ? "" : "s"}: `,
          Object.entries(f.seen_at).map(([row, boundaries], k) => [k ? "; " : "", `${row} at `, this.where(boundaries)])),
        h("ol", {class: "steps"}, f.decisions.map((d) => h("li", {}, h("code", {}, d)))),
        h("div", {class: "replay"}, h("code", {}, command), copyButton(command)),
        this.shown[i] ? this.run(this.shown[i]) : h("details", {}, h("summary", {}, "The state it was seen in"), h("pre", {}, f.picture)));
    });
  }

  /// Built when it is opened: widths are not known before.
  run(result) {
    const details = h("details", {class: "shown"}, h("summary", {}, "The run that shows it, stop by stop"));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      const view = new Finding(result);
      details.append(view.element);
      view.attached();
    });
    return details;
  }

  where(boundaries) {
    const most = 12;
    const all = stretches(boundaries);
    const links = all.slice(0, most).map(([a, b], i) => [i ? ", " : "", h("button", {type: "button", class: "link", title: this.s.places[a], onclick: () => this.select(this.map.columns.indexOf(a))}, a === b ? a : `${a}–${b}`)]);
    return [links, all.length > most ? ` and ${all.length - most} more` : ""];
  }

  nextFinding() {
    const {columns, found} = this.map;
    const after = columns.findIndex((b, i) => i > this.at && found.has(b));
    return after >= 0 ? after : Math.max(0, columns.findIndex((b) => found.has(b)));
  }

  select(i) {
    const {columns, rows, n} = this.map;
    this.at = Math.max(0, Math.min(n - 1, i));
    this.slider.value = this.at;
    this.map.select(this.at);
    const boundary = columns[this.at];
    const ids = (row) => this.s.findings.map((f, k) => (f.seen_at[row] || []).includes(boundary) ? this.violations[k].id : "").filter(Boolean);
    const words = rows.filter((row) => this.map.letter(row, boundary) !== " ").map((row) => {
      const letter = this.map.letter(row, boundary);
      return [" ", h("b", {}, row), ": ", letter === "F" ? h("span", {class: "changed"}, ids(row).join(", ") || this.s.fates.F) : this.s.fates[letter], "."];
    });
    this.now.replaceChildren(h("b", {}, `Boundary ${boundary}`), ` of ${this.s.boundaries}: `, h("code", {}, this.s.places[boundary]), ".", ...words.flat());
  }

  attached() { if (this.map.n) this.select(this.at); }

  key(event) {
    if (!this.map.n) return false;
    const jumps = {ArrowLeft: () => this.at - 1, ArrowRight: () => this.at + 1, Home: () => 0, End: () => this.map.n - 1, f: () => this.map.found.size ? this.nextFinding() : this.at};
    const go = jumps[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (go) this.select(go());
    return Boolean(go);
  }
}
