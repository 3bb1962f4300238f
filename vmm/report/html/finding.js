// One result in full: what was seen, the timeline, the state at the chosen stop, code, decisions, command, text.

const registerNames = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

function frames(list) {
  return `${list.length}${list.length ? ": " : ""}${list.slice(0, 12).map((f) => "0x" + f.toString(16)).join(" ")}${list.length > 12 ? " …" : ""}`;
}

function cpuCard(cpu, before) {
  const regs = cpu.regs;
  const changed = (key, index) => before && (index === undefined ? before.regs[key] !== regs[key] : before.regs.gpr[index] !== regs.gpr[index]);
  const value = (name, text, isNew) => h("span", {}, h("b", {}, name), h("span", {class: isNew ? "changed" : null}, text));
  return h("div", {class: "card"},
    h("h3", {}, `cpu${regs.cpu}`, h("span", {class: `chip ctx c-${cpu.context}`}, contexts[cpu.context])),
    pairs([["thread", `${cpu.thread || "nobody known"}${cpu.doing ? ", " + cpu.doing : ""}`], ["next", h("code", {}, cpu.symbol)], ["stack", cpu.stack],
      ["IF", interruptsOn(cpu) ? "1: takes interrupts" : "0: interrupts off"], regs.nmi_masked && ["NMI", "masked"],
      ["TLB", cpu.stale.length ? cpu.stale.map((line) => h("span", {class: "stale"}, "may hold " + line)) : "holds nothing stale"],
      ["cache", frames(cpu.cache)], ["reserve", frames(cpu.reserve)], cpu.hands.length > 0 && ["hands", frames(cpu.hands)]]),
    h("details", {}, h("summary", {}, "registers"),
      h("div", {class: "regs"}, value("rip", regs.rip, changed("rip")), registerNames.map((name, i) => value(name, regs.gpr[i], changed("gpr", i))),
        value("rflags", regs.rflags, changed("rflags")), value("cr2", regs.cr2, changed("cr2")), value("cr3", regs.cr3, changed("cr3")), value("gs", regs.gs, changed("gs"))),
      h("p", {class: "hint"}, "Red: changed since the stop before.")));
}

function threadCard(t) {
  const pages = t.pages.map((page, p) => {
    const kind = ownerClass(page);
    const inside = t.own && t.depth > 0 && Math.min(3, Math.floor((t.depth - 1) / 4096)) === p;
    const cell = h("div", {class: `page o-${kind}`}, present(page) ? [page[1], h("small", {}, `${frameOf(page)} ${flagsOf(page)}`)] : "not present");
    if (inside) {
      const line = h("span", {class: "rsp"});
      line.style.top = `${(Math.max(.04, Math.min(.97, (t.depth - p * 4096) / 4096)) * 100).toFixed(1)}%`;
      cell.append(line, h("span", {class: "rsp-text"}, `${t.cpu < 0 ? "saved " : ""}RSP, ${t.depth} deep`));
    }
    return [h("span", {class: "no"}, `P${p}`), cell];
  });
  return h("div", {class: "card"}, h("h3", {}, t.name, h("span", {class: "chip"}, t.cpu < 0 ? t.state : `on cpu${t.cpu}`)),
    h("p", {class: "small"}, `${t.kind} thread; ${t.doing}${t.cpu >= 0 ? "" : "; " + t.state}`),
    h("div", {class: "stackpic"}, pages),
    t.own && t.depth > 16384 && h("p", {class: "changed"}, `RSP is below the stack: ${t.depth} bytes deep`),
    t.guards !== 0 && h("p", {class: "changed"}, "guard pages are present"));
}

function codeBlock(lines, here, label) {
  let shown = "";
  return h("div", {class: "code", role: "figure", "aria-label": label}, lines.map((line) => {
    const place = line.file ? `${line.file}:${line.line}` : "";
    const source = place && place !== shown ? h("div", {class: "src"}, `; ${place}: ${line.source}`) : null;
    shown = place || shown;
    const next = line.address === here;
    return [source, h("div", {class: next ? "next" : null}, `${next ? "=> " : "   "}`, h("span", {class: "label"}, line.label), line.text)];
  }));
}

