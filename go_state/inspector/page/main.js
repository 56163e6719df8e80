// The inspector: programs on the left, messages in the middle, the moment on the right. An address is `#/SUBJECT/POSITION`.
import { UNREACHED, get } from "./api.js";
import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "./html.js";
import { number } from "./format.js";
import { Filters, FindFirst, GoTo } from "./find.js";
import { Help, useKeys } from "./keys.js";
import { LiveBar, useLive, useNowAndThen } from "./live.js";
import { Moment, useMoment } from "./moment.js";
import { Rows, useRows } from "./rows.js";
import { Strip } from "./strip.js";
import { Subjects, firstSubjects, useSubjects } from "./subjects.js";
import { Fix, WhatIf } from "./what_if.js";

const PAGE = 20; // messages that Page Up and Page Down step over
const STEP = 250; // milliseconds between two messages while it plays
const COUNTED = 5000; // milliseconds between two counts of the types while messages come
const BUSY = 1000; // messages a second from which on the newest is shown four times a second in the place of ten
const BUSY_STEP = 250; // milliseconds
const NO_PROGRAM = "This needs the program: go-state inspect module:program STORE";

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch { // no address of ours
    return null;
  }
}

function useAddress() {
  const read = () => {
    const [, subject, position] = location.hash.split("/");
    return { subject: subject ? decoded(subject) : null, position: /^\d+$/.test(position ?? "") ? Number(position) : null };
  };
  const [address, setAddress] = useState(read);
  useEffect(() => {
    const changed = () => setAddress(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const go = useCallback((subject, position, replace = true) => {
    const hash = `#/${encodeURIComponent(subject)}${position === null ? "" : `/${position}`}`;
    if (hash === location.hash) return;
    history[replace ? "replaceState" : "pushState"](null, "", hash);
    setAddress({ subject, position });
  }, []);
  return [address, go];
}

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem("go_state theme") ?? "system");
  useEffect(() => {
    localStorage.setItem("go_state theme", theme);
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return [theme, () => setTheme({ system: "dark", dark: "light", light: "system" }[theme])];
}

// The subject that is looked at, with its types and times; asked again while its index is being made.
function useSubject(id) {
  const [found, setFound] = useState({ subject: null, problem: null });
  useEffect(() => {
    if (!id) return undefined;
    const control = new AbortController();
    let timer = 0;
    async function load() {
      try {
        const subject = await get(`s/${encodeURIComponent(id)}`, null, control.signal);
        setFound({ subject, problem: null });
        if (subject.indexed < 1) timer = setTimeout(load, 400);
      } catch (error) {
        if (error.name !== "AbortError") setFound({ subject: null, problem: error });
      }
    }
    load();
    return () => { control.abort(); clearTimeout(timer); };
  }, [id]);
  // A program that runs goes on at its end, and what was recorded of one without a store begins later and later.
  // While the view is paused its beginning stays where it is: what is looked at does not move away.
  const grow = useCallback((given, end, following) => {
    setFound((before) => {
      const { subject } = before;
      const first = following ? given : 0;
      if (!subject || (end <= subject.end && first <= subject.first)) return before;
      return { ...before, subject: { ...subject, first: Math.max(first, subject.first), end: Math.max(end, subject.end) } };
    });
  }, []);
  const many = useNowAndThen(found.subject?.end ?? 0, COUNTED, id);
  useEffect(() => { // the types and their counts are those of then
    if (!id || !found.subject || found.subject.indexed < 1) return undefined;
    const control = new AbortController();
    const wait = setTimeout(() => get(`s/${encodeURIComponent(id)}`, null, control.signal)
      .then(({ types, keyframes }) => setFound((now) => (now.subject?.id === id ? { ...now, subject: { ...now.subject, types, keyframes } } : now)))
      .catch(() => {}), 500); // whoever asks next says what is wrong
    return () => { clearTimeout(wait); control.abort(); };
  }, [id, many]);
  return { ...found, grow };
}

function App({ about, first }) {
  const [address, go] = useAddress();
  const [theme, nextTheme] = useTheme();
  const [filter, setFilter] = useState({});
  const [tab, setTab] = useState("diff");
  const [dialog, setDialog] = useState(null);
  const [pane, setPane] = useState("messages"); // of those that a narrow window shows one at a time
  const [playing, setPlaying] = useState(false);
  const [following, setFollowing] = useState(about.live && address.position === null);
  const [edits, setEdits] = useState([]);
  const field = useRef(null);

  const subjects = useSubjects(about.live, first);
  useEffect(() => {
    if (!address.subject && subjects.items?.length) go(subjects.items[0].id, null);
  }, [address.subject, subjects.items]);
  const { subject: loaded, problem, grow } = useSubject(address.subject);
  const subject = loaded?.id === address.subject ? loaded : null; // another one is on its way
  const { live, lost, another } = useLive(address.subject, about.live, about.served);
  const said = (problem) => ((lost || another) && [UNREACHED, lost].includes(problem) ? null : problem); // it is said once
  const grown = useRef(0); // when the list was last made longer: at thousands of messages a second nobody reads each, and each look costs the program
  useEffect(() => {
    if (!live?.end) return;
    const soon = live.rate > BUSY && performance.now() - grown.current < BUSY_STEP;
    if (soon && live.end - (subject?.end ?? 0) > 0 && live.state === "running") return; // the next event brings it
    grown.current = performance.now();
    grow(live.first ?? 0, live.end, following);
  }, [live?.first, live?.end, live?.rate, following]);

  const empty = !subject || subject.end <= subject.first;
  const last = subject ? subject.end - 1 : 0;
  const position = empty ? null : Math.min(Math.max(address.position ?? (["file", "aggregate"].includes(subject.kind) ? subject.first : last), subject.first), last);
  const isElsewhere = !empty && !following && address.position !== null && address.position !== position;
  const rows = useRows(subject, filter);
  const moment = useMoment(subject, position, following);
  useEffect(() => { if (subject?.keys && subject.key) setFilter({ key: subject.key }); }, [subject?.id, subject?.keys]);

  const move = useCallback(async (to, kept = false) => {
    if (!subject || empty) return;
    if (typeof to === "object") {
      const found = await get(`s/${subject.id}/rows`, { time: to.time, count: 1 });
      if (!found.rows.length) return;
      to = found.rows[0].position;
    }
    if (!kept) setFollowing(false);
    go(subject.id, Math.min(Math.max(to, subject.first), subject.end - 1));
  }, [subject, empty]);
  useEffect(() => { if (following && !empty) move(last, true); }, [following, last]);
  useEffect(() => {
    if (!playing) return undefined;
    if (position >= last) { setPlaying(false); return undefined; }
    const timer = setTimeout(() => by(1), STEP);
    return () => clearTimeout(timer);
  }, [playing, position, last]);

  // Steps are those of the list: with a filter, from one message that passes it to the next.
  const by = async (count) => {
    if (empty) return;
    try {
      const to = await rows.beside(position, count);
      if (to === position) setPlaying(false);
      else move(to);
    } catch { // the list says what is wrong
      setPlaying(false);
    }
  };
  const canTry = !empty && subject.models;
  const needs = subject && !subject.models ? NO_PROGRAM : undefined;
  const step = (count) => () => { setPlaying(false); by(count); };
  const toFirst = async () => move(rows.filtered ? await rows.beside((subject?.first ?? 0) - 1, 1).catch(() => position) : subject?.first ?? 0);
  const toLast = async () => move(rows.filtered ? await rows.beside(last + 1, -1).catch(() => position) : last);
  useKeys({
    ArrowRight: step(1), ArrowLeft: step(-1), ArrowDown: step(1), ArrowUp: step(-1), j: step(1), k: step(-1),
    PageDown: step(PAGE), PageUp: step(-PAGE), Home: toFirst, End: toLast,
    g: () => !empty && setDialog("go"), f: () => canTry && setDialog("find"), e: () => canTry && setDialog("what-if"),
    "/": () => { setPane("messages"); field.current?.focus(); }, "?": () => setDialog("help"),
    " ": () => setPlaying(!playing), l: () => about.live && setFollowing(!following),
  });

  const choose = (id) => { setFilter({}); setEdits([]); setFollowing(about.live); setPlaying(false); setPane("messages"); go(id, null, false); };
  const close = () => setDialog(null);
  useEffect(() => { document.title = `${subject?.key ?? subject?.name ?? "inspector"} · go_state`; }, [subject?.id]);

  // What has not changed is not compared again: rows come and go many times a second.
  const items = useMemo(() => subjects.items?.map((each) => (live && each.id === address.subject
    ? { ...each, first: Math.max(live.first ?? 0, each.first), end: Math.max(live.end, each.end), state: lost ? null : live.state }
    : !about.live && each.id === subject?.id ? { ...each, end: subject.end } : each)), [subjects.items, address.subject, live?.end, live?.state, lost, subject?.end]);
  const isLoading = !subject && Boolean(address.subject) && !problem;
  const left = useMemo(() => html`<${Subjects} subjects=${{ ...subjects, items: items ?? null, problem: said(subjects.problem) }} chosen=${address.subject} onChoose=${choose} />`, [items, subjects.next, subjects.total, subjects.problem, subjects.search, address.subject, about, lost, another]);
  const strip = useMemo(() => html`<${Strip} subject=${subject} isLoading=${isLoading} position=${position ?? 0} onMove=${move} theme=${theme} said=${said} />`, [subject, isLoading, position, move, theme, lost, another]);
  const right = useMemo(() => html`<${Moment} found=${{ ...moment, problem: said(moment.problem), failed: Boolean(moment.problem), position }} hasModels=${subject?.models !== false} isLoading=${isLoading} tab=${tab} onTab=${setTab} onMove=${move} />`, [moment, tab, move, lost, another, isLoading, subject?.models, position]);

  return html`<div class="app" data-pane=${pane}>
    <header class="top">
      <h1><img src="icon.svg" alt="" width="20" height="20" /> <bdi>${about.program ?? "go_state"}</bdi></h1>
      <span class="quiet where" title=${about.store ?? ""}><bdi>${/^([A-Za-z]:)?[/\\]/.test(about.store ?? "") ? about.store.split(/[/\\]/).pop() : about.store ?? ""}</bdi></span>
      <nav class="panes" aria-label="Panes">
        ${[["subjects", "Keys"], ["messages", "Messages"], ["moment", "Model"]].map(([name, label]) =>
          html`<button key=${name} aria-pressed=${pane === name ? "true" : "false"} onClick=${() => setPane(name)}>${label}</button>`)}
      </nav>
      <span class="grow"></span>
      <button onClick=${() => setDialog("find")} disabled=${!canTry} title=${needs}>Find first…</button>
      <button onClick=${() => setDialog("what-if")} disabled=${!canTry} title=${needs}>What if…</button>
      <button onClick=${() => setDialog("fix")} disabled=${!canTry} title=${needs}>Your fix…</button>
      <button class="plain" title=${`Colours: ${theme}`} aria-label=${`Colours: ${theme}`} onClick=${nextTheme}>◐</button>
      <button class="plain" title="Keys" aria-label="Keys" onClick=${() => setDialog("help")}>?</button>
    </header>
    ${left}
    <main class="panes-of-main">
    <section class="pane messages" aria-label="Messages">
      ${said(problem?.message) && html`<p class="problem" role="alert">${problem.status === 404
        ? html`There is nothing called <bdi>${address.subject}</bdi> here, or not any more. Choose another on the left.` : problem.message}</p>`}
      <${LiveBar} isLive=${about.live && Boolean(address.subject) && !problem} live=${live} lost=${lost} another=${another} following=${following} onFollow=${() => setFollowing(!following)} />
      ${strip}
      <${Filters} subject=${subject} filter=${filter} onFilter=${setFilter} rows=${rows} field=${field} />
      ${subject && subject.indexed < 1 && html`<div class="line quiet" role="status"><progress value=${subject.indexed || undefined} max="1" aria-label="Reading the messages"></progress>
        reading the messages${subject.indexed ? "" : `, ${number(subject.end)} so far`}</div>`}
      ${isElsewhere && html`<p class="notice" role="status">Position ${number(address.position)} is not ${address.position < subject.first ? "kept any more" : "there"}. This is ${number(position)}.</p>`}
      ${isLoading && html`<p class="quiet centred soon" role="status">Loading…</p>`}
      ${!address.subject && html`<p class="quiet centred">There are no messages yet.</p>`}
      ${said(rows.problem) && html`<p class="problem" role="alert">${rows.problem}</p>`}
      ${subject && empty && html`<p class="quiet centred">There are no messages yet.</p>`}
      ${rows.filtered && rows.known && rows.total === 0 && html`<p class="quiet centred">No message passes the filter.</p>`}
      <${Rows} subject=${subject} rows=${rows} position=${position} onMove=${move} isLive=${about.live} kept=${live?.first ?? 0} />
      <footer class="line steps">
        <button aria-label="First message" onClick=${toFirst}>|◀</button>
        <button aria-label="One back" onClick=${step(-1)}>‹</button>
        <button aria-label=${playing ? "Pause" : "Play"} onClick=${() => setPlaying(!playing)}>${playing ? "❚❚" : "▶"}</button>
        <button aria-label="One forward" onClick=${step(1)}>›</button>
        <button aria-label="Last message" onClick=${toLast}>▶|</button>
        <button class="plain" onClick=${() => setDialog("go")} disabled=${empty}>position ${number(position)} of ${empty ? "–" : number(last)}</button>
      </footer>
    </section>
    ${right}
    </main>
    ${dialog === "help" && html`<${Help} onClose=${close} />`}
    ${dialog === "go" && html`<${GoTo} subject=${subject} onMove=${move} onClose=${close} />`}
    ${dialog === "find" && html`<${FindFirst} subject=${subject} position=${position} onMove=${move} onClose=${close} />`}
    ${dialog === "what-if" && html`<${WhatIf} subject=${subject} position=${position} edits=${edits} onEdits=${setEdits} onMove=${move} onClose=${close} />`}
    ${dialog === "fix" && html`<${Fix} subject=${subject} position=${position} onMove=${move} onClose=${close} />`}
  </div>`;
}

async function begin() {
  const place = document.getElementById("app");
  try {
    const [about, first] = await Promise.all([get("about"), firstSubjects()]);
    place.textContent = "";
    render(html`<${App} about=${about} first=${first} />`, place);
  } catch (error) {
    place.textContent = "";
    render(html`<main class="card"><img src="icon.svg" alt="" width="32" height="32" /><h1>The inspector</h1>
      <p role="alert">${error.message}</p><button onClick=${() => location.reload()}>Try again</button></main>`, place);
  }
}

document.documentElement.dataset.theme = localStorage.getItem("go_state theme") ?? "system";
begin();
