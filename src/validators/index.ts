/** Validators to give to `agent({ validators })`: checks of an answer that need no model. */
export { banned } from "./banned.ts";
export { type GroundedOptions, grounded } from "./grounded.ts";
export { language } from "./language.ts";
