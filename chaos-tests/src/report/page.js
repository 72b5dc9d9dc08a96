"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const WIDTH = 1240, LEFT = 118, RIGHT = 60, PLOT = WIDTH - LEFT - RIGHT;
const end = Math.max(data.end, 1);
const x = (t) => LEFT + (t / end) * PLOT;
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const seconds = (us, digits = 2) => (us / 1e6).toFixed(digits) + " s";
const time = (us) => (us < 1000 ? us + " µs" : us < 1e6 ? (us / 1000).toFixed(us < 1e4 ? 1 : 0) + " ms" : seconds(us));
const whole = (n) => n.toLocaleString("en-GB");
const node = (k) => `var(--n${k % 7})`;
const byId = (id) => document.getElementById(id);

function head() {
  const words = { fine: "✓ every invariant holds", empty: "✗ proves nothing", liveness: "✗ liveness violated", safety: "✗ safety violated" };
  const bug = data.sabotage ? ` · <b>sabotaged: ${escape(data.sabotage)}</b>` : "";
  document.title = `${data.scenario}, seed ${data.seed}: ${data.class}`;
  const wall = new Date(data.wall_us / 1000).toISOString().slice(0, 19).replace("T", " ");
  const main = ["acks", "deliveries", "deduped", "infos", "fails", "elections", "faults", "resumes", "reads", "bulks_in_flight"];
  const others = Object.keys(data.counts).filter((name) => !main.includes(name));
  const tile = (name) => `<div class="tile"><b>${whole(data.counts[name] ?? 0)}</b><span>${escape(name.replaceAll("_", " "))}</span></div>`;
  byId("head").innerHTML = `<h1>${escape(data.scenario)}</h1><span class="badge ${data.class}">${words[data.class]}</span>
    <p class="facts">seed <b>${data.seed}</b> · ${data.nodes} nodes · ${seconds(end, 1)} · version ${escape(data.binary || "?")} · ${wall} UTC${bug}</p>
    <div class="tiles">${main.concat(others).map(tile).join("")}</div>`;
}

function verdict() {
  const check = (c) => {
    const kind = c.wrong ? "wrong" : c.looked_at ? "" : "idle";
    const mark = c.wrong ? "✗" : c.looked_at ? "✓" : "–";
    const looked = c.wrong ? `${whole(c.wrong)} of ${whole(c.looked_at)}` : c.looked_at ? whole(c.looked_at) : "none seen";
    return `<div class="check ${kind}"><span class="mark">${mark}</span><span class="id">${c.id}</span>
      <span class="name">${escape(c.name)}</span><span class="looked">${looked}</span></div>`;
  };
  const list = (title, lines, open, kind = "") => `<details class="violations ${kind}" ${open ? "open" : ""}><summary>${escape(title)}</summary>
    <ul>${lines.map((line) => `<li>${escape(line)}</li>`).join("")}</ul></details>`;
  const broken = data.checks.filter((c) => c.wrong).map((c, i) => list(`${c.id} ${c.name}: ${whole(c.wrong)} violations`, c.violations, i === 0));
  const empty = data.empty.length ? [list("The run proves nothing", data.empty, true, "warn")] : [];
  byId("verdict").innerHTML = `<h2>Invariants</h2><div class="checks">${data.checks.map(check).join("")}</div>${broken.concat(empty).join("")}`;
}

const parts = [];
let y = 18;
const text = (tx, ty, words, more = "") => `<text x="${tx}" y="${ty}" ${more}>${escape(words)}</text>`;
const rect = (rx, ry, w, h, more) => `<rect x="${rx.toFixed(1)}" y="${ry}" width="${Math.max(w, 1).toFixed(1)}" height="${h}" ${more}/>`;
const tipped = (svg, words) => svg.replace("/>", `><title>${escape(words)}</title></rect>`);

function title(words, unit = "") {
  parts.push(text(10, y, words, 'class="title"'), text(LEFT, y, unit));
  y += 8;
}

function faultRows() {
  title("Faults", "by node");
  const rows = [...Array(data.nodes).keys()].map((k) => ({ name: `node ${k}`, has: (f) => f.nodes.includes(k) }));
  const extra = Math.max(-1, ...data.faults.flatMap((f) => f.nodes));
  for (let k = data.nodes; k <= extra; k++) rows.push({ name: `node ${k}`, has: (f) => f.nodes.includes(k) });
  if (data.faults.some((f) => !f.nodes.length)) rows.push({ name: "clients", has: (f) => !f.nodes.length });
  for (const row of rows) {
    parts.push(text(10, y + 12, row.name), `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y + 17}" y2="${y + 17}"/>`);
    for (const f of data.faults.filter(row.has)) {
      const w = x(f.to) - x(f.from), words = f.nemesis.replaceAll("_", " ");
      parts.push(tipped(rect(x(f.from), y + 1, w, 14, 'rx="3" fill="var(--band)"'), `${words} ${seconds(f.from)} to ${seconds(f.to)}: ${f.detail}`));
      if (w > words.length * 6.2 + 6) parts.push(text(x(f.from) + 4, y + 12, words, 'class="on" style="font-size:10.5px"'));
    }
    y += 18;
  }
  y += 20;
}

