/** The address as state: back, forward and links move the page without loading it. */
import { type MouseEvent, useSyncExternalStore } from "react";
import { addressOf, type View, viewOf } from "./route.ts";

let shown = { search: location.search, view: viewOf(location.search) };
const moved = new EventTarget();

function current(): View {
  if (shown.search !== location.search) shown = { search: location.search, view: viewOf(location.search) };
  return shown.view;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("popstate", changed);
  moved.addEventListener("move", changed);
  return () => {
    window.removeEventListener("popstate", changed);
    moved.removeEventListener("move", changed);
  };
}

export const useRoute = (): View => useSyncExternalStore(subscribe, current);

export function open(view: Partial<View>, how: "push" | "replace" = "push"): void {
  history[how === "push" ? "pushState" : "replaceState"](null, "", addressOf(view));
  moved.dispatchEvent(new Event("move"));
}

/** For links: a plain click stays on the page, every other click is the browser's. */
export function follow(view: Partial<View>): (event: MouseEvent) => void {
  return (event) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open(view);
  };
}
