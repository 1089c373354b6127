/** A run's events as lines for people: what it does, and the answer as it streams. */
import { dollars } from "../money/dollars.ts";
import type { Event } from "../protocol/events.ts";

export type Show = (event: Event) => void;

/** Untrusted text must not steer the terminal: control characters but line breaks and tabs are shown as `\xNN`. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** The answer goes to standard output, everything about it to standard error. */
export function showProgress({ json = false, quiet = false }: { json?: boolean; quiet?: boolean }): Show {
  if (json) return (event) => void process.stdout.write(`${JSON.stringify(event)}\n`);
  const { isTTY } = process.stderr;
  const dim = (text: string): string => (isTTY ? `\x1b[2m${text}\x1b[22m` : text);
  const say = (text: string): void => {
    if (!quiet) process.stderr.write(`${dim(printable(text))}\n`);
  };
  let inText = false;
  /** Calls of the answer whose text was not shown as it came: it was written before this reader was there. */
  const unshown = new Set<string>();
  const endText = (): void => {
    if (inText) process.stdout.write("\n");
    inText = false;
  };
  return (event) => {
    switch (event.type) {
      case "text.delta":
        if (quiet) return;
        unshown.delete(event.call);
        process.stdout.write(printable(event.text));
        inText = true;
        return;
      case "run.accepted":
        say(`run ${event.run}`);
        return;
      case "call.started":
        if (event.for === "answer") unshown.add(event.call);
        say(
          `step ${event.step}: asking ${event.model} (${event.tier}${event.attempt > 1 ? `, attempt ${event.attempt}` : ""}), holds ${dollars(event.hold_microusd)}`,
        );
        return;
      case "call.finished":
        endText();
        if (unshown.delete(event.call) && event.text && !quiet) process.stdout.write(`${printable(event.text)}\n`);
        if (event.finish !== "stop" && event.finish !== "tools")
          say(`the call ended: ${event.finish}${event.error ? `, ${event.error.message}` : ""}`);
        return;
      case "tool.started":
        say(`${event.tool}(${JSON.stringify(event.input)})`);
        return;
      case "tool.returned":
        say(`${event.tool} → ${JSON.stringify(event.output)}`);
        return;
      case "tool.failed":
      case "tool.refused":
        say(`${event.tool} ${event.type === "tool.failed" ? "failed" : "was refused"}: ${event.error.message}`);
        return;
      case "request.retrying":
        say(`retrying after ${event.delay_ms} ms: ${event.reason}`);
        return;
      case "request.fell_back":
        say(`fell back from ${event.from} to ${event.to}: ${event.reason}`);
        return;
      case "retract":
        endText();
        say(`what was shown is void: ${event.reason}`);
        return;
      case "progress":
        say(event.message);
        return;
      case "input.requested":
        say(`waits for you (${event.kind} ${event.id}): ${event.message}`);
        return;
      case "limit.hit":
        say(`limit: ${event.which}${event.limit === undefined ? "" : ` ${event.limit}`}`);
        return;
      case "run.finished":
        endText();
        if (quiet && event.output !== null)
          process.stdout.write(`${printable(typeof event.output === "string" ? event.output : JSON.stringify(event.output))}\n`);
        say(
          `${event.status}: ${counted(event.steps, "step")}, ${counted(event.calls, "call")}, ${event.usage.input_tokens} + ${event.usage.output_tokens} tokens, ${dollars(event.cost_microusd)}${event.error ? `; ${event.error.message}` : ""}`,
        );
        return;
    }
  };
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
