/**
 * One form of words that look the same: composed and compatible characters (NFKC), nothing that is not seen (soft hyphens, zero-width
 * characters, variation selectors), one space for any white space. Case is kept.
 */
export const folded = (text: string): string =>
  text
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}+/gu, "")
    .replace(/\s+/g, " ");
