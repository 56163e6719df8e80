// The keyboard: one table of what each key does, which the help shows as well.
import { html, useEffect, useLayoutEffect, useRef } from "./html.js";

export const KEYS = [
  ["←  →", "one message back, forward", ["ArrowLeft", "ArrowRight", "k", "j"]],
  ["Page Up  Page Down", "a page of messages back, forward", ["PageUp", "PageDown"]],
  ["Home  End", "the first, the last message", ["Home", "End"]],
  ["g", "go to a position or a time", ["g"]],
  ["/", "filter the messages", ["/"]],
  ["f", "find the first message where …", ["f"]],
  ["Space", "play, pause", [" "]],
  ["l", "follow the newest, or stop following", ["l"]],
  ["e", "what if: edit, leave out, put in", ["e"]],
  ["?", "this list", ["?"]],
];

const isTyping = (target) => /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable;

// Call `actions[key]` for a key that is pressed while nobody types and no dialog is open.
export function useKeys(actions) {
  const newest = useRef(actions);
  newest.current = actions;
  useEffect(() => {
    function pressed(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      if (event.key === " " && event.target.closest("button, summary, [role=tab]")) return; // it presses that
      if (event.key.startsWith("Arrow") && event.target.closest("[role=tab], [role=slider]")) return;
      const action = newest.current[event.key];
      if (action) {
        event.preventDefault();
        action();
      }
    }
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

// A dialog of the browser's own, which keeps the focus inside and gives it back.
export function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useLayoutEffect(() => { // with the element, and not after a paint, which may not come
    box.current.showModal();
    return () => box.current?.close();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onClose=${onClose} onCancel=${onClose}>
    <header><h2>${title}</h2><button class="plain" aria-label="Close" onClick=${() => box.current.close()}>✕</button></header>
    ${children}
  </dialog>`;
}

export const Help = ({ onClose }) => html`<${Dialog} title="Keys" onClose=${onClose}>
  <dl class="keys">${KEYS.map(([shown, what]) => html`<div key=${shown}><dt><kbd>${shown}</kbd></dt><dd>${what}</dd></div>`)}</dl>
<//>`;
