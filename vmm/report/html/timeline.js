// The timeline: a lane per CPU, the pages of each thread, cache, reserve and free pages, one column a stop.

const contexts = {
  user: "user mode", entry: "entry, up to the end of ENTER", kernel: "kernel", exit: "EXIT and the way out", irq: "interrupt", nmi: "NMI",
  mc: "#MC", debug: "#DB on IST", df: "#DF", idle: "idle", boot: "boot",
};
const owners = {own: "own page", cache: "from the cache", alloc: "from the allocator", reserve: "from a reserve", clash: "in two places", absent: "not present"};

class Timeline {
  constructor(moments, steps, onSelect) {
    this.m = moments;
    this.n = moments.list.length;
    this.step = Math.max(8, Math.min(60, Math.floor(Math.min(1020, window.innerWidth - 150) / Math.max(1, this.n))));
    this.y = 0;
    this.ipis = [];
    this.laneTop = [];
    this.names = s("svg", {width: 96, "aria-hidden": "true"});
    this.svg = s("svg", {width: this.n * this.step + 2, role: "img", "aria-label": this.summary()});
    this.bands(steps);
    for (let cpu = 0; cpu < moments.cpuCount; ++cpu) this.cpuLane(cpu);
    for (const name of moments.threads) this.threadLane(name);
    for (let cpu = 0; cpu < moments.cpuCount; ++cpu) {
      this.level(`cache ${cpu}`, "", (m) => m.cpus[cpu] ? m.cpus[cpu].cache.length : 0);
      this.level(`reserve ${cpu}`, "res", (m) => m.cpus[cpu] ? m.cpus[cpu].reserve.length : 0);
    }
    this.level("free", "free", (m) => m.free);
    this.height = this.y + 4;
    this.arrows();
    for (const rect of this.svg.querySelectorAll(".band")) rect.setAttribute("height", this.height);
    this.cursor = s("rect", {class: "cursor", y: 0, width: this.step, height: this.height});
    this.svg.append(this.cursor);
    for (const svg of [this.names, this.svg]) svg.setAttribute("height", this.height);
    this.scroll = h("div", {class: "scroll", tabindex: "-1"}, this.svg);
    this.scroll.addEventListener("click", (event) => {
      const x = event.clientX - this.svg.getBoundingClientRect().left;
      onSelect(Math.max(0, Math.min(this.n - 1, Math.floor(x / this.step))));
    });
    this.element = h("div", {class: "timeline"}, h("div", {class: "names"}, this.names), this.scroll);
  }

  summary() {
    const last = this.m.list[this.n - 1];
    const parts = [`Timeline of ${this.n} stops on ${this.m.cpuCount} CPU${this.m.cpuCount === 1 ? "" : "s"}.`];
    for (let cpu = 0; cpu < this.m.cpuCount; ++cpu) {
      const words = runs(this.n, (i) => this.m.list[i].cpus[cpu].context).map(([, , c]) => contexts[c]);
      parts.push(`CPU ${cpu}: ${words.length > 24 ? `${words.length} changes of context, at the end ${words.at(-1)}` : words.join(", then ")}.`);
    }
    for (const t of last.threads.filter((t) => t.kind !== "idle")) {
      parts.push(`${t.name} ends with ${t.pages.filter(present).length} of 4 pages.`);
    }
    return parts.join(" ");
  }

  x(i) { return i * this.step; }
  label(text, y, size) { this.names.append(s("text", {x: 8, y, "font-size": size || 11, class: size ? "soft" : null}, text)); }
  rule() { for (const svg of [this.names, this.svg]) svg.append(s("line", {class: "rule", x1: 0, x2: 100000, y1: this.y + .5, y2: this.y + .5})); }

