/** One call's text, as text. Lines that are complete are not drawn again while the rest streams. */
import { memo } from "react";
import { pretty } from "./format.ts";
import { Icon } from "./icons.tsx";
import { reasonWords } from "./reason-words.ts";
import type { CallView } from "./run-view.ts";

export const Answer = memo(function Answer({ call, last }: { readonly call: CallView; readonly last: boolean }) {
  if (call.retracted !== null) return <TakenBack call={call} reason={call.retracted} />;
  const open = call.finish === null;
  const object = call.text === "" && call.partial !== undefined;
  // An attempt that wrote nothing is in the timeline; if nothing better came, the run's end says why.
  if (!open && call.text === "" && !object && call.reasoning === "") return null;
  return (
    <div className="answer" aria-busy={open}>
      <p className="answer-by">
        {call.model}
        <span>
          step {call.step}
          {call.attempt > 1 && `, attempt ${call.attempt}`}
          {call.cached && ", from the cache"}
        </span>
      </p>
      {call.reasoning !== "" && (
        <details className="fold">
          <summary>
            <span className="fold-name">Reasoning</span>
          </summary>
          <Lines text={call.reasoning} />
        </details>
      )}
      {object ? <pre className="object">{pretty(call.partial)}</pre> : <Lines text={call.text} caret={open && last} />}
      {call.error && (
        <p className="problem">
          <Icon name="failed" />
          {call.error.message}
        </p>
      )}
    </div>
  );
});

function TakenBack({ call, reason }: { readonly call: CallView; readonly reason: string }) {
  return (
    <details className="fold taken-back">
      <summary>
        <Icon name="undo" />
        <span className="fold-name">Taken back</span>
        <span className="fold-line">{reasonWords(reason)}</span>
      </summary>
      {call.text === "" ? <p className="muted">Nothing had been written.</p> : <Lines text={call.text} />}
    </details>
  );
}

function Lines({ text, caret = false }: { readonly text: string; readonly caret?: boolean }) {
  const lines = text.split("\n");
  return (
    <div className="text">
      {lines.map((line, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place; text only grows at its end
        <Line key={at} line={line} caret={caret && at === lines.length - 1} />
      ))}
    </div>
  );
}

const Line = memo(function Line({ line, caret }: { readonly line: string; readonly caret: boolean }) {
  return (
    <div className="line">
      {line}
      {caret && <span className="caret" aria-hidden="true" />}
    </div>
  );
});
