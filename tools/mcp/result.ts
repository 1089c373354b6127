/** What an MCP tool gave, as a model gets it: text as it is, structured content as JSON, everything else by its name. */
import type { CallToolResult, ContentBlock } from "@modelcontextprotocol/client";

/** Throws with the server's words when it says that the tool failed. */
export function resultOf(result: CallToolResult): unknown {
  const text = result.content.map(words).join("\n");
  if (result.isError) throw new Error(text.slice(0, maxErrorLength) || "the tool failed and did not say why");
  const { structuredContent } = result;
  if (structuredContent === undefined) return text;
  // Servers repeat structured content as text for older clients.
  return text === "" || isSame(text, structuredContent) ? structuredContent : `${text}\n${JSON.stringify(structuredContent)}`;
}

const maxErrorLength = 2_000;

function words(block: ContentBlock): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "image":
    case "audio":
      return `[${block.type}: ${block.mimeType}, ${sizeOf(block.data)} bytes, not shown]`;
    case "resource_link":
      return `[link: ${block.name}, ${block.uri}]`;
    case "resource":
      return "text" in block.resource
        ? `[${block.resource.uri}]\n${block.resource.text}`
        : `[file: ${block.resource.uri}, ${block.resource.mimeType ?? "unknown type"}, ${sizeOf(block.resource.blob)} bytes, not shown]`;
  }
}

const sizeOf = (base64: string): number => Math.floor((base64.replace(/=+$/, "").length * 3) / 4);

function isSame(text: string, value: unknown): boolean {
  try {
    return JSON.stringify(JSON.parse(text)) === JSON.stringify(value);
  } catch {
    return false;
  }
}