function ownership() {
  if (!data.shards.length) return;
  title("Ownership", "by shard, colour = node, ▾ = election after the first fault");
  for (const t of data.elections) parts.push(`<path d="M${x(t) - 3} ${y - 4}h6l-3 5z" fill="var(--soft)"><title>election at ${seconds(t)}</title></path>`);
  y += 4;
  const busy = data.shards.filter((row) => row.rooms.length), idle = data.shards.filter((row) => !row.rooms.length);
  const draw = (row, height) => {
    for (const s of row.spans) {
      const words = `s${row.shard} ${row.rooms.join(" ")}: node ${s.node} in e${s.epoch}, ${seconds(s.from)} to ${seconds(s.to)}`;
      parts.push(tipped(rect(x(s.from), y, x(s.to) - x(s.from), height - 1, `fill="${node(s.node)}"`), words));
    }
    y += height;
  };
  for (const row of busy) {
    parts.push(text(10, y + 9, `s${row.shard} ${row.rooms[0]}${row.rooms.length > 1 ? ` +${row.rooms.length - 1}` : ""}`.slice(0, 18)));
    draw(row, 12);
  }
  if (idle.length) {
    y += 4;
    parts.push(text(10, y + 10, `${idle.length} without load`));
    idle.forEach((row) => draw(row, 4));
  }
  y += 26;
}

function axisRight(ticks, scale) {
  for (const [value, label] of ticks) {
    parts.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${scale(value)}" y2="${scale(value)}"/>`, text(LEFT - 6, scale(value) + 4, label, 'text-anchor="end"'));
  }
}

function throughput() {
  title("Acks", "publishes per second; below: unknown and refused");
  const height = 110, perSecond = 1e6 / data.bucket_us, rates = data.buckets.map((b) => b.acks * perSecond);
  const top = niceTop(Math.max(1, ...rates)), base = y + height, scale = (v) => base - (v / top) * (height - 8);
  axisRight([0, top / 2, top].map((v) => [v, whole(Math.round(v))]), scale);
  let path = `M${x(0)} ${base}`;
  rates.forEach((rate, i) => (path += `L${x(i * data.bucket_us).toFixed(1)} ${scale(rate).toFixed(1)}L${Math.min(x((i + 1) * data.bucket_us), x(end)).toFixed(1)} ${scale(rate).toFixed(1)}`));
  parts.push(`<path d="${path}L${x(end)} ${base}Z" fill="var(--area)" fill-opacity=".45" stroke="var(--area)"/>`);
  y = base + 4;
  data.buckets.forEach((b, i) => {
    const w = Math.max(2, x(data.bucket_us) - x(0));
    if (b.infos) parts.push(tipped(rect(x(i * data.bucket_us), y, w, 6, 'fill="var(--warn)"'), `${b.infos} unknown`));
    if (b.fails) parts.push(tipped(rect(x(i * data.bucket_us), y + 7, w, 6, 'fill="var(--bad)"'), `${b.fails} refused`));
  });
  parts.push(text(LEFT - 6, y + 10, "unknown, refused", 'text-anchor="end" style="font-size:10px"'));
  y += 34;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((top) => top >= value);
}

function latency() {
  title("Latency", "publish to ack, logarithmic");
  const height = 130, base = y + height;
  const seen = data.buckets.filter((b) => b.latency).flatMap((b) => [b.latency[0], b.latency[2]]);
  const low = Math.log10(Math.max(100, Math.min(1000, ...seen))), high = Math.log10(Math.max(1e5, ...seen));
  const scale = (us) => base - ((Math.log10(Math.max(us, 1)) - low) / (high - low)) * (height - 8);
  axisRight([100, 1e3, 1e4, 1e5, 1e6, 1e7].filter((t) => Math.log10(t) >= low && Math.log10(t) <= high).map((t) => [t, time(t)]), scale);
  const lines = [[2, "--p99", "p99"], [1, "--p90", "p90"], [0, "--p50", "p50"]];
  const labels = [];
  for (const [index, colour, name] of lines) {
    let path = "", pen = false, last = null;
    data.buckets.forEach((b, i) => {
      if (!b.latency) { pen = false; return; }
      const px = x((i + 0.5) * data.bucket_us), py = scale(b.latency[index]);
      path += `${pen ? "L" : "M"}${Math.min(px, x(end)).toFixed(1)} ${py.toFixed(1)}`;
      if (!pen) path += "h1";
      pen = true; last = py;
    });
    parts.push(`<path d="${path}" fill="none" stroke="var(${colour})" stroke-width="1.6" stroke-linejoin="round"/>`);
    if (last !== null) labels.push({ name, colour, at: last });
  }
  labels.sort((a, b) => a.at - b.at).forEach((label, i, all) => {
    if (i && label.at < all[i - 1].at + 13) label.at = all[i - 1].at + 13;
    parts.push(text(WIDTH - RIGHT + 6, label.at + 4, label.name, `style="fill:var(${label.colour});font-weight:600"`));
  });
  y = base + 26;
}

