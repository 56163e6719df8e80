// One moment: the model after a message, and what the message changed, held, asked for.
import { get } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { duration, moment as written, number } from "./format.js";
import { Leaf, Tree, loadTree } from "./tree.js";

const RETRY = 2000; // milliseconds until a moment is asked for again, if the server was not reached
const SOON = 400; // milliseconds after which it is said that a moment is on its way

// The newest moment that was asked for; while it is on its way the one before stays. When the newest is followed, an app
// without a store may have forgotten the position meanwhile: then whatever is the newest is shown.
export function useMoment(subject, position, following) {
  const [found, setFound] = useState({ at: null, problem: null });
  const [tries, setTries] = useState(0); // of one for which the server was not reached
  useEffect(() => {
    if (!subject || position === null || subject.end <= subject.first) {
      setFound({ at: null, problem: null });
      return undefined;
    }
    const control = new AbortController();
    let again = 0;
    const wait = setTimeout(() => setFound((before) => ({ ...before, waiting: true })), SOON);
    get(`s/${subject.id}/at/${position}`, { newest: following && subject.kind === "live" }, control.signal)
      .then((at) => setFound((before) => (at.gone ? { at: before.at, gone: true, problem: null } : { at: { ...at, subject: subject.id }, problem: null })))
      .catch((error) => {
        if (error.name === "AbortError") return;
        setFound((before) => ({ at: before.at, problem: error.message, blame: error.position }));
        if (error.status === 0) again = setTimeout(() => setTries((count) => count + 1), RETRY);
      })
      .finally(() => clearTimeout(wait));
    return () => { control.abort(); clearTimeout(wait); clearTimeout(again); };
  }, [subject?.id, position, tries]);
  return found;
}

const TABS = [
  ["diff", "Changes", (at) => at.diff.length + (at.more_diff || 0)],
  ["message", "Message", () => null],
  ["commands", "Commands", (at) => at.commands.length],
  ["subscriptions", "Subscriptions", (at) => at.subscriptions.begun.length + at.subscriptions.ended.length],
  ["turn", "Turn", () => null],
];

const GONE = "This message is not kept any more: of an app without a store the last 10,000 are, and only while somebody looks.";

export function Moment({ found, hasModels, isLoading, tab, onTab, onMove }) {
  const { at, problem, failed, blame, gone, waiting, position } = found;
  const folding = waiting && html`<div class="folding" role="status"><span class="pill"><progress aria-label="Folding"></progress> folding up to ${number(position)}</span></div>`;
  const trouble = html`${problem && html`<p class="problem" role="alert"><bdi>${problem}</bdi>
    ${typeof blame === "number" && html` <button onClick=${() => onMove(blame)}>Go to ${number(blame)}</button>`}</p>`}
    ${gone && html`<p class="notice" role="status">${GONE}</p>`}`;
  if (!at || ((failed || gone) && at.position !== position)) { // what is of another message would be taken for its own
    return html`<section class="pane moment" aria-label="The moment">
      ${folding}${trouble}
      ${!failed && !gone && !folding && (isLoading || position !== null ? html`<p class="quiet soon" role="status">Loading…</p>` : html`<p class="quiet">A message, and the model after it, are shown here.</p>`)}
    </section>`;
  }
  const shown = hasModels || tab === "turn" ? tab : "message";
  return html`<section class=${`pane moment${waiting ? " waiting" : ""}`} aria-label=${`The moment at position ${at.position}`}>
    ${folding}${trouble}
    ${at.error && html`<p class="problem" role="alert"><bdi>${at.error}</bdi></p>`}
    ${at.denied && html`<p class="denied-why">Denied by the middleware: <bdi>${at.denied}</bdi>. The model stays as it was.</p>`}
    <${Tabs} at=${at} tabs=${hasModels ? TABS : TABS.filter(([name]) => ["message", "turn"].includes(name))} tab=${shown} onTab=${onTab} />
    <div class="tab" role="tabpanel" id="tabpanel" aria-labelledby=${`tab-${shown}`} tabindex="0">${panel(at, shown, onMove)}</div>
    ${hasModels
      ? html`<h2>Model after position ${number(at.position)}</h2>
        <div class="model"><${Tree} value=${at.after} load=${loadTree(at.subject, at.position, "after")} label="The model after the message" /></div>`
      : html`<p class="quiet note">Without the program there are messages and no models. Give it as well: <code>go-state inspect module:program STORE</code></p>`}
  </section>`;
}

function Tabs({ at, tabs, tab, onTab }) {
  const list = useRef(null);
  function pressed(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (tabs.findIndex(([name]) => name === tab) + step + tabs.length) % tabs.length;
    onTab(tabs[next][0]);
    list.current.children[next].focus();
  }
  return html`<div class="tabs" role="tablist" aria-label="What the message did" ref=${list} onKeyDown=${pressed}>
    ${tabs.map(([name, label, count]) => html`<button key=${name} role="tab" id=${`tab-${name}`} aria-controls="tabpanel"
        aria-selected=${name === tab ? "true" : "false"} tabindex=${name === tab ? 0 : -1} onClick=${() => onTab(name)}>
      ${label}${count(at) ? html` <span class="count">${number(count(at))}</span>` : null}</button>`)}
  </div>`;
}