/// The state at a stop, in words: what a screen reader is told, and what is shown above the pictures.
function sentence(r, m) {
  const cpu = m.cpus[m.cpu];
  const step = r.steps[m.step];
  return [h("b", {}, `Stop ${m.stop}`), ` on cpu${m.cpu}: ${m.cause}. `, cpu ? `${cpu.thread || "Nobody"} in ${contexts[cpu.context]}, next ` : "",
    cpu ? h("code", {}, cpu.symbol) : "", step ? [". Step ", m.step + 1, ": ", h("code", {}, step)] : "",
    m.violated.length ? [". ", h("span", {class: "changed"}, `${m.violated.join(", ")} broken here`)] : "", "."];
}

function stopsTable(moments) {
  const rows = moments.list.map((m) => {
    const cpu = m.cpus[m.cpu];
    return h("tr", {class: m.violated.length ? "violated" : null}, [m.stop, m.step + 1, `cpu${m.cpu}`, m.cause, cpu ? contexts[cpu.context] : "", cpu ? cpu.symbol : "",
      moments.threads.map((name) => { const t = m.threads.find((x) => x.name === name); return t ? `${name} ${t.pages.filter(present).length}` : ""; }).join(", "),
      m.cpus.map((c) => c.cache.length).join("/"), m.cpus.map((c) => c.reserve.length).join("/"), m.free].map((x) => h("td", {}, x)));
  });
  return h("div", {class: "wide"}, h("table", {class: "dense"}, h("thead", {}, h("tr", {}, ["stop", "step", "cpu", "cause", "context", "next", "pages", "cache", "reserve", "free"].map((x) => h("th", {scope: "col"}, x)))), h("tbody", {}, rows)));
}

class Finding {
  constructor(r) {
    this.r = r;
    this.now = h("p", {class: "now", "aria-live": "polite"});
    this.state = h("div", {class: "state"});
    this.sweep = r.sweep ? new SweepView(r) : null;
    this.element = h("article", {class: "card finding"}, this.head(), this.sweep ? this.sweep.element : "", this.history(), this.codes(), this.foot());
    if (this.moments) this.select(this.moments.violation);
  }

  head() {
    const r = this.r;
    return [h("header", {}, h("h3", {}, r.name), chip(kindOf(r.verdict), r.verdict), h("span", {class: "small mono"}, r.file)),
      r.reason && h("p", {class: "seen"}, r.reason), h("p", {class: "lede small"}, r.why),
      !this.sweep && r.violations.map((v) => h("div", {class: "invariant"},
        h("p", {class: "seen"}, h("b", {class: "changed"}, v.id), v.title ? ` ${v.title}. ` : " ", v.text),
        v.sentence && h("blockquote", {}, v.sentence),
        h("p", {class: "small"}, `At stop ${v.stop}, ${v.where}, during “${v.step}”.`)))];
  }

  history() {
    if (!this.r.timeline || !this.r.timeline.moments.length) return null;
    this.moments = new Moments(this.r.timeline);
    const n = this.moments.list.length;
    this.timeline = new Timeline(this.moments, this.r.steps, (i) => this.select(i));
    this.slider = h("input", {type: "range", min: 0, max: n - 1, "aria-label": "stop", oninput: () => this.select(Number(this.slider.value))});
    const button = (text, label, go) => h("button", {type: "button", "aria-label": label, title: label, onclick: () => this.select(go())}, text);
    return [h("h4", {}, "How it came to that"), this.timeline.element,
      this.moments.leftOut > 0 && h("p", {class: "hint"}, `${this.moments.leftOut} earlier stops are not kept.`),
      h("div", {class: "controls"}, button("◀", "stop before", () => this.at - 1), this.slider, button("▶", "next stop", () => this.at + 1),
        button("▼ event", "next event", () => this.next((m) => m.kind === "event")), this.moments.broken && button("✗", "where the invariant broke", () => this.moments.violation)),
      h("p", {class: "hint keys"}, h("kbd", {}, "←"), " ", h("kbd", {}, "→"), " step, ", h("kbd", {}, "Home"), " ", h("kbd", {}, "End"), " first and last, ", h("kbd", {}, "E"), " next event, ", h("kbd", {}, "X"), " the violation"),
      this.now, this.state, legend(),
      h("details", {}, h("summary", {}, "The same as a table"), stopsTable(this.moments))];
  }

