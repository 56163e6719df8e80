// Ask the server. Every answer is JSON; what goes wrong is thrown as a Problem with a text for people.

export class Problem extends Error {
  constructor(text, status, position = null) {
    super(text);
    this.status = status; // 0: the server was not reached
    this.position = position; // of the message that is to blame, if there is one
  }
}

// What is said wherever the server was not reached; whoever follows a stream says so once, for the whole page.
export const UNREACHED = "The inspector does not answer. It may have ended; start it again and reload this page.";

function address(path, params) {
  const url = new URL(`api/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== undefined && value !== null && value !== "" && value !== false) {
      url.searchParams.set(name, value === true ? "1" : String(value));
    }
  }
  return url;
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHED, 0);
  }
  const body = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null; // not JSON: the status says enough
  });
  if (response.ok) return body;
  const fallback = {
    401: "This address has no valid token. Open the address that the inspector printed when it started.",
    403: "The inspector refuses requests from this address.",
    404: "This is not there any more.",
  };
  throw new Problem(body?.error ?? fallback[response.status] ?? `The inspector answered ${response.status}.`, response.status, body?.position);
}

export const get = (path, params, signal) => answer(fetch(address(path, params), { signal }));

// Save what the server answers as a file; what goes wrong is thrown, and not saved in its place.
export async function download(path, params) {
  const response = await fetch(address(path, params)).catch(() => { throw new Problem(UNREACHED, 0); });
  if (!response.ok) await answer(response);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "export";
  const place = document.createElement("a");
  place.href = URL.createObjectURL(await response.blob());
  place.download = name;
  place.click();
  setTimeout(() => URL.revokeObjectURL(place.href), 10_000);
}

// Read a stream of server-sent events until it ends or `signal` is aborted. `on` has a function for each kind of event.
export async function stream(path, { params, body, on, signal }) {
  const how = body === undefined ? { signal } : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
  };
  let response;
  try {
    response = await fetch(address(path, params), how);
  } catch (error) {
    if (error.name === "AbortError") return;
    throw new Problem("The inspector does not answer.", 0);
  }
  if (!response.ok) await answer(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  // A page that was asleep reads a backlog at once: of the states in it only the newest counts.
  let newest = null;
  function tell() {
    if (newest !== null && !signal.aborted) dispatch(newest, on);
    newest = null;
  }
  function take(block) {
    if (block.startsWith("event: state\n")) {
      if (newest === null) setTimeout(tell, 0);
      newest = block;
    } else {
      tell();
      dispatch(block, on);
    }
  }
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        tell();
        return;
      }
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) take(block);
    }
  } catch (error) {
    if (error.name !== "AbortError") throw new Problem("The connection to the inspector was lost.", 0);
  }
}

function dispatch(block, on) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length) on[kind]?.(JSON.parse(data.join("\n")));
}

// Follow a stream for as long as the caller wants, and connect again when it is lost. `again` is called when it has
// connected again. Returns the function that ends it.
export function follow(path, { params, on, lost, again }) {
  const control = new AbortController();
  (async () => {
    let wait = 250;
    let isAgain = false; // the stream was there before, and nothing has come since
    while (!control.signal.aborted) {
      try {
        const heard = Object.fromEntries(
          Object.entries(on).map(([kind, fn]) => [kind, (event) => {
            wait = 250;
            lost?.(null);
            if (isAgain) again?.();
            isAgain = false;
            fn(event);
          }]),
        );
        heard.problem = ({ error }) => lost?.(new Problem(error, 409)); // what has ended it on the other side: it may come again
        await stream(path, { params, on: heard, signal: control.signal });
      } catch (problem) {
        if (control.signal.aborted) return;
        lost?.(problem);
        if (problem.status) return; // it was refused: asking again changes nothing
      }
      isAgain = true;
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 5000);
    }
  })();
  return () => control.abort();
}
