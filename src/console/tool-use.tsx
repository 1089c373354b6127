/** One use of a tool, folded: its name and arguments in a line; opened, the whole of both arguments and result. */
import { memo } from "react";
import { duration, inline, pretty } from "./format.ts";
import { Icon, type IconName } from "./icons.tsx";
import type { ToolView } from "./run-view.ts";

const words: Record<ToolView["state"], readonly [word: string, icon: IconName]> = {
  running: ["running", "running"],
  returned: ["returned", "done"],
  failed: ["failed", "failed"],
  refused: ["not run", "refused"],
};

export const ToolUse = memo(function ToolUse({ tool }: { readonly tool: ToolView }) {
  const [word, icon] = words[tool.state];
  return (
    <details className={`fold tool tool-${tool.state}`}>
      <summary>
        <Icon name="tool" />
        <span className="fold-name">{tool.tool}</span>
        <span className="fold-line tool-input">{inline(tool.input)}</span>
        {tool.state === "returned" && <span className="fold-line tool-output">{inline(tool.output)}</span>}
        <span className="tool-state">
          <Icon name={icon} />
          {word}
          {tool.durationMs !== undefined && ` in ${duration(tool.durationMs)}`}
        </span>
      </summary>
      <h3>Arguments</h3>
      <pre>{pretty(tool.input)}</pre>
      {tool.output !== undefined && (
        <>
          <h3>Result{tool.truncated && ", cut to fit"}</h3>
          <pre>{pretty(tool.output)}</pre>
        </>
      )}
      {tool.error && (
        <>
          <h3>Error</h3>
          <pre>{`${tool.error.code}: ${tool.error.message}`}</pre>
        </>
      )}
    </details>
  );
});
