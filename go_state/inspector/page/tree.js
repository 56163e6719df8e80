// A value as a tree: what is large is loaded when it is opened. All contents are text, whatever they hold.
import { get } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { number } from "./format.js";

const COUNTED = 1000; // changed parts among those that are not shown, from which on the server counts no further

// `load(path, from)` returns the node under a path with its children from there on.
export function Tree({ value, load, open = 2, label }) {
  if (!value) return html`<p class="quiet">nothing</p>`;
  return html`<ul class="tree" role="tree" aria-label=${label}>
    <${Node} value=${value} path=${[]} load=${load} open=${open} />
  </ul>`;
}

function Node({ value, label, path, load, open, changed }) {
  const inner = value.size === null || value.size === undefined ? value.children !== null : value.size > 0;
  const expandable = inner && ["object", "mapping", "list"].includes(value.kind);
  const [chosen, setChosen] = useState(null); // whether somebody has folded or unfolded it
  const shown = chosen ?? (open > 0 && expandable && value.children !== null);
  const [loaded, setLoaded] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => { setLoaded(null); }, [value]); // another moment: what was loaded belonged to the one before
  const current = loaded ?? value;

  async function loadMore(from) {
    try {
      const found = await load(path, from);
      setProblem(null);
      setLoaded({ ...found, children: [...(from ? current.children ?? [] : []), ...(found.children ?? [])] });
    } catch (error) {
      setProblem(error.message);
    }
  }
  function toggle() {
    if (!shown && (current.children === null || current.children === undefined)) loadMore(0);
    setChosen(!shown);
  }
  useEffect(() => {
    if (shown && expandable && (current.children === null || current.children === undefined)) loadMore(0);
  }, [value]);

  return html`<li role="treeitem" aria-expanded=${expandable ? shown : undefined} class=${changed ? "changed" : ""}>
    <div class="node">
      ${expandable
        ? html`<button class="fold" aria-label=${shown ? "Fold" : "Unfold"} onClick=${toggle}>${shown ? "▾" : "▸"}</button>`
        : html`<span class="fold"></span>`}
      ${label !== undefined && html`<span class="label">${label}</span>`}
      <${Leaf} value=${current} open=${shown && expandable} />
      ${changed && html`<span class="mark" title="changed by this message">changed</span>`}
    </div>
    ${shown && expandable && html`<ul role="group">
      ${(current.children ?? []).map((child) => html`<${Node} key=${JSON.stringify(child.step)} value=${child.value} label=${child.label}
        path=${[...path, child.step]} load=${load} open=${open - 1} changed=${child.changed} />`)}
      ${current.more > 0 && html`<li role="none"><button class="more" onClick=${() => loadMore(current.children?.length ?? 0)}>
        ${number(current.more)} more…${current.more_changed ? ` ${number(current.more_changed)}${current.more_changed >= COUNTED ? " or more" : ""} of them changed:` : ""}</button></li>`}
      ${current.more > 0 && (current.beyond ?? []).map((child) => html`<${Node} key=${JSON.stringify(child.step)} value=${child.value} label=${child.label}
        path=${[...path, child.step]} load=${load} open=${open - 1} changed=${true} />`)}
      ${problem && html`<li role="none" class="problem">${problem}</li>`}
    </ul>`}
  </li>`;
}

const LONG = 300; // characters of a text from which on only its beginning is shown, until somebody asks for more
const BEGINNING = 200;

// What is unfolded says no more than its name; its parts say the rest.
export function Leaf({ value, open = false }) {
  const [whole, setWhole] = useState(false);
  if (!value) return html`<span class="leaf none">–</span>`;
  const isLong = value.text?.length > LONG;
  const text = isLong && !whole ? `${value.text.slice(0, BEGINNING)}…` : value.text;
  const name = value.name ? html`<span class="type">${value.name}</span> ` : null;
  const count = value.size !== null && value.size !== undefined && ["mapping", "list"].includes(value.kind)
    ? html` <span class="quiet">${number(value.size)}</span>` : null;
  return html`<span class=${`leaf ${value.kind}`}>${name}${open ? null : html`<bdi>${text}</bdi>`}${
    isLong && !open ? html` <button class="more" aria-expanded=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>${whole ? "less" : "more"}</button>` : null}${count}</span>`;
}

export const loadTree = (subject, position, of) => (path, from) =>
  get(`s/${subject}/tree/${position}`, { of, path: JSON.stringify(path), from, count: 100 });