  bands(steps) {
    this.label("step", 12, 10);
    for (const [from, to, step] of runs(this.n, (i) => this.m.list[i].step)) {
      if (step % 2 === 0) this.svg.append(s("rect", {class: "band", x: this.x(from), y: 0, width: this.x(to - from), height: 1}));
      this.svg.append(s("text", {x: this.x(from) + 3, y: 12, "font-size": 10, class: "soft"}, s("title", {}, steps[step] || ""), step + 1));
    }
    this.y = 18;
  }

  cpuLane(cpu) {
    this.rule();
    const top = this.y + 16;
    this.label(`cpu${cpu}`, top + 16);
    this.label("IF", top + 32, 8);
    this.label("NMI mask", top + 40, 8);
    const of = (i) => this.m.list[i].cpus[cpu];
    for (const [from, to, key] of runs(this.n, (i) => `${of(i).context}|${of(i).thread}`)) {
      const [context, thread] = key.split("|");
      const width = this.x(to - from);
      this.svg.append(s("rect", {class: `cell c-${context}`, x: this.x(from), y: top, width, height: 24, rx: 3},
        s("title", {}, `${contexts[context]}, ${thread}: stops ${this.m.list[from].stop} to ${this.m.list[to - 1].stop}`)));
      const text = thread && thread !== context && thread.length < 9 ? `${thread} ${context}` : context;
      for (const words of [text, context, thread, context.slice(0, 2)]) {
        if (words && words.length * 6.3 + 6 <= width) {
          this.svg.append(s("text", {class: "lane-text", x: this.x(from) + 4, y: top + 16, "font-size": 10.5}, words));
          break;
        }
      }
    }
    const strip = (y, name, on) => {
      for (const [from, to, value] of runs(this.n, on)) this.svg.append(s("rect", {class: `${name}-${value ? "on" : "off"}`, x: this.x(from), y, width: this.x(to - from), height: 5}));
    };
    strip(top + 27, "if", (i) => interruptsOn(of(i)));
    strip(top + 35, "nmi", (i) => of(i).regs.nmi_masked);
    this.m.list.forEach((m, i) => {
      if (m.cpu !== cpu) return;
      const x = this.x(i) + this.step / 2;
      if (m.kind === "event") this.svg.append(s("path", {class: "event", d: `M${x - 5} ${top - 13}h10l-5 9z`}, s("title", {}, m.cause)),
        s("text", {x: x + 7, y: top - 5, "font-size": 9.5}, m.cause.replace(/^event /, "")));
      if (m.kind === "ipi") this.ipis.push([i, cpu, m.target, m.cause]);
      if (m.violated.length) this.svg.append(s("path", {class: "violation", d: `M${x - 5} ${top - 13}l10 10m0 -10l-10 10`}, s("title", {}, m.violated.join(", "))));
    });
    this.laneTop[cpu] = top;
    this.y = top + 46;
  }

  /// From the CPU that sends to the one that is meant.
  arrows() {
    for (const [i, from, to, words] of this.ipis) {
      if (from === to || this.laneTop[to] === undefined) continue;
      const x = this.x(i) + this.step / 2;
      const down = to > from;
      const end = this.laneTop[to] + (down ? 0 : 24);
      const tip = down ? -5 : 5;
      this.svg.append(s("path", {class: "ipi", d: `M${x} ${this.laneTop[from] + (down ? 24 : 0)}V${end}m-3.5 ${tip}l3.5 ${-tip}l3.5 ${tip}`}, s("title", {}, words)));
    }
  }

