/** The page without a run: what to ask, whom, and a few questions to begin with. */
import { useRef, useState } from "react";
import { AskForm } from "./ask-form.tsx";
import { ScriptedNotice } from "./scripted-notice.tsx";
import type { Agents } from "./use-agents.ts";

const examples = ["What is 12.5% of 8460?", "What time is it in Tokyo?", "Explain a state machine in three sentences."] as const;

export function AskPage({ agents, scripted }: { readonly agents: Agents; readonly scripted: boolean }) {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  // An example is asked by Enter, like any question: the focus goes to where that works.
  const take = (example: string): void => {
    setText(example);
    box.current?.focus();
  };
  return (
    <div className="ask-page">
      <h1>Ask an agent</h1>
      <p className="muted">Every step of the run is shown as it happens: its states, its tools, what it costs.</p>
      {scripted && <ScriptedNotice />}
      <AskForm agents={agents} text={text} onText={setText} box={box} focus />
      <ul className="examples" aria-label="Examples">
        {examples.map((example) => (
          <li key={example}>
            <button type="button" className="button quiet" onClick={() => take(example)}>
              {example}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
