// A QR code, from the rows that the server gives: dark on light whatever the theme, for not every camera reads it the other way round.

import { svg } from "../lib/dom.js";

/** The light border that belongs around a code, in modules (ISO/IEC 18004). */
const QUIET = 4;

/** @param {string[]} rows `1` is dark @param {string} label what it is, for who does not see it */
export function qr(rows, label) {
  const size = rows.length + 2 * QUIET;
  const dark = rows.flatMap((row, y) => [...row.matchAll(/1+/g)].map((run) => `M${run.index + QUIET} ${y + QUIET}h${run[0].length}v1h-${run[0].length}z`));
  return svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "qr", role: "img", "aria-label": label, "shape-rendering": "crispEdges" },
    svg("rect", { width: size, height: size, fill: "#fff" }), svg("path", { d: dark.join(""), fill: "#000" }));
}
