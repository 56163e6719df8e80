// Finding: filters over the list, and the first message that made something so.
import { stream } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Dialog } from "./keys.js";
import { number, parsedTime, day } from "./format.js";

const EXAMPLE = "before.stock >= 0 and after.stock < 0";

// A number is a position, unless it is as large as the seconds since 1970 are and there is no such position.
const isPosition = (text, subject) => /^\d+$/.test(text) && (text.length < 9 || Number(text) < subject.end);

export function Filters({ subject, filter, onFilter, rows, field }) {
  const set = (name, value) => {
    const next = { ...filter, [name]: value };
    if (!value) delete next[name];
    onFilter(next);
  };
  const [text, setText] = useState(filter.text ?? "");
  useEffect(() => { setText(filter.text ?? ""); }, [filter.text]);
  useEffect(() => {
    if (text === (filter.text ?? "")) return undefined;
    const wait = setTimeout(() => set("text", text), 250);
    return () => clearTimeout(wait);
  }, [text]);
  return html`<div class="filters" role="search" aria-label="Filter the messages">
    <label><span class="hidden">Type</span>
      <select value=${filter.type ?? ""} onChange=${(event) => set("type", event.target.value)}>
        <option value="">every type</option>
        ${(subject?.types ?? []).map((each) => html`<option key=${each.name} value=${each.name}>${each.name} (${number(each.count)})</option>`)}
      </select></label>
    <label class="grow"><span class="hidden">Text in the message</span>
      <input ref=${field} type="search" placeholder="text in the message" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
    <label><span class="hidden">Changed path</span>
      <input class="short" placeholder="changed path" value=${filter.changed ?? ""} onChange=${(event) => set("changed", event.target.value.trim())} /></label>
    <label><span class="hidden">Slower than, in milliseconds</span>
      <input class="tiny" inputmode="decimal" placeholder=${"> ms"} value=${filter.slower ? filter.slower * 1000 : ""}
        onChange=${(event) => set("slower", Number(event.target.value) > 0 ? Number(event.target.value) / 1000 : "")} /></label>
    ${subject?.keys && html`<label><span class="hidden">Key</span>
      <input class="short" placeholder="key" value=${filter.key ?? ""} onChange=${(event) => set("key", event.target.value)} /></label>`}
    <label class="check"><input type="checkbox" checked=${Boolean(filter.aside)} onChange=${(event) => set("aside", event.target.checked)} /> set aside</label>
    ${rows.filtered && html`<span class="found"><span class="quiet" role="status">${rows.known ? `${number(rows.total)} found` : `looking… ${Math.floor(100 * Math.min(Math.max(rows.looked, 0), 1))} %`}</span>
      <button class="plain" onClick=${() => onFilter({})}>clear</button></span>`}
  </div>`;
}

// Go to a position or a time.
export function GoTo({ subject, onMove, onClose }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  async function go(event) {
    event.preventDefault();
    const plain = text.replaceAll(",", "").trim();
    if (isPosition(plain, subject)) {
      const position = Math.min(Math.max(Number(plain), subject.first), subject.end - 1);
      onMove(position);
      onClose();
      return;
    }
    if (!subject.begins) {
      setProblem("It is not known when these messages entered. Write a position, such as 1200.");
      return;
    }
    const time = parsedTime(text.trim(), day(subject.begins ?? Date.now() / 1000));
    if (time === null) {
      setProblem("This is neither a position nor a time. Write 1200, or 10:15:00, or 2026-11-27 10:15.");
      return;
    }
    try {
      await onMove({ time });
      onClose();
    } catch (error) {
      setProblem(error.message);
    }
  }
  return html`<${Dialog} title="Go to a position or a time" onClose=${onClose}>
    <form onSubmit=${go}>
      <label>Position or time <input autofocus value=${text} onInput=${(event) => setText(event.target.value)} placeholder="1200 or 10:15:00" /></label>
      ${subject.begins && html`<p class="quiet">Positions ${number(subject.first)} to ${number(subject.end - 1)}; it begins on ${day(subject.begins)}.</p>`}
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <footer><button type="submit" class="primary">Go</button></footer>
    </form>
  <//>`;
}

// The first message after which an expression of before, msg and after is true.
export function FindFirst({ subject, position, onMove, onClose }) {
  const [where, setWhere] = useState(localStorage.getItem("go_state find") ?? "");
  const [from, setFrom] = useState("start");
  const [state, setState] = useState(null); // {progress} | {found} | {none} | {problem}
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);

  async function find(event) {
    event.preventDefault();
    localStorage.setItem("go_state find", where);
    control.current?.abort();
    control.current = new AbortController();
    setState({ progress: 0 });
    const start = from === "start" ? subject.first : position + 1;
    try {
      await stream(`s/${subject.id}/find`, {
        params: { where, from: start },
        signal: control.current.signal,
        on: {
          progress: ({ position: at, end }) => setState({ progress: (at - start) / Math.max(end - start, 1) }),
          found: ({ position: at }) => { setState({ found: at }); onMove(at); },
          none: () => setState({ none: true }),
          problem: ({ error }) => setState({ problem: error }),
        },
      });
    } catch (error) {
      setState({ problem: error.message });
    }
  }
  const running = state && "progress" in state;
  return html`<${Dialog} title="Find the first message where …" onClose=${onClose}>
    <form onSubmit=${find}>
      <label>Expression <input class="code" autofocus spellcheck="false" value=${where} onInput=${(event) => setWhere(event.target.value)}
        placeholder=${"after.total < 0"} /></label>
      <p class="quiet">Over <code>before</code> and <code>after</code> (the model) and <code>msg</code>:
        fields, items, comparisons, <code>and or not in</code>, arithmetic. It can call nothing.
        For example <code>${EXAMPLE}</code>.</p>
      <fieldset><legend class="hidden">Begin</legend>
        <label><input type="radio" name="from" checked=${from === "start"} onChange=${() => setFrom("start")} /> from the beginning</label>
        <label><input type="radio" name="from" checked=${from === "here"} onChange=${() => setFrom("here")} /> after this message</label>
      </fieldset>
      <div role="status" aria-live="polite">
        ${running && html`<progress value=${state.progress} max="1" aria-label="How far it has looked"></progress>`}
        ${state?.found !== undefined && html`<p>Found at position <strong>${number(state.found)}</strong>.</p>`}
        ${state?.none && html`<p>There is no such message.</p>`}
        ${state?.problem && html`<p class="problem">${state.problem}</p>`}
      </div>
      <footer>
        ${running
          ? html`<button type="button" onClick=${() => { control.current.abort(); setState(null); }}>Cancel</button>`
          : html`<button type="submit" class="primary" disabled=${!where.trim()}>Find</button>`}
      </footer>
    </form>
  <//>`;
}
