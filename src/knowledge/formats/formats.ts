/** Which reader knows a file: by the ending of its name. Each is loaded when its first file comes. */
import type { Format } from "../content.ts";

const markdown = async (): Promise<Format> => (await import("./markdown.ts")).readMarkdown;
const html = async (): Promise<Format> => (await import("./html.ts")).readHtml;

const formats: { readonly [ending: string]: () => Promise<Format> } = {
  md: markdown,
  markdown,
  txt: async () => (await import("./text.ts")).readText,
  html,
  htm: html,
  pdf: async () => (await import("./pdf.ts")).readPdf,
  docx: async () => (await import("./docx.ts")).readDocx,
  pptx: async () => (await import("./pptx.ts")).readPptx,
};

const endingOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1).toLowerCase();

export const isKnownFormat = (name: string): boolean => Object.hasOwn(formats, endingOf(name));

/** `name` is one of a known format. */
export const formatOf = (name: string): Promise<Format> => (formats[endingOf(name)] as () => Promise<Format>)();
