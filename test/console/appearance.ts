/** What can be measured of how the page looks. These functions run in the page: they know nothing outside themselves. */

/** Runs in the page: elements that stick out of the window, panes that scroll within panes, texts that lie on each other. */
export function misfits(): string[] {
  const found: string[] = [];
  const name = (element: Element): string => `${element.tagName.toLowerCase()}.${element.className}`;
  const scrolls = (element: Element): boolean =>
    /auto|scroll/.test(getComputedStyle(element).overflowY) && element.scrollHeight > element.clientHeight + 1;
  const texts: { readonly element: Element; readonly box: DOMRect }[] = [];
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0 || element.closest(".visually-hidden, .skip, svg") || !element.checkVisibility()) continue;
    if (box.right > innerWidth + 1 || box.left < -1) found.push(`${name(element)} sticks out`);
    if (scrolls(element)) {
      for (let outer = element.parentElement; outer !== null && outer !== document.documentElement; outer = outer.parentElement) {
        if (scrolls(outer)) found.push(`${name(element)} scrolls inside ${name(outer)}`);
      }
    }
    if (element.closest("h2, textarea, select")) continue;
    let [left, top, right, bottom] = [0, Number.NEGATIVE_INFINITY, innerWidth, Number.POSITIVE_INFINITY];
    for (let at: Element | null = element; at !== null && at !== document.documentElement; at = at.parentElement) {
      if (getComputedStyle(at).overflowY === "visible") continue;
      const clip = at.getBoundingClientRect();
      [left, top] = [Math.max(left, clip.left), Math.max(top, clip.top)];
      [right, bottom] = [Math.min(right, clip.right), Math.min(bottom, clip.bottom)];
    }
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || node.textContent?.trim() === "") continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const line of range.getClientRects()) {
        const [x, y] = [Math.max(left, line.left), Math.max(top, line.top)];
        const seen = new DOMRect(x, y, Math.min(right, line.right) - x, Math.min(bottom, line.bottom) - y);
        if (seen.width > 0 && seen.height > 0) texts.push({ element, box: seen });
      }
    }
  }
  for (const [at, { element, box }] of texts.entries()) {
    for (const other of texts.slice(at + 1)) {
      if (element === other.element) continue;
      const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
      if (wide > 1 && high > 3) found.push(`${name(element)} lies on ${name(other.element)}`);
    }
  }
  return found;
}

/** Runs in the page: texts with less contrast than 4.5 to 1. Disabled controls are exempt (WCAG 1.4.3). */
export function faint(): string[] {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  const rgba = (color: string): number[] => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r = 0, g = 0, b = 0]: number[]): number => {
    const [x = 0, y = 0, z = 0] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = new Set<string>();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim() !== "");
    if (!own || element.closest(":disabled, .visually-hidden, .skip, noscript") || !element.checkVisibility()) continue;
    let ground = [0, 0, 0, 0];
    for (let at: Element | null = element; at !== null && ground[3] !== 255; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) ground = color;
    }
    const [dark = 0, bright = 0] = [light(rgba(getComputedStyle(element).color)), light(ground)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.add(`${element.tagName.toLowerCase()}.${element.className}: ${contrast.toFixed(2)}`);
  }
  return [...found];
}