  next(wanted) {
    const after = this.moments.list.findIndex((m, i) => i > this.at && wanted(m));
    return after >= 0 ? after : Math.max(0, this.moments.list.findIndex(wanted));
  }

  select(i) {
    this.at = Math.max(0, Math.min(this.moments.list.length - 1, i));
    const m = this.moments.list[this.at];
    this.slider.value = this.at;
    this.timeline.select(this.at);
    this.now.replaceChildren(...sentence(this.r, m).flat(Infinity).map((x) => x instanceof Node ? x : document.createTextNode(x)));
    const before = this.at > 0 ? this.moments.list[this.at - 1] : null;
    this.state.replaceChildren(...m.cpus.map((cpu, c) => cpuCard(cpu, before && before.cpus[c])), ...m.threads.filter((t) => t.kind !== "idle").map(threadCard));
  }

  /// Widths are known only now: scrolls to what is selected.
  attached() {
    if (this.sweep) this.sweep.attached();
    else if (this.moments) this.select(this.at);
  }

  key(event) {
    if (this.sweep) return this.sweep.key(event);
    if (!this.moments) return false;
    const jumps = {ArrowLeft: () => this.at - 1, ArrowRight: () => this.at + 1, Home: () => 0, End: () => this.moments.list.length - 1,
      e: () => this.next((m) => m.kind === "event"), x: () => this.moments.violation};
    const go = jumps[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (go) this.select(go());
    return Boolean(go);
  }

  codes() {
    const r = this.r;
    const seen = r.violations.filter((v) => v.code.length).slice(-1).map((v) => [h("h4", {}, "Code at the violation"),
      codeBlock(v.code, v.rip, "Disassembly around the violation"), v.access && h("p", {class: "small"}, `Its memory operand: ${v.access}`)]);
    const hit = r.landings.filter((l) => l.code.length).map((l) => h("details", {}, h("summary", {}, `${l.event} hit ${l.where}${l.exact ? "" : ", not exactly: " + l.detail}`),
      codeBlock(l.code, l.address, `Disassembly where ${l.event} hit`)));
    return [seen, hit.length > 0 && h("h4", {}, "Where the events hit"), hit];
  }

  foot() {
    const r = this.r;
    const steps = r.steps.map((text, i) => {
      const hit = r.hits[i] ? ` → ${r.hits[i]}` : "";
      const first = this.moments ? this.moments.list.findIndex((m) => m.step === i) : -1;
      return h("li", {class: i >= r.hits.length ? "off" : null}, first >= 0 ? h("button", {type: "button", onclick: () => this.select(first)}, text) : h("code", {}, text), h("span", {class: "small"}, hit));
    });
    return [steps.length > 0 && [h("h4", {}, "Decisions"), h("ol", {class: "steps"}, steps)],
      r.notes.length > 0 && [h("h4", {}, "Noticed on the way"), r.notes.map((n) => h("p", {class: "small"}, n))],
      r.console.length > 0 && [h("h4", {}, "The guest said"), r.console.map((line) => h("p", {class: "small mono"}, line))],
      h("h4", {}, "See it again"), h("div", {class: "replay"}, h("code", {}, r.replay), copyButton(r.replay)),
      h("details", {}, h("summary", {}, "As text, for a mail"), h("pre", {}, r.text), copyButton(r.text))];
  }
}