  threadLane(name) {
    this.rule();
    const top = this.y + 6;
    const row = 13;
    this.label(name.length > 8 ? name.slice(0, 7) + "…" : name, top + 14);
    for (let p = 0; p < 4; ++p) {
      this.names.append(s("text", {x: 76, y: top + p * row + 10, "font-size": 8.5, class: "soft"}, `P${p}`));
      for (const [from, to, owner] of runs(this.n, (i) => { const t = this.m.thread(i, name); return t ? ownerClass(t.pages[p]) : "none"; })) {
        if (owner === "none") continue;
        const at = {x: this.x(from), y: top + p * row, width: this.x(to - from), height: row - 1};
        if (owner === "absent") this.svg.append(s("rect", {...at, class: "void"}, s("title", {}, `P${p} of ${name}: not present`)));
        else this.svg.append(s("rect", {...at, class: `cell o-${owner}`}, s("title", {}, `P${p} of ${name}: ${owners[owner]}`)));
        if (owner === "reserve" || owner === "clash") this.hatch(at, owner);
      }
    }
    // RSP: how deep the thread is, on the scale of the four pages.
    let path = "";
    let pen = false;
    for (let i = 0; i < this.n; ++i) {
      const t = this.m.thread(i, name);
      if (!t || !t.own) { pen = false; continue; }
      const y = (top + Math.min(4.3, t.depth / 4096) * row).toFixed(1);
      path += `${pen ? "L" : "M"}${this.x(i)} ${y}H${this.x(i + 1)}`;
      pen = true;
    }
    if (path) this.svg.append(s("path", {class: "depth", d: path}, s("title", {}, `RSP of ${name}`)));
    this.y = top + 4 * row + 5;
  }

  /// Colour is never the only sign: borrowed pages carry strokes, pages in two places a cross.
  hatch(at, owner) {
    let d = "";
    for (let x = at.x + 3; x < at.x + at.width - 2; x += 7) d += owner === "reserve" ? `M${x} ${at.y + at.height}l4 -${at.height}` : `M${x} ${at.y + 1}l5 ${at.height - 2}m0 -${at.height - 2}l-5 ${at.height - 2}`;
    this.svg.append(s("path", {d, stroke: "#fff", "stroke-width": 1.1, "stroke-opacity": .75, fill: "none"}));
  }

  level(name, kind, valueAt) {
    const values = this.m.list.map(valueAt);
    const most = Math.max(...values);
    if (most === 0 && kind !== "res") return;
    this.rule();
    const top = this.y + 5;
    const height = 20;
    this.label(name, top + 13, 10);
    this.names.append(s("text", {x: 92, y: top + 13, "font-size": 9, "text-anchor": "end", class: "soft"}, most));
    const least = kind === "free" ? Math.min(...values) : 0;  // thousands of free pages: show how they change
    for (const [from, to, value] of runs(this.n, (i) => values[i])) {
      const part = most === least ? (most === 0 ? 0 : 1) : kind === "free" ? .15 + .85 * (value - least) / (most - least) : value / most;
      this.svg.append(s("rect", {class: `level ${kind}`, x: this.x(from), y: top + height * (1 - part), width: this.x(to - from), height: Math.max(height * part, .8)},
        s("title", {}, `${name}: ${value} page${value === 1 ? "" : "s"}`)));
      const text = String(value);
      if (text.length * 6 + 4 <= this.x(to - from)) this.svg.append(s("text", {x: this.x(from) + 3, y: top + 14, "font-size": 9.5}, text));
    }
    this.y = top + height + 3;
  }

  select(i) {
    this.cursor.setAttribute("x", this.x(i));
    const left = this.x(i) - this.scroll.clientWidth * .6;
    if (this.x(i) < this.scroll.scrollLeft || this.x(i + 1) > this.scroll.scrollLeft + this.scroll.clientWidth) this.scroll.scrollLeft = left;
  }
}

function legend() {
  const item = (cls, text) => h("li", {}, h("i", {class: cls}), text);
  return [h("ul", {class: "legend"}, Object.entries(contexts).map(([c, text]) => item(`c-${c}`, text))),
    h("ul", {class: "legend"}, Object.entries(owners).map(([o, text]) => item(`o-${o}`, text)), h("li", {}, "▼ event hits"), h("li", {}, "✗ invariant broken"), h("li", {}, "↕ IPI"), h("li", {}, "— RSP"))];
}
