/** Cancelling the open run: by button, or by Escape from anywhere but a field that answers a question. */
import { useCallback, useEffect, useState } from "react";
import type { RunHandle } from "../protocol/runs.ts";

export type Cancel = {
  readonly possible: boolean;
  /** Asked for and not over yet. */
  readonly asked: boolean;
  readonly problem: string | null;
  readonly now: () => void;
};

export function useCancel(handle: RunHandle | null, live: boolean): Cancel {
  const [asked, setAsked] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const possible = handle !== null && live;
  const now = useCallback(() => {
    if (!possible || asked) return;
    setAsked(true);
    setProblem(null);
    handle.cancel("from the console").catch((cause: unknown) => {
      setAsked(false);
      setProblem((cause as Error).message);
    });
  }, [possible, asked, handle]);
  useEffect(() => {
    if (!possible) return;
    const pressed = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
      if (event.target instanceof Element && event.target.closest("[data-keeps-escape]")) return;
      event.preventDefault();
      now();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [possible, now]);
  return { possible, asked: asked && live, problem, now };
}
