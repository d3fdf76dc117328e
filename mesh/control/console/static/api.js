// What the server is asked, by the rows of docs/openapi and those of `ropewalk-control`. A failure is an Error with the server's sentence.
const data = document.body.dataset;

// Who sits here: name, kind ("admin" or "person"), what the role opens, and what the server is called.
export const session = Object.freeze({ ...data, scopes: data.scopes.split(" ").filter(Boolean) });

// Whether this scope ("dns", or "dns:read" to look) is open. Hides what would be refused; the server decides.
export function can(scope) {
  const has = (word) => session.scopes.includes(word);
  if (has("all") || has(scope)) return true;
  if (!scope.endsWith(":read")) return false;
  return has("all:read") || has(scope.slice(0, -":read".length));
}

function headers(more) {
  return { "X-Ropewalk-Form": data.form, ...more };
}

async function sentence(answer) {
  const text = await answer.text();
  try {
    const v = JSON.parse(text);
    return v.error?.message ?? v.message ?? text;
  } catch {
    return text || `the server answered ${answer.status}`;
  }
}

// Any row. body: what becomes JSON, a string (sent as it is), or nothing. Gives the JSON of the answer.
export async function request(method, path, body, more) {
  const raw = typeof body === "string";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: headers(body === undefined ? more : { "Content-Type": raw ? "text/plain" : "application/json", ...more }),
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (answer.status === 401) {
    location.assign("/login"); // the login has ended
    throw new Error("The login has ended.");
  }
  if (!answer.ok) throw Object.assign(new Error(await sentence(answer)), { status: answer.status });
  const text = await answer.text();
  return text && answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : text;
}

// A verb of ours: ask("nodes/rename", { id, name }).
export const ask = (verb, args = {}) => request("POST", `/v1/${verb}`, args);

// Events, as text/event-stream; each(name, value). Ends when the connection does.
export async function events(each, signal) {
  const answer = await fetch("/admin/events", { headers: headers(), cache: "no-store", signal });
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) throw new Error(await sentence(answer));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    for (let end; (end = kept.indexOf("\n\n")) >= 0; kept = kept.slice(end + 2)) {
      const [, name, text] = /^event: (\w+)\ndata: ([^]*)$/.exec(kept.slice(0, end)) ?? [];
      if (name) each(name, JSON.parse(text));
    }
  }
}
