// How one puts the app on an iPhone's home screen, drawn: the share button, the entry of its sheet, the icon.

import { svg } from "../lib/dom.js";

/** @param {...SVGElement} children */
const picture = (...children) => svg("svg", { viewBox: "0 0 120 72", class: "picture", "aria-hidden": "true" }, ...children);

/** @param {number} x @param {number} y @param {number} width @param {number} height @param {number} rx @param {string} name */
const box = (x, y, width, height, rx, name) => svg("rect", { x, y, width, height, rx, class: name });

/** @param {string} d @param {string} [name] */
const line = (d, name = "line") => svg("path", { d, class: name });

/** A square with an arrow out of it: share. @param {number} x @param {number} y */
const share = (x, y) => line(`M${x - 3} ${y - 1}h-3v9h12v-9h-3M${x} ${y + 4}v-11m-3 3l3 -3l3 3`, "pen");

/** The bar of the browser, below, with its share button in the middle. */
const bar = () =>
  picture(
    box(8, -20, 104, 84, 12, "sheet"),
    line("M8 40h104"),
    line("M24 47l-5 5l5 5M40 47l5 5l-5 5M76 47v10m0 0c3 -3 6 -3 9 0v-10c-3 -3 -6 -3 -9 0m0 10c-2 -2 -4 -2 -6 0M98 48h10v9h-10zM101 45h10v9", "faint"),
    svg("circle", { cx: 60, cy: 52, r: 14, class: "meant" }),
    share(60, 52),
  );

/** The sheet that it opens, with the entry that is meant. */
const sheet = () =>
  picture(
    box(8, 6, 104, 90, 12, "sheet"),
    line("M20 17h34M100 14v6m-3 -3h6", "faint"),
    box(14, 26, 92, 22, 6, "meant"),
    line("M22 37h44", "pen"),
    line("M91 32h10v10h-10zM96 34v6m-3 -3h6", "pen"),
    line("M20 60h30M96 56v8", "faint"),
  );

/** The home screen, with the app on it. */
const home = () =>
  picture(
    box(8, 6, 104, 90, 12, "sheet"),
    ...[0, 1, 2, 3, 4, 5, 6].filter((at) => at !== 5).map((at) => box(18 + (at % 4) * 23, 16 + Math.floor(at / 4) * 27, 15, 15, 4, "blank")),
    box(38, 40, 21, 21, 6, "icon"),
    line("M44 51l3 3l6 -7", "on-icon"),
  );

/** One picture for each step. */
export const toHomeScreen = () => [bar(), sheet(), home()];
