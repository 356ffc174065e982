// Words of strangers, made harmless to the eye: what is invisible or turns text around is written out (Unicode TR36, TR39).

/** Controls, formats (bidi, zero width, tags), lone surrogates, private and unassigned characters, and line ends of any kind but \n. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u115F\u1160\u3164\uFFA0\u2800\u034F\u17B4\u17B5\u180B-\u180F\uFE00-\uFE0F]/gu;

/** What makes an emoji of several: kept between two that show. */
const JOINED = /(\p{Extended_Pictographic}\uFE0F?(?:\u200D\p{Extended_Pictographic}\uFE0F?)*)/gu;

/** @param {string} c */
const escaped = (c) => (c === "\n" || c === "\t" ? c : `\\u{${/** @type {number} */ (c.codePointAt(0)).toString(16)}}`);

/**
 * @param {string} text whoever wrote it
 * @returns {string} the same to the eye, with nothing in it that the eye does not see
 */
export const visible = (text) =>
  text
    .split(JOINED)
    .map((part, at) => (at % 2 === 1 ? part : part.replace(HIDDEN, escaped)))
    .join("");