function panel(at, tab, onMove) {
  if (tab === "message") return html`<${Message} at=${at} onMove=${onMove} />`;
  if (tab === "commands") return html`<${Commands} at=${at} onMove=${onMove} />`;
  if (tab === "subscriptions") return html`<${Subscriptions} found=${at.subscriptions} />`;
  if (tab === "turn") return html`<${Turn} at=${at} />`;
  return html`<${Diff} diff=${at.diff} more=${at.more_diff} />`;
}

export function Diff({ diff, more, before = "before", after = "after" }) {
  if (!diff.length) return html`<p class="quiet">The message has changed nothing.</p>`;
  return html`<table class="diff">
    <thead><tr><th scope="col">path</th><th scope="col">${before}</th><th scope="col">${after}</th></tr></thead>
    <tbody>${diff.map((each) => html`<tr key=${each.path}>
      <th scope="row"><bdi>${each.path || "(the whole model)"}</bdi></th>
      <td class="was"><${Leaf} value=${each.before} /></td><td class="is"><${Leaf} value=${each.after} /></td></tr>`)}
    </tbody>
  </table>
  ${more > 0 && html`<p class="quiet">and ${number(more)} more</p>`}`;
}

const Place = ({ position, onMove }) => html`<button class="plain place" onClick=${() => onMove(position)}>${number(position)}</button>`;

const Message = ({ at, onMove }) => html`<p class="quiet">${at.type} at position ${number(at.position)}${at.time ? `, ${written(at.time)}` : ""}${
  at.from ? html`, brought by <code><bdi>${at.from.name}</bdi></code>${at.from.position >= 0 ? html` of <${Place} position=${at.from.position} onMove=${onMove} />` : ""}` : ""}</p>
  <${Tree} value=${at.message} load=${loadTree(at.subject, at.position, "message")} open=${3} label="The message" />`;

function Commands({ at, onMove }) {
  if (!at.commands.length) return html`<p class="quiet">The turn has asked for nothing.</p>`;
  return html`<ol class="commands">${at.commands.map((each, index) => html`<li key=${each.effect_id ?? index}>
    <div class="line"><strong><bdi>${each.name ?? each.text}</bdi></strong>
      ${each.state && html`<span class=${`badge ${each.state}`}>${each.state}</span>`}
      ${each.tries > 1 && html`<span class="badge">${each.tries} tries</span>`}
      ${each.seconds !== null && each.seconds !== undefined && html`<span class="quiet">${duration(each.seconds)}</span>`}
      ${each.entered?.map((position) => html`<span key=${position} class="quiet">→ ${position < 0 ? "its message waits" : html`message <${Place} position=${position} onMove=${onMove} />`}</span>`)}</div>
    ${each.error && html`<div class="error"><bdi>${each.error}</bdi></div>`}
    <div class="quiet code"><bdi>${each.text}</bdi></div>
    ${each.effect_id && html`<div class="quiet">effect id <code>${each.effect_id}</code></div>`}
    ${each.key && html`<div class="quiet">key <code><bdi>${each.key}</bdi></code></div>`}
  </li>`)}</ol>
  ${!at.recorded && at.commands.some((each) => each.effect_id && !each.state) && html`<p class="quiet note">${NOT_RECORDED}</p>`}`;
}

const NOT_RECORDED = "What came of these is not recorded: a history has the messages that they brought, and not how long they took or how often " +
  "they were tried. Beside a program that runs, this page shows it from the moment on at which it is opened.";

function Subscriptions({ found }) {
  const { begun, ended, kept } = found;
  if (!begun.length && !ended.length && !kept.length) return html`<p class="quiet">The model asks for no subscription.</p>`;
  const line = (what) => (each, index) => html`<li key=${`${what}${index}`}><span class=${`badge ${what}`}>${what}</span> <bdi class="code">${each}</bdi></li>`;
  return html`${!begun.length && !ended.length && html`<p class="quiet">The turn has begun and ended none.</p>`}
    <ul class="plain-list spaced">${begun.map(line("begun"))}${ended.map(line("ended"))}${kept.map(line("goes on"))}</ul>`;
}

const Turn = ({ at }) => html`<dl class="facts">
  <div><dt>position</dt><dd>${number(at.position)}</dd></div>
  ${at.turn?.time && html`<div><dt>turn.time</dt><dd>${written(at.turn.time)}</dd></div>`}
  ${at.time && html`<div><dt>entered</dt><dd>${written(at.time)}</dd></div>`}
  <div><dt>took</dt><dd>${at.turn?.seconds !== null && at.turn?.seconds !== undefined ? duration(at.turn.seconds) : html`<span class="quiet">not recorded</span>`}</dd></div>
  ${at.turn?.badges?.length ? html`<div><dt>marked</dt><dd>${at.turn.badges.join(", ")}</dd></div>` : null}
</dl>`;
