// The daemon's page. Whatever comes from a log is put into the page as text, never as markup.
"use strict";

const MOST_LINES = 1000;
const $ = (id) => document.getElementById(id);
const rows = new Map(); // by service id: its row, kept so that focus and scrolling stay
let picked = null; // service id whose lines are shown; null: of all
let paused = false;
let missed = 0; // lines that came while paused
let searching = false; // stored lines are shown in place of live ones
let latest = null;
let view = 0; // counts what was asked to be shown: an answer that comes too late is dropped
let loading = false; // the picked service's stored lines are asked for
let shown = new Set(); // numbers of its lines that could come twice: as stored ones, and by the stream

const number = (value) => value.toLocaleString("en");
const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
};
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const label = (service) => service.name || `service ${service.id}`;

function plot(minutes) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const most = Math.max(1, ...minutes);
  const first = 30 - minutes.length;
  svg.setAttribute("class", "plot");
  svg.setAttribute("viewBox", "0 0 30 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${minutes.at(-1) ?? 0} lines in this minute, at most ${Math.max(0, ...minutes)}`);
  path.setAttribute("d", minutes.map((count, at) => {
    const height = count ? Math.max(1, 10 * count / most) : 0.3;
    return `M${first + at} 10v${-height}h.8v${height}z`;
  }).join(""));
  svg.append(path);
  return svg;
}

function row(service) {
  const tr = element("tr");
  const name = element("td"), button = element("button");
  button.type = "button";
  button.addEventListener("click", () => pick(picked === service.id ? null : service.id));
  name.append(button);
  const cells = [name, ...["", "number", "number", "", "number"].map((c) => element("td", "", c))];
  tr.append(...cells);
  return { tr, button, cells };
}

function fill({ tr, button, cells }, service) {
  const [, state, lag, lines, minutes, gaps] = cells;
  button.textContent = label(service);
  button.title = `id ${service.id}`;
  button.setAttribute("aria-pressed", String(picked === service.id));
  tr.className = picked === service.id ? "picked" : "";
  state.textContent = service.error || service.state || "–";
  state.className = service.error ? "problem" : "";
  lag.textContent = duration(service.lag);
  lag.className = `number${service.lag > 120 ? " warn" : ""}`;
  lines.textContent = number(service.lines);
  gaps.textContent = number(service.gaps);
  gaps.className = `number${service.gaps ? " warn" : ""}`;
  minutes.replaceChildren(plot(service.minutes));
}

function showServices(services) {
  const wanted = $("find").value.trim().toLowerCase();
  const fits = (s) => !wanted || label(s).toLowerCase().includes(wanted) || String(s.id) === wanted;
  const body = $("services"), shown = services.filter(fits);
  const there = new Set(shown.map((s) => s.id));
  for (const [id, { tr }] of rows) if (!there.has(id)) { tr.remove(); rows.delete(id); }
  shown.sort((a, b) => label(a).localeCompare(label(b), undefined, { numeric: true }) || a.id - b.id);
  shown.forEach((service, at) => {
    if (!rows.has(service.id)) rows.set(service.id, row(service));
    const made = rows.get(service.id);
    fill(made, service);
    if (body.children[at] !== made.tr) body.insertBefore(made.tr, body.children[at] ?? null);
  });
  $("no-services").hidden = shown.length > 0;
}

function showStatus(status) {
  latest = status;
  $("state").textContent = status.ready ? "Ready" : "Not ready";
  $("state").className = status.ready ? "good" : "bad";
  $("reasons").hidden = !status.reasons.length;
  $("reasons").replaceChildren(...status.reasons.map((reason) => element("li", reason)));
  const lags = status.services.map((s) => s.lag).filter((lag) => lag !== null);
  const rate = status.services.reduce((sum, s) => sum + (s.minutes.at(-2) ?? s.minutes.at(-1) ?? 0), 0);
  $("total-lines").textContent = number(status.lines);
  $("total-rate").textContent = number(rate);
  $("total-services").textContent = number(status.services.length);
  $("total-lag").textContent = lags.length ? duration(Math.max(...lags)) : "–";
  $("total-waiting").textContent = number(status.waiting);
  $("total-gaps").textContent = number(status.gaps);
  $("store").textContent = `Stored in ${status.store}.`;
  showServices(status.services);
  $("forwarding").hidden = !status.forwarders.length;
  $("forwarders").replaceChildren(...status.forwarders.map((forwarder) => {
    const tr = element("tr");
    tr.append(
      element("td", forwarder.name),
      element("td", number(forwarder.behind), "number"),
      element("td", duration(forwarder.oldest), "number"),
      element("td", number(forwarder.sent), "number"),
      element("td", number(forwarder.rejected), `number${forwarder.rejected ? " warn" : ""}`),
      element("td", forwarder.error || "–", forwarder.error ? "problem" : ""),
    );
    return tr;
  }));
}

