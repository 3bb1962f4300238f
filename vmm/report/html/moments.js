// Recorded stops: the two tables put back together, and what the pictures need of them.

class Moments {
  constructor(timeline) {
    this.leftOut = timeline.left_out;
    this.list = timeline.moments.map((m) => ({
      ...m,
      cpus: m.c.map((i) => timeline.cpus[i]),
      threads: m.t.map((i) => timeline.threads[i]),
    }));
    const names = new Map();
    for (const m of this.list) for (const t of m.threads) names.set(t.name, t.kind);
    this.threads = [...names].filter(([, kind]) => kind !== "idle").map(([name]) => name);
    this.cpuCount = Math.max(0, ...this.list.map((m) => m.cpus.length));
    const bad = this.list.findLastIndex((m) => m.violated.length > 0);
    this.broken = bad >= 0;
    this.violation = bad < 0 ? this.list.length - 1 : bad;
  }
  thread(i, name) { return this.list[i].threads.find((t) => t.name === name); }
}

const interruptsOn = (cpu) => (parseInt(cpu.regs.rflags, 16) & 0x200) !== 0;
const present = (page) => (parseInt(page[0].slice(-1), 16) & 1) !== 0;
const frameOf = (page) => "0x" + ((BigInt("0x" + page[0]) >> 12n) & 0xffffffffffn).toString(16);

/// Class of a page by whose its frame is; the words are the oracle's.
function ownerClass(page) {
  if (!present(page)) return "absent";
  const owner = page[1];
  return owner.startsWith("ALSO") ? "clash" : owner.startsWith("RESERVE") ? "reserve" : owner.startsWith("cache") ? "cache"
    : owner.startsWith("allocator") ? "alloc" : "own";
}

function flagsOf(page) {
  const pte = BigInt("0x" + page[0]);
  const bit = (n) => (pte >> BigInt(n) & 1n) === 1n;
  return [bit(1) ? "RW" : "RO", bit(63) ? "NX" : "X!", bit(2) ? "US" : "--", (bit(5) ? "A" : "-") + (bit(6) ? "D" : "-") + (bit(8) ? "G" : "-")].join(" ");
}

/// [from, to, value] for each stretch of equal values.
function runs(length, valueAt) {
  const out = [];
  for (let i = 0; i < length; ++i) {
    const value = valueAt(i);
    if (out.length && out[out.length - 1][2] === value) out[out.length - 1][1] = i + 1;
    else out.push([i, i + 1, value]);
  }
  return out;
}
