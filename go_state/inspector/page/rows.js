// The messages, a million long: only the rows that are seen are asked for and drawn.
//
// The list is as tall as a browser can bear; beyond that a pixel of the scroll bar stands for several rows, while the wheel and the
// keys still move by rows.
import { get } from "./api.js";
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "./html.js";
import { clock, counted, duration, hue, number } from "./format.js";

const ROW = 26; // pixels; the style sheet has the same
const CHUNK = 100; // rows of one request
const CHUNKS = 60; // kept of the newest requests
const TURNS = 500; // turns whose commands are asked for at once
const CALM = 150; // milliseconds without scrolling until they are
const AGAIN = 2000; // milliseconds after which a running program is asked again: a command may have failed meanwhile
const RETRY = 2000; // milliseconds until rows that could not be had are asked for again
const TALLEST = 8_000_000; // pixels, below what any browser can lay out

// Rows by their number: of all messages, or of those that the filter passes. They are kept by what the server calls them, the
// position or the number of the match, because what is kept of an app without a store begins later and later.
export function useRows(subject, filter) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const name = JSON.stringify([subject?.id, filter]);
  const cache = useMemo(() => ({ rows: new Map(), asked: new Map(), waiting: new Set(), total: null, problem: null, turns: new Map(), numbers: new Map(), control: new AbortController() }), [name]);
  useEffect(() => () => cache.control.abort(), [cache]);
  const newest = useRef(subject); // it may have grown while an answer was waited for
  newest.current = subject;

  const filtered = Object.keys(filter).length > 0;
  const first = filtered ? 0 : subject?.first ?? 0;
  const end = filtered ? cache.total ?? 0 : subject?.end ?? 0;

  const ask = useCallback(async (chunk, again = false) => {
    const is = newest.current;
    if (filtered && cache.first !== is.first) { // what is forgotten is no match any more: the numbers of the others are less
      cache.first = is.first;
      cache.asked.clear();
    }
    const until = filtered ? is.end : Math.min((chunk + 1) * CHUNK, end);
    if (performance.now() < (cache.rest ?? 0) || cache.waiting.has(chunk) || (!again && (cache.asked.get(chunk) ?? -1) >= until)) return;
    cache.waiting.add(chunk);
    try {
      const params = filtered ? { ...filter, index: chunk * CHUNK, count: CHUNK } : { from: chunk * CHUNK, count: CHUNK };
      const answer = await get(`s/${subject.id}/rows`, params, cache.control.signal);
      answer.rows.forEach((row, index) => cache.rows.set(filtered ? chunk * CHUNK + index : row.position, row));
      if (filtered) note(cache.numbers, answer.rows, chunk * CHUNK);
      cache.asked.delete(chunk);
      cache.asked.set(chunk, filtered && answer.rows.length === CHUNK ? Infinity : until);
      if (filtered) {
        cache.total = answer.total ?? answer.found;
        cache.known = answer.total !== null;
        cache.looked = (answer.scanned - is.first) / Math.max(newest.current.end - is.first, 1);
        if (!cache.known) { // it is still being looked for: ask again
          cache.asked.delete(chunk);
          setTimeout(() => { if (!cache.control.signal.aborted) ask(chunk, true); }, 250);
        }
      }
      cache.problem = null;
      while (cache.asked.size > CHUNKS) {
        const [oldest] = cache.asked.keys();
        cache.asked.delete(oldest);
        for (let each = oldest * CHUNK; each < (oldest + 1) * CHUNK; each += 1) cache.rows.delete(each);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      cache.problem = error.message; // and every drawing asks for what is not there: not at once again
      cache.rest = performance.now() + RETRY;
      setTimeout(() => { if (!cache.control.signal.aborted) error.status === 0 && filtered ? ask(chunk, true) : redraw(); }, RETRY + 1);
    } finally {
      cache.waiting.delete(chunk);
      redraw();
    }
  }, [cache, end, subject?.first, subject?.end, name]);

  useEffect(() => { if (subject && filtered) ask(0); }, [cache]);

  // What the turns of some rows have asked for: it takes a fold, and is asked for when the rows are there.
  const askTurns = useCallback(async (positions, again) => {
    const wanted = again ? positions : positions.filter((each) => !cache.turns.has(each));
    if (!subject?.models || !wanted.length || wanted.at(-1) - wanted[0] >= TURNS) return;
    try {
      const { turns } = await get(`s/${subject.id}/turns`, { from: wanted[0], count: wanted.at(-1) - wanted[0] + 1 }, cache.control.signal);
      if (cache.turns.size > 20 * TURNS) cache.turns.clear();
      for (const position of wanted) cache.turns.set(position, turns[position] ?? { commands: null, badges: [] });
      redraw();
    } catch (error) {
      if (error.name !== "AbortError") cache.turns.set(wanted[0], { commands: null, badges: [] }); // the rows are there without it
    }
  }, [cache, subject?.models]);

  // The position of the message that is so many rows from this one: of those that pass the filter, or of all.
  const beside = useCallback(async (position, count) => {
    if (!filtered) return position + count;
    const params = { ...filter, from: count < 0 ? position : position + 1, count: Math.abs(count), direction: count < 0 ? "backward" : "" };
    const answer = await get(`s/${subject.id}/rows`, params, cache.control.signal);
    note(cache.numbers, answer.rows, answer.index);
    return (count < 0 ? answer.rows[0] : answer.rows.at(-1))?.position ?? position;
  }, [cache, subject?.id, filtered]);

  return {
    beside, numberOf: (position) => (filtered ? cache.numbers.get(position) ?? null : position - first),
    total: Math.max(end - first, 0), filtered, looked: cache.looked ?? 0, known: !filtered || cache.known === true, problem: cache.problem,
    askTurns, turn: (position) => cache.turns.get(position),
    positionOf: (index) => (filtered ? null : first + index),
    row: (index) => cache.rows.get(first + index),
    need: (from, to) => {
      for (let chunk = Math.floor((first + from) / CHUNK); chunk <= Math.floor((first + Math.max(to - 1, from)) / CHUNK); chunk += 1) ask(chunk);
    },
  };
}

