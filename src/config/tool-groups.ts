/**
 * What of the tools an agent may show to its model. Owns the rules of exposure, apart from any runtime: which tools of which groups,
 * how many, and under which names. The supervisor checks the same number again at each step.
 */
import { EscapementError } from "../protocol/errors.ts";
import type { AgentToolSpec } from "../runtime/agent.ts";
import { maxShown, type Tool } from "../runtime/tool.ts";
import type { OpenToolGroup, SourceContext, ToolSource } from "../runtime/tool-group.ts";

/** Agents that are tools, and how many tools there may be in all. */
type Exposure = { readonly agents?: readonly AgentToolSpec[]; readonly most?: number };

export type ToolGroups = { readonly [group: string]: readonly Tool[] };

export type AnyGroup = readonly Tool[] | OpenToolGroup;

/** Opens those that are sources, one after the other: they may share a file. All are closed when one fails. */
export async function openSources(
  groups: { readonly [group: string]: AnyGroup | ToolSource },
  from: SourceContext,
): Promise<{ readonly [group: string]: AnyGroup }> {
  const opened = new Map<string, AnyGroup>();
  try {
    for (const [name, group] of Object.entries(groups)) opened.set(name, "open" in group ? await group.open(from) : group);
    return Object.fromEntries(opened);
  } catch (error) {
    await closeGroups([...opened.values(), ...Object.values(groups)]);
    throw error;
  }
}

export async function closeGroups(groups: Iterable<AnyGroup | ToolSource>): Promise<void> {
  await Promise.all([...new Set(groups)].map((group) => ("close" in group ? group.close() : undefined)));
}

/**
 * The tools of an agent's groups, in their order. Throws `invalid_request`: unknown group (names those there are), more than
 * {@link maxShown} tools, two tools of one name, names that only differ by case (a model does not keep them apart).
 */
export function exposedTools(
  agent: string,
  names: readonly string[],
  groups: ToolGroups,
  { agents = [], most = maxShown }: Exposure = {},
): AgentToolSpec[] {
  const tools: AgentToolSpec[] = [];
  const compensations = new Set(
    Object.entries(groups).flatMap(([group, of]) => (names.includes(group) ? of.flatMap(({ compensation }) => compensation ?? []) : [])),
  );
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
        ...(tool.compensation !== undefined && { compensation: tool.compensation }),
        ...(tool.isQuestion && { isQuestion: true }),
        ...(compensations.has(tool.name) && { isHidden: true }),
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
  const shown = tools.filter(({ isHidden }) => !isHidden);
  checkCompensations(agent, tools);
  if (shown.length > most) {
    const sizes = [...new Set(tools.map(({ group }) => group))]
      .map((group) => `${group} (${tools.filter((tool) => tool.group === group).length})`)
      .join(", ");
    throw refused(
      `agent "${agent}" has ${shown.length} tools, at most ${most} may be shown to a model: ${sizes}. ` +
        "Split them into smaller groups and several agents, and put a router before them that picks the agent whose tools fit",
    );
  }
  return tools;
}

function checkCompensations(agent: string, tools: readonly AgentToolSpec[]): void {
  for (const { name, compensation } of tools)
    if (compensation !== undefined && !tools.some((tool) => tool.name === compensation))
      throw refused(`agent "${agent}": the tool "${name}" is taken back by "${compensation}", which is not in its groups; add it there`);
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "tools" } });
const listOf = (groups: ToolGroups): string => Object.keys(groups).join(", ") || "none";
