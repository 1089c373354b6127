/**
 * What of the tools an agent may show to its model. Owns the rules of exposure, apart from any runtime: which tools of which groups,
 * how many, and under which names. The supervisor checks the same number again at each step.
 */
import { EscapementError } from "../protocol/errors.ts";
import type { AgentToolSpec } from "../runtime/agent.ts";
import type { SourceContext, ToolGroup, ToolSource } from "../runtime/tool.ts";

/** With more than this a model picks the wrong one too often, and each costs input tokens in every step. */
export const MAX_TOOLS = 10;

export type ToolGroups = { readonly [group: string]: ToolGroup };

/** Opens those that are sources, one after the other: they may share a file. What was opened is closed when one fails. */
export async function openGroups(groups: { readonly [group: string]: ToolGroup | ToolSource }, from: SourceContext): Promise<ToolGroups> {
  const opened: { [group: string]: ToolGroup } = {};
  try {
    for (const [name, group] of Object.entries(groups)) opened[name] = "open" in group ? await group.open(from) : group;
    return opened;
  } catch (error) {
    await closeGroups(opened);
    throw error;
  }
}

export async function closeGroups(groups: ToolGroups): Promise<void> {
  await Promise.all(Object.values(groups).map((group) => group.close?.()));
}

/**
 * The tools of an agent's groups, in their order. Throws `invalid_request`: unknown group (names those there are), more than
 * {@link MAX_TOOLS} tools, two tools of one name, names that only differ by case (a model does not keep them apart).
 */
export function exposedTools(
  agent: string,
  names: readonly string[],
  groups: ToolGroups,
  agents: readonly AgentToolSpec[] = [],
): AgentToolSpec[] {
  const tools: AgentToolSpec[] = [];
  const seen = new Map<string, { readonly name: string; readonly group: string }>();
  for (const group of new Set(names)) {
    const members = Object.hasOwn(groups, group) ? groups[group] : undefined;
    if (!members) {
      throw refused(`agent "${agent}" asks for the tool group "${group}", which is not configured; there are: ${listOf(groups)}`);
    }
    for (const tool of members) {
      const other = seen.get(tool.name.toLowerCase());
      if (other) {
        const how = other.name === tool.name ? "are both named" : "have names that only differ by case:";
        const what = other.name === tool.name ? `"${tool.name}"` : `"${other.name}" and "${tool.name}"`;
        throw refused(
          `agent "${agent}": two of its tools ${how} ${what} (groups "${other.group}" and "${group}"); rename one, or leave one of the groups out`,
        );
      }
      seen.set(tool.name.toLowerCase(), { name: tool.name, group });
      tools.push({
        name: tool.name,
        group,
        description: tool.description,
        schema: tool.schema,
        class: tool.class,
        approval: tool.approval,
        ...(tool.untrusted && { untrusted: true }),
        ...(tool.consequential && { consequential: true }),
      });
    }
  }
  for (const tool of agents) {
    const other = seen.get(tool.name.toLowerCase());
    if (other)
      throw refused(`agent "${agent}": the agent "${tool.name}" and a tool of its group "${other.group}" have one name; rename one`);
    seen.set(tool.name.toLowerCase(), { name: tool.name, group: tool.group });
    tools.push(tool);
  }
  if (tools.length > MAX_TOOLS) {
    const sizes = [...new Set(tools.map(({ group }) => group))]
      .map((group) => `${group} (${tools.filter((tool) => tool.group === group).length})`)
      .join(", ");
    throw refused(
      `agent "${agent}" has ${tools.length} tools, at most ${MAX_TOOLS} may be shown to a model: ${sizes}. ` +
        "Split them into smaller groups and several agents, and put a router before them that picks the agent whose tools fit",
    );
  }
  return tools;
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "tools" } });
const listOf = (groups: ToolGroups): string => Object.keys(groups).join(", ") || "none";
