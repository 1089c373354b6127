/** Tool group `compute`. */
import { calculator } from "./calculator.ts";
import { statistics } from "./statistics.ts";

export { calculator, statistics };
export const compute = [calculator, statistics];
