/** What the run asks a person, answered in place: approval with the exact arguments, a question, more money. Afterwards it says what was answered. */
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { dollars } from "../money/dollars.ts";
import type { AnswerBody } from "../protocol/commands.ts";
import type { RunHandle } from "../protocol/runs.ts";
import { answerTo, isYesNo } from "./answer-to.ts";
import { resolvedWords } from "./fact-words.ts";
import { clock, pretty } from "./format.ts";
import { Icon } from "./icons.tsx";
import type { QuestionView } from "./run-view.ts";

const titles: Record<QuestionView["kind"], string> = {
  approval: "Approve this?",
  review: "Review this",
  confirm: "Confirm this",
  question: "A question for you",
  budget: "More money is needed",
  tool: "A tool for you to run",
};

type Props = { readonly question: QuestionView; readonly handle: RunHandle | null; readonly over: boolean };

export function QuestionCard({ question, handle, over }: Props) {
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const title = useId();
  const send = (answer: AnswerBody): void => {
    setSending(true);
    setProblem(null);
    handle?.answer(answer).catch((cause: unknown) => {
      setSending(false);
      setProblem((cause as Error).message);
    });
  };
  if (question.resolved) return <Resolved question={question} />;
  return (
    <section className="question card" aria-labelledby={title}>
      <h2 id={title}>
        <Icon name="person" />
        {titles[question.kind]}
      </h2>
      <p className="question-message">{question.message}</p>
      <Asked question={question} />
      {over || handle === null ? (
        <p className="muted">The run is over; nobody waits for this any more.</p>
      ) : (
        <fieldset disabled={sending}>
          <legend className="visually-hidden">Answer</legend>
          {isYesNo(question.kind) ? (
            <YesNo question={question} onAnswer={send} />
          ) : (
            <Field question={question} onAnswer={send} onProblem={setProblem} />
          )}
        </fieldset>
      )}
      {problem !== null && (
        <p className="problem" role="alert">
          <Icon name="failed" />
          {problem}
        </p>
      )}
      <p className="question-until">Open until {clock(question.expiresAt)}</p>
    </section>
  );
}

/** Exactly what is asked about: the tool and its complete arguments. */
function Asked({ question }: { readonly question: QuestionView }): ReactNode {
  if (question.input === undefined && question.tool === undefined) return null;
  return (
    <div className="question-input">
      {question.tool !== undefined && (
        <p>
          <span className="label">Tool</span> <code>{question.tool}</code>
        </p>
      )}
      {question.input !== undefined && (
        <>
          <p className="label">Arguments, exactly as they will be used</p>
          <pre>{pretty(question.input)}</pre>
        </>
      )}
    </div>
  );
}

function YesNo({ question, onAnswer }: { readonly question: QuestionView; readonly onAnswer: (answer: AnswerBody) => void }) {
  const [reason, setReason] = useState("");
  const answer = (approve: boolean) => (): void =>
    onAnswer({
      id: question.id,
      approve,
      ...(question.inputHash !== undefined && { input_hash: question.inputHash }),
      ...(reason.trim() !== "" && { reason: reason.trim() }),
    });
  return (
    <>
      <label className="field">
        <span>Reason, if there is one</span>
        <input data-keeps-escape value={reason} maxLength={2_000} onChange={(event) => setReason(event.target.value)} />
      </label>
      <div className="actions">
        <button type="button" className="button primary" onClick={answer(true)}>
          Approve
        </button>
        <button type="button" className="button" onClick={answer(false)}>
          Deny
        </button>
      </div>
    </>
  );
}

type FieldProps = {
  readonly question: QuestionView;
  readonly onAnswer: (answer: AnswerBody) => void;
  readonly onProblem: (problem: string | null) => void;
};

function Field({ question, onAnswer, onProblem }: FieldProps) {
  const budget = question.kind === "budget";
  const [text, setText] = useState(budget && question.amountMicrousd !== undefined ? String(question.amountMicrousd / 1_000_000) : "");
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const answer = answerTo(question, text);
    if (typeof answer === "string") onProblem(answer);
    else onAnswer(answer);
  };
  return (
    <form onSubmit={submit} className="question-form">
      <label className="field">
        <span>
          {budget
            ? `Dollars to add${question.amountMicrousd === undefined ? "" : `; ${dollars(question.amountMicrousd)} are asked for`}`
            : question.kind === "tool"
              ? "Its result, as JSON or text"
              : "Your answer"}
        </span>
        <input data-keeps-escape value={text} inputMode={budget ? "decimal" : "text"} onChange={(event) => setText(event.target.value)} />
      </label>
      <div className="actions">
        <button type="submit" className="button primary" disabled={text.trim() === ""}>
          {budget ? "Add" : "Answer"}
        </button>
      </div>
    </form>
  );
}

function Resolved({ question }: { readonly question: QuestionView }) {
  const { by, answer } = question.resolved!;
  const { title, reason } = resolvedWords(by, answer);
  return (
    <details className="fold answered">
      <summary>
        <Icon name="person" />
        <span className="fold-name">{reason === undefined ? title : `${title}: ${reason}`}</span>
        <span className="fold-line">{question.message}</span>
      </summary>
      <h3>Asked</h3>
      <p>{question.message}</p>
      <Asked question={question} />
      <h3>Answer</h3>
      <pre>{pretty(answer)}</pre>
    </details>
  );
}
