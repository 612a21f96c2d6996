// Providers' own libraries, as judges of the vectors that a second implementation signed: what is genuine there must be so here, and what was
// tampered with must not. `npm install && npm run judge`; ends with 1 when one disagrees. What they took goes into `judged.json`, out of which
// the vectors say who judged them. The tests don't need it.
import { readFileSync, writeFileSync } from "node:fs";
import first from "./a-k.mjs";
import generated from "./generated.mjs";
import second from "./l-r.mjs";
import { arriveAt } from "./request.mjs";
import third from "./s-z.mjs";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url)));
const versions = read("package.json").dependencies;

// `judge` returns false or throws for what it doesn't take; `applies` leaves out what the library can't say anything about, and why is said
// there. Handshakes are judged where `handshakes` says so.
const judges = { ...first, ...second, ...third, ...generated };

const judged = {};
let disagreements = 0;
for (const connector of Object.keys(judges).sort()) {
  const { library, of, judge, applies = () => true, handshakes = false } = judges[connector];
  const isAsked = (c) => (c.secrets.length || c.keys) && (handshakes || !c.expect?.startsWith("handshake")) && applies(c);
  const counts = { genuine: 0, refused: 0 };
  const taken = [];
  let agrees = true;
  for (const c of read(`../${connector}.json`).filter(isAsked)) {
    arriveAt(c.now);
    let isTaken = false;
    let why = "";
    try {
      isTaken = (await judge(c)) !== false;
    } catch (error) {
      why = `: ${String(error?.message ?? error).slice(0, 120)}`;
    }
    counts[isTaken ? "genuine" : "refused"] += 1;
    if (isTaken !== ["genuine", "handshake"].includes(c.expect)) {
      disagreements += 1;
      agrees = false;
      console.log(`${connector} ${c.function ?? ""} "${c.name}": ${library} ${isTaken ? "takes" : "refuses"} it${why}`);
    } else if (isTaken && c.by) {
      taken.push(c.function ? `${c.function}/${c.name}` : c.name);
    }
  }
  console.log(`${connector}: ${counts.genuine} genuine, ${counts.refused} refused`);
  if (agrees) judged[connector] = { by: `npm ${library} ${versions[library]}${of ? ` (${of})` : ""}`, cases: taken };
}
writeFileSync(new URL("judged.json", import.meta.url), `${JSON.stringify(judged, null, 1)}\n`);
process.exit(disagreements ? 1 : 0);
