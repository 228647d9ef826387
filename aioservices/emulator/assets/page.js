// The page of the emulator. Every text comes into the document as text (textContent), never as
// HTML, and what is there already is changed in place, so that the focus stays where it is.
"use strict";

const POLL = 1000; // milliseconds
const KEY = "aioservices-emulator-token";

const $ = (id) => document.getElementById(id);
const state = { token: "", accepted: "", selected: null, logVersion: "", lines: [], search: "", busy: false };

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// One child of `parent` for each item, made once and updated from then on.
function reconcile(parent, items, keyOf, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) {
      known.delete(key);
    } else {
      child = create(item);
      child.dataset.key = key;
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
    update(child, item);
  }
  for (const child of known.values()) child.remove();
}

class Refused extends Error {
  constructor(status, message, token) {
    super(message);
    this.status = status;
    this.token = token;
  }
}

async function call(method, path) {
  const token = state.token;
  const response = await fetch("/_emulator/" + path, {
    method,
    headers: { Authorization: "Bearer " + token },
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) throw new Refused(response.status, body.errorDescription, token);
  return body;
}

function notice(text) {
  setText($("notice"), text);
  $("notice").hidden = !text;
}

function announce(text) {
  setText($("announce"), text);
}

async function act(method, path, done) {
  try {
    await call(method, path);
    announce(done);
    await refresh();
  } catch (error) {
    failed(error, true);
  }
}

function failed(error, acted = false) {
  if (error instanceof Refused && error.status === 403) {
    // An answer that comes late says nothing about the token that was entered meanwhile.
    if (error.token === state.token) lock(refusalOf(error.token));
  } else if (error instanceof Refused) {
    if (acted) notice(error.message);
    else if (error.status === 404) select(null);
  } else {
    document.body.classList.add("offline");
    notice("The emulator does not answer. This page keeps trying. If you start the emulator again, open the address that it prints then.");
  }
}

// An emulator makes a new token whenever it is started.
function refusalOf(token) {
  return token === state.accepted
    ? "The emulator was started again, and has a new token. Open the address that it has printed now."
    : "That token is not the one of this emulator. Open the address that it printed when it was last started.";
}

// --- services ---

function createService(service) {
  const action = (name, run) => {
    const button = make("button", { type: "button", textContent: name });
    button.addEventListener("click", run);
    return button;
  };
  const path = `services/${service.id}/`;
  const row = make("tr");
  const deploy = action("Deploy", () => act("POST", path + "deploy", `${service.name}: deployed`));
  const stop = action("Stop", () => act("POST", path + "stop", `${service.name}: stopped`));
  const log = action("Log", () => select(service.id, true));
  deploy.setAttribute("aria-label", `Deploy ${service.name}`);
  stop.setAttribute("aria-label", `Stop ${service.name}`);
  log.setAttribute("aria-label", `Log of ${service.name}`);
  row.append(
    make("td", { className: "service" }, make("span"), make("small")),
    make("td", { className: "state" }, make("span", { className: "badge" }), make("small")),
    make("td", { className: "deployment" }),
    make("td", {}, make("div", { className: "actions" }, deploy, stop, log)),
  );
  return row;
}

function updateService(row, service) {
  const [name, stateCell, deployment, actions] = row.children;
  setText(name.children[0], service.name);
  const notes = [`id ${service.id}`];
  if (service.isProgram) notes.push("a program");
  if (service.archived) notes.push("archived");
  setText(name.children[1], notes.join(", "));
  const badge = stateCell.children[0];
  setText(badge, service.state);
  const kind = "badge " + service.state.replace(/[^a-z]/g, "-");
  if (badge.className !== kind) badge.className = kind;
  setText(stateCell.children[1], service.message);
  setText(deployment, service.deploymentId === null ? "" : String(service.deploymentId));
  const [deploy, stop, log] = actions.firstElementChild.children;
  deploy.disabled = service.archived;
  stop.disabled = !service.canStop;
  log.setAttribute("aria-pressed", String(service.id === state.selected));
}

function showOverview(overview) {
  const { services, total, matching, running } = overview;
  setText($("summary"), `${total} ${total === 1 ? "service" : "services"}, ${running} running; times are UTC`);
  reconcile($("rows"), services, (service) => service.id, createService, updateService);
  $("rows").closest("table").hidden = services.length === 0;
  $("no-services").hidden = services.length > 0;
  setText($("no-services"), total ? "No service matches." : "There is no service yet: POST /services makes one.");
  $("more-services").hidden = matching <= services.length;
  setText($("more-services"), `${matching - services.length} more services are not shown: filter by name.`);
  showFaults(overview);
  showRequests(overview);
  if (state.selected === null && services.length && !state.search) select(services[0].id);
}

// --- faults ---

function createSwitch(fault) {
  const id = "switch-" + fault.name;
  const button = make("button", { type: "button", id });
  button.setAttribute("role", "switch");
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-checked") !== "true";
    act(on ? "POST" : "DELETE", "switches/" + fault.name, `${fault.label}: ${on ? "on" : "off"}`);
  });
  const hint = make("small", { id: id + "-hint" });
  button.setAttribute("aria-describedby", hint.id);
  const label = make("label", { htmlFor: id, textContent: fault.label });
  return make("li", {}, button, make("div", {}, label, hint));
}

