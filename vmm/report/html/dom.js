// Making elements. Texts of a run are never parsed as markup: everything goes through text nodes and attributes.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function pairs(entries) {
  return h("dl", {class: "pairs"}, entries.filter(Boolean).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

function copyButton(text) {
  const button = h("button", {type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";  // no clipboard for files in some browsers
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }}, "Copy");
  return button;
}

const good = new Set(["pass", "expected violation"]);
const kindOf = (verdict) => verdict === "expected violation" ? "known" : verdict === "pass" ? "good" : verdict === "SKIP" ? "none" : verdict === "FAIL" || verdict === "XPASS" ? "bad" : "warn";
const mark = {good: "✓", known: "✗", bad: "✗", warn: "!", none: "–"};
const chip = (kind, text) => h("span", {class: `chip ${kind}`}, `${mark[kind] || ""} ${text}`);
