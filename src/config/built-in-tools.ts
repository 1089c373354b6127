/**
 * The built-in groups of tools that have settings: `web`, `files`, `data`. Their code is loaded by those alone who use them or set them up:
 * a mistake in settings is told also where no agent uses the group.
 */
import { resolve } from "node:path";
import { EscapementError } from "../protocol/errors.ts";
import type { ToolSource } from "../runtime/tool-group.ts";
import type { CheckedConfig, WebSettings } from "./schema.ts";
import { readSecret, type SecretSource } from "./secret.ts";
import type { AnyGroup } from "./tool-groups.ts";

type Groups = { readonly [group: string]: AnyGroup | ToolSource };
type Settings = Pick<NonNullable<CheckedConfig["tools"]>, "web" | "files" | "data">;

/** `wanted`: groups that agents name. Throws `invalid_request` for a group without what it needs, and for settings that are wrong. */
export async function settledGroups(
  { web, files, data }: { readonly [Group in keyof Settings]: Settings[Group] | undefined },
  wanted: ReadonlySet<string>,
  egress: CheckedConfig["egress"],
  from: SecretSource,
): Promise<Groups> {
  const groups: { [group: string]: AnyGroup | ToolSource } = {};
  if (isGroup(web)) groups.web = web;
  else if (web || wanted.has("web")) groups.web = await webGroup(web ?? {}, egress ?? {}, from);
  if (isGroup(files)) groups.files = files;
  else if (files || wanted.has("files")) {
    const { root, write = false } = files ?? missing("files");
    groups.files = (await import("../../tools/files/index.ts")).files({ root: resolve(from.cwd, root), write });
  }
  if (isGroup(data)) groups.data = data;
  else if (data || wanted.has("data")) {
    const { root } = data ?? missing("data");
    groups.data = (await import("../../tools/data/index.ts")).data({ root: resolve(from.cwd, root) });
  }
  return groups;
}

/** A group that a program made, in the place of ours. */
const isGroup = (value: object | undefined): value is AnyGroup | ToolSource =>
  value !== undefined && (Array.isArray(value) || "start" in value || "open" in value);

async function webGroup({ search }: WebSettings, door: NonNullable<CheckedConfig["egress"]>, from: SecretSource): Promise<AnyGroup> {
  const [{ web }, { egress }] = await Promise.all([import("../../tools/web/index.ts"), import("../safety/egress.ts")]);
  return web({ egress: egress(door), ...(search && { search: endpointOf(search, from) }) });
}

function endpointOf(search: NonNullable<WebSettings["search"]>, from: SecretSource) {
  if ("searxng" in search) return search;
  const { text, ...mapping } = search.mapping;
  const headers: { [name: string]: string } = {};
  for (const [name, secret] of Object.entries(search.headers ?? {}))
    headers[name] = readSecret(secret, `tools.web.search.headers.${name}`, from);
  return { url: search.url, headers, mapping: { ...mapping, ...(text !== undefined && { text }) } };
}

function missing(group: "files" | "data"): never {
  throw new EscapementError("invalid_request", `an agent uses the tool group "${group}", which needs a folder: give tools.${group}.root`, {
    details: { path: `tools.${group}.root` },
  });
}