function updateSwitch(item, fault) {
  const [button, texts] = item.children;
  button.setAttribute("aria-checked", String(fault.on));
  const hits = fault.on ? ` (so far ${fault.hits} ${fault.hits === 1 ? "request" : "requests"})` : "";
  setText(texts.children[1], fault.hint + hits);
}

function createFault(fault) {
  const remove = make("button", { type: "button", textContent: "Remove" });
  remove.setAttribute("aria-label", `Remove the fault ${fault.effect}`);
  remove.addEventListener("click", () => act("DELETE", "faults/" + fault.id, "The fault is removed"));
  return make("li", {}, make("div", {}, make("code"), make("small")), remove);
}

function updateFault(item, fault) {
  const [effect, requests] = item.firstElementChild.children;
  setText(effect, fault.effect);
  setText(requests, `${fault.requests}; hits: ${fault.hits}`);
}

function showFaults({ switches, faults }) {
  reconcile($("switches"), switches, (fault) => fault.name, createSwitch, updateSwitch);
  reconcile($("others"), faults, (fault) => fault.id, createFault, updateFault);
  $("other").hidden = faults.length === 0;
}

// --- log ---

// Times are in UTC, as everywhere.
function utc(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : date.toISOString();
}

function timeElement(value) {
  const text = utc(value);
  const clock = /T(\d\d:\d\d:\d\d)/.exec(text);
  return make("time", { dateTime: text, title: text, textContent: clock ? clock[1] : text });
}

function lineItem(line) {
  const item = make("li", { className: `${line.stream} ${line.source}` });
  item.append(
    timeElement(line.createdAt),
    make("span", { textContent: line.message }),
  );
  return item;
}

const same = (a, b) => a.createdAt === b.createdAt && a.message === b.message && a.stream === b.stream;

// How many of the oldest lines that are shown are no longer among the newest of the log; null
// if more than that has changed (a line that came late).
function dropped(shown, lines) {
  for (let start = 0; start <= shown.length; start += 1) {
    const rest = shown.length - start;
    if (rest > lines.length) continue;
    let index = 0;
    while (index < rest && same(shown[start + index], lines[index])) index += 1;
    if (index === rest) return start;
  }
  return null;
}

function showLog(log) {
  setText($("log-of"), log.deploymentId === null
    ? `${log.name} has not been deployed`
    : `${log.name}, deployment ${log.deploymentId}`);
  if (log.version === state.logVersion || log.lines === null) return;
  const list = $("lines");
  const follow = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const start = dropped(state.lines, log.lines);
  if (start === null || start === state.lines.length) {
    list.replaceChildren(...log.lines.map(lineItem));
  } else {
    for (let index = 0; index < start; index += 1) list.firstElementChild.remove();
    list.append(...log.lines.slice(state.lines.length - start).map(lineItem));
  }
  state.lines = log.lines;
  state.logVersion = log.version;
  list.hidden = log.lines.length === 0;
  $("no-lines").hidden = log.lines.length > 0;
  setText($("no-lines"), "It has written nothing yet.");
  if (follow) list.scrollTop = list.scrollHeight;
}

