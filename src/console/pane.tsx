/** A part of the page that scrolls on its own. It stays at its end while its reader is there; whoever scrolls up is left alone. */
import { type ReactNode, useEffect, useLayoutEffect, useRef } from "react";

const nearPx = 48;

type Props = {
  readonly name: string;
  readonly className: string;
  /** Changes when what is shown changes. */
  readonly change: unknown;
  readonly children: ReactNode;
};

export function Pane({ name, className, change, children }: Props) {
  const pane = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = pane.current;
    if (!element) return;
    const look = (): void => {
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < nearPx;
    };
    element.addEventListener("scroll", look, { passive: true });
    return () => element.removeEventListener("scroll", look);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: runs when what is shown has changed
  useLayoutEffect(() => {
    if (atEnd.current && pane.current) pane.current.scrollTop = pane.current.scrollHeight;
  }, [change]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it a pane cannot be scrolled by keyboard
    <section className={className} aria-label={name} ref={pane} tabIndex={0}>
      {children}
    </section>
  );
}
