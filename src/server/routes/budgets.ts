/** `/v1/budgets`: how the budgets above the run stand. */
import { jsonReply } from "../reply.ts";
import type { Route } from "../route.ts";

export const budgetRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/budgets",
    access: "caller",
    serve: async ({ context, caller }) => jsonReply(200, { data: await context.runtime.budgets(caller), next: null }),
  },
];