function gaps() {
  const rooms = [...new Set(data.gaps.map((gap) => gap.room))].sort();
  if (!rooms.length) return;
  title("Gaps", "times without an ack of 200 ms and more, by room; the number is the longest");
  for (const room of rooms) {
    const own = data.gaps.filter((gap) => gap.room === room), longest = Math.max(...own.map((gap) => gap.to - gap.from));
    parts.push(text(10, y + 10, room.slice(0, 18)), text(WIDTH - RIGHT + 6, y + 10, time(longest)));
    parts.push(`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y + 14}" y2="${y + 14}"/>`);
    for (const gap of own) parts.push(tipped(rect(x(gap.from), y + 2, x(gap.to) - x(gap.from), 9, 'rx="2" fill="var(--p99)"'), `no ack of ${room} for ${time(gap.to - gap.from)}`));
    y += 15;
  }
  y += 14;
}

function axis(top) {
  const step = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].find((s) => end / 1e6 / s <= 14) ?? 7200;
  const lines = [];
  for (let t = 0; t <= end; t += step * 1e6) {
    lines.push(`<line class="grid" x1="${x(t)}" x2="${x(t)}" y1="${top}" y2="${y}"/>`);
    parts.push(text(x(t), y + 14, `${t / 1e6} s`, 'text-anchor="middle"'));
  }
  let free = 0;
  for (const [t, phase] of data.phases) {
    const at = Math.max(x(t), free);
    parts.push(`<line x1="${x(t)}" x2="${x(t)}" y1="${y}" y2="${y + 20}" stroke="var(--soft)"/>`, text(at, y + 30, phase));
    free = at + phase.length * 6 + 8;
  }
  const bands = data.faults.map((f) => rect(x(f.from), top, x(f.to) - x(f.from), y - top, 'fill="var(--band)" fill-opacity=".09"'));
  y += 36;
  return lines.concat(bands).join("");
}

function chart() {
  faultRows(); ownership(); throughput(); latency(); gaps();
  const behind = axis(6);
  byId("chart").innerHTML = `<svg viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="timeline of the run">${behind}${parts.join("")}
    <line class="cursor" y1="6" y2="${y - 36}"/></svg>`;
  const nodes = [...new Set(data.shards.flatMap((row) => row.spans.map((s) => s.node)))].sort((a, b) => a - b);
  const key = (colour, words, line = "") => `<span><i class="${line}" style="background:${colour}"></i>${words}</span>`;
  byId("legend").innerHTML = nodes.map((k) => key(node(k), `node ${k} owns`)).join("") + key("var(--band)", "fault") +
    key("var(--p50)", "p50", "lineart") + key("var(--p90)", "p90", "lineart") + key("var(--p99)", "p99", "lineart");
}

function hover() {
  const svg = document.querySelector("#chart svg"), cursor = svg.querySelector(".cursor"), tip = byId("tip");
  const hide = () => { cursor.style.visibility = tip.style.visibility = "hidden"; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * WIDTH;
    if (at < LEFT || at > WIDTH - RIGHT) return hide();
    const t = ((at - LEFT) / PLOT) * end, bucket = data.buckets[Math.floor(t / data.bucket_us)];
    cursor.setAttribute("x1", at); cursor.setAttribute("x2", at);
    const faults = data.faults.filter((f) => f.from <= t && t <= f.to).map((f) => `${f.nemesis} ${f.nodes.length ? "of " + f.nodes.join(", ") : ""}`);
    const acks = bucket ? `<br>${whole(Math.round((bucket.acks * 1e6) / data.bucket_us))} acks/s` : "";
    const slow = bucket?.latency ? `<br>p50 ${time(bucket.latency[0])}, p90 ${time(bucket.latency[1])}, p99 ${time(bucket.latency[2])}, max ${time(bucket.latency[3])}` : "";
    const unknown = bucket?.infos || bucket?.fails ? `<br>${bucket.infos} unknown, ${bucket.fails} refused` : "";
    tip.innerHTML = `<b>${seconds(t)}</b>${acks}${slow}${unknown}${faults.length ? "<br>" + escape(faults.join("; ")) : ""}`;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - 260) + "px";
    tip.style.top = event.clientY + 16 + "px";
    cursor.style.visibility = tip.style.visibility = "visible";
  });
}

function faultTable() {
  if (!data.faults.length) return;
  const row = (f) => `<tr><td class="num">${seconds(f.from)}</td><td class="num">${time(f.to - f.from)}</td><td>${escape(f.nemesis)}</td>
    <td>${f.nodes.join(", ") || "clients"}</td><td>${escape(f.detail)}</td></tr>`;
  byId("faults").innerHTML = `<h2>What was done</h2><table><thead><tr><th>at</th><th>for</th><th>what</th><th>nodes</th><th></th></tr></thead>
    <tbody>${data.faults.map(row).join("")}</tbody></table>`;
}

head(); verdict(); chart(); hover(); faultTable();