function fitsFilter(line) {
  const text = $("filter").value.toLowerCase();
  return (picked === null || line.service === picked) && (!text || line.message.toLowerCase().includes(text));
}

function item(line) {
  const li = element("li", undefined, line.stream === "stderr" ? "stderr" : "");
  const time = element("time", line.time.slice(11, 23));
  time.dateTime = line.time;
  time.title = line.time;
  li.append(time);
  if (picked === null) li.append(element("b", line.name || `service ${line.service}`));
  li.append(element("span", line.message));
  if (line.more) li.append(element("i", ` … and ${number(line.more)} more characters`));
  return li;
}

function showLines(lines) {
  if (searching) return;
  const wanted = lines.filter((line) => fitsFilter(line) && !(picked !== null && shown.has(line.seq)));
  if (paused) {
    missed += wanted.length;
    if (missed) note(`${number(missed)} lines since it was paused`);
    return;
  }
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (loading) wanted.forEach((line) => shown.add(line.seq));
  log.append(...wanted.map(item));
  while (log.children.length > MOST_LINES) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function note(text) { $("note").textContent = text; }

function pick(id) {
  picked = id;
  const service = latest?.services.find((s) => s.id === id);
  $("lines-title").textContent = service ? `Lines of ${label(service)}` : "Lines of all services";
  if (latest) showServices(latest.services);
  begin();
}

function begin() {
  live();
  if (picked !== null) recent(picked);
}

function live() {
  searching = false;
  missed = 0;
  view += 1;
  loading = false;
  shown = new Set();
  $("log").replaceChildren();
  note("");
}

async function ask(id, parameters) {
  const query = new URLSearchParams({ service: id, ...parameters });
  const response = await fetch(`/api/lines?${query}`);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `status ${response.status}`);
  return answer;
}

async function recent(id) {
  const asked = view;
  loading = true;
  try {
    const { lines } = await ask(id, { last: 200 });
    if (view !== asked) return;
    loading = false;
    // Some may have come over the stream already, and others may still come over it.
    const before = lines.filter((line) => !shown.has(line.seq));
    shown = new Set(lines.map((line) => line.seq));
    const log = $("log");
    log.prepend(...before.filter(fitsFilter).map(item));
    log.scrollTop = log.scrollHeight;
  } catch (error) { if (view === asked) note(`Not read: ${error.message}`); }
}

$("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (picked === null) return note("Choose a service first: what is stored is searched service by service.");
  const text = $("filter").value;
  const asked = view += 1;
  searching = true;
  note("Searching …");
  try {
    const { lines, whole } = await ask(picked, { contains: text, last: MOST_LINES });
    if (view !== asked) return;
    $("log").replaceChildren(...lines.map(item));
    $("log").scrollTop = $("log").scrollHeight;
    const most = lines.length === MOST_LINES ? "the last " : "";
    note(`${most}${number(lines.length)} stored lines${text ? ` with “${text}”` : ""}${whole ? "" : "; there was no time to read all"}. Esc: live again.`);
  } catch (error) { if (view === asked) note(`Not read: ${error.message}`); }
});

$("filter").addEventListener("input", () => { if (!searching) begin(); });
$("find").addEventListener("input", () => { if (latest) showServices(latest.services); });
$("clear").addEventListener("click", live);
$("pause").addEventListener("click", () => {
  paused = !paused;
  // What came meanwhile was not kept here: of one service it can be read again.
  if (!paused && missed && !searching && picked !== null) begin();
  missed = 0;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  note(paused ? "Paused" : "");
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (typing && event.target.value) { event.target.value = ""; event.target.dispatchEvent(new Event("input")); }
    else if (searching) begin();
    else if (picked !== null) pick(null);
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = { "/": $("find"), f: $("filter") }[event.key];
  if (target) { event.preventDefault(); target.focus(); target.select(); }
  if (event.key === "p") $("pause").click();
});

function connect() {
  const stream = new EventSource("/api/stream");
  let wasLost = false;
  stream.addEventListener("open", () => {
    if (wasLost && !searching && !paused) begin(); // what came meanwhile is stored
    wasLost = false;
  });
  stream.addEventListener("status", (event) => showStatus(JSON.parse(event.data)));
  stream.addEventListener("lines", (event) => showLines(JSON.parse(event.data)));
  stream.addEventListener("lost", (event) => {
    if (!searching && !paused) note(`${number(JSON.parse(event.data))} lines were stored too fast to be shown here.`);
  });
  stream.addEventListener("error", () => {
    wasLost = true;
    $("state").textContent = "The daemon does not answer: trying again …";
    $("state").className = "bad";
    // A refusal ends the stream for good, unlike a connection that broke.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
}
connect();
