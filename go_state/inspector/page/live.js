// A program that runs: its end, its rate, what is under way and what is due.
import { follow, get } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { counted, duration, number } from "./format.js";

// A value that moves many times a second, as it is now and then; of another `of` at once.
export function useNowAndThen(value, milliseconds, of) {
  const [seen, setSeen] = useState({ value, of, at: 0 });
  useEffect(() => {
    if (seen.value === value && seen.of === of) return undefined;
    const left = seen.of === of ? seen.at + milliseconds - performance.now() : 0;
    const wait = setTimeout(() => setSeen({ value, of, at: performance.now() }), Math.max(left, 0));
    return () => clearTimeout(wait);
  }, [value, of, seen]);
  return seen.value;
}

const AWAY = "The inspector does not answer. It may have ended, or the program with it. What is here stays as it was; this page goes on when it answers again.";

// `lost` is what is said while nothing is heard of the program, and `another` whether it is another run that answers now.
export function useLive(subject, isLive, served) {
  const [live, setLive] = useState(null);
  const [lost, setLost] = useState(null);
  const [another, setAnother] = useState(false);
  useEffect(() => {
    setLive(null);
    setLost(null);
    if (!isLive || !subject) return undefined;
    return follow(`s/${subject}/live`, {
      on: { state: (now) => setLive(now), ended: (end) => setLive((before) => ({ ...before, state: end.error ? "failed" : "ended", error: end.error })) },
      lost: (problem) => problem?.status !== 404 && setLost((before) => (problem && before && before.status === problem.status ? before : problem)),
      again: () => get("about").then((about) => setAnother(about.served !== served)).catch(() => {}), // whoever asks next says what is wrong
    });
  }, [subject, isLive]);
  return { live, lost: lost && (lost.status ? lost.message : AWAY), another: another && !lost };
}

export function LiveBar({ isLive, live, lost, another, following, onFollow }) {
  const [open, setOpen] = useState(false);
  if (!isLive && !live && !lost) return null;
  const over = live && ["failed", "ended"].includes(live.state);
  return html`<section class="live" aria-label="The running program">
    ${lost && html`<p class="problem" role="alert">${lost}</p>`}
    ${another && html`<p class="problem" role="alert">The inspector was started again, and what is here is of the run before.
      <button onClick=${() => location.reload()}>Load this page again</button></p>`}
    ${!live && !lost && html`<div class="line"><button disabled>▶ follow</button></div>`}
    ${live && !lost && html`<div class="line">
      ${live.state === "stored" || live.state === "growing"
        ? html`<button aria-pressed=${following ? "true" : "false"} onClick=${onFollow}>${following ? "❚❚ pause" : "▶ follow"}</button>
          ${live.state === "growing" ? html`<span title="messages a second">${number(Math.round(live.rate ?? 0))}/s</span>` : html`<span class="quiet">nobody writes it at this moment</span>`}
          ${live.queue ? html`<span title="messages that the program has not processed, as far as the store knows">lag ${number(live.queue)}</span>` : null}`
        : over
        ? html`<strong role="status">${live.state === "failed" ? "The program has failed" : "The program has ended"}</strong>`
        : html`<button aria-pressed=${following ? "true" : "false"} onClick=${onFollow}>${following ? "❚❚ pause" : "▶ follow"}</button>
          <span title="messages a second">${number(Math.round(live.rate ?? 0))}/s</span>
          <span title="messages that wait">queue ${number(live.queue)}</span>
          ${live.lag ? html`<span>lag ${number(live.lag)}</span>` : null}`}
      ${(live.effects?.length || live.timers?.length) ? html`<button class="plain" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
        ${number(live.effects?.length ?? 0)} under way, ${counted(live.timers?.length ?? 0, "timer")} ${open ? "▾" : "▸"}</button>` : null}
      ${live.error && html`<bdi class="error">${live.error}</bdi>`}
    </div>`}
    ${open && live && !lost && html`<div class="under-way">
      <table><caption class="hidden">Commands under way</caption>
        <tbody>${(live.effects ?? []).map((each) => html`<tr key=${each.id}><th scope="row"><bdi>${each.name}</bdi></th><td><span class="badge">${each.state}</span></td>
          <td>${each.since ? `since ${duration(Date.now() / 1000 - each.since)}` : ""}</td><td>${each.tries > 1 ? `${each.tries} tries` : ""}</td><td class="quiet"><bdi>${each.key ?? ""}</bdi></td></tr>`)}
        ${(live.timers ?? []).map((each, index) => html`<tr key=${`t${index}`}><th scope="row"><bdi>${each.name}</bdi></th><td><span class="badge">timer</span></td>
          <td>due ${duration(Math.max(each.due - Date.now() / 1000, 0))}</td><td></td><td></td></tr>`)}</tbody></table>
    </div>`}
  </section>`;
}
