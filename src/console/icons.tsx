/** The page's few icons, 16 by 16, drawn in the colour of the text beside them. Each stands next to a word, so all are hidden from screen readers. */
import type { ReactNode } from "react";

const shapes = {
  queued: <circle cx="8" cy="8" r="5.25" strokeDasharray="2.2 1.9" />,
  running: (
    <>
      <circle cx="8" cy="8" r="5.25" opacity="0.3" />
      <path d="M8 2.75A5.25 5.25 0 0 1 13.25 8" />
    </>
  ),
  waiting: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M6.5 6v4M9.5 6v4" />
    </>
  ),
  quarantined: <path d="M8 2.5l4.5 1.7v3.3c0 3-1.9 4.9-4.5 6-2.6-1.1-4.5-3-4.5-6V4.2zM8 6v2.5M8 10.6v.1" />,
  done: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M5.6 8.2l1.7 1.7 3.2-3.6" />
    </>
  ),
  degraded: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M5.3 8.8c.9-1.6 1.8-1.6 2.7-.8s1.8.8 2.7-.8" />
    </>
  ),
  exhausted: (
    <>
      <path d="M3.2 11.6a5.25 5.25 0 1 1 9.6 0" />
      <path d="M8 9l2.8-2.4M5 13.4h6" />
    </>
  ),
  refused: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M4.4 11.6l7.2-7.2" />
    </>
  ),
  cancelled: (
    <>
      <circle cx="8" cy="8" r="5.25" />
      <path d="M6.2 6.2l3.6 3.6M9.8 6.2l-3.6 3.6" />
    </>
  ),
  failed: <path d="M8 2.8l5.6 9.9H2.4zM8 6.6v2.8M8 11.1v.1" />,
  retry: <path d="M12.8 8a4.8 4.8 0 1 1-1.5-3.5M12.9 2.6v2.5h-2.5" />,
  fallback: <path d="M3 4h5a3 3 0 0 1 3 3v5M8.5 9.6L11 12.2l2.5-2.6" />,
  undo: <path d="M5.6 3.4L3 6l2.6 2.6M3.2 6H10a3.2 3.2 0 0 1 0 6.4H6.5" />,
  tool: <path d="M9.8 3.2a3 3 0 0 0-3.7 3.9L2.9 10.3a1.5 1.5 0 0 0 2.3 2.3l3.2-3.2a3 3 0 0 0 3.9-3.7l-1.9 1.8-1.8-.6-.6-1.8z" />,
  limit: <path d="M8 2.75v6.5M8 12.6v.2M3 13.25h0" />,
  person: (
    <>
      <circle cx="8" cy="5.5" r="2.5" />
      <path d="M3.2 13.2c.5-2.7 2.4-4 4.8-4s4.3 1.3 4.8 4" />
    </>
  ),
  call: <path d="M3 8h9M8.8 4.8L12 8l-3.2 3.2" />,
  answer: <path d="M13 8H4M7.2 4.8L4 8l3.2 3.2" />,
  dot: <circle cx="8" cy="8" r="1.75" fill="currentColor" stroke="none" />,
  offline: (
    <path d="M2.8 2.8l10.4 10.4M5.2 8.2a4.5 4.5 0 0 1 1.8-1.1M3 6.2a8 8 0 0 1 2-1.3M7.6 4.2A8 8 0 0 1 13 6.2M9.8 7.4a4.5 4.5 0 0 1 1 .8M8 11.4v.1" />
  ),
  script: <path d="M4 2.8h5.5L12 5.3v7.9H4zM6.2 7.2h3.6M6.2 9.8h3.6" />,
  back: <path d="M9.8 3.8L5.6 8l4.2 4.2" />,
  send: <path d="M8 13V3.5M4 7.4L8 3.4l4 4" />,
  copy: <path d="M6 5.8h6.5v7.4H6zM10 5.8v-3H3.5v7.4H6" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof shapes;

export function Icon({ name, className }: { readonly name: IconName; readonly className?: string }) {
  return (
    <svg className={className ? `icon ${className}` : "icon"} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {shapes[name]}
    </svg>
  );
}