function select(id, byHand = false) {
  state.selected = id;
  state.logVersion = "";
  state.lines = [];
  $("lines").replaceChildren();
  $("lines").hidden = id === null;
  $("no-lines").hidden = id !== null;
  setText($("no-lines"), "Choose a service to see what it writes.");
  setText($("log-of"), "");
  if (byHand) {
    refresh().then(() => {
      $("lines").scrollTop = $("lines").scrollHeight;
      document.querySelector(".log").scrollIntoView({ block: "nearest" });
    });
  }
}

// --- requests ---

function requestItem(request) {
  const good = request.status !== null && request.status < 400;
  return make("li", {},
    timeElement(request.at * 1000),
    make("span", { className: good ? "good" : "bad", textContent: request.status === null ? "----" : String(request.status), title: request.status === null ? "no answer" : "" }),
    make("span", { className: "path", textContent: `${request.method} ${request.path}` }),
    make("span", { className: "took", textContent: `${Math.round(request.milliseconds)} ms` }),
  );
}

function showRequests({ requests, answered }) {
  const list = $("calls");
  if (list.dataset.answered !== String(answered)) {
    list.dataset.answered = String(answered);
    list.replaceChildren(...requests.map(requestItem));
  }
  list.hidden = requests.length === 0;
  $("no-calls").hidden = requests.length > 0;
  setText($("answered"), answered === 1 ? "1 request so far" : `${answered} requests so far`);
}

// --- the loop, and the token ---

async function refresh() {
  const query = state.search ? "?search=" + encodeURIComponent(state.search) : "";
  const token = state.token;
  const overview = await call("GET", "overview" + query);
  state.accepted = token;
  $("unlock").hidden = true;
  $("main").hidden = false; // before the log is filled: what is hidden cannot be scrolled
  showOverview(overview);
  if (state.selected !== null) {
    const selected = state.selected;
    const path = `logs/${selected}?after=${encodeURIComponent(state.logVersion)}`;
    const log = await call("GET", path).catch((error) => {
      if (selected === state.selected) throw error;
    });
    if (selected === state.selected) showLog(log);
  }
  if (document.body.classList.contains("offline")) {
    document.body.classList.remove("offline");
    notice("");
  }
}

async function loop() {
  if (state.token && !document.hidden) {
    try {
      await refresh();
    } catch (error) {
      failed(error);
    }
  }
  setTimeout(loop, POLL);
}

function lock(reason) {
  state.token = "";
  sessionStorage.removeItem(KEY);
  notice(reason);
  select(null); // the next emulator may have other services
  setText($("summary"), "");
  $("main").hidden = true;
  $("unlock").hidden = false;
  $("token").focus();
}

function unlock(token) {
  state.token = token;
  sessionStorage.setItem(KEY, token);
  notice("");
}

function tokenOfAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // It stays out of the history, and out of an address that is copied.
  if (token) history.replaceState(null, "", location.pathname);
  return token;
}

setText($("endpoint"), `CIVIS_API_ENDPOINT=${location.origin}`);

$("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("token").value.trim();
  $("token").value = "";
  unlock(text.includes("token=") ? text.split("token=").pop() : text);
  refresh().catch((error) => failed(error));
});
$("search").addEventListener("input", () => {
  state.search = $("search").value.trim();
  refresh().catch((error) => failed(error));
});
window.addEventListener("hashchange", () => {
  const token = tokenOfAddress();
  if (token) unlock(token);
});

const kept = sessionStorage.getItem(KEY);
if (kept) state.accepted = kept; // by the emulator that was there before the page was loaded again
const token = tokenOfAddress() ?? kept;
if (token) unlock(token);
else lock("");
loop();
