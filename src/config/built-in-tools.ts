/**
 * The groups of tools of a configuration: those of the file, and ours as far as its agents ask for them, with their settings.
 * Ours are loaded then and not before.
 */
import { resolve } from "node:path";
import { EscapementError } from "../protocol/errors.ts";
import type { Tool } from "../runtime/tool.ts";
import { defaultAgents } from "./agents.ts";
import type { CheckedConfig, ToolSettings } from "./schema.ts";
import { readSecret, type SecretSource } from "./secret.ts";
import type { ToolGroups } from "./tool-groups.ts";

type Settings<Group extends "web" | "files" | "data"> = Exclude<NonNullable<ToolSettings[Group]>, readonly unknown[]>;

/** Throws `invalid_request` for a group that needs settings and has none, and for settings that are wrong. */
export async function toolGroups({ tools = {}, egress = {}, agents }: CheckedConfig, from: SecretSource): Promise<ToolGroups> {
  const wanted = new Set<string>((agents ?? defaultAgents).flatMap((agent) => agent.tools ?? []));
  const { web, files, data, ...own } = tools;
  const groups: Record<string, readonly Tool[]> = {};
  if (wanted.has("compute") && !Object.hasOwn(own, "compute")) groups.compute = (await import("../../tools/compute/index.ts")).compute;
  if (wanted.has("clock") && !Object.hasOwn(own, "clock")) groups.clock = (await import("../../tools/clock/index.ts")).clock;
  // Settings are checked where no agent uses them too: a mistake in them is told at once.
  if (Array.isArray(web)) groups.web = web;
  else if (web || wanted.has("web")) groups.web = await webGroup(web ?? {}, egress, from);
  if (Array.isArray(files)) groups.files = files;
  else if (files || wanted.has("files")) {
    const { root, write } = files ?? missing("files");
    groups.files = (await import("../../tools/files/index.ts")).files({
      root: resolve(from.cwd, root),
      ...(write !== undefined && { write }),
    });
  }
  if (Array.isArray(data)) groups.data = data;
  else if (data || wanted.has("data")) {
    const { root } = data ?? missing("data");
    groups.data = (await import("../../tools/data/index.ts")).data({ root: resolve(from.cwd, root) });
  }
  // Checked by the schema: what is left are lists.
  return { ...groups, ...own };
}

async function webGroup(
  { search }: Settings<"web">,
  door: NonNullable<CheckedConfig["egress"]>,
  from: SecretSource,
): Promise<readonly Tool[]> {
  const [{ web }, { egress }] = await Promise.all([import("../../tools/web/index.ts"), import("../safety/egress.ts")]);
  return web({ egress: egress(door), ...(search && { search: endpointOf(search, from) }) });
}

function endpointOf(search: NonNullable<Settings<"web">["search"]>, from: SecretSource) {
  if ("searxng" in search) return search;
  const { text, ...mapping } = search.mapping;
  const headers = Object.entries(search.headers ?? {}).map(([name, secret]) => [
    name,
    readSecret(secret, `tools.web.search.headers.${name}`, from),
  ]);
  return {
    url: search.url,
    headers: Object.fromEntries(headers) as Record<string, string>,
    mapping: { ...mapping, ...(text !== undefined && { text }) },
  };
}

function missing(group: "files" | "data"): never {
  throw new EscapementError("invalid_request", `an agent uses the tool group "${group}", which needs a folder: give tools.${group}.root`, {
    details: { path: `tools.${group}.root` },
  });
}
