/** A run's status: always an icon and a word; colour only says how an end went. */
import type { RunStatus } from "../protocol/run.ts";
import { Icon } from "./icons.tsx";

const words: Record<RunStatus, string> = {
  queued: "Queued",
  running: "Running",
  waiting: "Waiting for you",
  quarantined: "Quarantined",
  done: "Done",
  degraded: "Degraded",
  exhausted: "Exhausted",
  refused: "Refused",
  cancelled: "Cancelled",
  failed: "Failed",
};

export const statusWord = (status: RunStatus): string => words[status] ?? status;

export function Status({ status }: { readonly status: RunStatus }) {
  return (
    <span className={`status status-${status}`}>
      <Icon name={status in words ? status : "dot"} />
      <span>{statusWord(status)}</span>
    </span>
  );
}
