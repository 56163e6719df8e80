// What can be looked at: programs and their keys. Thousands are searched by the server, a page at a time.
import { follow, get } from "./api.js";
import { html, useCallback, useEffect, useRef, useState } from "./html.js";
import { counted, number, size } from "./format.js";

const PAGE = 100;

export const firstSubjects = () => get("subjects", { limit: PAGE });

export function useSubjects(live, first) {
  const [search, setSearch] = useState("");
  const [found, setFound] = useState({ ...first, problem: null });
  const isFirst = useRef(true);
  const asked = useRef(null);

  const load = useCallback(async (text, after) => {
    asked.current?.abort();
    const control = (asked.current = new AbortController());
    try {
      const answer = await get("subjects", { search: text, after, limit: PAGE }, control.signal);
      setFound((before) => ({
        items: after ? [...before.items, ...answer.items] : answer.items, next: answer.next, total: answer.total, problem: null,
      }));
    } catch (error) {
      if (error.name !== "AbortError") setFound((before) => ({ ...before, items: before.items ?? [], problem: error.message }));
    }
  }, []);

  useEffect(() => {
    if (isFirst.current) { // those are there
      isFirst.current = false;
      return undefined;
    }
    const wait = setTimeout(() => load(search, null), search ? 150 : 0);
    return () => clearTimeout(wait);
  }, [search]);

  useEffect(() => {
    if (!live) return undefined;
    return follow("live", {
      on: {
        subjects: ({ changed, gone, total }) =>
          setFound((before) => {
            if (!before.items) return before;
            const news = new Map(changed.map((each) => [each.id, each]));
            const left = before.items.filter((each) => !gone.includes(each.id)).map((each) => {
              const newer = news.get(each.id);
              news.delete(each.id);
              return newer ?? each;
            });
            const added = before.next || search ? [] : [...news.values()];
            return { ...before, items: [...left, ...added], total: search ? before.total : total };
          }),
      },
    });
  }, [live, search]);

  return { ...found, search, setSearch, more: () => load(search, found.next) };
}

export function Subjects({ subjects, chosen, onChoose }) {
  const { items, next, total, problem, search, setSearch, more } = subjects;
  return html`<nav class="pane subjects" aria-label="Programs and keys">
    <label class="search"><span class="hidden">Search programs and keys</span>
      <input type="search" placeholder="Search keys" value=${search} onInput=${(event) => setSearch(event.target.value)} /></label>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    ${items === null && html`<p class="quiet">Loading…</p>`}
    ${items?.length === 0 && !problem && html`<p class="quiet">${search
      ? "No key holds this text."
      : "There is nothing to look at yet. A program shows up here with its first message."}</p>`}
    <ul>
      ${items?.map((each) => html`<li key=${each.id}>
        <button class="subject" aria-current=${each.id === chosen ? "true" : undefined} onClick=${() => onChoose(each.id)}>
          <span class="line"><bdi class="name">${each.key ?? each.name}</bdi>${each.state && !["file", "aggregate"].includes(each.kind) && html`<${State} state=${each.state} />`}</span>
          <span class="line quiet">
            <span>${counted(each.end - each.first, "message")}${each.bytes ? ` · ${size(each.bytes)}` : ""}</span>
            ${each.lag ? html`<span title="messages behind">lag ${number(each.lag)}</span>` : null}
          </span>
          ${each.error && html`<span class="line error"><bdi>${each.error}</bdi></span>`}
        </button>
      </li>`)}
    </ul>
    ${next && html`<button class="more" onClick=${more}>more…</button>`}
    ${total !== null && total > 1 && html`<p class="quiet foot">${number(total)} in all</p>`}
  </nav>`;
}

const STATES = {
  running: "runs now", resting: "at rest: it begins again with its next message", failed: "has failed", ended: "has ended",
  stored: "as the store has it", growing: "another process writes it",
};

export const State = ({ state }) => html`<span class=${`state ${state}`} title=${STATES[state] ?? state}>${state}</span>`;
