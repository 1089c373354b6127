/** How the run ended, with the error's own words, and the output where no shown text is it. */
import type { EndStatus } from "../protocol/run.ts";
import { pretty } from "./format.ts";
import type { RunView } from "./run-view.ts";
import { Status } from "./status.tsx";

const meaning: Record<EndStatus, string> = {
  done: "",
  degraded: "No model answered; this is the configured or a cached answer.",
  exhausted: "A limit ended the run.",
  refused: "The model or its filter refused.",
  cancelled: "What was written until then is kept.",
  failed: "The run could not go on.",
};

export function EndNote({ view }: { readonly view: RunView }) {
  const { end } = view;
  if (!end) return null;
  // "Cancelled: cancelled" says nothing twice over.
  const said = end.error?.code === end.status ? null : end.error?.code;
  const shown = [...view.calls.values()].some((call) => call.for === "answer" && call.retracted === null && call.text === end.output);
  return (
    <footer className={`end end-${end.status}`}>
      {end.output !== null &&
        !shown &&
        (typeof end.output === "string" ? (
          <div className="text output">{end.output}</div>
        ) : (
          <pre className="object">{pretty(end.output)}</pre>
        ))}
      {(end.status !== "done" || end.error) && (
        <p className="end-line">
          <Status status={end.status} />
          <span className="end-words">
            {end.error?.message ?? meaning[end.status]}
            {said && <code>{said}</code>}
          </span>
        </p>
      )}
    </footer>
  );
}
