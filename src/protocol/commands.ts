/** Commands: what clients may ask for. Unknown keys are refused, so that a misspelt cap is never a missing cap. */
import { z } from "zod";
import { limitsSchema } from "./limits.ts";
import { inputMessage } from "./messages.ts";
import { runStatuses } from "./run.ts";

const label = z.string().min(1).max(200);
/** At most 64 KiB as JSON is checked by the server's body limits; here only the shape. */
const metadata = z.record(z.string().max(200), z.json());

export const startBody = z.strictObject({
  agent: label,
  /** What the agent's schema asks for; without a schema a string or `{messages}`. */
  input: z.json(),
  session: label.optional(),
  feature: label.optional(),
  user: label.optional(),
  /** Can be set, never unset: such a run only reaches self-hosted models. */
  sensitive: z.boolean().optional(),
  limits: limitsSchema.optional(),
  metadata: metadata.optional(),
  webhook: z.strictObject({ url: z.url().max(2_000) }).optional(),
  cancel_on_disconnect: z.boolean().optional(),
});
export type StartBody = z.infer<typeof startBody>;

/** The input of an agent without a schema of its own. */
export const defaultInput = z.union([z.string().min(1), z.strictObject({ messages: z.array(inputMessage).min(1) })]);

export const cancelBody = z.strictObject({ reason: z.string().max(2_000).optional() });
export type CancelBody = z.infer<typeof cancelBody>;

export const answerBody = z.union([
  z.strictObject({ id: label, approve: z.boolean(), input_hash: z.string().max(200).optional(), reason: z.string().max(2_000).optional() }),
  z.strictObject({ id: label, value: z.json() }),
  z.strictObject({ id: label, amount_microusd: z.number().positive().max(9_000_000_000_000).multipleOf(0.001) }),
]);
export type AnswerBody = z.infer<typeof answerBody>;

/** `GET /v1/runs`. `cursor` is what `next` said. */
export const runsQuery = z.strictObject({
  status: z.enum(runStatuses).optional(),
  agent: label.optional(),
  session: label.optional(),
  feature: label.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  cursor: z.string().max(200).optional(),
});
export type RunsQuery = z.input<typeof runsQuery>;
