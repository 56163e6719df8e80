// What if: change the past in memory and fold on from there; and: does your mended program come to something else?
import { download, get, stream } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Dialog } from "./keys.js";
import { Leaf } from "./tree.js";
import { counted, number } from "./format.js";
import { Diff } from "./moment.js";

const DONE = { edit: "edited", drop: "left out", insert: "put in before" };

export function WhatIf({ subject, position, edits, onEdits, onMove, onClose }) {
  const [text, setText] = useState(null); // null until it is there
  const [found, setFound] = useState(null);
  const [state, setState] = useState(null); // {progress} | {problem}
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);
  useEffect(() => {
    const control = new AbortController();
    get(`s/${subject.id}/message/${position}`, null, control.signal)
      .then(({ json }) => { setText(json); setState(null); })
      .catch((error) => { if (error.name !== "AbortError") setState({ problem: error.message }); });
    return () => control.abort();
  }, [subject.id, position]);

  // A change that cannot be is refused at once: the program is asked whether it is a message, and nothing is folded on.
  async function add(kind) {
    const edit = { do: kind, position, ...(kind === "drop" ? {} : { message: text }) };
    try {
      await stream(`s/${subject.id}/what-if`, { body: { edits: [edit], until: position }, signal: new AbortController().signal, on: {} });
    } catch (error) {
      setState({ problem: error.message });
      return;
    }
    change([...edits.filter((each) => each.position !== position || each.do !== kind), edit].sort((a, b) => a.position - b.position));
  }
  const change = (next) => {
    control.current?.abort();
    setState(null);
    setFound(null); // what came of others
    onEdits(next);
  };
  async function fold() {
    control.current?.abort();
    control.current = new AbortController();
    setState({ progress: 0 });
    const begin = edits[0].position;
    try {
      await stream(`s/${subject.id}/what-if`, {
        body: { edits, until: null },
        signal: control.current.signal,
        on: {
          progress: ({ position: at, end }) => setState({ progress: (at - begin) / Math.max(end - begin, 1) }),
          done: (answer) => { setFound(answer); setState(null); },
          problem: ({ error }) => setState({ problem: error }),
        },
      });
    } catch (error) {
      setState({ problem: error.message });
    }
  }
  const running = state && "progress" in state;
  const ends = edits.length ? (found?.first ?? edits[edits.length - 1]).position + 1 : position + 1;
  const save = (params) => download(`s/${subject.id}/export`, { ...params, edits: JSON.stringify(edits) }).catch((error) => setState({ problem: error.message }));
  const asTest = () => save({ as: "test", from: edits[0]?.position ?? position, until: ends });
  return html`<${Dialog} title="What if …" onClose=${onClose}>
    <p class="quiet">Change messages and fold on from there, in memory. No command is performed, and the store stays as it is.</p>
    <label>The message at position ${number(position)}
      <textarea class="code" rows="6" spellcheck="false" autofocus value=${text ?? ""} placeholder=${state?.problem ? "" : "Loading…"} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="buttons">
      <button disabled=${text === null} onClick=${() => add("edit")}>Edit it so</button>
      <button onClick=${() => add("drop")}>Leave it out</button>
      <button disabled=${text === null} onClick=${() => add("insert")}>Put this in before it</button>
    </div>
    ${edits.length > 0 && html`<h3>Changes</h3><ul class="plain-list">${edits.map((each, index) => html`<li key=${index}>
      <span class="badge">${DONE[each.do]}</span> <button class="plain" onClick=${() => onMove(each.position)}>position ${number(each.position)}</button>
      <button class="plain" aria-label="Take this change back" onClick=${() => change(edits.filter((other) => other !== each))}>✕</button></li>`)}</ul>`}
    <div role="status" aria-live="polite">
      ${running && html`<progress value=${state.progress} max="1" aria-label="How far it has folded"></progress>`}
      ${state?.problem && html`<p class="problem">${state.problem}</p>`}
      ${found && html`<h3>After ${counted(found.messages, "message")}</h3>
        ${found.first ? html`<p>It parts from what was at position <button class="plain" onClick=${() => onMove(found.first.position)}>${number(found.first.position)}</button></p>` : null}
        ${found.diff.length ? html`<${Diff} diff=${found.diff} more=${found.more_diff ?? 0} before="what was" after="what if" />` : html`<p>It comes to the same model.</p>`}`}
    </div>
    <footer>
      <button onClick=${asTest}>As a test</button>
      <button onClick=${() => save({ as: "jsonl" })}>As JSON Lines</button>
      ${running
        ? html`<button onClick=${() => { control.current.abort(); setState(null); }}>Cancel</button>`
        : html`<button class="primary" disabled=${!edits.length} onClick=${fold}>Fold on</button>`}
    </footer>
  <//>`;
}

