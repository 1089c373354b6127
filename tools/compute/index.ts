/** Tool group `compute`. */
import { calculator } from "./calculator.ts";

export { calculator };
export const compute = [calculator];
