/**
 * An MCP server over stdio that misbehaves on command: bare JSON-RPC of 2025, so that a test owns every byte. Its tools come from the JSON
 * file of its first argument, read anew at each start; the second is a file to which a line is added at each start and use.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [definitions = "", book = ""] = process.argv.slice(2);
const note = (line: string): void => appendFileSync(book, `${line}\n`);
const send = (message: object): void => void process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const text = (value: string): object => ({ content: [{ type: "text", text: value }] });
const tools = (): unknown[] => JSON.parse(readFileSync(definitions, "utf8"));

note("start");
if (process.env.MCP_TEST_BROKEN) {
  process.stderr.write(`${"x".repeat(100_000)}no database here`);
  process.exit(3);
}
if (process.env.MCP_TEST_SILENT) setInterval(() => {}, 1_000);
else
  createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, method, params } = JSON.parse(line);
    const answer = (result: object): void => send({ id, result });
    if (method === "initialize")
      answer({
        protocolVersion: "2025-06-18",
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: "scripted", version: "1" },
      });
    else if (method === "tools/list") answer({ tools: tools() });
    else if (method === "tools/call") use(params, answer, id);
    else if (id !== undefined) send({ id, error: { code: -32601, message: "no such method" } });
    else note(method);
  });

function use(
  { name, arguments: input, _meta }: { name: string; arguments: { text?: string }; _meta?: { progressToken?: unknown } },
  answer: (result: object) => void,
  id: unknown,
): void {
  note(`use ${name}`);
  switch (name) {
    case "die":
      process.exit(1);
      break;
    case "hang":
      send({
        method: "notifications/progress",
        params: { progressToken: _meta?.progressToken, progress: 1, total: 3, message: "one of three" },
      });
      break;
    case "changed":
      send({ method: "notifications/tools/list_changed" });
      answer(text("changed"));
      break;
    case "refuse":
      send({ id, error: { code: -32602, message: "not these" } });
      break;
    case "fail":
      answer({ ...text("the disk is full"), isError: true });
      break;
    case "rich":
      answer({
        content: [
          { type: "text", text: "see" },
          { type: "image", mimeType: "image/png", data: Buffer.alloc(300).toString("base64") },
          { type: "resource_link", uri: "file:///x", name: "x" },
          { type: "resource", resource: { uri: "file:///y", text: "inner" } },
        ],
      });
      break;
    case "structured":
      answer({ content: [{ type: "text", text: '{"a": 1}' }], structuredContent: { a: 1 } });
      break;
    case "env":
      answer(text(JSON.stringify(process.env)));
      break;
    default:
      answer(text(input.text ?? "nothing"));
  }
}