// What is said of the model that a comparison began with, if it did not begin at the beginning.
const BEGAN = {
  yes: (at) => `It began with the snapshot at position ${at}, which is what the messages before it come to. Those were not compared.`,
  no: (at) => `It began with the snapshot at position ${at}, which is not what the messages before it come to: another version of the program has kept it. ` +
    "A mistake before it is in every model after it and looks harmless here. Compare all messages.",
  unknown: (at) => `It began with the snapshot at position ${at}. Whether that is what the messages before it come to was not looked at, because it takes long: a mistake ` +
    "before it would look harmless here. Compare all messages to be sure.",
};

// Load the program's module again, and compare what it makes of every message with what was made.
export function Fix({ subject, position, onMove, onClose }) {
  const [from, setFrom] = useState("start");
  const [state, setState] = useState({ found: [], progress: null, done: null, problem: null });
  const control = useRef(null);
  useEffect(() => () => control.current?.abort(), []);
  async function compare() {
    control.current?.abort();
    control.current = new AbortController();
    setState({ found: [], progress: 0, done: null, problem: null });
    const begin = from === "start" ? subject.first : position;
    try {
      await stream(`s/${subject.id}/fix`, {
        body: { from: from === "start" ? null : position },
        signal: control.current.signal,
        on: {
          progress: ({ position: at, end }) => setState((now) => ({ ...now, progress: (at - begin) / Math.max(end - begin, 1) })),
          found: (each) => setState((now) => ({ ...now, found: [...now.found, each] })),
          done: (done) => setState((now) => ({ ...now, done, progress: null })),
          problem: ({ error }) => setState((now) => ({ ...now, problem: error, progress: null })),
        },
      });
    } catch (error) {
      setState((now) => ({ ...now, problem: error.message, progress: null }));
    }
  }
  const { found, progress, done, problem } = state;
  const first = found[0]?.position;
  const asTest = () => download(`s/${subject.id}/export`, { as: "test", fixed: 1, from: first, until: first + 1 })
    .catch((error) => setState((now) => ({ ...now, problem: error.message })));
  return html`<${Dialog} title="Your fix" onClose=${onClose}>
    <p class="quiet">Mend the program in your editor, save, and compare: which messages come out differently?</p>
    <fieldset><legend class="hidden">Begin</legend>
      <label><input type="radio" name="fix-from" checked=${from === "start"} onChange=${() => setFrom("start")} /> all messages</label>
      <label><input type="radio" name="fix-from" checked=${from === "here"} onChange=${() => setFrom("here")} /> those from the snapshot before position ${number(position)} on</label>
    </fieldset>
    <div role="status" aria-live="polite">
      ${progress !== null && html`<progress value=${progress} max="1" aria-label="How far it has compared"></progress>`}
      ${problem && html`<p class="problem">${problem}</p>`}
      ${done && html`<p>${done.differ === 0
        ? `${done.messages === 1 ? "The message comes" : `All ${number(done.messages)} messages come`} out the same.`
        : `${number(done.differ)} of ${number(done.messages)} messages ${done.differ === 1 ? "comes" : "come"} out differently.`}</p>
        ${done.from > subject.first && html`<p class=${done.agrees === "no" ? "problem" : "quiet"}>${BEGAN[done.agrees](number(done.from))}</p>`}
        ${done.differ > 0 && html`<ul class="plain-list">${Object.entries(done.by_field).map(([path, count]) => html`<li key=${path}><code><bdi>${path}</bdi></code> ${count === 1 ? "once" : `${number(count)} times`}</li>`)}</ul>`}`}
    </div>
    ${found.length > 0 && html`<table class="diff">
      <thead><tr><th scope="col">position</th><th scope="col">path</th><th scope="col">was</th><th scope="col">is</th></tr></thead>
      <tbody>${found.map((each) => html`<tr key=${each.position}>
        <td><button class="plain" onClick=${() => onMove(each.position)}>${number(each.position)}</button> <span class="quiet">${each.type}</span></td>
        <th scope="row"><bdi>${each.path}</bdi></th><td class="was"><${Leaf} value=${each.before} /></td><td class="is"><${Leaf} value=${each.after} /></td></tr>`)}</tbody>
    </table>`}
    <footer>
      ${done && found.length > 0 && html`<button onClick=${asTest}>The first as a test</button>`}
      ${progress === null
        ? html`<button class="primary" onClick=${compare}>Load again and compare</button>`
        : html`<button onClick=${() => { control.current.abort(); setState((now) => ({ ...now, progress: null })); }}>Cancel</button>`}
    </footer>
  <//>`;
}
