"use strict";

// -- filter: rows of a table that hold all words -------------------------------------------------------------------

for (const input of document.querySelectorAll("input[data-filter]")) {
  const rows = [...document.querySelectorAll(input.dataset.filter)].map((row) => ({
    row,
    text: `${row.textContent} ${row.dataset.text || ""}`.toLowerCase(),
  }));
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const { row, text } of rows) row.hidden = !words.every((word) => text.includes(word));
  });
}

// -- graph: pointing at a box shows all it comes from and all that comes from it ------------------------------------

for (const svg of document.querySelectorAll(".graph svg")) {
  const lines = [...svg.querySelectorAll("path")];
  const boxes = [...svg.querySelectorAll("a.box")];
  const follow = (start, from, to) => {
    const seen = new Set([start]);
    const on = [];
    for (const id of seen) {
      for (const line of lines.filter((l) => l.dataset[from] === id)) {
        on.push(line);
        seen.add(line.dataset[to]);
      }
    }
    return [seen, on];
  };
  const trace = (id) => {
    const [up, upLines] = follow(id, "target", "source");
    const [down, downLines] = follow(id, "source", "target");
    const on = new Set([...upLines, ...downLines]);
    svg.classList.add("tracing");
    for (const line of lines) {
      line.classList.toggle("on", on.has(line));
      line.classList.toggle("off", !on.has(line));
    }
    for (const box of boxes) box.classList.toggle("off", !up.has(box.dataset.id) && !down.has(box.dataset.id));
  };
  for (const box of boxes) {
    for (const event of ["mouseenter", "focus"]) box.addEventListener(event, () => trace(box.dataset.id));
    for (const event of ["mouseleave", "blur"]) box.addEventListener(event, () => svg.classList.remove("tracing"));
  }
  const frame = svg.parentElement;
  const room = (frame.clientWidth - 20) / svg.viewBox.baseVal.width;
  if (room < 1 && room > 0.8) svg.setAttribute("width", frame.clientWidth - 20); // small enough to show all of it
  if (room < 1 && room > 0.8) svg.removeAttribute("height");
  const focus = svg.querySelector(".focus rect");
  if (focus) frame.scrollLeft = focus.getBBox().x + focus.getBBox().width / 2 - frame.clientWidth / 2;
}

// -- ledger: leaf and audit path recomputed here, RFC 9162 section 2.1.3.2 ------------------------------------------

const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (two) => parseInt(two, 16));
const sha256 = async (...parts) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));

async function fault(proof, button) {
  const shown = document.getElementById("line");
  if (shown && shown.textContent !== proof.line) return "the line on this page is another one";
  if (proof.root !== button.dataset.root) return "the ledger has grown since this page was made: load it again";
  let made = await sha256(Uint8Array.of(0), new TextEncoder().encode(proof.line));
  if (hex(made) !== button.dataset.leaf) return "the line does not have this leaf hash";
  let at = proof.index;
  let last = proof.size - 1;
  for (const text of proof.path) {
    const sibling = unhex(text);
    if (last === 0) return "the proof is too long";
    if (at % 2 === 1 || at === last) {
      made = await sha256(Uint8Array.of(1), sibling, made);
      while (at !== 0 && at % 2 === 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      made = await sha256(Uint8Array.of(1), made, sibling);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && hex(made) === button.dataset.root ? null : "the proof does not lead to the root";
}

async function verify(button) {
  const output = button.nextElementSibling;
  let found;
  try {
    if (!crypto.subtle) throw new Error("this browser hashes only on https or on this machine's own address");
    const answer = await fetch(button.dataset.proof);
    if (!answer.ok) throw new Error("no proof at hand: `lsdata serve` makes them");
    found = await fault(await answer.json(), button);
  } catch (error) {
    found = error.message;
  }
  output.textContent = found ? `failed: ${found}` : "✓ ok";
  output.className = found ? "bad" : "good";
  return !found;
}

for (const button of document.querySelectorAll("button.verify")) button.addEventListener("click", () => verify(button));
for (const button of document.querySelectorAll("button.all")) {
  button.addEventListener("click", async () => {
    const output = button.nextElementSibling;
    const buttons = [...document.querySelectorAll("button.verify")];
    let good = 0;
    await Promise.all(
      buttons.map(async (one) => {
        const ok = await verify(one);
        good += ok;
        output.textContent = `${good} of ${buttons.length} ok`;
      }),
    );
    output.className = good === buttons.length ? "good" : "bad";
  });
}
