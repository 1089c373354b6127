/** `escapement verify`: the worst case of agents, from their definitions alone. */
import { loadConfig } from "../config/config.ts";
import { closeGroups } from "../config/tool-groups.ts";
import { EscapementError } from "../protocol/errors.ts";
import { formatReport, verifyAgent } from "../runtime/bounds.ts";

export async function verify(agent: string | undefined, options: { config?: string }): Promise<void> {
  const resolved = await loadConfig({ passive: true, ...(options.config !== undefined && { path: options.config }) });
  // Only what the tools look like was needed.
  await closeGroups(resolved.openGroups);
  const agents = agent === undefined ? resolved.agents : resolved.agents.filter(({ spec }) => spec.name === agent);
  if (agents.length === 0)
    throw new EscapementError(
      "not_found",
      `there is no agent "${agent}"; there are ${resolved.agents.map(({ spec }) => spec.name).join(", ")}`,
    );
  for (const { spec } of agents) process.stdout.write(`${formatReport(verifyAgent(spec))}\n`);
}
