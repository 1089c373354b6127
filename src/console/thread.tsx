/** The conversation as it happens: what was asked, what the model writes, the tools it uses and what it wants to know. */
import type { RunHandle } from "../protocol/runs.ts";
import { Answer } from "./answer.tsx";
import { pretty } from "./format.ts";
import { QuestionCard } from "./question-card.tsx";
import type { RunView } from "./run-view.ts";
import { ToolUse } from "./tool-use.tsx";
import { usePrompt } from "./use-prompt.ts";

type Props = { readonly id: string; readonly view: RunView; readonly handle: RunHandle | null };

export function Thread({ id, view, handle }: Props) {
  const prompt = usePrompt(id, view.startedAt !== null);
  return (
    <div className="thread">
      {prompt !== null && (
        <div className="asked">
          <span className="visually-hidden">Asked: </span>
          {prompt}
        </div>
      )}
      {view.thread.map((item) => {
        if (item.kind === "call") {
          const call = view.calls.get(item.id);
          return call && <Answer key={item.id} call={call} last={item.id === lastCall(view)} />;
        }
        if (item.kind === "tool") {
          const tool = view.tools.get(item.id);
          return tool && <ToolUse key={item.id} tool={tool} />;
        }
        if (item.kind === "question") {
          const question = view.questions.get(item.id);
          return question && <QuestionCard key={item.id} question={question} handle={handle} over={view.end !== null} />;
        }
        return item.kind === "data" && <Shown key={item.id} name={item.name} data={item.data} />;
      })}
      {view.progress && (
        <p className="progress" role="status">
          {view.progress.message}
          {view.progress.done !== undefined && view.progress.total !== undefined && ` (${view.progress.done} of ${view.progress.total})`}
        </p>
      )}
    </div>
  );
}

/** What a tool or machine wants shown; sources by their title. */
function Shown({ name, data }: { readonly name: string; readonly data: unknown }) {
  const source = name === "source" ? (data as { readonly title?: string; readonly url?: string; readonly quote?: string }) : null;
  if (source?.title !== undefined) {
    return (
      <div className="source">
        <span className="label">Source</span> {source.title}
        {source.url !== undefined && <span className="muted"> {source.url}</span>}
        {source.quote !== undefined && <blockquote>{source.quote}</blockquote>}
      </div>
    );
  }
  return (
    <details className="fold">
      <summary>
        <span className="fold-name">{name}</span>
      </summary>
      <pre>{pretty(data)}</pre>
    </details>
  );
}

function lastCall(view: RunView): string | null {
  return view.thread.findLast((item) => item.kind === "call")?.id ?? null;
}
