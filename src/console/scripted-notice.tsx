/** Said plainly wherever answers do not come from a model. */
import { Icon } from "./icons.tsx";

export function ScriptedNotice() {
  return (
    <p className="notice" role="note">
      <Icon name="script" />
      <span>
        <strong>Answers are scripted: no model is connected.</strong> Set <code>OPENAI_API_KEY</code>, <code>ANTHROPIC_API_KEY</code>,{" "}
        <code>GEMINI_API_KEY</code> or another provider’s key and start the server again.
      </span>
    </p>
  );
}
