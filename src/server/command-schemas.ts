/**
 * The protocol's commands as this edge checks them: free JSON in them (input, values, metadata) is not walked again. It came out of
 * `parseJson`, so it is JSON, bounded in depth and size, and a schema that visits every value of 8 MiB would hold the event loop for
 * seconds. The agent's own schema looks at the input later.
 */
import { z } from "zod";
import { type AnswerBody, answerBody, type StartBody, startBody } from "../protocol/commands.ts";

type Value = StartBody["input"];
type Metadata = NonNullable<StartBody["metadata"]>;

/** UTF-16 units of metadata as JSON. */
const metadataLength = 64 * 1024;

const json = z.custom<Value>((value) => value !== undefined, "JSON");
const metadata = z.custom<Metadata>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value) && isSmall(value),
  "an object of at most 64 KiB whose keys have at most 200 characters",
);

function isSmall(value: object): boolean {
  return JSON.stringify(value).length <= metadataLength && Object.keys(value).every((key) => key.length <= 200);
}

export const startSchema = startBody.extend({ input: json, metadata: metadata.optional() });

const [approval, value, budget] = answerBody.options;
export const answerSchemas: { readonly [form in "approve" | "value" | "amount_microusd"]: z.ZodType<AnswerBody> } = {
  approve: approval,
  value: value.extend({ value: json }),
  amount_microusd: budget,
};
