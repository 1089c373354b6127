/** The agent of the tests of limits: one request, one call. */
import { agent } from "../../src/index.ts";

export const single = agent({ name: "single", machine: "single", retries: 0, limits: { max_output_tokens: 50 } });