function note(numbers, rows, index) {
  if (numbers.size > 100_000) numbers.clear();
  rows.forEach((row, offset) => numbers.set(row.position, index + offset));
}

// `kept` is the first position that there still is: of an app without a store what comes before is forgotten meanwhile.
export function Rows({ subject, rows, position, onMove, isLive, kept }) {
  const box = useRef(null);
  const [seen, setSeen] = useState(20); // rows that fit
  const [top, setTop] = useState(0); // the number of the first row that is drawn
  const own = useRef(false); // whether the scroll event that comes is of our own making
  const height = Math.min(rows.total * ROW, TALLEST);
  const last = Math.max(rows.total - seen, 0);

  const moveTo = useCallback((row) => {
    const next = Math.min(Math.max(row, 0), last);
    setTop(next);
    if (box.current) {
      const target = last ? (next / last) * (height - box.current.clientHeight) : 0;
      if (Math.abs(box.current.scrollTop - target) > 0.5) {
        own.current = true;
        box.current.scrollTop = target;
      }
    }
  }, [last, height]);

  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setSeen(Math.max(Math.floor(box.current.clientHeight / ROW), 1)));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    const element = box.current;
    function wheel(event) {
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      const rowsOf = event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW;
      moveTo(top + rowsOf);
    }
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [moveTo, top]);

  function scrolled() {
    if (own.current) {
      own.current = false;
      return;
    }
    const range = height - box.current.clientHeight;
    setTop(range > 0 ? (box.current.scrollTop / range) * last : 0);
  }

  // The chosen message stays in sight: the row is its number, of all messages or of those that pass the filter.
  const first = Math.floor(top);
  const chosen = position === null ? null : rows.numberOf(position);
  useEffect(() => {
    if (chosen === null || chosen < 0) return;
    if (chosen < top - seen || chosen > top + 2 * seen) moveTo(chosen - Math.floor(seen / 2)); // from afar: what is around it is seen as well
    else if (chosen < top) moveTo(chosen);
    else if (chosen > top + seen - 1) moveTo(chosen - seen + 1);
  }, [position, rows.total, seen, chosen === null]);
  useEffect(() => { if (top > last) moveTo(last); }, [last]);
  useEffect(() => { if (rows.total) rows.need(first, Math.min(first + seen + 2, rows.total)); }, [first, seen, rows.total, rows]);

  const positions = [];
  for (let index = first; index < Math.min(first + seen + 1, rows.total); index += 1) {
    const row = rows.row(index);
    if (row) positions.push(row.position);
  }
  const window = `${positions[0]} ${positions.at(-1)} ${positions.length}`;
  useEffect(() => {
    const wait = setTimeout(() => rows.askTurns(positions, false), CALM);
    const again = isLive ? setInterval(() => { if (!document.hidden) rows.askTurns(positions, true); }, AGAIN) : 0;
    return () => { clearTimeout(wait); clearInterval(again); };
  }, [window, rows.askTurns, isLive]);

  const drawn = []; // a row that is scrolled out of sight is the next one that comes into it
  for (let index = first; index < Math.min(first + seen + 1, rows.total); index += 1) {
    const row = rows.row(index);
    drawn.push(html`<${Row} key=${index % (seen + 2)} row=${row} turn=${row && rows.turn(row.position)} number=${index} offset=${(index - top) * ROW}
      chosen=${index === chosen} onMove=${onMove} gone=${!row && rows.positionOf(index) !== null && rows.positionOf(index) < kept} />`);
  }
  return html`<div class="rows" ref=${box} onScroll=${scrolled} tabindex="0" role="listbox" aria-label="Messages"
      aria-activedescendant=${chosen !== null && chosen >= first && chosen <= first + seen ? `row-${chosen}` : undefined}>
    <${Spacer} height=${height} />
    <div class="window">${drawn}</div>
  </div>`;
}

