/**
 * One of several routes, each an agent or a pattern: by the task that the run names, else by a classifier, else the default.
 *
 *  1. Exactly one route is begun. A classifier that fails, names none or is not sure leads to the default.
 *  2. The route's answer is the router's, and its text is for the person.
 */
import { assign, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../../src/protocol/errors.ts";
import { type RoutingOutput, routingMachine } from "../routing.ts";
import { type Answer, type AnswerStatus, asError, workError } from "../work.ts";
import { withParts } from "./parts.ts";
import { answerOf, childInput, type PartEvents, type PatternInput, type Route, type RouterPlan } from "./plan.ts";

type Context = {
  readonly input: PatternInput<RouterPlan>;
  readonly route: string;
  readonly answer: Answer | null;
  readonly error: ErrorBody | null;
  readonly status: AnswerStatus;
};

/** A default is one of the routes: checked when the pattern was defined. */
const routeOf = ({ input: { plan }, route }: Context): Route =>
  (plan.routes.find((one) => one.plan.name === route) ?? plan.routes.find((one) => one.plan.name === plan.default)) as Route;

export const routerMachine = setup({
  types: {
    input: {} as PatternInput<RouterPlan>,
    context: {} as Context,
    output: {} as Answer,
    events: {} as PartEvents,
  },
  actors: withParts({ routing: routingMachine }),
  actions: {
    keepRoute: assign({ route: (_, { output }: { output: RoutingOutput }) => output.tiers[0] ?? "" }),
    startRoute: enqueueActions(({ context, enqueue }) => {
      const { plan } = routeOf(context);
      enqueue.spawnChild(plan.kind, { id: plan.name, input: childInput(plan, context.input.messages, context.input, true) as never });
    }),
    stopRoute: enqueueActions(({ context, enqueue }) => enqueue.stopChild(routeOf(context).plan.name)),
    keepAnswer: assign((_, { output }: { output: Answer }) => ({ answer: output, status: output.status, error: output.error ?? null })),
    keepThrown: assign({ error: (_, { error }: { error: unknown }) => asError(workError(error)) }),
    keepCancel: assign({ status: "cancelled" as const, error: errorBody("cancelled", "the run was cancelled") }),
  },
}).createMachine({
  id: "router",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ input, route: input.plan.default, answer: null, error: null, status: "failed" }),
  output: ({ context: { status, answer, error } }) => ({ ...answerOf(answer), status, ...(error && { error }) }),
  on: { cancel: { target: ".cancelled", actions: "keepCancel" } },
  initial: "routing",
  states: {
    routing: {
      invoke: {
        id: "routing",
        src: "routing",
        input: ({
          context: {
            input: { plan, messages, task },
          },
        }) => {
          const { tasks = {}, classifier } = plan;
          const named = task === undefined || !Object.hasOwn(tasks, task) ? undefined : tasks[task];
          return {
            messages,
            tiers: plan.routes.map((route) => route.plan.name),
            default: plan.default,
            ...(task !== undefined && named !== undefined && { task: { name: task, tier: named } }),
            ...(classifier && {
              part: classifier.part,
              classifier: {
                tier: classifier.tier,
                labels: plan.routes.map(({ description, plan: { name } }) => ({ name, description, tier: name })),
                ...(classifier.sureFrom !== undefined && { sureFrom: classifier.sureFrom }),
              },
            }),
          };
        },
        onDone: { target: "running", actions: { type: "keepRoute", params: ({ event }) => event } },
        onError: "running",
      },
    },
    running: {
      entry: "startRoute",
      exit: "stopRoute",
      on: {
        // The name of the route's actor is the author's; the routing's own end is not meant here.
        "xstate.done.actor.*": { target: "ended", actions: { type: "keepAnswer", params: ({ event }) => event } },
        "xstate.error.actor.*": { target: "ended", actions: { type: "keepThrown", params: ({ event }) => event } },
      },
    },
    ended: { type: "final" },
    cancelled: { type: "final" },
  },
});
