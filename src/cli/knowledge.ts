/** `escapement knowledge index`: a configured folder is indexed here; a server that uses the same data folder finds what it made. */
import { resolve } from "node:path";
import type { IndexReport, KnowledgeGroup } from "../../tools/knowledge/index.ts";
import { openAnswers } from "../config/cache.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { OpenToolGroup } from "../runtime/tool-group.ts";
import { localConfig } from "./local.ts";

export async function indexFolder(folder: string, { config, json }: { config?: string; json?: boolean }): Promise<void> {
  const resolved = await localConfig(config);
  const groups = resolved.openGroups.filter(isKnowledge);
  const group = groups.find((one) => one.folder === resolve(folder));
  if (!group)
    throw new EscapementError(
      "invalid_request",
      `no tool group of the configuration has the folder ${resolve(folder)}; there are: ${groups.map((one) => one.folder).join(", ") || "none (set tools.knowledge.folder)"}`,
    );
  const answers = await openAnswers(resolved.cache, resolved.agents);
  try {
    const isSeen = process.stderr.isTTY && !json;
    const report = await group.reindex({
      ...(answers && { purge: (tag) => answers.purge({ tag }) }),
      ...(isSeen && { onProgress: (done, total) => process.stderr.write(`\r${done} of ${total}`) }),
    });
    if (isSeen) process.stderr.write("\r\x1b[K");
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : words(report));
    if (report.embedded?.failed) process.exitCode = 1;
  } finally {
    await Promise.all([answers?.close(), ...resolved.openGroups.map((one) => one.close())]);
  }
}

const isKnowledge = (group: OpenToolGroup): group is KnowledgeGroup => "reindex" in group;

function words({ added, changed, removed, unchanged, failed, documents, chunks, tokens, embedded }: IndexReport): string {
  const made = embedded && `${embedded.chunks} chunks embedded (${embedded.tokens} tokens, ${embedded.costNano / 1_000} micro-dollars)`;
  return [
    `${added.length} added, ${changed.length} changed, ${removed.length} removed, ${unchanged} unchanged, ${failed.length} not indexed`,
    ...failed.map(({ document, reason }) => `  ${document}: ${reason}`),
    ...(made ? [made] : []),
    ...(embedded?.failed ? [`chunks are without vectors: ${embedded.failed}`] : []),
    `${documents} documents, ${chunks} chunks, ${tokens} tokens`,
    "",
  ].join("\n");
}