// Heights are set through the object model, because the page's policy allows no style in the markup.
function Spacer({ height }) {
  const element = useRef(null);
  useLayoutEffect(() => { element.current.style.height = `${height}px`; }, [height]);
  return html`<div class="spacer" ref=${element} aria-hidden="true"></div>`;
}

function Row({ row, turn, number: index, offset, chosen, onMove, gone }) {
  const element = useRef(null);
  useLayoutEffect(() => { element.current.style.transform = `translateY(${offset}px)`; }, [offset]);
  if (gone) return html`<div class="row gone" ref=${element} id=${`row-${index}`} role="option" aria-selected=${chosen ? "true" : "false"}><span class="quiet">not kept any more</span></div>`;
  if (!row) return html`<div class="row waiting" ref=${element} id=${`row-${index}`} role="option" aria-selected="false"><span class="hidden">not loaded</span></div>`;
  return html`<div class=${`row${chosen ? " chosen" : ""}`} ref=${element} id=${`row-${index}`} role="option"
      aria-selected=${chosen ? "true" : "false"} onClick=${() => onMove(row.position)}>
    <span class="position">${number(row.position)}</span>
    <span class="time">${clock(row.time)}</span>
    <span class=${`kind hue-${hue(row.type)}`}><bdi>${row.type}</bdi></span>
    <span class="text"><bdi>${row.text}</bdi></span>
    <span class="badges">${[...row.badges, ...(turn?.badges ?? [])].map((badge) => html`<span key=${badge} class=${`badge ${badge.replaceAll(" ", "-")}`}>${badge}</span>`)}</span>
    <span class="commands" title=${turn?.commands ? counted(turn.commands, "command") : ""}>${turn?.commands ? `⚡${number(turn.commands)}` : ""}</span>
    <span class="took">${row.seconds === null || row.seconds === undefined ? "" : duration(row.seconds)}</span>
  </div>`;
}
