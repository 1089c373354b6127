/** Tool group `clock`. */
import { createClock } from "./clock.ts";

export { createClock };
export const clock = [createClock()];
